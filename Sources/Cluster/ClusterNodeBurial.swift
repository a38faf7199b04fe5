package import Primitives

/// A copy on its way to a tombstone.
struct Burial: Sendable {
    var tombstone: Tombstone
    /// When the disk has done this, it is buried.
    var mark: DiskMark
    /// Who wants to hear of it.
    var askers: Set<ReplicaID> = []
}

/// The end of a journal (`protocol.md`, 'Retire').
///
/// A copy is given up only for a tombstone that is synced, and a tombstone only when every disk that ever had a part in
/// the journal has one or had one. So nothing that was delivered comes back to life.
extension ClusterNode {
    package func isBuried(_ journal: JournalID) -> Bool {
        !settings.has(.retiredForgotten) && (tombstones[journal] != nil || recentlyBuried.contains(journal))
    }

    /// Gives up a journal of this node alone that start-up found without a frame: nothing was ever accepted into it.
    ///
    /// With more replicas than this one nobody could say so: two others may hold what this disk lost.
    package mutating func abandon(_ journal: JournalID, at now: Instant) -> [ClusterEffect] {
        var turn = ClusterTurn(now: now, settings: settings)
        precondition(journals[journal]?.copy.isEmpty == true)
        bury(journal, disks: [], for: nil, &turn)
        return turn.effects
    }

    /// This node owns it, and `retire` is committed.
    mutating func buryIfRetired(_ journal: JournalID, _ turn: inout ClusterTurn) {
        guard let replica = journals[journal], replica.isRetired else { return }
        bury(journal, disks: [], for: nil, &turn)
    }

    mutating func askedToBury(
        _ journal: JournalID, _ disks: [ReplicaID], by sender: ReplicaID, _ turn: inout ClusterTurn
    ) {
        if burials[journal] != nil {
            burials[journal]?.askers.insert(sender)
        } else if journals[journal] != nil {
            bury(journal, disks: disks, for: sender, &turn)
        } else {
            // It has a tombstone, or had one, or never had a part: then a message that is still under way must not
            // bring the journal here.
            if tombstones[journal] == nil { recentlyBuried.insert(journal) }
            turn.send(.buried(journal), to: sender)
            tombstoneAnswered(journal, by: sender, &turn)
        }
    }

    /// Whoever says so holds a tombstone or held one: every message of the journal is finished.
    mutating func heardBuried(_ journal: JournalID, from sender: ReplicaID, _ turn: inout ClusterTurn) {
        if tombstones[journal] != nil { return tombstoneAnswered(journal, by: sender, &turn) }
        guard let replica = journals[journal], replica.replicas.contains(sender) else { return }
        bury(journal, disks: [], for: nil, &turn)
    }

    private mutating func bury(
        _ journal: JournalID, disks: [ReplicaID], for asker: ReplicaID?, _ turn: inout ClusterTurn
    ) {
        guard var replica = journals.removeValue(forKey: journal) else { return }
        replica.stepDown(.buried, &turn)
        let everyone = replica.copy.everyReplica.union(replica.replicas).union(disks)
        let tombstone = Tombstone(journal: journal, disks: everyone, me: me)
        let mark = replica.entomb(tombstone, &turn)
        burials[journal] = Burial(tombstone: tombstone, mark: mark, askers: asker.map { [$0] } ?? [])
        lateOutcomes.drop(journal)
    }

    mutating func burialStored(_ journal: JournalID, through mark: DiskMark, _ turn: inout ClusterTurn) {
        guard let burial = burials[journal], mark >= burial.mark else { return }
        burials[journal] = nil
        turn.effects.append(.retired(journal))
        for asker in burial.askers.sorted() { turn.send(.buried(journal), to: asker) }
        tombstones[journal] = burial.tombstone
        forgetIfSettled(journal, &turn)
        ask(about: journal, &turn)
    }

    mutating func tombstoneAnswered(_ journal: JournalID, by disk: ReplicaID, _ turn: inout ClusterTurn) {
        tombstones[journal]?.answered(by: disk)
        forgetIfSettled(journal, &turn)
    }

    private mutating func forgetIfSettled(_ journal: JournalID, _ turn: inout ClusterTurn) {
        guard tombstones[journal]?.isSettled == true else { return }
        tombstones[journal] = nil
        recentlyBuried.insert(journal)
        turn.ask(.forgetTombstone(journal))
    }

    mutating func askAboutTombstones(_ turn: inout ClusterTurn) {
        for (journal, tombstone) in tombstones.sorted(by: { $0.key < $1.key }) {
            guard tombstone.askedAt.map({ turn.now - $0 >= settings.lease }) ?? true else { continue }
            ask(about: journal, &turn)
        }
    }

    private mutating func ask(about journal: JournalID, _ turn: inout ClusterTurn) {
        guard let tombstone = tombstones[journal] else { return }
        tombstones[journal]?.askedAt = turn.now
        for disk in tombstone.waiting.sorted() {
            turn.send(.bury(journal, tombstone.disks.sorted()), to: disk)
        }
    }
}
