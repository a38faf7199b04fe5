internal import Cluster
internal import Journal
package import Primitives
internal import SMTP

/// What the cluster's core says, and what it means for the queue.
extension Node {
    /// Hands the core an event and carries out what follows: what the shell must do goes on to it, the rest happens here.
    mutating func run(_ event: ClusterEvent, _ now: Now, _ effects: inout [NodeEffect]) {
        carryOut(cluster.handle(event, at: now.instant), now, &effects)
    }

    mutating func carryOut(_ clusterEffects: [ClusterEffect], _ now: Now, _ effects: inout [NodeEffect]) {
        for effect in clusterEffects { carryOut(effect, now, &effects) }
    }

    private mutating func carryOut(_ effect: ClusterEffect, _ now: Now, _ effects: inout [NodeEffect]) {
        switch effect {
        case .request(let request): effects.append(.cluster(request))
        case .won(let journal, let epoch, _, let predecessor): won(journal, epoch, predecessor, now, &effects)
        case .active(let journal, _): journals[journal]?.role = .active
        case .committed(let journal, _, let offset): committed(journal, upTo: offset, now, &effects)
        case .lost(let journal, let epoch, let reason): lost(journal, epoch, reason, now, &effects)
        case .replicated(let journal, let offset, let bytes, let frames):
            replicated(journal, offset, bytes, frames, now, &effects)
        case .unwound(let journal, let end): scanAgain(journal, upTo: end, now, &effects)
        case .retired(let journal): retired(journal, &effects)
        case .lateOutcome(let outcome): lateOutcomeCame(outcome, now, &effects)
        case .died(let peer): died(peer, now, &effects)
        case .asked(let peer, let ask): effects.append(.asked(peer, ask))
        case .answered(let peer, let answer): effects.append(.answered(peer, answer))
        }
    }

    /// What this turn appended goes out, one message to each replica.
    package mutating func endTurn(at now: Now, into effects: inout [NodeEffect]) {
        guard hasAppended else { return }
        hasAppended = false
        run(.flush, now, &effects)
    }

    // MARK: Owning

    private mutating func won(
        _ id: JournalID, _ epoch: UInt64, _ predecessor: Predecessor, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        if journals[id] == nil { journals[id] = HeldJournal(id) }
        guard let replica = cluster.journals[id] else { return }
        journals[id]?.role = .takingOver
        journals[id]?.epoch = epoch
        journals[id]?.end = replica.copy.end
        journals[id]?.committed = 0
        journals[id]?.wonAt = now.instant
        journals[id]?.predecessor = predecessor
        if replica.copy.isEmpty {
            let open = OpenRecord(
                cluster: configuration.cluster, origin: configuration.replica, replicas: replica.replicas,
                time: now.wall)
            append(.open(open), to: id, then: .opened, now, &effects)
        } else {
            // A takeover seals.
            journals[id]?.isSealed = true
            append(
                .takeover(TakeoverRecord(owner: configuration.replica, time: now.wall)), to: id, then: .tookOver, now,
                &effects)
        }
    }

    /// The journal is another's from now on: nobody is told that what was not committed was taken, no dot is sent any more,
    /// and the index is made anew of what the copy holds.
    private mutating func lost(
        _ id: JournalID, _ epoch: UInt64, _ reason: LossReason, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard journals.isOwned(id), journals[id]?.epoch == epoch else { return }
        if reason == .released {
            effects.append(.note(.handedOver(id, epoch: epoch)))
        } else if reason != .buried {
            effects.append(.note(.ownershipLost(id, epoch: epoch, reason)))
        }
        voidStreams(in: id, &effects)
        while let pending = journals[id]?.pending.popFirst() { void(pending, in: id, epoch, now, &effects) }
        _ = journals[id]?.ends.drain()
        orphanTransactions(of: id, epoch, now, &effects)
        journals[id]?.role = .replica
        journals[id]?.openStreams = 0
        journals[id]?.reclaimedFrom = nil
        if current == id { current = nil }
        if upcoming == id { upcoming = nil }
        if reason != .buried, let end = journals[id]?.end { scanAgain(id, upTo: end, now, &effects) }
        moveOn(now, &effects)
    }

    private mutating func voidStreams(in id: JournalID, _ effects: inout [NodeEffect]) {
        for (stream, arriving) in streams where arriving.journal == id {
            streams[stream] = nil
            effects.append(.streamLost(stream))
        }
    }

    /// What waited for a commit that this node will not see.
    private mutating func void(
        _ pending: Pending, in id: JournalID, _ epoch: UInt64, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        switch pending {
        case .accepted(let key, _, _):
            guard messages.contains(key), let ticket = messages[key].ticket.take() else { return }
            if has(.acceptWhenLost) { return effects.append(.answer(ticket, .queued(messages[key].id))) }
            let reply = Reply(451, 4, 3, 2, "The message could not be stored on enough servers, send it again")
            effects.append(.answer(ticket, .refused(reply)))
        case .outcome(_, let record, _, _, let asker):
            tellLate(record, in: id, epoch, now, &effects)
            if let asker { effects.append(.commandAnswer(asker.ticket, .tryAgain)) }
        case .command(_, _, _, let asker):
            if let asker { effects.append(.commandAnswer(asker.ticket, .tryAgain)) }
        case .opened, .tookOver, .piece, .attempt, .nothing: break
        }
    }

    // MARK: Burying

    private mutating func retired(_ id: JournalID, _ effects: inout [NodeEffect]) {
        forgetMessages(of: id)
        journals[id] = nil
        effects.append(.note(.retired(id)))
    }

    // MARK: Peers

    private mutating func died(_ peer: ReplicaID, _ now: Now, _ effects: inout [NodeEffect]) {
        if !dead.contains(peer) { effects.append(.note(.peerDown(peer, isProved: true))) }
        dead.insert(peer)
        alive.remove(peer)
        // Nobody is left to tell what became of the dots that it had sent.
        for id in journals.all where journals[id]?.predecessor == .released(peer) {
            journals[id]?.predecessor = .gone
            guard journals[id]?.isActive == true else { continue }
            for key in messageKeys(of: id) where messages.contains(key) && hasOpenAttempt(key) {
                for position in undecided(key) {
                    messages[key].recipients[position].state = .waiting(until: now.instant)
                }
                if state == .serving { beginTry(key, now, &effects) }
            }
        }
    }

    /// Who came and who fell silent, as gossip tells it, for people.
    mutating func watchPeers(_ now: Now, _ effects: inout [NodeEffect]) {
        // A former disk of this very node is no peer.
        let live = Set(cluster.live(at: now.instant).filter { $0.node != configuration.replica.node })
        guard live != alive else { return }
        for peer in live.subtracting(alive).sorted() {
            dead.remove(peer)
            effects.append(.note(.peerUp(peer)))
        }
        for peer in alive.subtracting(live).sorted() { effects.append(.note(.peerDown(peer, isProved: false))) }
        alive = live
    }

    /// Whom gossip holds alive, this node among them.
    package func live(at now: Now) -> [ReplicaID] { cluster.live(at: now.instant) }

    /// Where another node says that it listens.
    package func address(of peer: ReplicaID) -> String? {
        cluster.gossip.value("address", of: peer).map { String(decoding: $0, as: UTF8.self) }
    }
}
