internal import Primitives

/// From nobody's journal to its owner (`protocol.md`, 'Claim', 'Takeover', 'Who claims').
///
/// Probe; with a majority that would, store the own promise; ask in earnest; take the best copy that was granted; then own.
/// Whatever fails on the way ends the claim, which is released, and the next waits.
extension Replica {
    /// Begins a claim. `asksFirst` is false for a new journal, which nobody else can know.
    mutating func startClaim(asksFirst: Bool = true, _ turn: inout ClusterTurn) {
        guard case .follower = role, replicas.contains(me) else { return }
        let epoch = max(promisedEpoch, highestSeen) + 1
        guard case .grant = verdict(on: epoch, for: me, turn) else { return }
        if turn.settings.has(.resumeEpoch), promise?.owner == me, standing == .ended(at: upSince) {
            return resume(&turn)
        }
        let claim = Claim(
            epoch: epoch, lease: turn.settings.lease, replicas: replicas, stage: .probing(would: [me]),
            deadline: turn.now + turn.settings.claimTimeout, probedAt: turn.now)
        role = .claiming(claim)
        guard asksFirst, replicas.count > 1 else { return promiseSelf(claim, &turn) }
        for replica in replicas where replica != me {
            turn.send(.probe(ClaimRequest(sentAt: turn.now, items: [claim.item(journal)])), to: replica)
        }
    }

    /// A mutant's rule: a restarted owner goes on where it was.
    private mutating func resume(_ turn: inout ClusterTurn) {
        var claim = Claim(
            epoch: promisedEpoch, lease: turn.settings.lease, replicas: replicas, stage: .completing,
            deadline: .distantFuture, probedAt: turn.now)
        for replica in replicas where replica != me {
            claim.bound[replica] = turn.now + ClusterSettings.counted(claim.lease)
        }
        becomeOwner(claim, replicas, &turn)
    }

    private mutating func promiseSelf(_ claim: Claim, _ turn: inout ClusterTurn) {
        // A claimant grants like any replica: the owner that it missed may have renewed its promise since the probe.
        guard verdict(on: claim.epoch, for: me, turn) == .grant || turn.settings.has(.selfGrantUnchecked) else {
            return giveUp(&turn)
        }
        var claim = claim
        claim.stage = .promising
        claim.deadline = .distantFuture
        role = .claiming(claim)
        let own = Promise(epoch: claim.epoch, owner: me, lease: claim.lease)
        promise = own
        standing = .ended(at: turn.now)
        highestSeen = max(highestSeen, claim.epoch)
        if turn.settings.has(.ownPromiseUnsynced) { return ownPromiseStored(claim.epoch, &turn) }
        store(own, &turn)
        hold(.ownPromise(epoch: claim.epoch), &turn)
    }

    /// The own promise is on the disk: now others may be asked for theirs.
    mutating func ownPromiseStored(_ epoch: UInt64, _ turn: inout ClusterTurn) {
        guard case .claiming(var claim) = role, claim.epoch == epoch, case .promising = claim.stage else { return }
        claim.stage = .asking
        claim.deadline = turn.now + turn.settings.claimTimeout
        claim.grants[me] = offer(epoch, turn)
        role = .claiming(claim)
        ask(claim.replicas, &turn)
        judge(&turn)
    }

    /// Sends the claim to those of the set that were not asked yet.
    private mutating func ask(_ set: [ReplicaID], _ turn: inout ClusterTurn) {
        guard case .claiming(var claim) = role else { return }
        for replica in set where replica != me && claim.askedAt[replica] == nil {
            claim.askedAt[replica] = turn.now
            turn.send(.claim(ClaimRequest(sentAt: turn.now, items: [claim.item(journal)])), to: replica)
        }
        role = .claiming(claim)
    }

    // MARK: Answers

