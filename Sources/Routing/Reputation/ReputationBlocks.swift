package import Primitives

/// When a block begins, steps back and ends.
extension Reputation {
    /// Refusals that make a block, if they are clearly more than the good ones among the latest results.
    private static let refusalsToBlock = 5.0
    private static let refusalsToBlockAgain = 3.0
    /// Of some 16 results in a row: more than this in one place need no half of the last minute.
    private static let latelyToBlock = 0.85
    /// What was under way when the block began is no probe.
    private static let underWay = Duration.seconds(10)
    private static let goodProbesToReturn = 2.0
    /// After a good probe.
    private static let quickProbe = Duration.seconds(5)
    /// Between the turns of two nodes: gossip has then told that the first took it.
    private static let turnGap = Duration.seconds(3)
    private static let maximumTurns = 15
    /// A quiet pair steps by time: two good results and hardly a refusal in so long.
    private static let quietStep = Duration.seconds(30)
    private static let quietStepResults = 2

    // MARK: Probes

    /// Blocked there, and the next message may go as the probe; taking it counts.
    package mutating func takeProbe(upstream: Int, provider: ProviderID, at now: Instant) -> Bool {
        guard let slot = slot(upstream, provider), pairs[slot].block.phase == .blocked,
            earliestProbe(slot) <= now, nextProbe(slot, at: now) <= now
        else { return false }
        // Nothing bad was heard of the last one, of an upstream that tells bad news only.
        if pairs[slot].block.probes > 0, acceptedWorth[upstream] < 1, !confirms(upstream, at: now) {
            pairs[slot].block.step.good += 1
            pairs[slot].block.step.goodResults += 1
        }
        pairs[slot].block.lastProbe = now
        pairs[slot].block.probes &+= 1
        told[upstream].isUrgent = true
        review(slot, at: now)
        refresh(slot)
        return true
    }

    private func earliestProbe(_ slot: Int) -> Instant {
        let block = pairs[slot].block
        let isPromising = pairs[slot].stepOfAll().good > 0
        return (block.lastProbe ?? block.since) + (isPromising ? Reputation.quickProbe : settings.probeInterval)
    }

    /// Each probe is another node's turn, in an order that all agree on; who has no mail for it leaves it to the next.
    func nextProbe(_ slot: Int, at now: Instant) -> Instant {
        let block = pairs[slot].block
        let salt = UInt64(block.term) << 32 ^ UInt64(block.probes) << 16 ^ UInt64(pairs[slot].provider.number)
        func rank(_ hash: UInt64) -> UInt64 {
            var chance = SeededRandom(seed: hash ^ salt)
            return chance.next()
        }
        let mine = rank(myHash)
        let others = alive.isEmpty ? nodes.filter { now - $0.heard < .minutes(1) }.map(\.hash) : alive
        var turn = 0
        for hash in others where hash != myHash && rank(hash) < mine {
            turn += 1
            if turn == Reputation.maximumTurns { break }
        }
        return earliestProbe(slot) + Reputation.turnGap * turn
    }

    // MARK: Results

    mutating func refused(_ slot: Int, at now: Instant) {
        let upstream = pairs[slot].upstream
        switch pairs[slot].block.phase {
        case .open, .returning:
            pairs[slot].block.step.refused += 1
            if pairs[slot].block.phase == .returning { told[upstream].isUrgent = true }
        case .blocked:
            // A probe was refused: what looked good before it counts no more.
            let block = pairs[slot].block
            guard block.probes > 0 || pairs[slot].stepOfAll().good > 0 else { break }
            pairs[slot].block.nextTerm(.blocked, at: now)
            told[upstream].isUrgent = true
        }
        // Refusals that are no more than usual can wait.
        if pairs[slot].recent.refused > pairs[slot].toldRefusals * 1.1 + 0.5 { told[upstream].isUrgent = true }
        review(slot, at: now)
    }

    mutating func good(_ slot: Int, worth: Double, at now: Instant) {
        switch pairs[slot].block.phase {
        case .open: return
        case .blocked:
            guard worth == 1, now - pairs[slot].block.since >= Reputation.underWay else { return }
        case .returning: guard worth > 0 else { return }
        }
        pairs[slot].block.step.good += worth
        pairs[slot].block.step.goodResults += 1
        told[pairs[slot].upstream].isUrgent = true
        review(slot, at: now)
    }

