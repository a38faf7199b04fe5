internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

typealias MessageKey = SlabKey
typealias JobKey = SlabKey

/// One recipient of an unfinished message.
struct Recipient: Sendable {
    enum State: Hashable, Sendable {
        /// Its next try begins then.
        case waiting(until: Instant)
        /// Part of this job.
        case busy(JobKey)
        /// Due, and its destination takes no more at present (`Destinations`).
        case parked(ParkedKey)
        /// It waits for a person.
        case held
        case finished(Finish)
    }

    enum Finish: String, Hashable, Sendable { case delivered, failed, expired, cancelled }

    let address: Address
    var state: State
    /// Tries begun.
    var tries: UInt32 = 0
    /// The attempt that is under way or never got an outcome; 0 for none.
    var openAttempt: UInt32 = 0
    var lastReply = ""
    var upstream = ""
    /// A person's choice in place of the route, until the next outcome.
    var redirect = ""
    /// When a person last released it: older rules hold it no more.
    var released = WallTime(milliseconds: 0)

    init(_ address: Address, until due: Instant) {
        self.address = address
        state = .waiting(until: due)
    }

    var isFinished: Bool {
        if case .finished = state { true } else { false }
    }
}

/// One unfinished message: the index entry that every replica holds in memory.
struct Message: Sendable {
    let id: MessageID
    let journal: JournalID
    let accepted: WallTime
    let reversePath: Address?
    /// Whose turns its tries take (`FairKey`): its authenticated user's, else its sender's domain's, else its client's.
    let user: UInt64
    var recipients: [Recipient]
    let size: UInt64
    let isEightBit: Bool
    let isInternationalized: Bool
    let messageIDField: [UInt8]
    /// Who authenticated; empty for nobody.
    let userName: String
    let concerns: MessageID?
    /// Which routes it satisfies as far as they ask of the message as a whole.
    var marks: Router.Marks = 0
    /// Where its accept frame (or the outcome that carries it) lies.
    let frameOffset: UInt64
    /// That frame, while it is cached.
    var frame: [UInt8]?
    /// Its bytes in wire form: prefix, then content.
    let runs: [ContentPiece]
    /// Of all runs, in bytes of wire form.
    let contentCount: UInt64
    /// Who waits for its 250.
    var ticket: Ticket?
    /// Transactions begun.
    var attempts: UInt32 = 0
    /// The epoch under which this node began a transaction of it; 0 for none.
    var begunEpoch: UInt64 = 0
    var isCommitted = false
    var isUncertain = false
    /// A delay warning was sent.
    var hasWarned = false
    var unfinished: Int
    var jobs = 0
    /// Outcome and command frames that are appended and not committed.
    var uncommitted = 0
    /// A command that waits for the transactions under way to end.
    var pendingCommand: PendingCommand?

    init(
        _ accept: AcceptRecord, in journal: JournalID, frameOffset: UInt64, frame: [UInt8]?, runs: [ContentPiece],
        due: Instant
    ) {
        id = accept.id
        self.journal = journal
        accepted = accept.time
        reversePath = accept.reversePath.map { Address(parsed: $0) }
        user = accept.userKey
        recipients = accept.recipients.map { Recipient(Address(parsed: $0), until: due) }
        size = accept.size
        isEightBit = accept.isEightBit
        isInternationalized = accept.isInternationalized
        messageIDField = accept.messageIDField
        userName = accept.user
        concerns = accept.concerns
        self.frameOffset = frameOffset
        self.frame = frame
        self.runs = runs
        contentCount = runs.reduce(0) { $0 + UInt64($1.count) }
        isUncertain = accept.isUncertain
        unfinished = accept.recipients.count
    }

    /// Somebody got it.
    var isSent: Bool { recipients.contains { $0.state == .finished(.delivered) } }

    var content: ContentReference {
        ContentReference(journal: journal, frame: frame, frameOffset: frameOffset, runs: runs)
    }

