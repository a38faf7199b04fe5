internal import Journal
internal import Primitives
internal import SMTP

/// A damaged journal of a single node: what is readable is accepted again, with its ids, into the current journal
/// (`queue.md`, 'Recovery').
extension Node {
    /// Begins to move the messages of damaged journals, once there is a journal to move them to.
    mutating func moveDamaged(_ now: Now, _ effects: inout [NodeEffect]) {
        for id in damagedJournals {
            for key in journals[id]?.recovered ?? [] where messages.contains(key) {
                let ticket = self.ticket()
                reaccepting[ticket] = key
                effects.append(.readContent(ticket, messages[key].content, limit: .max))
            }
            journals[id]?.recovered = []
            setAsideIfMoved(id, &effects)
        }
    }

    /// Replaces what was folded of a journal with gaps by what can be saved of it.
    mutating func takeSalvaged(_ report: SalvageReport, of id: JournalID) {
        for key in journals[id]?.recovered ?? [] where messages.contains(key) { forget(key) }
        journals[id]?.recovered = []
        for salvaged in report.messages where index[salvaged.accept.id] == nil {
            var message = Message(
                salvaged.accept, in: id, frameOffset: salvaged.offset, frame: nil,
                runs: Node.runs(of: salvaged.accept.content), due: present.instant)
            message.isCommitted = true
            message.isUncertain = salvaged.isUncertain
            let unfinished = Set(salvaged.recipients.map { Int($0.index) })
            for position in message.recipients.indices where !unfinished.contains(position) {
                message.finish(position, .delivered)
            }
            for recipient in salvaged.recipients {
                let position = Int(recipient.index)
                message.recipients[position].tries = recipient.tries
                message.recipients[position].redirect = recipient.redirect ?? ""
                message.recipients[position].openAttempt = recipient.isUncertain ? 1 : 0
                message.recipients[position].state =
                    recipient.isHeld ? .held : .waiting(until: dueInstant(recipient.due))
            }
            let key = insert(message, salvaged.accept)
            journals[id]?.recovered.append(key)
        }
        for message in report.unreadable {
            damaged.append("message \(message): a part of its content is damaged; it stays in the damaged file")
        }
        for message in report.lost {
            damaged.append("message \(message): the frame that accepted it is damaged; it stays in the damaged file")
        }
    }

    /// The bytes of one were read: it becomes a message of the current journal.
    mutating func reaccept(_ key: MessageKey, _ bytes: [UInt8]?, _ now: Now, _ effects: inout [NodeEffect]) {
        guard messages.contains(key), let current else { return }
        let old = messages[key]
        index[old.id] = nil
        messages.remove(key)
        journals[old.journal]?.unfinished -= 1
        if let bytes {
            var record = AcceptRecord(
                id: old.id, time: old.accepted, reversePath: old.reversePath?.bytes,
                recipients: old.recipients.filter { !$0.isFinished }.map(\.address.bytes),
                content: .inline([]), size: old.size)
            record.isEightBit = old.isEightBit
            record.isInternationalized = old.isInternationalized
            record.messageIDField = old.messageIDField
            record.concerns = old.concerns
            record.isUncertain = old.isUncertain
            let new =
                bytes.count <= Node.inlineLimit
                ? accept(&record, slices: [bytes[...]], in: current, now, &effects)
                : reacceptLong(&record, bytes, in: current, now, &effects)
            if let new { carryOver(from: old, to: new, now, &effects) }
        } else {
            damaged.append("message \(old.id): its content could not be read; it stays in the damaged file")
        }
        let target = HeldJournal.MovedTo(journal: current, end: journals.end(of: current))
        journals[old.journal]?.role = .setAside(moved: target)
        setAsideIfMoved(old.journal, &effects)
        rollIfFull(now, &effects)
    }

    private mutating func reacceptLong(
        _ record: inout AcceptRecord, _ bytes: [UInt8], in id: JournalID, _ now: Now, _ effects: inout [NodeEffect]
    ) -> MessageKey? {
        let stream = StreamID(nextStream)
        nextStream += 1
        streams[stream] = ArrivingStream(journal: id)
        journals[id]?.openStreams += 1
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Node.inlineLimit)
            rest = rest.dropFirst(piece.count)
            streamed(stream, Array(piece), now, &effects)
        }
        guard let arriving = streams.removeValue(forKey: stream) else { return nil }
        let key = acceptStream(&record, arriving, stream, prefix: [], now, &effects)
        endStream(in: id, now, &effects)
        return key
    }

    /// What the damaged journal knew of the recipients beyond their being unfinished: tries, due times, holds.
    private mutating func carryOver(
        from old: Message, to key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        messages[key].marks = old.marks
        let unfinished = old.recipients.filter { !$0.isFinished }
        var outcome = OutcomeRecord(message: old.id, attempt: 0, time: now.wall, upstream: "", remote: "", results: [])
        for (position, recipient) in unfinished.enumerated() {
            messages[key].recipients[position].openAttempt = recipient.openAttempt
            messages[key].recipients[position].tries = recipient.tries
            guard case .waiting(let due) = recipient.state, recipient.tries > 0 else { continue }
            messages[key].recipients[position].state = .waiting(until: due)
            outcome.results.append(
                Journal.RecipientResult(
                    recipient: UInt32(position), status: .deferred, due: now.wall + (due - now.instant),
                    tries: recipient.tries))
        }
        if !outcome.results.isEmpty {
            messages[key].uncommitted += 1
            append(
                .outcome(outcome), to: messages[key].journal, then: .outcome(key, outcome, Delays(), notice: nil, nil),
                now, &effects)
        }
        for upstream in Set(unfinished.map(\.redirect)).subtracting([""]).sorted() {
            appendRedirect(
                key, unfinished.indices.filter { unfinished[$0].redirect == upstream }, upstream: upstream, now,
                &effects)
        }
        let held = unfinished.indices.filter { unfinished[$0].state == .held }
        if !held.isEmpty { appendHold(key, held, reason: "held before the journal was damaged", now, &effects) }
    }

    /// All its messages live on elsewhere, on the disk: the old file is out of use. Asked again at each commit.
    mutating func setAsideIfMoved(_ id: JournalID, _ effects: inout [NodeEffect]) {
        guard case .setAside(let moved) = journals[id]?.role, journals[id]?.unfinished == 0 else { return }
        // A journal that is gone by now had everything in it committed.
        if let moved, let target = journals[moved.journal], target.committed < moved.end { return }
        // Nor is what an earlier start had moved, before the takeover of where it lies.
        if journals.values.contains(where: \.awaitsTakeover) { return }
        journals[id] = nil
        damagedJournals.removeAll { $0 == id }
        effects.append(.setAside(id))
    }
}
