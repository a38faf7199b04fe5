package import Primitives

/// What people are told.
extension Reputation {
    /// Fewer results than this make no lowest.
    private static let fewResults = 0.5

    package func trust(upstream: Int, provider: ProviderID, at now: Instant) -> Trust {
        guard upstreams.indices.contains(upstream), let slot = slot(upstream, provider) else { return Trust() }
        return trust(slot, at: now)
    }

    private func trust(_ slot: Int, at now: Instant) -> Trust {
        let pair = pairs[slot]
        let decay = Decay.factor(from: pair.totalAt, to: now, perNanosecond: perNanosecond)
        var trust = Trust()
        trust.good = pair.total.good(acceptedWorth: acceptedWorth[pair.upstream]) * decay
        trust.refused = pair.total.refused * decay
        trust.refusedByFeedback = pair.total[.refusedLater] * decay
        trust.trust = Int((100 * pair.block.share * posterior(trust.good, trust.refused)).rounded())
        trust.lastReply = pair.lastReply
        switch pair.block.phase {
        case .open: return trust
        case .returning: trust.state = .returning(percent: pair.block.percent)
        case .blocked:
            trust.state = .blocked
            trust.nextProbe = nextProbe(slot, at: now)
        }
        trust.since = pair.block.since
        var stories = [pair.block.story]
        for peer in pair.peers where peer.restart == pair.block.restart { stories.append(peer.story) }
        trust.resultsInBlock = stories.reduce(0) { $0 + $1.results }
        trust.refusedInBlock = stories.reduce(0) { $0 + $1.refused }
        trust.refusedInBlockByFeedback = stories.reduce(0) { $0 + $1.refusedLater }
        return trust
    }

    /// Of an upstream as a whole, by what it carries where: 0 to 100.
    package func trust(upstream: Int, at now: Instant) -> Int {
        guard upstreams.indices.contains(upstream) else { return 100 }
        var weighted = 0.0
        var weights = 0.0
        for slot in slots(of: upstream) {
            let weight =
                pairs[slot].total.sum * Decay.factor(from: pairs[slot].totalAt, to: now, perNanosecond: perNanosecond)
            weighted += weight * Double(trust(slot, at: now).trust)
            weights += weight
        }
        return weights > 0 ? Int((weighted / weights).rounded()) : 100
    }

    package func lowest(upstream: Int, at now: Instant) -> (provider: ProviderID, trust: Int)? {
        guard upstreams.indices.contains(upstream) else { return nil }
        var lowest: (provider: ProviderID, trust: Int)?
        for slot in slots(of: upstream) {
            let trust = trust(slot, at: now)
            guard trust.state != .open || trust.good + trust.refused >= Reputation.fewResults else { continue }
            if lowest.map({ trust.trust < $0.trust }) ?? true { lowest = (pairs[slot].provider, trust.trust) }
        }
        return lowest
    }

    /// Pairs that are not open, and those with evidence against them, the least trusted first.
    package func notable(at now: Instant) -> [(upstream: Int, provider: ProviderID, trust: Trust)] {
        var found: [(upstream: Int, provider: ProviderID, trust: Trust)] = []
        for upstream in upstreams.indices {
            for slot in slots(of: upstream) {
                let trust = trust(slot, at: now)
                guard trust.state != .open || trust.refused >= Reputation.fewResults else { continue }
                found.append((upstream, pairs[slot].provider, trust))
            }
        }
        return found.sorted {
            ($0.trust.trust, $0.upstream, $0.provider) < ($1.trust.trust, $1.upstream, $1.provider)
        }
    }
}
