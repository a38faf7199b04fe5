import Journal
import Node
import Primitives
import SMTP

/// One transaction as the journal names it.
struct AttemptKey: Hashable {
    var journal: JournalID
    var message: MessageID
    var number: UInt32
}

/// What is known of one message from all sides: its client, its frames, the upstreams.
struct BookedMessage {
    enum Answer: Equatable {
        /// The client waits, or died, or the process did: it may have been taken or not.
        case unknown
        case queued
        /// It may have been taken all the same, if its journal changed hands meanwhile.
        case refused
        /// Caused by an outcome frame.
        case notice(of: MessageID)
    }

    enum Final: String { case delivered, failed, expired, cancelled }

    struct Delivery {
        var attempt: AttemptKey
        var upstream: String
        var at: Instant
    }

    struct Recipient {
        var address: [UInt8]
        /// Times that an upstream took the message for it.
        var deliveries: [Delivery] = []
        /// An upstream said 5xx about it, or about the message.
        var isRefused = false
        /// From committed frames.
        var final: Final?
        var isHeld = false
        var tries: UInt32 = 0
    }

    let id: MessageID
    let reversePath: [UInt8]?
    /// Prefix and content as every upstream has to see them.
    let content: [UInt8]
    let isEightBit: Bool
    let isInternationalized: Bool
    var submitted: Instant
    var answer = Answer.unknown
    var recipients: [Recipient]
    /// The journals with a committed accept of it, and the wall time and epoch of the first.
    var journals: [JournalID] = []
    var accepted: WallTime?
    var acceptEpoch: UInt64 = 0
    /// The newest frame that speaks of it, and whether that is committed.
    var newest: FrameKey?
    var isNewestCommitted = true
    /// Its committed attempts.
    var attempts: [AttemptKey] = []
    /// A node said of it that it may have been delivered already.
    var wasListed = false
    /// Bits of one of its frames were flipped: it may be lost or repeated.
    var isDamaged = false
    /// A person released it: what was uncertain may be sent again.
    var wasReleased = false
    /// A person asked for it, committed or not.
    var cancelAsked = false
    var bounceAsked = false
    var retryAsked = false

    init(
        id: MessageID, reversePath: [UInt8]?, recipients: [[UInt8]], content: [UInt8], isEightBit: Bool = false,
        isInternationalized: Bool = false, submitted: Instant
    ) {
        self.id = id
        self.reversePath = reversePath
        self.content = content
        self.isEightBit = isEightBit
        self.isInternationalized = isInternationalized
        self.submitted = submitted
        self.recipients = recipients.map { Recipient(address: $0) }
    }

    var isNotice: Bool { if case .notice = answer { true } else { false } }
    /// Somebody was told that it is taken.
    var isPromised: Bool { answer == .queued || (isNotice && !journals.isEmpty) }
    var isFinished: Bool { recipients.allSatisfy { $0.final != nil } }
    var isMoving: Bool { recipients.contains { $0.final == nil && !$0.isHeld } }
    var isHeld: Bool { recipients.contains { $0.final == nil && $0.isHeld } }

    func index(of address: [UInt8]) -> Int? { recipients.firstIndex { $0.address == address } }
}

/// Names a frame: of one epoch, one owner writes each place of a journal once.
struct FrameKey: Hashable {
    var journal: JournalID
    var epoch: UInt64
    var offset: UInt64
}

/// Everything that clients, upstreams and committed frames say, kept apart from the nodes.
struct Books {
    struct Attempt {
        var recipients: [[UInt8]]
        /// Those without a committed outcome of it.
        var pending: [[UInt8]]
        var epoch: UInt64
    }

