internal import Primitives

/// Whom a replica lets own the journal (`protocol.md`, 'Grant', 'Lease', 'Drain and stop', 'Process death').
///
/// A replica promises each epoch to one node and takes no word of a lower one from then on. A promise binds for the lease,
/// and ends before only when its owner says so, is proved dead, or claims anew.
extension Replica {
    enum Verdict: Hashable, Sendable {
        case grant
        case refuse(expiresIn: Duration)
    }

    /// Whether this replica would grant `epoch` to `claimant` now.
    func verdict(on epoch: UInt64, for claimant: ReplicaID, _ turn: ClusterTurn) -> Verdict {
        guard let promise else { return .grant }
        let isHigher = turn.settings.has(.epochTwice) ? epoch >= promise.epoch : epoch > promise.epoch
        guard isHigher else { return .refuse(expiresIn: .zero) }
        // A fast restart: whatever it asked before, it asks anew.
        if promise.owner == claimant || turn.settings.has(.fastRestartAnyone) { return .grant }
        if promise.owner == me {
            guard let owner, owner.holdsLease(for: .zero, at: turn.now), !turn.settings.has(.grantWhileOwnLease) else {
                return .grant
            }
            let left = owner.leaseEnd.map { $0 - turn.now } ?? owner.lease
            return .refuse(expiresIn: max(left, .zero))
        }
        guard endedAt(turn.now) == nil else { return .grant }
        guard case .binding(let until) = standing else { return .grant }
        return .refuse(expiresIn: max(max(until, upSince + promise.lease) - turn.now, .zero))
    }

    /// Answers one item of a probe: stores nothing, is no grant.
    mutating func probed(
        _ item: ClaimRequest.Item, by claimant: ReplicaID, _ turn: inout ClusterTurn
    ) -> ClaimAnswers.Item {
        switch verdict(on: item.epoch, for: claimant, turn) {
        case .grant:
            spokeForOtherAt = turn.now
            return .would(offer(item.epoch, turn))
        case .refuse(let expiresIn):
            return .refused(journal, epoch: item.epoch, promised: promisedEpoch, expiresIn: expiresIn)
        }
    }

    /// Grants a claim, or says why not. The grant goes out once copy and promise are synced.
    mutating func claimed(
        _ item: ClaimRequest.Item, sentAt: Instant, by claimant: ReplicaID, incarnation: UInt64,
        _ turn: inout ClusterTurn
    ) {
        guard case .grant = verdict(on: item.epoch, for: claimant, turn) else {
            guard case .refuse(let expiresIn) = verdict(on: item.epoch, for: claimant, turn) else { return }
            let refused = ClaimAnswers.Item.refused(
                journal, epoch: item.epoch, promised: promisedEpoch, expiresIn: expiresIn)
            return hold(.send(claimant, .claimAnswers(ClaimAnswers(sentAt: sentAt, items: [refused]))), &turn)
        }
        let answer = Message.claimAnswers(ClaimAnswers(sentAt: sentAt, items: [.granted(offer(item.epoch, turn))]))
        if !turn.settings.has(.grantWhileOwnLease), owner == nil || !turn.settings.has(.ownShareKept) {
            stepDown(.grantedToOther, &turn)
        }
        let granted = Promise(epoch: item.epoch, owner: claimant, lease: item.lease)
        promise = granted
        standing = .binding(until: turn.now + item.lease)
        heard = incarnation
        spokeForOtherAt = turn.now
        highestSeen = max(highestSeen, item.epoch)
        if turn.settings.has(.promiseUnsynced) {
            turn.send(answer, to: claimant)
            return store(granted, &turn)
        }
        store(granted, &turn)
        hold(.send(claimant, answer), &turn)
    }

    func offer(_ epoch: UInt64, _ turn: ClusterTurn) -> ClaimAnswers.Offer {
        ClaimAnswers.Offer(
            journal: journal, epoch: epoch, lastEpoch: copy.lastEpoch, end: copy.end,
            isWhole: copy.isWhole || turn.settings.has(.damagedVotes))
    }

    // MARK: Renewals

    enum Renewal: Hashable, Sendable {
        case renewed
        case lost(promised: UInt64)
        case nothing
    }

    /// The owner (or a claimant that still completes its copy) wants to go on counting this replica.
    mutating func renew(
        _ epoch: UInt64, from sender: ReplicaID, incarnation: UInt64, _ turn: inout ClusterTurn
    ) -> Renewal {
        guard let promise else { return .nothing }
        guard promise.epoch == epoch, promise.owner == sender else {
            return promise.epoch > epoch ? .lost(promised: promise.epoch) : .nothing
        }
        // The owner counts on what it hears: a power cut would take a promise that is still on its way to the disk. It asks
        // again with its next pulse.
        guard isPromiseDurable || turn.settings.has(.renewUnsynced) else { return .nothing }
        heard = incarnation
        standing = .binding(until: turn.now + promise.lease)
        return .renewed
    }

    // MARK: Ends before their time

    /// Counts only from the promised owner of that very epoch.
    mutating func released(_ epoch: UInt64, by sender: ReplicaID, _ turn: inout ClusterTurn) {
        guard let promise, promise.epoch == epoch, promise.owner != me else { return }
        guard promise.owner == sender || turn.settings.has(.releaseAnySender) else { return }
        lastRelease = (epoch, sender)
        endPromise(turn)
    }

    /// Every process of this node up to `incarnation` is dead. `epoch` is what was promised to it when the knock began.
    mutating func died(_ node: ReplicaID, incarnation: UInt64, epoch: UInt64?, _ turn: inout ClusterTurn) {
        if lastRelease?.owner == node { lastRelease = nil }
        guard let promise, promise.owner == node, node != me, heard <= incarnation else { return }
        guard epoch == nil || epoch == promise.epoch || turn.settings.has(.knockUntied) else { return }
        endPromise(turn)
    }

    private mutating func endPromise(_ turn: ClusterTurn) {
        if case .binding = standing, endedAt(turn.now) == nil { standing = .ended(at: turn.now) }
    }
}
