package import Primitives

/// Retired journals that this disk once held (`protocol.md`, 'Retire').
///
/// A tombstone is synced in the place of the copy. Its holder asks every disk that ever was in `R(J)` and forgets it when
/// all have answered `Buried`, or were forgotten by a person. Until then, whoever claims the journal hears `Buried`.
package struct Tombstone: Hashable, Sendable {
    package let journal: JournalID
    package let disks: Set<ReplicaID>
    /// Who has not answered yet.
    package private(set) var waiting: Set<ReplicaID>
    package var askedAt: Instant?

    package init(journal: JournalID, disks: Set<ReplicaID>, me: ReplicaID) {
        self.journal = journal
        self.disks = disks
        waiting = disks.subtracting([me])
    }

    package mutating func answered(by disk: ReplicaID) { waiting.remove(disk) }
    package var isSettled: Bool { waiting.isEmpty }
}

/// Journals that were buried here a short while ago and are not on the disk any more: a message that was long under way
/// must not bring one back. Connections end with the process, and so may this.
package struct RecentlyBuried: Sendable {
    static let maximum = 4096

    private var order = Deque<JournalID>()
    private var known: Set<JournalID> = []

    package init() {}

    package func contains(_ journal: JournalID) -> Bool { known.contains(journal) }

    package mutating func insert(_ journal: JournalID) {
        guard known.insert(journal).inserted else { return }
        order.append(journal)
        if order.count > RecentlyBuried.maximum, let oldest = order.popFirst() { known.remove(oldest) }
    }
}