    private(set) var order: [MessageID] = []
    var messages: [MessageID: BookedMessage] = [:]
    /// Where each committed frame of a message lies, for the bits that flip in a journal that has no other copy.
    var places: [JournalID: [(offset: UInt64, end: UInt64, messages: [MessageID])]] = [:]
    var attempts: [AttemptKey: Attempt] = [:]
    /// Those that have no committed outcome.
    var open: Set<AttemptKey> = []
    var unanswered: Set<AttemptKey> = []
    /// Open when their journal changed hands.
    var orphaned: Set<AttemptKey> = []
    /// Which recipients an accept's indices mean, by its journal.
    var indices: [JournalID: [MessageID: [[UInt8]]]] = [:]
    /// Messages whose client was answered 250, or notices, not finished.
    var unfinished: [MessageID] { order.filter { messages[$0].map { $0.isPromised && !$0.isFinished } ?? false } }

    mutating func add(_ message: BookedMessage) {
        guard messages[message.id] == nil else { return }
        messages[message.id] = message
        order.append(message.id)
    }

    func recipients(of message: MessageID, in journal: JournalID) -> [[UInt8]] {
        indices[journal]?[message] ?? messages[message]?.recipients.map(\.address) ?? []
    }

    /// Whether this transaction may have been taken without any node's knowledge.
    func isUncertain(_ attempt: AttemptKey) -> Bool { orphaned.contains(attempt) || unanswered.contains(attempt) }

    /// The frame at this place is broken: what it says of its messages can't be relied upon.
    mutating func damage(_ journal: JournalID, at offset: Int) -> [MessageID] {
        let hit = places[journal]?.filter { Int($0.offset) <= offset && offset < Int($0.end) }.flatMap(\.messages) ?? []
        for id in hit { messages[id]?.isDamaged = true }
        return hit
    }

    /// A frame that speaks of these messages was written.
    mutating func written(_ key: FrameKey, about ids: [MessageID]) {
        for id in ids {
            messages[id]?.newest = key
            messages[id]?.isNewestCommitted = false
        }
    }
}

// Frames that are committed, in their order.
extension Books {
    mutating func apply(_ record: Record, _ frame: FrameKey, end: UInt64) {
        let journal = frame.journal
        for id in record.messages where messages[id]?.newest == frame { messages[id]?.isNewestCommitted = true }
        places[journal, default: []].append((frame.offset, end, record.messages))
        switch record {
        case .accept(let accept): applyAccept(accept, frame)
        case .attempt(let attempt):
            let key = AttemptKey(journal: journal, message: attempt.message, number: attempt.number)
            let all = recipients(of: attempt.message, in: journal)
            let named = attempt.recipients.compactMap { Int($0) < all.count ? all[Int($0)] : nil }
            attempts[key] = Attempt(recipients: named, pending: named, epoch: frame.epoch)
            messages[attempt.message]?.attempts.append(key)
            open.insert(key)
        case .outcome(let outcome): applyOutcome(outcome, frame)
        case .takeover: orphaned.formUnion(open.filter { $0.journal == journal })
        case .cancel(let command):
            each(command, in: journal) { if $0.final == nil { $0.final = .cancelled } }
        case .hold(let command): each(command, in: journal) { $0.isHeld = true }
        case .release(let command): each(command, in: journal) { $0.isHeld = false }
        default: break
        }
    }

    private mutating func applyAccept(_ accept: AcceptRecord, _ frame: FrameKey) {
        let journal = frame.journal
        indices[journal, default: [:]][accept.id] = accept.recipients
        if case .pieces(_, let pieces) = accept.content {
            for piece in pieces {
                // With the header before it, and the stream's number between.
                let start = piece.offset - min(piece.offset, UInt64(FrameHeader.size) + 10)
                places[journal, default: []].append((start, piece.offset + UInt64(piece.count), [accept.id]))
            }
        }
        if messages[accept.id]?.journals.contains(journal) == false { messages[accept.id]?.journals.append(journal) }
        if messages[accept.id]?.accepted == nil {
            messages[accept.id]?.accepted = accept.time
            messages[accept.id]?.acceptEpoch = frame.epoch
        }
    }

