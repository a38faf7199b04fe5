internal import Cluster
internal import Primitives

/// What this node sees of the cluster: journals, other nodes, who holds what.
extension Node {
    /// The journals whose messages are this node's to tell of: it owns them, or nobody who is alive does.
    func listedJournals(at now: Now) -> Set<JournalID> { Set(journals.all.filter { isListed($0, at: now) }) }

    private func isListed(_ id: JournalID, at now: Now) -> Bool {
        if journals.isOwned(id) { return true }
        guard let replica = cluster.journals[id] else { return true }
        guard let owner = replica.promise?.owner, owner != configuration.replica else { return true }
        return !cluster.gossip.isAlive(owner, within: configuration.lease, at: now.instant)
    }

    func journalStatuses(at now: Now) -> [NodeStatus.JournalStatus] {
        let live = Set(cluster.live(at: now.instant))
        return journals.all.sorted().compactMap { id in
            journals[id].map { held in journalStatus(held, cluster.journals[id], live, at: now) }
        }
    }

    private func journalStatus(
        _ held: HeldJournal, _ replica: Replica?, _ live: Set<ReplicaID>, at now: Now
    ) -> NodeStatus.JournalStatus {
        let copies = (replica?.replicas ?? [configuration.replica]).map { member in
            NodeStatus.JournalStatus.Copy(
                replica: member,
                acknowledged: member == configuration.replica
                    ? replica?.copy.end ?? held.end : replica?.owner?.acknowledged(by: member),
                isAlive: live.contains(member))
        }
        return NodeStatus.JournalStatus(
            id: held.id, role: role(of: held, replica), isSealed: held.isSealed,
            epoch: held.isOwned ? held.epoch : replica?.promisedEpoch ?? 0, owner: replica?.promise?.owner,
            leaseLeft: replica?.leaseLeft(at: now.instant), bytes: ByteCount(bytes: replica?.copy.end ?? held.end),
            committed: replica?.committed ?? held.committed, unfinished: held.unfinished, copies: copies,
            isWhole: replica?.copy.isWhole ?? false)
    }

    private func role(of held: HeldJournal, _ replica: Replica?) -> NodeStatus.JournalStatus.Role {
        switch held.role {
        case .active, .retiring: .owner
        case .takingOver: .takingOver
        case .setAside: .blind
        case .replica:
            if replica?.copy.hasUnknownKinds == true {
                .blind
            } else {
                replica?.isClaiming == true ? .claiming : .replica
            }
        }
    }

    func peerStatuses(at now: Now) -> [NodeStatus.PeerStatus] {
        let known = Set(cluster.gossip.known).union(cluster.acquainted).subtracting([configuration.replica])
        return known.sorted().map { peer in
            NodeStatus.PeerStatus(
                replica: peer, isAlive: cluster.gossip.isAlive(peer, within: configuration.lease, at: now.instant),
                isConnected: cluster.isConnected(peer), silentFor: cluster.gossip.silence(of: peer, at: now.instant),
                isProvedDead: dead.contains(peer), says: cluster.gossip.values(of: peer),
                isForgotten: records.value(RecordKey.forgotten(peer), at: now.wall) != nil)
        }
    }
}
