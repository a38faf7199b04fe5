package import Cluster
package import Journal
package import Primitives
internal import SMTP

/// What start-up found, until everything is claimed.
struct Recovery: Sendable {
    struct Found: Sendable {
        var promised: UInt64 = 0
        var epoch: UInt64 = 0
        var end: UInt64 = 0
        var hasUnknownKinds = false
        var isRetired = false
        /// Damage with intact frames behind it.
        var isTorn = false
    }

    var journals: [JournalID: Found] = [:]
    /// The frames of the journal that is being read, for the case that there are gaps in it.
    var salvage = Salvage()
    var isOver = false
}

/// Start-up: the frames that were found become the queue again, and each journal is claimed (`protocol.md`, 'Restart').
extension Node {
    /// Announces a journal file and the promise beside it, before its frames.
    package mutating func recover(journal id: JournalID, promise: Promise?) {
        recovery.journals[id] = Recovery.Found(promised: promise?.epoch ?? 0)
        // The owner comes with the claim; messages count against the journal from now on.
        journals[id] = HeldJournal(
            owner: JournalOwner(
                journal: id, replicas: [configuration.replica], me: configuration.replica, promised: 0, end: 0))
        identifiers.raise(to: id.ulid)
    }

    /// Folds one frame into the queue.
    package mutating func recover(frame: ScannedFrame, of id: JournalID) {
        recovery.salvage.add(frame)
        let highest = recovery.journals[id]?.epoch ?? 0
        recovery.journals[id]?.epoch = max(highest, frame.header.epoch)
        switch frame.record {
        case .accept(let accept): recover(accept, frameOffset: frame.offset, in: id)
        case .attempt(let attempt):
            guard let key = index[attempt.message] else { return }
            messages[key].attempts = max(messages[key].attempts, attempt.number)
            for recipient in known(attempt.recipients, of: key) {
                messages[key].recipients[recipient].openAttempt = attempt.number
                messages[key].recipients[recipient].upstream = attempt.upstream
            }
        case .outcome(let outcome):
            if let key = index[outcome.message] { recover(outcome, of: key) }
            if let notice = outcome.notice { recover(notice, frameOffset: frame.offset, in: id) }
        case .hold(let command): recover(command, .hold)
        case .release(let command): recover(command, .release)
        case .cancel(let command): recover(command, .cancel)
        case .takeover:
            for key in journals[id]?.recovered ?? [] where messages.contains(key) && hasOpenAttempt(key) {
                messages[key].isUncertain = true
            }
        case .seal: journals[id]?.isSealed = true
        case .retire: recovery.journals[id]?.isRetired = true
        case .unknown: recovery.journals[id]?.hasUnknownKinds = true
        case .open, .replicas, .body, .abort, .redirect: break
        }
    }

    /// The file was read to its end, as `scan` says.
    package mutating func recovered(journal id: JournalID, scan: ScanResult) {
        recovery.journals[id]?.end = scan.end
        let salvage = recovery.salvage
        recovery.salvage = Salvage()
        guard let damage = scan.damage else { return }
        damaged.append("journal \(id): \(damage.description)")
        recoveredDamage.append((id, damage.at, damage.description))
        guard scan.framesAfterDamage else { return }
        let report = salvage.finish(scan, tail: .torn)
        // Only a newer version may salvage what this one does not understand.
        guard report.unknownKinds.isEmpty else { return }
        recovery.journals[id]?.isTorn = true
        takeSalvaged(report, of: id)
    }

    /// Claims what was found and opens a journal for new mail.
    package mutating func start(at now: Now, into effects: inout [NodeEffect]) {
        recovery.isOver = true
        for (id, at, reason) in recoveredDamage { effects.append(.note(.damage(id, at: at, reason: reason))) }
        for (id, found) in recovery.journals.sorted(by: { $0.key < $1.key }) {
            dropFinished(in: id)
            if found.isRetired {
                // It was finished before the end of the process, whatever a gap hides; only its deletion is left.
                for key in journals[id]?.recovered ?? [] where messages.contains(key) { forget(key) }
                journals[id]?.recovered = []
                effects.append(.deleteJournal(id))
            } else if found.isTorn {
                journals[id]?.isSealed = true
                journals[id]?.damage = .setAside(moved: nil)
                damagedJournals.append(id)
            } else if !found.hasUnknownKinds {
                claim(id, found, &effects)
            }
        }
        // Due times of the recovered are looked at now; their tries begin once their journal is active.
        upcoming = openJournal(now, &effects)
    }

    private mutating func claim(_ id: JournalID, _ found: Recovery.Found, _ effects: inout [NodeEffect]) {
        guard var held = journals[id] else { return }
        let owner = JournalOwner(
            journal: id, replicas: [configuration.replica], me: configuration.replica,
            promised: max(found.promised, found.epoch), end: found.end)
        held.owner = owner
        // A takeover seals; so does having no message at all, not even an `open` frame.
        held.isSealed = true
        journals[id] = held
        effects.append(.cut(id, to: found.end))
        effects.append(.storePromise(id, owner.promise(lease: Node.lease)))
    }

    /// The takeover is committed: its messages move, the uncertain ones as configured.
    mutating func tookOver(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        counters.takeovers += 1
        let keys = (journals[id]?.recovered ?? []).filter { messages.contains($0) }
        journals[id]?.recovered = []
        let uncertain = keys.filter { hasOpenAttempt($0) }
        effects.append(
            .note(
                .takeover(id, epoch: journals[id]?.owner.epoch ?? 0, messages: keys.count, uncertain: uncertain.count)))
        for key in uncertain {
            decideUncertain(
                key, messages[key].recipients.indices.filter { messages[key].recipients[$0].openAttempt != 0 }, now,
                &effects)
        }
        for key in keys where messages.contains(key) {
            if state == .serving { beginTry(key, now, &effects) } else { schedule(key) }
        }
        // A journal of nothing but finished messages has nothing else that would retire it.
        retireIfFinished(id, now, &effects)
    }

