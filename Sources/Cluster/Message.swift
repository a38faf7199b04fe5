package import Primitives

/// What nodes say to each other (`protocol.md`, 'Messages').
///
/// Instants in them (`sentAt`) are the asker's own clock and come back unchanged in the answer: they mean nothing to anyone
/// else. Durations travel as such.
package enum Message: Hashable, Sendable {
    case pulse(Pulse)
    case pulseReply(PulseReply)
    case append(Append)
    case durable(Durable)
    case mismatch(Mismatch)
    case fenced(Fenced)
    case buried(JournalID)
    case probe(ClaimRequest)
    case claim(ClaimRequest)
    case claimAnswers(ClaimAnswers)
    case fetch(Fetch)
    case fetched(Fetched)
    case release([JournalEpoch])
    case bury(JournalID, [ReplicaID])
    case lateOutcome(LateOutcome)
    case ask(Ask)
    case answer(Answer)
    /// Which cluster records are on the sender's disk; with each pulse.
    case recordsDigest(RecordsDigest)
    /// Cluster records that the receiver lacks.
    case recordsDelta(RecordsDelta)
    /// What came was meant for another disk of this node.
    case notHere
}

package struct JournalEpoch: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package init(_ journal: JournalID, _ epoch: UInt64) {
        self.journal = journal
        self.epoch = epoch
    }
}

/// Every L/8: what is known of everyone, and which promises should be renewed.
package struct Pulse: Hashable, Sendable {
    package var sentAt: Instant
    package var digest: [GossipDigest]
    package var renewals: [JournalEpoch]
    package init(sentAt: Instant, digest: [GossipDigest], renewals: [JournalEpoch]) {
        self.sentAt = sentAt
        self.digest = digest
        self.renewals = renewals
    }
}

package struct PulseReply: Hashable, Sendable {
    package struct Lost: Hashable, Sendable {
        package var journal: JournalID
        package var epoch: UInt64
        package var promised: UInt64
        package init(journal: JournalID, epoch: UInt64, promised: UInt64) {
            self.journal = journal
            self.epoch = epoch
            self.promised = promised
        }
    }

    package var sentAt: Instant
    package var digest: [GossipDigest]
    package var deltas: [GossipDelta]
    package var renewed: [JournalEpoch]
    package var lost: [Lost]
    package init(
        sentAt: Instant, digest: [GossipDigest], deltas: [GossipDelta], renewed: [JournalEpoch], lost: [Lost]
    ) {
        self.sentAt = sentAt
        self.digest = digest
        self.deltas = deltas
        self.renewed = renewed
        self.lost = lost
    }
}

/// Whole frames of the owner's journal, from `previousOffset` on; none to tell only what is committed.
package struct Append: Hashable, Sendable {
    /// More never travels in one message.
    package static let maximumBytes = 4 << 20

    package var journal: JournalID
    package var epoch: UInt64
    package var lease: Duration
    package var previousOffset: UInt64
    package var previousEpoch: UInt64
    package var committed: UInt64
    /// Where the owner's journal ended when this was sent.
    package var ownerEnd: UInt64
    package var bytes: [UInt8]

    package init(
        journal: JournalID, epoch: UInt64, lease: Duration, previousOffset: UInt64, previousEpoch: UInt64,
        committed: UInt64, ownerEnd: UInt64, bytes: [UInt8]
    ) {
        self.journal = journal
        self.epoch = epoch
        self.lease = lease
        self.previousOffset = previousOffset
        self.previousEpoch = previousEpoch
        self.committed = committed
        self.ownerEnd = ownerEnd
        self.bytes = bytes
    }
}

/// Everything up to `end` is on the replica's disk and equal to the owner's.
package struct Durable: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package var end: UInt64

    package init(journal: JournalID, epoch: UInt64, end: UInt64) {
        self.journal = journal
        self.epoch = epoch
        self.end = end
    }
}

/// The frame before what was sent is not there. Try from `hint`, where a frame of `hintEpoch` ends here: a frame ends there
/// at the other end too only if it is of the same epoch.
package struct Mismatch: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package var end: UInt64
    package var hint: UInt64
    package var hintEpoch: UInt64

    package init(journal: JournalID, epoch: UInt64, end: UInt64, hint: UInt64, hintEpoch: UInt64) {
        self.journal = journal
        self.epoch = epoch
        self.end = end
        self.hint = hint
        self.hintEpoch = hintEpoch
    }
}

