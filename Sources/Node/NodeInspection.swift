package import Cluster
package import Primitives

/// What invariants look at and no decision does: the simulator holds it against what it alone knows.
extension Node {
    /// Each journal that this node owns, or is about to.
    package func eachOwned(_ body: (JournalID, [ReplicaID], JournalOwner) -> Void) {
        for (id, replica) in cluster.journals {
            if let owner = replica.owner { body(id, replica.replicas, owner) }
        }
    }

    /// Each journal that this process has owned, in which epoch last, and up to where it took it for committed then.
    package func eachCommitted(_ body: (JournalID, _ epoch: UInt64, _ end: UInt64) -> Void) {
        for held in journals.values where held.committed > 0 { body(held.id, held.epoch, held.committed) }
    }

    package func owner(of id: JournalID) -> JournalOwner? { cluster.journals[id]?.owner }

    /// Every journal of which this node keeps a copy or a promise.
    package var heldJournals: [JournalID] { Array(cluster.journals.keys) }

    package func holdsLease(_ id: JournalID, at now: Now) -> Bool {
        cluster.holdsLease(id, for: .zero, at: now.instant)
    }

    /// Whether its copy ends with `retire`, or did.
    package func holdsRetired(_ id: JournalID) -> Bool { cluster.journals[id]?.copy.retiredEnd != nil }

    package func isWhole(_ id: JournalID) -> Bool { cluster.journals[id]?.copy.isWhole ?? true }
}
