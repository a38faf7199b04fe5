package import Primitives

// A single node has no other copy to heal a damaged journal from. What is readable is delivered all the same: every message
// that is not finished is accepted again, with its id, into a new journal, for those recipients that are not finished.
// Whoever may have got it already, because an attempt or its outcome could lie in a gap, is uncertain
// (`queue.md`, 'Recovery').

/// A message of a damaged journal that must be accepted again.
package struct SalvagedMessage: Hashable, Sendable {
    /// As it was accepted, its content as places in the damaged file. A notice's came with its outcome.
    package var accept: AcceptRecord
    /// Of the frame that accepted it.
    package var offset: UInt64
    /// The unfinished ones, by index.
    package var recipients: [SalvagedRecipient]

    package var isUncertain: Bool { recipients.contains { $0.isUncertain } }
}

/// Where one unfinished recipient of a salvaged message stands.
package struct SalvagedRecipient: Hashable, Sendable {
    /// Into the damaged journal's accept's recipients.
    package var index: UInt32
    /// As the last outcome said.
    package var tries: UInt32 = 0
    package var due: WallTime?
    package var isHeld = false
    /// The route that a person set in place of the configured one.
    package var redirect: String?
    /// It may have been delivered already.
    package var isUncertain = false
}

/// What can be saved of a damaged journal, and what can't.
package struct SalvageReport: Hashable, Sendable {
    /// In the order of their acceptance.
    package var messages: [SalvagedMessage] = []
    /// Accepted and not finished, but a part of the content is in a gap.
    package var unreadable: [MessageID] = []
    /// Tried according to later frames, and not known to be finished, while the frame that accepted them is gone. There may
    /// be others that no frame names.
    package var lost: [MessageID] = []
    /// Kinds that this version does not understand: only a newer one may salvage this journal.
    package var unknownKinds: Set<UInt8> = []
    package var unexplainedPunches: [Range<UInt64>] = []
}

/// How bytes behind the last intact frame are read. A torn write and a flipped bit in the last frame look the same.
package enum TailReading: Hashable, Sendable {
    /// A crash tore what was not committed: no attempt in it reached its final dot.
    case torn
    /// It may have been committed.
    case damaged
}