    mutating func answered(
        _ item: ClaimAnswers.Item, sentAt: Instant, by replica: ReplicaID, _ turn: inout ClusterTurn
    ) {
        guard case .claiming(var claim) = role, claim.replicas.contains(replica), replica != me else { return }
        switch (item, claim.stage) {
        case (.would(let offer), .probing(var would)):
            guard offer.epoch == claim.epoch, sentAt == claim.probedAt else { return }
            would.insert(replica)
            claim.stage = .probing(would: would)
            if turn.settings.has(.probeAsGrant) {
                claim.take(offer, from: replica, sentAt: sentAt, turn.settings, turn.now)
            }
            role = .claiming(claim)
            if would.count > claim.replicas.count / 2 { promiseSelf(claim, &turn) }
        case (.granted(let offer), .asking), (.granted(let offer), .fetching), (.granted(let offer), .completing):
            guard offer.epoch == claim.epoch, claim.askedAt[replica] == sentAt else { return }
            claim.take(offer, from: replica, sentAt: sentAt, turn.settings, turn.now)
            role = .claiming(claim)
            if case .asking = claim.stage { judge(&turn) }
        case (.refused(_, claim.epoch, let promised, let expiresIn), .probing),
            (.refused(_, claim.epoch, let promised, let expiresIn), .asking):
            // A claim that came twice is refused the second time.
            guard claim.grants[replica] == nil else { return }
            highestSeen = max(highestSeen, promised)
            claim.refusals[replica] = promised < claim.epoch ? expiresIn : .zero
            // It may learn within milliseconds what this replica knows: others are not waited for much longer.
            if case .probing = claim.stage {
                claim.deadline = min(claim.deadline, turn.now + ClusterSettings.firstRetry)
            }
            role = .claiming(claim)
            if claim.isHopeless { giveUp(&turn) }
        default: return
        }
    }

    /// Whether the grants suffice, and for whose copy.
    private mutating func judge(_ turn: inout ClusterTurn) {
        guard case .claiming(var claim) = role, case .asking = claim.stage else { return }
        guard claim.isGranted(by: claim.replicas, turn.settings) else { return }
        let best = claim.best(me, turn.settings)
        guard best != me, let offer = claim.grants[best] else {
            claim.stage = .completing
            role = .claiming(claim)
            return hold(.copyComplete(epoch: claim.epoch), &turn)
        }
        claim.stage = .fetching(from: best, offer: offer)
        claim.deadline = turn.now + turn.settings.claimTimeout
        role = .claiming(claim)
        fetch(from: best, at: min(copy.end, offer.end), claim.epoch, &turn)
    }

    // MARK: Completing the copy

    private func fetch(from source: ReplicaID, at offset: UInt64, _ epoch: UInt64, _ turn: inout ClusterTurn) {
        let previous = copy.runs.epoch(endingAt: offset) ?? 0
        turn.send(
            .fetch(Fetch(journal: journal, epoch: epoch, previousOffset: offset, previousEpoch: previous)), to: source)
    }

    mutating func fetchMismatch(_ mismatch: Mismatch, from source: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .claiming(let claim) = role, claim.epoch == mismatch.epoch,
            case .fetching(source, _) = claim.stage
        else { return }
        fetch(from: source, at: copy.runs.boundary(for: mismatch), claim.epoch, &turn)
    }

    mutating func fetched(_ fetched: Fetched, from source: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .claiming(var claim) = role, claim.epoch == fetched.epoch,
            case .fetching(source, let offer) = claim.stage
        else { return }
        // Exactly what was granted: a copy that was damaged since is another one.
        guard isAsGranted(fetched, offer, turn) else { return giveUp(&turn) }
        let frames = walkFrames(fetched.bytes, of: journal, at: fetched.offset)
        guard fetched.offset <= copy.end,
            turn.settings.has(.fetchUnfenced) || frames.allSatisfy({ $0.epoch <= offer.lastEpoch }),
            frames.last?.end ?? fetched.offset == fetched.offset + UInt64(fetched.bytes.count)
        else { return }
        take(frames, of: fetched.bytes, at: fetched.offset, &turn)
        let reached = fetched.offset + UInt64(fetched.bytes.count)
        let takesLess = turn.settings.has(.fetchUnchecked) || turn.settings.has(.fetchUnfenced)
        if reached < offer.end, !(takesLess && fetched.bytes.isEmpty) {
            guard !fetched.bytes.isEmpty else { return giveUp(&turn) }
            claim.deadline = turn.now + turn.settings.claimTimeout
            role = .claiming(claim)
            return fetch(from: source, at: reached, claim.epoch, &turn)
        }
        claim.stage = .completing
        claim.deadline = .distantFuture
        role = .claiming(claim)
        hold(.copyComplete(epoch: claim.epoch), &turn)
    }