    /// What a connection is to send to these recipients.
    func transaction(_ id: UInt64, attempt: UInt32, to chosen: [UInt32]) -> Transaction {
        let request = TransactionRequest(
            id: id, reversePath: reversePath, recipients: chosen.map { recipients[Int($0)].address },
            size: contentCount,
            body: isEightBit ? .eightBit : .sevenBit, smtputf8: isInternationalized)
        return Transaction(
            request: request, message: self.id, attempt: attempt, content: content, recipients: chosen)
    }

    mutating func finish(_ recipient: Int, _ finish: Recipient.Finish) {
        guard !recipients[recipient].isFinished else { return }
        recipients[recipient].state = .finished(finish)
        recipients[recipient].openAttempt = 0
        unfinished -= 1
    }

    /// The entry of one of its recipients that are parked, if it fits.
    func parkedEntry(where fits: (ParkedKey) -> Bool) -> ParkedKey? {
        for recipient in recipients {
            if case .parked(let entry) = recipient.state, fits(entry) { return entry }
        }
        return nil
    }

    /// When its next recipient is due; nil while none waits.
    var nextDue: Instant? {
        var earliest: Instant?
        for recipient in recipients {
            if case .waiting(let due) = recipient.state, earliest.map({ due < $0 }) ?? true { earliest = due }
        }
        return earliest
    }
}

extension AcceptRecord {
    fileprivate var userKey: UInt64 {
        if !user.isEmpty { return nameKey(user.utf8, kind: 1) }
        if let reversePath { return nameKey(Address(parsed: reversePath).domain, kind: 2) }
        return nameKey(clientAddress.utf8, kind: 3)
    }
}

extension Address {
    /// The domain in a `FairKey`, and as the name of a destination.
    var destinationKey: UInt64 { nameKey(domain) }
}

struct PendingCommand: Sendable {
    let ticket: Ticket
    let command: Command
    /// A final dot that was out before it never got a reply.
    var wasUnanswered = false
}

/// Some recipients of one message, on one route and at one mailbox provider, within one try.
struct Job: Sendable {
    enum Place: Hashable, Sendable {
        case ready(upstream: Int)
        case waitingForUpstream
        case running(ConnectionID)
        /// Its outcome waits for the message's header, which a report quotes.
        case settling
        case unplaced
    }

    let message: MessageKey
    var recipients: [UInt32]
    let route: Int
    let provider: ProviderID
    /// Upstreams that refused it in this try.
    var tried: Router.Mask = 0
    /// Upstreams that lack what the message needs.
    var lacking: Router.Mask = 0
    /// Not the first try, or it had to wait for an upstream.
    var isRetry: Bool
    /// When the try began.
    let begun: WallTime
    var queued: Instant
    /// Whose turns it takes, and where it goes: the domain of its first recipient.
    let fairKey: FairKey
    var place = Place.unplaced
    /// The backed-off destination that let it go, which counts what is in progress, and whether it heard of it.
    var countedBy: DestinationKey?
    var hasEvidence = false
    /// Where it stands in its lane, while it is ready.
    var standing = Lane.Standing.none
    /// The waiting room has an entry of it, if perhaps of an earlier wait.
    var isInWaitingRoom = false
    /// A transaction of it was handed out: what is left of it goes before what has not begun.
    var hasBegun = false
    /// A used connection turned out dead; it may happen once.
    var hadStaleConnection = false
    var needsFreshConnection = false
    /// The refusal that made it fail over last.
    var refusal: Reply?
    /// What the last upstream lacked that can't carry it.
    var lack: Reply?
}

/// When a message has to be looked at.
struct DueEntry: Comparable, Sendable {
    let at: Instant
    let id: MessageID
    let key: MessageKey

    static func < (a: DueEntry, b: DueEntry) -> Bool { a.at == b.at ? a.id < b.id : a.at < b.at }
}
