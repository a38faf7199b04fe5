package import Primitives

/// Why one upstream gets the part of a route's mail to one provider that it gets.
package struct Explanation: Hashable, Sendable {
    /// What keeps it from being chosen now.
    package enum Obstacle: String, Hashable, Sendable {
        case disabled, down
        /// It takes no bounces.
        case nullSender = "no null sender"
        case blocked
        case budgetSpent = "budget spent"
        case limitUsedUp = "limit used up"
        /// An earlier tier has one that can take it.
        case standby
    }

    package var upstream: Int
    /// 0 for the route's `upstreams`, then its fallback tiers.
    package var tier: Int
    /// The configured weight.
    package var configured: Double
    /// 0 to 1 each.
    package var health: Double
    package var reputation: Double
    package var headroom: Double
    package var cost: Double
    /// All of them multiplied.
    package var weight: Double
    /// Of the mail that takes this route to this provider now, exploration included: 0 to 1.
    package var share: Double
    package var obstacle: Obstacle?
    /// While it is blocked: when a message may go to try it.
    package var nextProbe: Instant?
}

extension Router {
    /// Each upstream of a route, in the order of its tiers, by the same rules as `choose`.
    package func explain(
        route: Int, provider: ProviderID, isNullSender: Bool, at now: Instant
    ) -> [Explanation] {
        let allowed = mask(route: route, isNullSender: isNullSender)
        var found: [Explanation] = []
        var hasChosen = false
        for (number, tier) in tiers[route].enumerated() {
            var rows: [Explanation] = []
            for index in tier where !(found + rows).contains(where: { $0.upstream == index }) {
                rows.append(row(index, number, provider, isAllowed: allowed & (1 << Mask(index)) != 0, at: now))
            }
            let candidates = rows.indices.filter { rows[$0].obstacle == nil }
            if hasChosen {
                for position in candidates { rows[position].obstacle = .standby }
            } else if !candidates.isEmpty {
                hasChosen = true
                let weights = candidates.reduce(0) { $0 + rows[$1].weight }
                let configured = candidates.reduce(0) { $0 + weight(rows[$1].upstream) }
                for position in candidates {
                    rows[position].share = share(
                        of: rows[position].upstream, weight: rows[position].weight, weights: weights,
                        configured: configured)
                }
            }
            found += rows
        }
        return found
    }

    private func row(
        _ index: Int, _ tier: Int, _ provider: ProviderID, isAllowed: Bool, at now: Instant
    ) -> Explanation {
        let factors = factors(of: index, provider, at: now)
        var row = Explanation(
            upstream: index, tier: tier, configured: upstreams[index].weight, health: factors.health,
            reputation: factors.reputation, headroom: factors.headroom, cost: factors.cost, weight: factors.weight,
            share: 0, obstacle: nil, nextProbe: nil)
        if !isAllowed {
            row.obstacle = .nullSender
        } else if health[index].isDisabled {
            row.obstacle = .disabled
        } else if !health[index].isUsable {
            row.obstacle = .down
        } else if factors.reputation <= 0 {
            row.obstacle = .blocked
            row.nextProbe = reputation.trust(upstream: index, provider: provider, at: now).nextProbe
        } else if factors.cost <= 0 {
            row.obstacle = .budgetSpent
        } else if factors.headroom <= 0 {
            row.obstacle = .limitUsedUp
        }
        return row
    }

    /// The upstream that the next message would go to; nil when none would get it.
    ///
    /// - Parameter random: The chance that the next choice will draw from.
    package func next(
        route: Int, provider: ProviderID, isNullSender: Bool, idle: Mask, random: SeededRandom, at now: Instant
    ) -> Int? {
        // A choice takes its turn: it is made on a copy.
        var copy = self
        var chance = random
        switch copy.choose(
            route: route, provider: provider, excluding: 0, isNullSender: isNullSender, idle: idle, random: &chance,
            at: now)
        {
        case .upstream(let index), .probe(let index): return index
        case .noneTrusted, .noneFree, .noneUsable, .exhausted: return nil
        }
    }
}