    private mutating func applyOutcome(_ outcome: OutcomeRecord, _ frame: FrameKey) {
        let journal = frame.journal
        let key = AttemptKey(journal: journal, message: outcome.message, number: outcome.attempt)
        let all = recipients(of: outcome.message, in: journal)
        // Of several recipients a late outcome may name one.
        let named = Set(outcome.results.compactMap { Int($0.recipient) < all.count ? all[Int($0.recipient)] : nil })
        attempts[key]?.pending.removeAll { named.contains($0) }
        if attempts[key]?.pending.isEmpty ?? true { open.remove(key) }
        for result in outcome.results where Int(result.recipient) < all.count {
            guard let index = messages[outcome.message]?.index(of: all[Int(result.recipient)]) else { continue }
            var final: BookedMessage.Final?
            switch result.status {
            case .delivered: final = .delivered
            case .failed: final = .failed
            case .expired: final = .expired
            case .unanswered: unanswered.insert(key)
            case .deferred, .notSent: break
            }
            messages[outcome.message]?.recipients[index].isHeld = result.isHeld
            messages[outcome.message]?.recipients[index].tries = result.tries
            if let final { messages[outcome.message]?.recipients[index].final = final }
        }
        if let notice = outcome.notice { applyAccept(notice, frame) }
    }

    private mutating func each(
        _ command: CommandRecord, in journal: JournalID, _ change: (inout BookedMessage.Recipient) -> Void
    ) {
        guard var message = messages[command.message] else { return }
        let all = recipients(of: command.message, in: journal)
        let named = command.recipients.compactMap { Int($0) < all.count ? all[Int($0)] : nil }
        for index in message.recipients.indices
        where message.recipients[index].final == nil
            && (command.recipients.isEmpty || named.contains(message.recipients[index].address))
        {
            change(&message.recipients[index])
        }
        messages[command.message] = message
    }
}

extension Record {
    /// The messages that a frame speaks of.
    var messages: [MessageID] {
        switch self {
        case .accept(let accept): [accept.id]
        case .attempt(let attempt): [attempt.message]
        case .outcome(let outcome): [outcome.message] + (outcome.notice.map { [$0.id] } ?? [])
        case .hold(let command), .release(let command), .cancel(let command), .redirect(let command, _):
            [command.message]
        default: []
        }
    }

    /// For the timeline.
    var summary: String {
        switch self {
        case .open: "open"
        case .takeover: "takeover"
        case .replicas: "replicas"
        case .seal: "seal"
        case .retire: "retire"
        case .body(let stream, _): "body of stream \(stream.number)"
        case .abort(let stream): "abort stream \(stream.number)"
        case .accept(let accept):
            "accept \(accept.id.short), \(accept.recipients.count) recipients"
                + (accept.isUncertain ? ", uncertain" : "")
        case .attempt(let attempt):
            "attempt \(attempt.number) of \(attempt.message.short) by \(attempt.upstream), recipients \(attempt.recipients)"
        case .outcome(let outcome): outcome.summary
        case .hold(let command): "hold \(command.message.short) \(command.recipients) by \(command.by)"
        case .release(let command): "release \(command.message.short) \(command.recipients) by \(command.by)"
        case .cancel(let command): "cancel \(command.message.short) \(command.recipients) by \(command.by)"
        case .redirect(let command, let upstream): "redirect \(command.message.short) to \(upstream)"
        case .unknown(let kind): "kind \(kind)"
        }
    }
}

extension OutcomeRecord {
    fileprivate var summary: String {
        let words = results.map { result in
            "\(result.recipient) \(result.status)\(result.code > 0 ? " \(result.code)" : "")"
                + (result.due.map { " due \($0.clock)" } ?? "") + (result.isHeld ? " held" : "")
        }
        return "outcome \(attempt) of \(message.short): \(words.joined(separator: ", "))"
            + (notice.map { "; notice \($0.id.short)" } ?? "")
    }
}

extension MessageID {
    /// Its last characters: enough within a run.
    var short: String { String(ulid.description.suffix(5)) }
}
