package import Cluster
package import Journal
package import Primitives
package import SMTP

/// What a node wants done, to be carried out in order.
package enum NodeEffect: Sendable {
    // Peers and the disk.
    /// Each that is named so in `ClusterRequest` is answered by a `ClusterEvent`. What is asked for one journal is done in
    /// order, reads among it: a read finds everything that was written before it.
    case cluster(ClusterRequest)
    /// Read a journal's frames again, from its beginning up to this offset; answered by `.scanned` with the same number.
    case scan(JournalID, scan: UInt64, upTo: UInt64)
    /// Its messages live on in another journal: rename it to `*.damaged`.
    case setAside(JournalID)
    /// Read up to `limit` bytes of a message's content.
    case readContent(Ticket, ContentReference, limit: Int)
    /// Replace the records' file (at 0), or append to it there; answered by `.recordsStored`. One at a time.
    case storeRecords([UInt8], at: UInt64, version: UInt64)

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
    /// A record is on the disks of a majority of the known nodes; or why it was not written.
    case recorded(Ticket, refused: String?)
    /// A person gave this disk up: it is nobody that this node knows any more.
    case forgotten(ReplicaID)
    /// A question or command from another node's people, and an answer to one of this node's.
    case asked(ReplicaID, Ask)
    case answered(ReplicaID, Answer)
    case note(Note)
    /// Clients are to go elsewhere (421): idle ones at once, others after their message; answered by `.sessionsEnded`.
    case drainSessions
    /// Clients may come again.
    case admitSessions
    /// After `.drain`: nothing is under way any more, everything is committed, and the journals are handed over.
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
    /// Indices among the message's recipients, in the order of the request's.
    package var recipients: [UInt32] = []
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
    case takeover(JournalID, epoch: UInt64, from: String, messages: Int, uncertain: Int, took: Duration)
    /// The first delivery of what was taken over.
    case reclaimed(JournalID, after: Duration)
    /// This node owns the journal no more.
    case ownershipLost(JournalID, epoch: UInt64, LossReason)
    case handedOver(JournalID, epoch: UInt64)
    case peerUp(ReplicaID)
    /// By its closed port (`isProved`), or by its silence.
    case peerDown(ReplicaID, isProved: Bool)
    case lateOutcome(MessageID, isUsed: Bool)
    case opened(JournalID)
    case retired(JournalID)
    case damage(JournalID, at: UInt64, reason: String)
    case clockStepped(by: Duration)
    case bounceDropped(MessageID, reason: String)
    /// Put onto the list by the node itself.
    case suppressed(Suppression)
    /// By people; the address when it is one.
    case suppressionsChanged(added: Int, removed: Int, address: String, by: String)
    case ruled(MailRule)
    /// Taken back, or its time is over.
    case ruleEnded(MailRule)
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
        /// By which later reports are matched.
        package var messageIDField: [UInt8] = []
        /// Index among the message's recipients.
        package var recipient: UInt32 = 0
        package var journal: JournalID?
    }
}
