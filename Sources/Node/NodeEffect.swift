package import Cluster
package import Journal
package import Primitives
package import SMTP

/// What a node wants done, to be carried out in order.
package enum NodeEffect: Sendable {
    // The disk. In order; each that is named in `NodeEvent` is answered there.
    case storePromise(JournalID, Promise)
    case createJournal(JournalID)
    /// Whole frames, at this offset; answered by `.durable` once they are synced.
    case append(JournalID, offset: UInt64, [UInt8])
    /// Start-up found a bad tail: cut the file to this length (and zero what follows).
    case cut(JournalID, to: UInt64)
    /// All its messages are finished: keep its history, delete it; answered by `.journalDeleted`.
    case deleteJournal(JournalID)
    /// Its messages live on in another journal: rename it to `*.damaged`.
    case setAside(JournalID)
    /// Read up to `limit` bytes of a message's content.
    case readContent(Ticket, ContentReference, limit: Int)

    // Clients.
    case answer(Ticket, SubmissionAnswer)
    /// So many bytes of the stream are on the disk: the session may read on.
    case streamDurable(StreamID, bytes: UInt64)
    /// The stream was voided (its journal went away): answer `451 4.3.0`.
    case streamLost(StreamID)

    // Upstreams.
    case connect(ConnectionID, upstream: String)
    /// Begin this transaction, or pipeline it behind the present one's final dot.
    case transact(ConnectionID, Transaction)
    /// Its attempt is committed: the dot may be written, if `Node.mayFinish` still says so at that instant.
    case mayFinish(ConnectionID, transaction: UInt64)
    /// Stop this transaction if its dot is not written yet (it then ends as `notSent`); else let it end.
    case interrupt(ConnectionID, transaction: UInt64)
    /// Idle too long, or used often enough: QUIT.
    case close(ConnectionID)

    // People.
    case commandAnswer(Ticket, CommandAnswer)
    case note(Note)
    /// After `.drain`: nothing is under way any more and everything is committed.
    case drained
}

package enum SubmissionAnswer: Sendable {
    case queued(MessageID)
    case refused(Reply)
}

/// One transaction for one connection.
package struct Transaction: Sendable {
    package var request: TransactionRequest
    package var message: MessageID
    package var attempt: UInt32
    package var content: ContentReference
}

/// Where a message's bytes are, in wire form and in order: `prefix`, then `pieces`.
package struct ContentReference: Sendable {
    package var journal: JournalID
    /// The accept frame in memory, when it still is: it begins at `frameOffset` of the journal.
    package var frame: [UInt8]?
    package var frameOffset: UInt64
    /// Runs of bytes in the journal file (offsets of the file). With `frame`, those inside it need no read.
    package var runs: [ContentPiece]

    package init(journal: JournalID, frame: [UInt8]?, frameOffset: UInt64, runs: [ContentPiece]) {
        self.journal = journal
        self.frame = frame
        self.frameOffset = frameOffset
        self.runs = runs
    }

    /// In bytes of wire form.
    package var count: UInt64 { runs.reduce(0) { $0 + UInt64($1.count) } }
}

/// Something worth a line in the log or an event for people (`outputs.md`, 'Log lines').
package enum Note: Sendable {
    case accepted(Accepted)
    case result(Result)
    case done(message: MessageID, sent: Int, bounced: Int, age: Duration)
    case upstreamDown(String, reason: String, next: Duration)
    case upstreamUp(String)
    case takeover(JournalID, epoch: UInt64, messages: Int, uncertain: Int)
    case opened(JournalID)
    case retired(JournalID)
    case damage(JournalID, at: UInt64, reason: String)
    case clockStepped(by: Duration)
    case bounceDropped(MessageID, reason: String)
    case diskLow(free: ByteCount)
    case diskOK

    package struct Accepted: Sendable {
        package var id: MessageID
        package var client: String
        package var helo: [UInt8]
        package var user: String
        package var tls: String
        package var from: [UInt8]
        package var messageIDField: [UInt8]
        package var size: UInt64
        package var recipients: Int
        package var took: Duration
        /// A bounce or warning: the message it speaks of.
        package var concerns: MessageID?
    }

    package struct Result: Sendable {
        package enum Status: String, Sendable {
            case sent, deferred, bounced, expired, held, cancelled, suppressed, uncertain
        }

        package var id: MessageID
        package var to: [UInt8]
        package var upstream: String
        package var remote: String
        package var status: Status
        package var code: UInt16
        package var enhanced: String
        package var reply: [UInt8]
        package var attempt: UInt32
        /// Since acceptance.
        package var delay: Duration
        package var queued: Duration
        package var transaction: Duration
        package var epoch: UInt64
        package var next: Duration?
    }
}
