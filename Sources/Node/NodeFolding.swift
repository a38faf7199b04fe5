internal import Cluster
internal import Journal
internal import Primitives
internal import SMTP

/// What one frame means for the index of unfinished messages: at start-up, and on every replica as frames arrive.
extension Node {
    mutating func fold(_ frame: ScannedFrame, of id: JournalID) {
        switch frame.record {
        case .accept(let accept): fold(accept, frameOffset: frame.offset, in: id)
        case .attempt(let attempt):
            guard let key = index[attempt.message], messages[key].journal == id else { return }
            messages[key].attempts = max(messages[key].attempts, attempt.number)
            for recipient in known(attempt.recipients, of: key) {
                messages[key].recipients[recipient].openAttempt = attempt.number
                messages[key].recipients[recipient].upstream = attempt.upstream
            }
        case .outcome(let outcome):
            for result in outcome.results where cluster.lateOutcomes.count > 0 {
                cluster.dropLateOutcome(
                    of: outcome.message, recipient: result.recipient, in: id, before: frame.header.epoch)
            }
            if let key = index[outcome.message], messages[key].journal == id, !has(.outcomesForgotten) {
                fold(outcome, of: key)
            }
            if let notice = outcome.notice { fold(notice, frameOffset: frame.offset, in: id) }
        case .hold(let command): if !has(.holdsForgotten) { fold(command, .hold, in: id) }
        case .release(let command): fold(command, .release, in: id)
        case .cancel(let command): fold(command, .cancel, in: id)
        case .takeover(let takeover):
            journals[id]?.lastWriter = takeover.owner.node
            // A takeover seals.
            journals[id]?.isSealed = true
            for key in journals[id]?.recovered ?? [] where messages.contains(key) && hasOpenAttempt(key) {
                messages[key].isUncertain = !has(.uncertainUnlisted)
            }
        case .seal: journals[id]?.isSealed = true
        case .open(let open): journals[id]?.lastWriter = open.origin.node
        case .redirect(let command, let upstream): fold(command, .redirect, in: id, upstream: upstream)
        case .replicas, .retire, .body, .abort, .unknown: break
        }
    }

    private mutating func fold(_ accept: AcceptRecord, frameOffset: UInt64, in id: JournalID) {
        identifiers.raise(to: accept.id.ulid)
        // A second accept of an id can only be a copy that was moved out of a damaged journal.
        if let known = index[accept.id] { forget(known) }
        var message = Message(
            accept, in: id, frameOffset: frameOffset, frame: nil, runs: Node.runs(of: accept.content),
            due: present.instant)
        message.isCommitted = true
        if accept.isUncertain {
            // Nothing says whether its decision was made before the process ended: it is made again.
            for position in message.recipients.indices { message.recipients[position].openAttempt = 1 }
        }
        let key = insert(message, accept)
        journals[id]?.recovered.append(key)
        // Finished messages leave their keys behind.
        guard let held = journals[id], held.recovered.count > 2 * held.unfinished + 1024 else { return }
        journals[id]?.recovered = held.recovered.filter { messages.contains($0) }
    }

    static func runs(of content: AcceptRecord.Content) -> [ContentPiece] {
        switch content {
        case .range(let offset, let count): [ContentPiece(offset: offset, count: UInt32(count))]
        case .pieces(_, let pieces): pieces
        case .inline: preconditionFailure("recovery reads where contents are, not the contents")
        }
    }

    private mutating func fold(_ outcome: OutcomeRecord, of key: MessageKey) {
        for result in outcome.results where Int(result.recipient) < messages[key].recipients.count {
            let position = Int(result.recipient)
            messages[key].recipients[position].openAttempt = 0
            messages[key].recipients[position].redirect = ""
            messages[key].recipients[position].tries = has(.triesForgotten) ? 0 : result.tries
            messages[key].recipients[position].upstream = outcome.upstream
            switch result.status {
            case .delivered: messages[key].finish(position, .delivered)
            case .failed: messages[key].finish(position, .failed)
            case .expired: messages[key].finish(position, .expired)
            case .deferred, .notSent, .unanswered:
                messages[key].recipients[position].lastReply = String(
                    decoding: Array("\(result.code) \(result.enhanced) ".utf8) + result.reply.prefix(256),
                    as: UTF8.self)
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
        if messages[key].unfinished == 0 { forget(key) }
    }

    /// When a due time of the wall clock comes by this process's clock: never later than the longest wait, whatever the wall
    /// clock did meanwhile.
    func dueInstant(_ due: WallTime?) -> Instant {
        guard let due else { return present.instant }
        let longest = (configuration.retry.max() ?? .hours(1)) * 1.1
        return present.instant + max(.zero, min(due - present.wall, longest))
    }

    private mutating func fold(
        _ command: CommandRecord, _ verb: Command.Verb, in id: JournalID, upstream: String = ""
    ) {
        guard let key = index[command.message], messages[key].journal == id else { return }
        let named =
            command.recipients.isEmpty ? Array(messages[key].recipients.indices) : known(command.recipients, of: key)
        for recipient in named where !messages[key].recipients[recipient].isFinished {
            switch verb {
            case .hold:
                messages[key].recipients[recipient].state = .held
                // The decision about it was made.
                messages[key].recipients[recipient].openAttempt = 0
            case .cancel: messages[key].finish(recipient, .cancelled)
            case .redirect: messages[key].recipients[recipient].redirect = upstream
            default:
                messages[key].recipients[recipient].state = .waiting(until: present.instant)
                messages[key].recipients[recipient].released = command.time
            }
        }
        if messages[key].unfinished == 0 { forget(key) }
    }

    private func known(_ recipients: [UInt32], of key: MessageKey) -> [Int] {
        recipients.map { Int($0) }.filter { $0 < messages[key].recipients.count }
    }

    func hasOpenAttempt(_ key: MessageKey) -> Bool {
        messages[key].recipients.contains { $0.openAttempt != 0 && !$0.isFinished }
    }

    mutating func forget(_ key: MessageKey) {
        uncache(key)
        unpark(key, present)
        let message = messages[key]
        index[message.id] = nil
        journals[message.journal]?.unfinished -= 1
        messages.remove(key)
    }
}
