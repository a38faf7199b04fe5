package import Primitives

/// The choice among a route's upstreams.
extension Router {
    package enum Choice: Hashable, Sendable {
        case upstream(Int)
        /// The provider blocks it; this message finds out whether it still does. Sending it is like `upstream`.
        case probe(Int)
        /// Some that could be used were not excluded, but the provider blocks each of them. Another probe may go then.
        case noneTrusted(nextProbe: Instant)
        /// The rest is used up for longer than a message is kept in line: a day's limit or a budget. Ask again then.
        case noneFree(until: Instant)
        /// Some upstream of the route was not excluded, but none is usable now.
        case noneUsable
        /// Every upstream of the route was excluded.
        case exhausted
    }

    /// What an upstream's weight is made of, for one provider and now. Each factor is 0 to 1; 0 rules it out.
    struct Factors {
        var configured: Double
        var health: Double
        var reputation: Double
        var headroom: Double
        var cost: Double

        var weight: Double { configured * health * reputation * headroom * cost }
    }

    /// Weight 0 takes what no other can.
    static let leastWeight = 1e-9
    /// What is usable is used a little, or nobody would see it get better.
    private static let leastHealth = 0.01
    /// Above this much of its tightest limit an upstream has its whole weight, so that shares are as configured until a
    /// limit comes near.
    private static let amplyFree = 0.25
    /// A limit that is used up for longer makes its upstream unusable; for less the mail waits in its line.
    private static let longestLine = Duration.seconds(30)
    /// When to ask again about a budget: the day turns without an event.
    private static let budgetWait = Duration.minutes(10)
    private static let probeWait = Duration.minutes(1)

    /// Picks by weight among the usable ones that are not excluded, and takes its turn.
    ///
    /// Where every candidate of a tier is out of headroom for a moment, the one whose line is shortest is chosen all the
    /// same: mail waits there until `limits.take` grants it.
    ///
    /// - Parameter idle: Those with a connection that waits for a message; they may be a little ahead of their share.
    package mutating func choose(
        route: Int, provider: ProviderID, excluding excluded: Mask, isNullSender: Bool, idle: Mask = 0,
        random: inout SeededRandom, at now: Instant
    ) -> Choice {
        let allowed = mask(route: route, isNullSender: isNullSender) & ~excluded
        if allowed == 0 { return .exhausted }
        var isAnyUsable = false
        var freeAt: Instant?
        for tier in tiers[route] {
            candidates.removeAll(keepingCapacity: true)
            var weights = 0.0
            var configured = 0.0
            var shortest: (upstream: Int, wait: Double)?
            for index in tier where allowed & (1 << Mask(index)) != 0 {
                let factors = factors(of: index, provider, at: now)
                if factors.health <= 0 { continue }
                isAnyUsable = true
                if factors.reputation <= 0 {
                    if factors.headroom > 0, factors.cost > 0,
                        reputation.takeProbe(upstream: index, provider: provider, at: now)
                    {
                        return .probe(index)
                    }
                } else if factors.cost <= 0 {
                    freeAt = min(freeAt ?? .distantFuture, now + Router.budgetWait)
                } else if factors.headroom <= 0 {
                    let free = whenFree(index, provider, at: now)
                    if free - now > Router.longestLine {
                        freeAt = min(freeAt ?? .distantFuture, free)
                    } else {
                        let wait = Double(ready[index] + 1) / pace(index, provider)
                        if shortest.map({ wait < $0.wait }) ?? true { shortest = (index, wait) }
                    }
                } else {
                    candidates.append(Turns.Candidate(upstream: index, share: factors.weight))
                    weights += factors.weight
                    configured += factors.configured
                }
            }
            if !candidates.isEmpty {
                for position in candidates.indices {
                    candidates[position].share = share(
                        of: candidates[position].upstream, weight: candidates[position].share, weights: weights,
                        configured: configured)
                }
                let chosen = turns.take(
                    route: route, provider: provider, among: candidates, idle: idle, random: &random, at: now)
                return .upstream(chosen)
            }
            if let shortest { return .upstream(shortest.upstream) }
        }
        if !isAnyUsable { return .noneUsable }
        if let freeAt { return .noneFree(until: freeAt) }
        return .noneTrusted(nextProbe: nextProbe(of: allowed, provider, at: now))
    }

    /// Whether `choose` would find one that is neither blocked nor used up.
    package func hasUsable(
        route: Int, provider: ProviderID, excluding excluded: Mask, isNullSender: Bool, at now: Instant
    ) -> Bool {
        let allowed = mask(route: route, isNullSender: isNullSender) & ~excluded
        return health.indices.contains { index in
            guard allowed & (1 << Mask(index)) != 0, health[index].isUsable else { return false }
            let factors = factors(of: index, provider, at: now)
            return factors.reputation > 0 && factors.cost > 0
        }
    }

    func factors(of index: Int, _ provider: ProviderID, at now: Instant) -> Factors {
        // An array's subscript copies what it reads, and this is asked of every upstream for every message.
        let health = health.withUnsafeBufferPointer {
            $0[index].isUsable ? max(Router.leastHealth, $0[index].factor(at: now)) : 0
        }
        let headroom = limits.headroom(upstream: index, provider: provider, at: now)
        return Factors(
            configured: weight(index), health: health,
            reputation: reputation.factor(upstream: index, provider: provider, at: now),
            headroom: min(1, headroom / Router.amplyFree), cost: cost.factor(upstream: index))
    }

    /// From weights to shares; a small part goes by configured weight alone, whatever was learnt. Where nothing was learnt
    /// both are the same, and shares stay exact.
    func share(of index: Int, weight: Double, weights: Double, configured: Double) -> Double {
        (1 - settings.exploration) * weight / weights + settings.exploration * self.weight(index) / configured
    }

    func weight(_ index: Int) -> Double { weights[index] }

    private mutating func whenFree(_ index: Int, _ provider: ProviderID, at now: Instant) -> Instant {
        switch limits.take(upstream: index, provider: provider, recipients: 1, at: now) {
        case .wait(let until): return until
        case .granted:
            limits.giveBack(upstream: index, provider: provider, recipients: 1, at: now)
            return now
        }
    }

    /// How much a second a limited upstream may take of a provider's mail, as configured.
    private func pace(_ index: Int, _ provider: ProviderID) -> Double {
        guard hasProviderLimits[index] else { return paces[index] }
        let limits = upstreams[index].perProvider
        let special = limits[providers.name(provider)] ?? limits["*"]
        return min(paces[index], special?.rates.map(\.perSecond).min() ?? .greatestFiniteMagnitude)
    }

    private func nextProbe(of allowed: Mask, _ provider: ProviderID, at now: Instant) -> Instant {
        var next: Instant?
        for index in health.indices where allowed & (1 << Mask(index)) != 0 && health[index].isUsable {
            guard let at = reputation.trust(upstream: index, provider: provider, at: now).nextProbe else { continue }
            next = min(next ?? .distantFuture, at)
        }
        return next ?? now + Router.probeWait
    }
}