/// Folds the frames of one journal, gaps and all, into what must be accepted again.
package struct Salvage: Sendable {
    fileprivate struct Message {
        var accept: AcceptRecord
        var offset: UInt64
        /// Nil once finished.
        var recipients: [SalvagedRecipient?]
        /// Where the last frame stands that treats each recipient as unfinished.
        var lastSeen: [UInt64]
        var attempts: [Attempt] = []
        /// Numbers of attempts whose outcome was seen.
        var outcomes: Set<UInt32> = []
        var mayBeDelivered: Set<UInt32> = []
    }

    fileprivate struct Attempt {
        var number: UInt32
        var offset: UInt64
        var recipients: [UInt32]
    }

    private var messages: [MessageID: Message] = [:]
    private var finished: Set<MessageID> = []
    /// Spoken of without an accept: which of their recipients are not known to be finished.
    private var orphans: [MessageID: Set<UInt32>] = [:]
    /// The end of each readable body's content, by where it begins.
    private var bodies: [UInt64: UInt64] = [:]
    private var punched = PunchedBodies()
    private var unknownKinds: Set<UInt8> = []

    package init() {}

    package mutating func add(_ frame: ScannedFrame) {
        punched.add(frame)
        switch frame.record {
        case .accept(let accept): begin(accept, at: frame.offset)
        case .attempt(let attempt): begin(attempt, at: frame.offset)
        case .outcome(let outcome):
            end(outcome, at: frame.offset)
            if let notice = outcome.notice { begin(notice, at: frame.offset) }
        case .hold(let command): carryOut(command, frame.offset) { $0?.isHeld = true }
        case .release(let command): carryOut(command, frame.offset) { $0?.isHeld = false }
        case .redirect(let command, let upstream): carryOut(command, frame.offset) { $0?.redirect = upstream }
        case .cancel(let command): carryOut(command, frame.offset) { $0 = nil }
        case .body:
            if let content = frame.content, !frame.isPunched { bodies[content.lowerBound] = content.upperBound }
        case .unknown(let kind): unknownKinds.insert(kind)
        case .open, .takeover, .replicas, .seal, .retire, .abort: break
        }
    }

    /// What the frames and the scan that found them come to.
    package consuming func finish(_ scan: ScanResult, tail: TailReading) -> SalvageReport {
        var report = SalvageReport(unknownKinds: unknownKinds, unexplainedPunches: punched.unexplained)
        report.lost = orphans.filter { !$0.value.isEmpty }.keys.sorted()
        let gaps = scan.gaps.filter { gap in
            gap.couldHoldAnEnd && (tail == .damaged || gap.at < scan.lastEnd)
        }
        for message in messages.values.sorted(by: { ($0.offset, $0.accept.id) < ($1.offset, $1.accept.id) }) {
            guard hasContent(message.accept) else {
                report.unreadable.append(message.accept.id)
                continue
            }
            var recipients = message.recipients.compactMap { $0 }
            for index in recipients.indices {
                recipients[index].isUncertain = Salvage.isUncertain(recipients[index].index, of: message, gaps)
            }
            report.messages.append(
                SalvagedMessage(accept: message.accept, offset: message.offset, recipients: recipients))
        }
        report.unreadable.sort()
        return report
    }

    private mutating func begin(_ accept: AcceptRecord, at offset: UInt64) {
        orphans[accept.id] = nil
        guard messages[accept.id] == nil, !finished.contains(accept.id) else { return }
        let indices = accept.recipients.indices.map { UInt32($0) }
        var message = Message(
            accept: accept, offset: offset, recipients: indices.map { SalvagedRecipient(index: $0) },
            lastSeen: indices.map { _ in offset })
        if accept.isUncertain { message.mayBeDelivered = Set(indices) }
        messages[accept.id] = message
    }

    private mutating func begin(_ attempt: AttemptRecord, at offset: UInt64) {
        guard messages[attempt.message] != nil else {
            if !finished.contains(attempt.message) {
                orphans[attempt.message, default: []].formUnion(attempt.recipients)
            }
            return
        }
        messages[attempt.message]?.attempts.append(
            Attempt(number: attempt.number, offset: offset, recipients: attempt.recipients))
        update(attempt.message, attempt.recipients, offset) { $0?.isHeld = false }
    }

    private mutating func end(_ outcome: OutcomeRecord, at offset: UInt64) {
        guard messages[outcome.message] != nil else {
            if finished.contains(outcome.message) { return }
            for result in outcome.results {
                if result.status.isFinal {
                    orphans[outcome.message]?.remove(result.recipient)
                } else {
                    orphans[outcome.message, default: []].insert(result.recipient)
                }
            }
            return
        }
        if outcome.attempt > 0 { messages[outcome.message]?.outcomes.insert(outcome.attempt) }
        for result in outcome.results {
            if result.status == .unanswered { messages[outcome.message]?.mayBeDelivered.insert(result.recipient) }
            update(outcome.message, [result.recipient], offset) { recipient in
                guard !result.status.isFinal else { return recipient = nil }
                recipient?.tries = result.tries
                recipient?.due = result.due
                recipient?.isHeld = result.isHeld
                recipient?.redirect = nil
            }
        }
    }

    private mutating func carryOut(
        _ command: CommandRecord, _ offset: UInt64, _ change: (inout SalvagedRecipient?) -> Void
    ) {
        // Of a message without an accept, no command says how many recipients it has or which are unfinished.
        guard let message = messages[command.message] else { return }
        let all = message.accept.recipients.indices.map { UInt32($0) }
        update(command.message, command.recipients.isEmpty ? all : command.recipients, offset, change)
    }

    /// Changes recipients that are not finished; the message is forgotten when none is left.
    private mutating func update(
        _ id: MessageID, _ recipients: [UInt32], _ offset: UInt64, _ change: (inout SalvagedRecipient?) -> Void
    ) {
        guard var message = messages.removeValue(forKey: id) else { return }
        for recipient in recipients {
            guard let index = Int(exactly: recipient), message.recipients.indices.contains(index),
                message.recipients[index] != nil
            else { continue }
            change(&message.recipients[index])
            message.lastSeen[index] = offset
        }
        guard message.recipients.contains(where: { $0 != nil }) else {
            finished.insert(id)
            return punched.finished(message.accept.content)
        }
        messages[id] = message
    }

    private func hasContent(_ accept: AcceptRecord) -> Bool {
        guard case .pieces(_, let pieces) = accept.content else { return true }
        return pieces.allSatisfy { piece in
            guard let end = bodies[piece.offset] else { return false }
            return UInt64(piece.count) <= end - piece.offset
        }
    }

    private static func isUncertain(_ recipient: UInt32, of message: Message, _ gaps: [Damage]) -> Bool {
        if message.mayBeDelivered.contains(recipient) { return true }
        if message.attempts.contains(where: {
            $0.recipients.contains(recipient) && !message.outcomes.contains($0.number)
        }) {
            return true
        }
        return gaps.contains { gap in
            gap.at > message.offset && !message.isWhole(across: gap, for: recipient)
        }
    }
}

extension Salvage.Message {
    /// True when later frames show that no attempt or end of this recipient lay in the gap: it was still unfinished then, and
    /// no number of an attempt is missing without its outcome.
    fileprivate func isWhole(across gap: Damage, for recipient: UInt32) -> Bool {
        guard lastSeen[Int(recipient)] >= gap.end,
            let next = attempts.filter({ $0.offset >= gap.end }).map(\.number).min()
        else { return false }
        let seen = Set(attempts.map(\.number)).union(outcomes)
        let last = attempts.filter { $0.offset < gap.at }.map(\.number).max() ?? 0
        return last < next && (last + 1..<next).allSatisfy { seen.contains($0) }
    }
}

extension RecipientResult.Status {
    /// Nothing more happens to the recipient.
    package var isFinal: Bool {
        switch self {
        case .delivered, .failed, .expired: true
        case .deferred, .notSent, .unanswered: false
        }
    }
}

extension Damage {
    /// The shortest attempt, outcome or cancel: a header, a message's id and its time, and five bytes more at least, less a few
    /// for what later versions may leave out.
    private static let shortestEnd: UInt64 = 56

    /// Whether an attempt may lie in it, or the frame that ended a recipient.
    fileprivate var couldHoldAnEnd: Bool {
        guard let kinds else { return end - at >= Damage.shortestEnd }
        return kinds.contains { kind in
            switch FrameKind(rawValue: kind) {
            case .attempt, .outcome, .cancel, nil: true
            default: false
            }
        }
    }
}