/// `epoch` is over here: `promised` is what counts.
package struct Fenced: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package var promised: UInt64

    package init(journal: JournalID, epoch: UInt64, promised: UInt64) {
        self.journal = journal
        self.epoch = epoch
        self.promised = promised
    }
}

/// A probe (would you?) or a claim in earnest, of every journal that one claimant asks this replica about.
package struct ClaimRequest: Hashable, Sendable {
    package struct Item: Hashable, Sendable {
        package var journal: JournalID
        package var epoch: UInt64
        package var lease: Duration

        package init(journal: JournalID, epoch: UInt64, lease: Duration) {
            self.journal = journal
            self.epoch = epoch
            self.lease = lease
        }
    }

    package var sentAt: Instant
    package var items: [Item]

    package init(sentAt: Instant, items: [Item]) {
        self.sentAt = sentAt
        self.items = items
    }
}

/// Answers in the order of the request's items.
package struct ClaimAnswers: Hashable, Sendable {
    /// What a replica holds of the journal that it grants, or would.
    package struct Offer: Hashable, Sendable {
        package var journal: JournalID
        package var epoch: UInt64
        package var lastEpoch: UInt64
        package var end: UInt64
        package var isWhole: Bool

        package init(journal: JournalID, epoch: UInt64, lastEpoch: UInt64, end: UInt64, isWhole: Bool) {
            self.journal = journal
            self.epoch = epoch
            self.lastEpoch = lastEpoch
            self.end = end
            self.isWhole = isWhole
        }
    }

    package enum Item: Hashable, Sendable {
        case would(Offer)
        case granted(Offer)
        case refused(JournalID, epoch: UInt64, promised: UInt64, expiresIn: Duration)
        case buried(JournalID)
    }

    package var sentAt: Instant
    package var items: [Item]

    package init(sentAt: Instant, items: [Item]) {
        self.sentAt = sentAt
        self.items = items
    }
}

package struct Fetch: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package var previousOffset: UInt64
    package var previousEpoch: UInt64

    package init(journal: JournalID, epoch: UInt64, previousOffset: UInt64, previousEpoch: UInt64) {
        self.journal = journal
        self.epoch = epoch
        self.previousOffset = previousOffset
        self.previousEpoch = previousEpoch
    }
}

/// Whole frames from `offset` on, and what the copy they are from is now.
package struct Fetched: Hashable, Sendable {
    package var journal: JournalID
    package var epoch: UInt64
    package var offset: UInt64
    package var lastEpoch: UInt64
    package var end: UInt64
    package var isWhole: Bool
    package var bytes: [UInt8]

    package init(
        journal: JournalID, epoch: UInt64, offset: UInt64, lastEpoch: UInt64, end: UInt64, isWhole: Bool, bytes: [UInt8]
    ) {
        self.journal = journal
        self.epoch = epoch
        self.offset = offset
        self.lastEpoch = lastEpoch
        self.end = end
        self.isWhole = isWhole
        self.bytes = bytes
    }
}

/// A final outcome that an owner learned after it had stopped being one.
package struct LateOutcome: Hashable, Sendable {
    package var journal: JournalID
    /// Under which the dot was sent.
    package var epoch: UInt64
    package var message: MessageID
    package var recipient: UInt32
    /// An outcome record's body, as a frame would hold it.
    package var outcome: [UInt8]
    package init(journal: JournalID, epoch: UInt64, message: MessageID, recipient: UInt32, outcome: [UInt8]) {
        self.journal = journal
        self.epoch = epoch
        self.message = message
        self.recipient = recipient
        self.outcome = outcome
    }
}

/// A question or command of a person, for another node (`queue.md`, 'Commands').
package struct Ask: Hashable, Sendable {
    package var id: ULID
    /// How long the asker will wait.
    package var patience: Duration
    package var what: [UInt8]
    package init(id: ULID, patience: Duration, what: [UInt8]) {
        self.id = id
        self.patience = patience
        self.what = what
    }
}

package struct Answer: Hashable, Sendable {
    package var id: ULID
    package var part: UInt32
    package var hasMore: Bool
    package var what: [UInt8]
    package init(id: ULID, part: UInt32, hasMore: Bool, what: [UInt8]) {
        self.id = id
        self.part = part
        self.hasMore = hasMore
        self.what = what
    }
}
