package import Cluster
package import Journal
package import Primitives
package import SMTP

/// Names one question, so that its answer finds the asker. Chosen by the asker, unique while it waits.
package struct Ticket: Hashable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// One connection to an upstream, numbered by the node.
package struct ConnectionID: Hashable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
}

/// What was learnt of an upstream while a connection to it was made.
package struct ConnectionFacts: Hashable, Sendable {
    /// Until TCP, and TLS where it comes first, stood.
    package var connect: Duration?
    /// From then until it was ready for MAIL.
    package var greeting: Duration?
    /// When its certificate ends; nil when it showed none.
    package var certificateExpiry: WallTime?

    package init(connect: Duration? = nil, greeting: Duration? = nil, certificateExpiry: WallTime? = nil) {
        self.connect = connect
        self.greeting = greeting
        self.certificateExpiry = certificateExpiry
    }
}

/// What happens to a node. Each is handed to `Node.handle` with the time read after it happened.
package enum NodeEvent: Sendable {
    // Peers and the disk.
    /// What came from a peer, what became of a connection, what the disk has done for a journal (`.stored`, `.read`). Of
    /// `ClusterEvent` the shell hands in these; the rest is the node's own.
    case cluster(ClusterEvent)
    /// Answers `.scan`, batch by batch in the order of the file; the last one says so. Fewer frames than were asked for
    /// mean that the file could not be read.
    case scanned(JournalID, scan: UInt64, [ScannedFrame], isLast: Bool)
    /// The records' file is on the disk, as of this `.storeRecords`.
    case recordsStored(version: UInt64)
    /// The disk is full. Nothing that was appended is lost: it is written as soon as there is room.
    case diskFull
    case diskSpace(free: ByteCount, total: ByteCount)
    /// Answers `.readContent`; nil when the file could not be read.
    case contentRead(Ticket, [UInt8]?)

    // Clients.
    /// A whole message; answered by `.answer` under the same ticket, once committed.
    case submitted(Ticket, Submission)
    /// A long message's next bytes while it arrives (dot-stuffed wire form); acknowledged by `.streamDurable`.
    case streamed(StreamID, [UInt8])
    case streamAborted(StreamID)
    /// The client of this submission is gone: nobody waits for the answer. What is committed stays accepted.
    case submitterGone(Ticket)

    // Upstreams.
    /// `.connect` succeeded: greeting, EHLO and STARTTLS are done. `remote` is `host[address]:port`.
    case connected(ConnectionID, Capabilities, remote: String, tls: String, ConnectionFacts = ConnectionFacts())
    /// `.connect` failed, at whatever stage before MAIL.
    case connectionFailed(ConnectionID, UpstreamFailure)
    /// The final dot of this connection's present transaction was written: the next may be handed to it.
    case dotSent(ConnectionID)
    /// A transaction ended; `result.id` is `Transaction.id`. Unless `connectionUsable`, the connection is closed by now.
    case transactionEnded(ConnectionID, TransactionResult)
    /// An idle connection was ended by the upstream.
    case connectionClosed(ConnectionID)

    /// What was said of a message after the upstream's 250.
    case feedback(FeedbackEvent)

    // People.
    case command(Ticket, Command)
    /// For the whole cluster (keys: `drain/NODE`, `upstream/NAME/off`, `cluster/version`): answered by `.recorded` once a majority of the known nodes has it.
    case record(Ticket, key: String, value: [UInt8]?, expiry: WallTime?)
    /// The same of several at once, all or none: suppressions, rules. `by` is who asked, for the log.
    case records(Ticket, [RecordWrite], by: String)
    /// `baton node forget`: this node is gone for good; answered by `.recorded`.
    case forget(Ticket, String)
    /// Something that this node says of itself to all others, by gossip.
    case describe(String, [UInt8])
    /// `baton upstreams reset`: forget what is held against this upstream (nil: all) at this provider (nil: everywhere).
    case resetTrust(upstream: String?, provider: String?)
    case reconfigured(NodeConfiguration)
    /// Take no mail, begin no transaction, let those under way end, hand the journals over; `.drained` follows.
    case drain
    /// While draining: no client is in the middle of a message any more.
    case sessionsEnded
    /// `drainTimeout` is over: what is left is handed over as it is.
    case drainTimedOut
    /// Take part again.
    case resume
    case tick
}

/// A message as a session hands it in.
package struct Submission: Sendable {
    package enum Content: Sendable {
        /// Dot-stuffed wire form; at most `Node.inlineLimit` bytes.
        case inline([UInt8])
        /// Everything was handed in by `.streamed` before.
        case streamed(StreamID)
    }

    /// From `Node.allotMessageID`, so that `Received` can name it.
    package var id: MessageID
    package var envelope: Envelope
    package var prefix: [UInt8]
    package var content: Content
    /// Octets as the client sent them, unstuffed.
    package var size: UInt64
    package var hasEightBit: Bool
    package var messageIDField: [UInt8]
    /// Those that routes look at (`Route.headerFields`), `name:value` with the name in lower case.
    package var headerFields: [[UInt8]] = []
    package var clientAddress: String
    package var helo: [UInt8]
    package var user: String
    package var tls: String

    package init(
        id: MessageID, envelope: Envelope, prefix: [UInt8], content: Content, size: UInt64, hasEightBit: Bool,
        messageIDField: [UInt8] = [], clientAddress: String = "", helo: [UInt8] = [], user: String = "",
        tls: String = ""
    ) {
        self.id = id
        self.envelope = envelope
        self.prefix = prefix
        self.content = content
        self.size = size
        self.hasEightBit = hasEightBit
        self.messageIDField = messageIDField
        self.clientAddress = clientAddress
        self.helo = helo
        self.user = user
        self.tls = tls
    }
}

/// What a person may ask of one message (`queue.md`, 'Commands').
package struct Command: Sendable {
    package enum Verb: String, Sendable, CaseIterable { case retry, hold, release, cancel, bounce, redirect }

    package var verb: Verb
    package var message: MessageID
    package var by: String
    package var reason: String
    /// Of `redirect`: the one that replaces the route.
    package var upstream = ""

    package init(_ verb: Verb, _ message: MessageID, by: String, reason: String = "", upstream: String = "") {
        self.upstream = upstream
        self.verb = verb
        self.message = message
        self.by = by
        self.reason = reason
    }
}

/// How a command ended.
package enum CommandAnswer: String, Hashable, Sendable {
    /// The frame is committed (or, for `retry`, the message is due).
    case done
    /// Its final dot was out already: the upstream took it.
    case sent
    /// Its final dot was out already, and no reply came.
    case unanswered
    /// No unfinished message has this id.
    case notFound
    /// It is already so, or can't be: `release` of what is not held, `retry` of what is held.
    case nothingToDo
    /// The node drains, or its journal has no owner now.
    case tryAgain
}
