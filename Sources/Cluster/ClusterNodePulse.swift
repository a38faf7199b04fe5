package import Primitives

/// What happens by the clock: pulses, renewals, lapsed leases, claims that are due (`protocol.md`, 'Lease', 'Who claims',
/// 'Gossip').
extension ClusterNode {
    mutating func tick(_ turn: inout ClusterTurn) {
        for peer in watches.keys.sorted() {
            let verdict = watches[peer]?.tick(at: turn.now) ?? .nothing
            act(on: verdict, about: peer, &turn)
        }
        // Before the pulse: an owner whose lease has lapsed renews nothing.
        for journal in journals.keys.sorted() {
            journals[journal]?.ownerTick(&turn)
            journals[journal]?.claimTick(&turn)
            if let due = claimDue(journal, turn.now), due <= turn.now { journals[journal]?.startClaim(&turn) }
        }
        if turn.now >= nextPulse { pulse(&turn) }
    }

    /// When `tick` is wanted next.
    package func deadline(at now: Instant) -> Instant {
        var next = nextPulse
        for watch in watches.values { if let deadline = watch.deadline { next = min(next, deadline) } }
        for (journal, replica) in journals {
            if let deadline = replica.deadline(settings, now) { next = min(next, deadline) }
            if let due = claimDue(journal, now) { next = min(next, due) }
        }
        return next
    }

    // MARK: Pulses

    private mutating func pulse(_ turn: inout ClusterTurn) {
        nextPulse = turn.now + settings.pulseInterval
        gossip.beat(at: turn.now)
        let digest = gossip.digest()
        var renewals: [ReplicaID: [JournalEpoch]] = [:]
        for (journal, replica) in journals.sorted(by: { $0.key < $1.key }) {
            guard let epoch = replica.renewable else { continue }
            for peer in replica.replicas where peer != me {
                renewals[peer, default: []].append(JournalEpoch(journal, epoch))
            }
        }
        for peer in acquainted.sorted() {
            let pulse = Pulse(sentAt: turn.now, digest: digest, renewals: renewals[peer] ?? [])
            turn.send(.pulse(pulse), to: peer)
        }
        askAboutTombstones(&turn)
    }

    mutating func pulsed(_ pulse: Pulse, from sender: ReplicaID, incarnation: UInt64, _ turn: inout ClusterTurn) {
        var reply = PulseReply(
            sentAt: pulse.sentAt, digest: gossip.digest(), deltas: gossip.deltas(for: pulse.digest), renewed: [],
            lost: [])
        for item in pulse.renewals {
            switch journals[item.journal]?.renew(item.epoch, from: sender, incarnation: incarnation, &turn) {
            case .renewed: reply.renewed.append(item)
            case .lost(let promised):
                reply.lost.append(PulseReply.Lost(journal: item.journal, epoch: item.epoch, promised: promised))
            case .nothing, nil:
                if isBuried(item.journal) { turn.send(.buried(item.journal), to: sender) }
            }
        }
        turn.send(.pulseReply(reply), to: sender)
    }

    mutating func pulseAnswered(_ reply: PulseReply, from sender: ReplicaID, _ turn: inout ClusterTurn) {
        gossip.take(reply.deltas, at: turn.now)
        for item in reply.renewed {
            journals[item.journal]?.renewed(item.epoch, by: sender, sentAt: reply.sentAt, turn)
        }
        for lost in reply.lost { journals[lost.journal]?.fenced(lost.epoch, by: lost.promised, &turn) }
    }

    // MARK: Who claims

    /// When this node would begin a claim of a journal; nil while somebody is promised, or it may not.
    func claimDue(_ journal: JournalID, _ now: Instant) -> Instant? {
        guard mayClaim, let replica = journals[journal], case .follower = replica.role,
            !replica.copy.isEmpty || replica.opening != nil, !replica.copy.hasUnknownKinds,
            replica.replicas.contains(me), let ended = replica.endedAt(now),
            // Without a majority to ask, a claim would only keep it from the next one.
            replica.replicas.count(where: { $0 == me || isConnected($0) }) > replica.replicas.count / 2
        else { return nil }
        let polite = replica.spokeForOtherAt.map { $0 + ClusterSettings.courtesyDelay } ?? ended
        return max(max(ended + rankDelay(replica, now), polite), replica.notBefore)
    }

    package func isConnected(_ peer: ReplicaID) -> Bool {
        if case .connected = watches[peer]?.state { true } else { false }
    }

    private func rankDelay(_ replica: Replica, _ now: Instant) -> Duration {
        let owner = replica.promise?.owner
        // Its own of before the restart: at once.
        if owner == me, case .ended(replica.upSince) = replica.standing { return .zero }
        let candidates = replica.replicas.filter { candidate in
            candidate == me || (candidate != owner && gossip.isAlive(candidate, within: settings.lease, at: now))
        }
        return WhoClaims.delay(of: me, among: candidates, for: replica.journal)
    }
}

extension Replica {
    /// When something is due by the clock, claims of ownerless journals apart.
    func deadline(_ settings: ClusterSettings, _ now: Instant) -> Instant? {
        switch role {
        case .claiming(let claim): return claim.deadline
        case .owning(let ownership):
            var next = ownership.owner.leaseEnd ?? .distantFuture
            for progress in ownership.peers.values { next = min(next, progress.movedAt + settings.resendInterval) }
            return next
        case .follower:
            guard case .binding(let until) = standing, let promise else { return nil }
            // When it has ended, a claim is due by its own time, or none is.
            let end = max(until, upSince + promise.lease)
            return end > now ? end : nil
        }
    }
}
