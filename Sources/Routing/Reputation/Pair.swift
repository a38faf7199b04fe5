internal import Primitives

/// All that is known of one upstream at one provider.
struct Pair: Sendable {
    /// What another node last told.
    struct PeerTally: Sendable {
        var node: Int
        var slow: Tally
        var recent: Tally
        var at: Instant
        var term: UInt32
        var restart: UInt32
        var step: Block.Step
        var story: Block.Story
    }

    let upstream: Int
    let provider: ProviderID
    var block = Block()
    /// This node's results, and when they were decayed to.
    var own = Tally()
    var ownAt: Instant
    var recent = Tally()
    var recentAt: Instant
    /// This node's and the peers', as far as they are of this restart.
    var total = Tally()
    var totalAt: Instant
    /// The refused part of this node's very last results, some 16.
    var lately = 0.0
    var lastReply = ""
    var peers: [PeerTally] = []
    /// This node's recent refusals when they were told last.
    var toldRefusals = 0.0

    init(upstream: Int, provider: ProviderID, at now: Instant) {
        self.upstream = upstream
        self.provider = provider
        ownAt = now
        recentAt = now
        totalAt = now
    }

    private var floor: Double { Recent.floor / Double(1 + peers.count) }

    // MARK: Counts

    mutating func decay(_ perNanosecond: Double, to now: Instant) {
        own = own * Decay.factor(from: ownAt, to: now, perNanosecond: perNanosecond)
        ownAt = max(ownAt, now)
        decayTotal(perNanosecond, to: now)
        recent = recent * Recent.decay(sum: recent.sum, from: recentAt, to: now, floor: floor)
        recentAt = max(recentAt, now)
    }

    private mutating func decayTotal(_ perNanosecond: Double, to now: Instant) {
        total = total * Decay.factor(from: totalAt, to: now, perNanosecond: perNanosecond)
        totalAt = max(totalAt, now)
    }

    mutating func add(_ kind: Tally.Kind, worth: Double, _ perNanosecond: Double, at now: Instant) {
        decay(perNanosecond, to: now)
        own.add(kind)
        total.add(kind)
        recent.add(kind)
        switch kind {
        case .accepted, .confirmed: lately -= lately * worth / 16
        case .refused, .refusedLater: lately += (1 - lately) / 16
        }
        guard block.phase == .blocked else { return }
        block.story.results += 1
        if kind == .refused || kind == .refusedLater { block.story.refused += 1 }
        if kind == .refusedLater { block.story.refusedLater += 1 }
    }

    /// The latest results of all nodes.
    func recentOfAll(at now: Instant) -> Tally {
        var all = recent * Recent.decay(sum: recent.sum, from: recentAt, to: now, floor: floor)
        for peer in peers where peer.restart == block.restart {
            all += peer.recent * Recent.decay(sum: peer.recent.sum, from: peer.at, to: now, floor: floor)
        }
        return all
    }

    func stepOfAll() -> Block.Step {
        var all = block.step
        for peer in peers where peer.term == block.term { all += peer.step }
        return all
    }

    /// Puts another node's tally in the place of what it told before, or nothing.
    mutating func replace(node: Int, with new: PeerTally?, _ perNanosecond: Double, at now: Instant) {
        decayTotal(perNanosecond, to: now)
        if let index = peers.firstIndex(where: { $0.node == node }) {
            let old = peers[index]
            let told = old.slow * Decay.factor(from: old.at, to: now, perNanosecond: perNanosecond)
            // One that has lost half of what it knew was started anew. What its former process knew stays true, and
            // fades here, so that restarting all nodes in turn forgets nothing.
            let isReborn = new.map { $0.restart == old.restart && $0.slow.sum < told.sum * 0.5 } ?? false
            if old.restart == block.restart, !isReborn { total -= told }
            if let new { peers[index] = new } else { peers.remove(at: index) }
        } else if let new {
            peers.append(new)
        }
        if let new, new.restart == block.restart { total += new.slow }
        if peers.isEmpty { total = own * Decay.factor(from: ownAt, to: now, perNanosecond: perNanosecond) }
    }

    /// What was counted before is no evidence any more.
    mutating func restartCounts(_ perNanosecond: Double, at now: Instant) {
        own = Tally()
        recent = Tally()
        lately = 0
        toldRefusals = 0
        ownAt = now
        recentAt = now
        total = Tally()
        totalAt = now
        for peer in peers where peer.restart == block.restart {
            total += peer.slow * Decay.factor(from: peer.at, to: now, perNanosecond: perNanosecond)
        }
    }

    /// What the block's story begins with: the results that made it.
    mutating func beginStory() {
        block.story = Block.Story(
            results: Int(recent.sum.rounded()), refused: Int(recent.refused.rounded()),
            refusedLater: Int(recent[.refusedLater].rounded()))
    }

    /// Nothing in it changes any decision.
    func isNegligible(_ perNanosecond: Double, at now: Instant) -> Bool {
        let hasState = block.phase != .open || (block.term > 0 && now - block.since < Pair.stateKept)
        let slow = total.sum * Decay.factor(from: totalAt, to: now, perNanosecond: perNanosecond)
        return !hasState && slow < Pair.negligible && recentOfAll(at: now).sum < Pair.negligible
    }

    /// A term must outlive what late gossip can bring of the block before it.
    static let stateKept = Duration.hours(6)
    static let negligible = 0.05
}