    /// Takes the transition that the evidence of all nodes asks for.
    mutating func review(_ slot: Int, at now: Instant) {
        switch pairs[slot].block.phase {
        case .open:
            if isRefusing(slot, atLeast: Reputation.refusalsToBlock, at: now) { block(slot, at: now) }
        case .returning:
            if isRefusing(slot, atLeast: Reputation.refusalsToBlockAgain, at: now) {
                block(slot, at: now)
            } else if isStepDone(slot, at: now) {
                step(slot, at: now)
            }
        case .blocked:
            guard pairs[slot].stepOfAll().good >= Reputation.goodProbesToReturn else { return }
            pairs[slot].block.nextTerm(.returning, level: 1, at: now)
            restart(slot, at: now)
            note(.returning(percent: pairs[slot].block.percent), slot)
        }
    }

    private func isRefusing(_ slot: Int, atLeast refusals: Double, at now: Instant) -> Bool {
        let pair = pairs[slot]
        let latest = pair.recentOfAll(at: now)
        guard latest.refused >= refusals else { return false }
        let good = latest.good(acceptedWorth: acceptedWorth[pair.upstream])
        // More than half, by one standard deviation: of few results half is soon refused by chance.
        return latest.refused > good + (latest.refused + good).squareRoot() || pair.lately > Reputation.latelyToBlock
    }

    private func isStepDone(_ slot: Int, at now: Instant) -> Bool {
        let step = pairs[slot].stepOfAll()
        if step.good >= settings.goodPerStep { return true }
        return now - pairs[slot].block.stepBegan >= Reputation.quietStep
            && step.goodResults >= Reputation.quietStepResults && step.refused * 4 <= step.goodResults
    }

    private mutating func block(_ slot: Int, at now: Instant) {
        pairs[slot].beginStory()
        pairs[slot].block.nextTerm(.blocked, at: now)
        pairs[slot].block.lastProbe = nil
        told[pairs[slot].upstream].isUrgent = true
        note(.blocked(reply: pairs[slot].lastReply), slot)
    }

    private mutating func step(_ slot: Int, at now: Instant) {
        let level = pairs[slot].block.level + 1
        told[pairs[slot].upstream].isUrgent = true
        if level < Block.levels {
            pairs[slot].block.nextTerm(.returning, level: level, at: now)
            note(.returning(percent: pairs[slot].block.percent), slot)
        } else {
            pairs[slot].block.nextTerm(.open, at: now)
            note(.unblocked, slot)
        }
    }

    /// The posterior begins at its prior again, here and, with the term, on all nodes.
    mutating func restart(_ slot: Int, at now: Instant) {
        pairs[slot].block.restart = pairs[slot].block.term
        pairs[slot].restartCounts(perNanosecond, at: now)
        told[pairs[slot].upstream].isUrgent = true
        refresh(slot)
    }

    /// Another node has gone on, or was more cautious.
    mutating func adopt(_ other: Block, _ slot: Int, at now: Instant) {
        let before = pairs[slot].block
        if before.yields(to: other) {
            if other.phase == .blocked, before.phase != .blocked { pairs[slot].beginStory() }
            var block = other
            block.step = Block.Step()
            block.stepBegan = now
            block.story = pairs[slot].block.story
            block.restart = before.restart
            // A probe refused in one term still delays the next one's.
            if block.phase == .blocked, before.phase == .blocked {
                block.lastProbe = later(before.lastProbe, other.lastProbe)
            }
            pairs[slot].block = block
            if (before.phase, before.level) != (block.phase, block.level) { note(change(slot), slot) }
        } else if before.term == other.term {
            pairs[slot].block.lastProbe = later(before.lastProbe, other.lastProbe)
            pairs[slot].block.probes = max(before.probes, other.probes)
        }
        if other.restart > pairs[slot].block.restart {
            pairs[slot].block.restart = other.restart
            pairs[slot].restartCounts(perNanosecond, at: now)
        }
    }

    private func later(_ one: Instant?, _ another: Instant?) -> Instant? {
        guard let one, let another else { return one ?? another }
        return max(one, another)
    }

    private func change(_ slot: Int) -> ReputationEvent.Change {
        switch pairs[slot].block.phase {
        case .open: .unblocked
        case .returning: .returning(percent: pairs[slot].block.percent)
        case .blocked: .blocked(reply: pairs[slot].lastReply)
        }
    }
}

extension Block {
    var percent: Int { Int((share * 100).rounded()) }
}
