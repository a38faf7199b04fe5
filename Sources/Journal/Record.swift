package import Primitives

/// What one frame says (`queue.md`, 'Frames').
package enum Record: Hashable, Sendable {
    // The journal's own life (`protocol.md`).
    case open(OpenRecord)
    case takeover(TakeoverRecord)
    case replicas([ReplicaID])
    case seal
    case retire
    // Long messages while they arrive.
    case body(StreamID, [UInt8])
    case abort(StreamID)
    // Mail.
    case accept(AcceptRecord)
    case attempt(AttemptRecord)
    case outcome(OutcomeRecord)
    case hold(CommandRecord)
    case release(CommandRecord)
    case cancel(CommandRecord)
    case redirect(CommandRecord, upstream: String)
    /// Kept and replicated, never understood; a journal that holds one is not claimed.
    case unknown(kind: UInt8)
}

/// A long message while it arrives, numbered by the node within one epoch of a journal.
package struct StreamID: Hashable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// The first frame of every journal.
package struct OpenRecord: Hashable, Sendable {
    package var cluster: String
    package var origin: ReplicaID
    package var replicas: [ReplicaID]
    package var time: WallTime

    package init(cluster: String, origin: ReplicaID, replicas: [ReplicaID], time: WallTime) {
        self.cluster = cluster
        self.origin = origin
        self.replicas = replicas
        self.time = time
    }
}

/// The first frame of every later epoch. A takeover seals.
package struct TakeoverRecord: Hashable, Sendable {
    package var owner: ReplicaID
    package var time: WallTime

    package init(owner: ReplicaID, time: WallTime) {
        self.owner = owner
        self.time = time
    }
}

/// A message that is answered `250` once this frame is committed.
package struct AcceptRecord: Hashable, Sendable {
    /// Where the content is. It is always in dot-stuffed wire form, without the final dot line.
    package enum Content: Hashable, Sendable {
        /// In the frame itself, its last field. Readers that need only the envelope leave it empty and note the range.
        case inline([UInt8])
        /// Where in the same file the inline content lies (what a reader of the envelope gets).
        case range(offset: UInt64, count: UInt64)
        /// In `body` frames of the same journal, in this order: where each one's bytes lie.
        case pieces(StreamID, [ContentPiece])
    }

    package var id: MessageID
    package var time: WallTime
    /// Nil is the null reverse-path.
    package var reversePath: [UInt8]?
    package var recipients: [[UInt8]]
    package var isEightBit = false
    package var isInternationalized = false
    /// How many of the content's first bytes this relay put before the client's: `Received` and added header fields.
    package var prefixCount: UInt64 = 0
    package var content: Content
    /// Octets as the client sent them, before dot-stuffing and without the prefix.
    package var size: UInt64
    /// SHA-256 of the content as stored; empty when it was not computed.
    package var digest: [UInt8] = []
    /// The Message-ID field's value, for people who search.
    package var messageIDField: [UInt8] = []
    /// The fields of its header that routes look at, `name:value` with the name in lower case: at a takeover the content may
    /// be far away.
    package var headerFields: [[UInt8]] = []
    package var clientAddress = ""
    package var helo: [UInt8] = []
    package var user = ""
    package var tls = ""
    /// For a bounce or warning: the message that it speaks of.
    package var concerns: MessageID?
    /// Set when a message of a damaged journal was accepted again and may have been delivered already.
    package var isUncertain = false
    /// Fields of newer versions, kept as they came.
    package var unknownFields: [UnknownField] = []

    package init(
        id: MessageID, time: WallTime, reversePath: [UInt8]?, recipients: [[UInt8]], content: Content,
        size: UInt64
    ) {
        self.id = id
        self.time = time
        self.reversePath = reversePath
        self.recipients = recipients
        self.content = content
        self.size = size
    }
}

/// A run of a long message's bytes in its journal file.
package struct ContentPiece: Hashable, Sendable {
    package var offset: UInt64
    package var count: UInt32
    package init(offset: UInt64, count: UInt32) {
        self.offset = offset
        self.count = count
    }
}

/// A tagged field that this version does not know.
package struct UnknownField: Hashable, Sendable {
    package var tag: UInt64
    package var bytes: [UInt8]
    package init(tag: UInt64, bytes: [UInt8]) {
        self.tag = tag
        self.bytes = bytes
    }
}

/// Begins one transaction: committed before its final dot.
package struct AttemptRecord: Hashable, Sendable {
    package var message: MessageID
    /// Counts the transactions of the message, from 1.
    package var number: UInt32
    package var time: WallTime
    package var upstream: String
    /// Indices into the accept's recipients.
    package var recipients: [UInt32]

    package init(message: MessageID, number: UInt32, time: WallTime, upstream: String, recipients: [UInt32]) {
        self.message = message
        self.number = number
        self.time = time
        self.upstream = upstream
        self.recipients = recipients
    }
}

/// Ends one transaction, or (attempt 0) says what became of recipients without one: expired, bounced by command.
package struct OutcomeRecord: Hashable, Sendable {
    package var message: MessageID
    package var attempt: UInt32
    package var time: WallTime
    package var upstream: String
    /// `host[address]:port` of the upstream's end; empty when there was no connection.
    package var remote: String
    package var results: [RecipientResult]
    /// A bounce or a delay warning that this outcome causes: accepted by this very frame.
    package var notice: AcceptRecord?

    package init(
        message: MessageID, attempt: UInt32, time: WallTime, upstream: String, remote: String,
        results: [RecipientResult],
        notice: AcceptRecord? = nil
    ) {
        self.message = message
        self.attempt = attempt
        self.time = time
        self.upstream = upstream
        self.remote = remote
        self.results = results
        self.notice = notice
    }
}

/// What one transaction meant for one recipient.
package struct RecipientResult: Hashable, Sendable {
    package enum Status: UInt8, Hashable, Sendable {
        case delivered = 1, deferred, failed
        /// Ended before the final dot.
        case notSent
        /// The final dot was sent and no reply came.
        case unanswered
        /// Its lifetime ended.
        case expired
    }

    package var recipient: UInt32
    package var status: Status
    /// 0 when there was no reply.
    package var code: UInt16
    /// `5.1.1`; empty when the reply had none.
    package var enhanced: String
    package var reply: [UInt8]
    /// When it is tried again; nil for a final status, or while it is held.
    package var due: WallTime?
    /// Tries begun so far.
    package var tries: UInt32
    /// It waits for a person: `delivery.uncertain` is "hold".
    package var isHeld = false
    /// Failed because it is on the suppression list, without a try.
    package var isSuppressed = false

    package init(
        recipient: UInt32, status: Status, code: UInt16 = 0, enhanced: String = "", reply: [UInt8] = [],
        due: WallTime? = nil, tries: UInt32 = 0, isHeld: Bool = false
    ) {
        self.recipient = recipient
        self.status = status
        self.code = code
        self.enhanced = enhanced
        self.reply = reply
        self.due = due
        self.tries = tries
        self.isHeld = isHeld
    }
}

/// A command of a person (or of the node itself, by `baton`) about a message.
package struct CommandRecord: Hashable, Sendable {
    package var message: MessageID
    /// Indices into the accept's recipients; empty means every unfinished one.
    package var recipients: [UInt32]
    package var time: WallTime
    package var by: String
    package var reason: String

    package init(message: MessageID, recipients: [UInt32] = [], time: WallTime, by: String, reason: String = "") {
        self.message = message
        self.recipients = recipients
        self.time = time
        self.by = by
        self.reason = reason
    }
}
