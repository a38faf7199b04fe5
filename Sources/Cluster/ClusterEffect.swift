package import Primitives

/// What the cluster's core wants done, to be carried out in order.
package enum ClusterEffect: Sendable {
    /// For the shell.
    case request(ClusterRequest)

    // For the node.
    /// This node owns the journal at this epoch: append `open` (when it is empty) or `takeover` now.
    case won(JournalID, epoch: UInt64, isEmpty: Bool, from: Predecessor)
    /// The first frame of the epoch is committed: accept, deliver.
    case active(JournalID, epoch: UInt64)
    /// Everything below this offset is committed.
    case committed(JournalID, epoch: UInt64, upTo: UInt64)
    /// It is the owner (or claimant) no more.
    case lost(JournalID, epoch: UInt64, LossReason)
    /// Frames of someone else's journal arrived here: the node follows what they say.
    case replicated(JournalID, offset: UInt64, [UInt8], [FrameSummary])
    /// Frames from this offset on are gone from this copy.
    case unwound(JournalID, to: UInt64)
    /// The journal is retired and its copy given up.
    case retired(JournalID)
    case lateOutcome(LateOutcome)
    /// Every process of this disk up to now is dead.
    case died(ReplicaID)
    case asked(ReplicaID, Ask)
    case answered(ReplicaID, Answer)
}

/// What only a shell can do: speak to peers, write to the disk. It carries these out in order.
package enum ClusterRequest: Sendable {
    /// To this peer, if there is a connection; else it is lost, like anything on a network.
    case send(ReplicaID, Message)

    // The disk. What is asked for one journal is done in order; `.stored(journal, through: mark)` tells that everything up to
    // that mark is durable. A mark counts per journal.
    case storePromise(JournalID, Promise, DiskMark)
    /// Whole frames at this offset of the journal's file, which is created by the first.
    case write(JournalID, offset: UInt64, [UInt8], DiskMark)
    /// Cut the file to this length and sync the cut.
    case cut(JournalID, to: UInt64, DiskMark)
    /// Sync a tombstone in the place of the copy and the promise, then delete both.
    case entomb(Tombstone, DiskMark)
    case forgetTombstone(JournalID)
    /// The copy has caught up: drop the mark that start-up left on the disk when it found it damaged.
    case whole(JournalID)
    /// Answered by `.read` with these bytes, or what there is of them.
    case read(ReadRequest)

    // Connections.
    /// Connect to where this peer listens, and tell how that ended (`.knocked`).
    case knock(ReplicaID)
    /// A disk that was not known: keep its name on the disk, journals may be opened with it.
    case met(ReplicaID)

    /// Going on would break a promise: the process must stop, and say this.
    case stop(String)
}

/// How the epoch before a new owner's ended, as its claimant heard.
package enum Predecessor: Hashable, Sendable {
    /// It said so itself (`Release`): its process may still learn outcomes, and will tell them.
    case released(ReplicaID)
    /// Dead, or silent for a lease; or there was none.
    case gone
}

/// Counts what one journal has asked of the disk.
package struct DiskMark: Hashable, Comparable, Sendable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static func < (a: DiskMark, b: DiskMark) -> Bool { a.number < b.number }
}

/// Why an owner or claimant stopped.
package enum LossReason: Hashable, Sendable {
    case leaseLapsed
    /// A replica has promised this higher epoch.
    case fenced(by: UInt64)
    case grantedToOther
    case released
    case buried
    case claimFailed
}

/// Bytes of a journal that are wanted, and for whom. It comes back with them, and is judged again then: what stands in
/// the file may have been cut meanwhile.
package struct ReadRequest: Hashable, Sendable {
    package enum Purpose: Hashable, Sendable {
        case append(to: ReplicaID)
        case fetch(by: ReplicaID)
    }

    package var journal: JournalID
    package var epoch: UInt64
    package var generation: UInt64
    package var offset: UInt64
    package var count: Int
    package var purpose: Purpose
}

/// The time of one event, and what follows from it.
package struct ClusterTurn: Sendable {
    /// Read after the event.
    package let now: Instant
    package let settings: ClusterSettings
    package var effects: [ClusterEffect] = []

    package init(now: Instant, settings: ClusterSettings) {
        self.now = now
        self.settings = settings
    }

    mutating func send(_ message: Message, to peer: ReplicaID) { ask(.send(peer, message)) }

    mutating func ask(_ request: ClusterRequest) { effects.append(.request(request)) }
}