    private func isAsGranted(_ fetched: Fetched, _ offer: ClaimAnswers.Offer, _ turn: ClusterTurn) -> Bool {
        if turn.settings.has(.fetchUnchecked) || turn.settings.has(.fetchUnfenced) { return true }
        return fetched.lastEpoch == offer.lastEpoch && fetched.end == offer.end && (fetched.isWhole || !offer.isWhole)
    }

    /// The copy is complete and on the disk. If it names others than were asked, they have a say too.
    mutating func copyCompleted(_ epoch: UInt64, _ turn: inout ClusterTurn) {
        guard case .claiming(var claim) = role, claim.epoch == epoch, case .completing = claim.stage else { return }
        let set = replicas
        guard set.contains(me) else { return giveUp(&turn) }
        guard claim.isGranted(by: set, turn.settings) else {
            claim.replicas = set
            claim.stage = .asking
            claim.deadline = turn.now + turn.settings.claimTimeout
            claim.grants[me] = offer(epoch, turn)
            role = .claiming(claim)
            return ask(set, &turn)
        }
        becomeOwner(claim, set, &turn)
    }

    private mutating func becomeOwner(_ claim: Claim, _ set: [ReplicaID], _ turn: inout ClusterTurn) {
        let owner = JournalOwner(
            granted: journal, replicas: set, me: me, epoch: claim.epoch, lease: claim.lease, end: copy.end,
            bound: claim.bound)
        guard owner.holdsLease(for: .zero, at: turn.now) || turn.settings.has(.minorityClaim) else {
            return giveUp(&turn)
        }
        becomeWhole(&turn)
        backOff.reset()
        role = .owning(Ownership(owner: owner, lastEpoch: copy.lastEpoch, at: turn.now))
        turn.effects.append(.won(journal, epoch: claim.epoch, isEmpty: copy.isEmpty, from: predecessor))
    }

    /// Whose frames are the last in this copy, and how that owner ended. A claimant that released what it never came to own
    /// wrote none.
    private var predecessor: Predecessor {
        guard let lastRelease, lastRelease.epoch == copy.lastEpoch else { return .gone }
        return .released(lastRelease.owner)
    }

    // MARK: Failing

    /// Ends the claim: those who granted are freed, and the next one waits.
    mutating func giveUp(_ turn: inout ClusterTurn) {
        guard case .claiming(let claim) = role else { return }
        stepDown(.claimFailed, &turn)
        var isProbe = false
        if case .probing = claim.stage { isProbe = true }
        let delay =
            if let last = claim.refusals.values.max(), last > .zero, isProbe || claim.isHopeless {
                backOff.promiseEndsSoon(in: last)
            } else {
                backOff.failed(chance: jitter(claim.epoch))
            }
        notBefore = turn.now + delay
    }

    /// From 0 up to 1, different for every node, journal and epoch: enough to part two claimants.
    private func jitter(_ epoch: UInt64) -> Double {
        var random = SeededRandom(seed: WhoClaims.weight(of: me, for: journal) &+ epoch)
        return random.fraction()
    }

    mutating func claimTick(_ turn: inout ClusterTurn) {
        if case .claiming(let claim) = role, turn.now >= claim.deadline { giveUp(&turn) }
    }
}

extension Claim {
    fileprivate func item(_ journal: JournalID) -> ClaimRequest.Item {
        ClaimRequest.Item(journal: journal, epoch: epoch, lease: lease)
    }

    fileprivate mutating func take(
        _ offer: ClaimAnswers.Offer, from replica: ReplicaID, sentAt: Instant, _ settings: ClusterSettings,
        _ now: Instant
    ) {
        grants[replica] = offer
        let from = settings.has(.countFromReceipt) ? now : sentAt
        bound[replica] = max(bound[replica] ?? Instant(nanoseconds: .min), from + ClusterSettings.counted(lease))
    }
}