    /// What may have been delivered is listed, and sent again or held (`queue.md`, 'Uncertain').
    mutating func decideUncertain(_ key: MessageKey, _ recipients: [Int], _ now: Now, _ effects: inout [NodeEffect]) {
        messages[key].isUncertain = true
        for position in recipients {
            let recipient = messages[key].recipients[position]
            counters.uncertain += 1
            recent.add(.uncertain, at: now.instant)
            effects.append(
                .note(
                    .result(
                        Note.Result(
                            id: messages[key].id, to: recipient.address.bytes, upstream: recipient.upstream, remote: "",
                            status: .uncertain, code: 0, enhanced: "",
                            reply: Array("the node ended before this attempt's outcome was written".utf8),
                            attempt: recipient.openAttempt, delay: now.wall - messages[key].accepted, queued: .zero,
                            transaction: .zero, epoch: journals[messages[key].journal]?.owner.epoch ?? 0, next: nil))))
            messages[key].recipients[position].openAttempt = 0
        }
        if configuration.uncertain == .hold {
            appendHold(key, recipients, reason: "it may have been delivered already", now, &effects)
        }
    }

    // MARK: Folding

    private mutating func recover(_ accept: AcceptRecord, frameOffset: UInt64, in id: JournalID) {
        identifiers.raise(to: accept.id.ulid)
        // A second accept of an id can only be a copy that was moved out of a damaged journal.
        if let known = index[accept.id] { forget(known) }
        var message = Message(
            accept, in: id, frameOffset: frameOffset, frame: nil, runs: Node.runs(of: accept.content), due: began)
        message.isCommitted = true
        if accept.isUncertain {
            // Nothing says whether its decision was made before the process ended: it is made again.
            for position in message.recipients.indices { message.recipients[position].openAttempt = 1 }
        }
        let key = insert(message)
        journals[id]?.recovered.append(key)
    }

    static func runs(of content: AcceptRecord.Content) -> [ContentPiece] {
        switch content {
        case .range(let offset, let count): [ContentPiece(offset: offset, count: UInt32(count))]
        case .pieces(_, let pieces): pieces
        case .inline: preconditionFailure("recovery reads where contents are, not the contents")
        }
    }

    private mutating func recover(_ outcome: OutcomeRecord, of key: MessageKey) {
        for result in outcome.results where Int(result.recipient) < messages[key].recipients.count {
            let position = Int(result.recipient)
            messages[key].recipients[position].openAttempt = 0
            messages[key].recipients[position].tries = result.tries
            messages[key].recipients[position].upstream = outcome.upstream
            messages[key].recipients[position].lastReply = String(
                decoding: Array("\(result.code) \(result.enhanced) ".utf8) + result.reply.prefix(256), as: UTF8.self)
            switch result.status {
            case .delivered: messages[key].finish(position, .delivered)
            case .failed: messages[key].finish(position, .failed)
            case .expired: messages[key].finish(position, .expired)
            case .deferred, .notSent, .unanswered:
                if result.status == .unanswered { messages[key].isUncertain = true }
                if result.isHeld {
                    messages[key].recipients[position].state = .held
                } else if !messages[key].recipients[position].isFinished {
                    messages[key].recipients[position].state = .waiting(until: dueInstant(result.due))
                }
            }
        }
        if outcome.notice != nil, outcome.results.contains(where: { $0.status == .deferred || $0.status == .notSent }) {
            messages[key].hasWarned = true
        }
    }

    /// When a due time of the wall clock comes by this process's clock: never later than the longest wait, whatever the wall
    /// clock did meanwhile.
    func dueInstant(_ due: WallTime?) -> Instant {
        guard let due else { return began }
        let wall = WallTime(milliseconds: began.nanoseconds / 1_000_000 + clockOffset)
        let longest = (configuration.retry.max() ?? .hours(1)) * 1.1
        return began + max(.zero, min(due - wall, longest))
    }

    private mutating func recover(_ command: CommandRecord, _ verb: Command.Verb) {
        guard let key = index[command.message] else { return }
        let named =
            command.recipients.isEmpty ? Array(messages[key].recipients.indices) : known(command.recipients, of: key)
        for recipient in named where !messages[key].recipients[recipient].isFinished {
            switch verb {
            case .hold:
                messages[key].recipients[recipient].state = .held
                // The decision about it was made.
                messages[key].recipients[recipient].openAttempt = 0
            case .cancel: messages[key].finish(recipient, .cancelled)
            default: messages[key].recipients[recipient].state = .waiting(until: began)
            }
        }
    }

    private func known(_ recipients: [UInt32], of key: MessageKey) -> [Int] {
        recipients.map { Int($0) }.filter { $0 < messages[key].recipients.count }
    }

    private func hasOpenAttempt(_ key: MessageKey) -> Bool {
        messages[key].recipients.contains { $0.openAttempt != 0 && !$0.isFinished }
    }

    private mutating func dropFinished(in id: JournalID) {
        let keys = journals[id]?.recovered ?? []
        for key in keys where messages.contains(key) && messages[key].unfinished == 0 { forget(key) }
        journals[id]?.recovered = keys.filter { messages.contains($0) }
    }

    mutating func forget(_ key: MessageKey) {
        let message = messages[key]
        index[message.id] = nil
        journals[message.journal]?.unfinished -= 1
        messages.remove(key)
    }
}
