internal import Journal
internal import Primitives
internal import SMTP

/// A damaged journal of a single node: what is readable is accepted again, with its ids, into the current journal
/// (`queue.md`, 'Recovery').
extension Node {
    /// Begins to move the messages of damaged journals, once there is a journal to move them to.
    mutating func moveDamaged(_ now: Now, _ effects: inout [NodeEffect]) {
        for id in damagedJournals {
            let gap = recovery.gaps[id] ?? .max
            for key in journals[id]?.recovered ?? [] where messages.contains(key) {
                // An attempt or an outcome could lie in the gap for all that were accepted before it.
                if messages[key].frameOffset < gap || messages[key].recipients.contains(where: { $0.openAttempt != 0 })
                {
                    messages[key].isUncertain = true
                }
                let ticket = self.ticket()
                reaccepting[ticket] = key
                effects.append(.readContent(ticket, messages[key].content, limit: .max))
            }
            journals[id]?.recovered = []
            setAsideIfMoved(id, &effects)
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
                recipients: old.recipients.filter { !$0.isFinished }.map(\.address.bytes), prefix: [],
                content: .inline([]), size: old.size)
            record.isEightBit = old.isEightBit
            record.isInternationalized = old.isInternationalized
            record.messageIDField = old.messageIDField
            record.concerns = old.concerns
            record.isUncertain = old.isUncertain
            if bytes.count <= Node.inlineLimit {
                _ = accept(&record, slices: [bytes[...]], in: current, now, &effects)
            } else {
                reacceptLong(&record, bytes, in: current, now, &effects)
            }
        } else {
            damaged.append("message \(old.id): its content could not be read; it stays in the damaged file")
        }
        if let end = journals[current]?.owner.end {
            journals[old.journal]?.damage = .setAside(moved: HeldJournal.MovedTo(journal: current, end: end))
        }
        setAsideIfMoved(old.journal, &effects)
        rollIfFull(now, &effects)
    }

    private mutating func reacceptLong(
        _ record: inout AcceptRecord, _ bytes: [UInt8], in id: JournalID, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let stream = StreamID(nextStream)
        nextStream += 1
        streams[stream] = ArrivingStream(journal: id)
        journals[id]?.openStreams += 1
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Node.inlineLimit)
            rest = rest.dropFirst(piece.count)
            streamed(stream, Array(piece), &effects)
        }
        guard let arriving = streams.removeValue(forKey: stream) else { return }
        _ = acceptStream(&record, arriving, stream, prefix: [], now, &effects)
        endStream(in: id, now, &effects)
    }

    /// All its messages live on elsewhere, on the disk: the old file is out of use. Asked again at each commit.
    mutating func setAsideIfMoved(_ id: JournalID, _ effects: inout [NodeEffect]) {
        guard case .setAside(let moved) = journals[id]?.damage, journals[id]?.unfinished == 0 else { return }
        // A journal that is gone by now had everything in it committed.
        if let moved, let target = journals[moved.journal], target.owner.committed < moved.end { return }
        journals[id] = nil
        damagedJournals.removeAll { $0 == id }
        effects.append(.setAside(id))
    }
}
