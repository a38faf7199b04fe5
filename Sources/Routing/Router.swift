internal import Primitives
package import SMTP

/// Which upstream each recipient's mail takes now.
///
/// A route is the first that matches sender and recipient. Among its usable upstreams the choice is smooth weighted
/// round robin: shares are exact over any run of choices and equal turns are never bunched. The fallback ones count only
/// while none of the others is usable. Health and reputation multiply into `weight(of:)`.
package struct Router: Sendable {
    /// A set of upstreams as bits: a configuration has at most 64.
    package typealias Mask = UInt64
    package static let maximumUpstreams = 64

    package enum Choice: Hashable, Sendable {
        case upstream(Int)
        /// Some upstream of the route was not excluded, but none is usable now.
        case noneUsable
        /// Every upstream of the route was excluded.
        case exhausted
    }

    private struct Tiers: Hashable, Sendable {
        let primary: [Int]
        let fallback: [Int]
        let all: Mask

        init(primary: [Int], fallback: [Int]) {
            self.primary = primary
            self.fallback = fallback
            all = (primary + fallback).reduce(0) { $0 | 1 << Mask($1) }
        }
    }

    package private(set) var upstreams: [Upstream]
    private var routes: [Route]
    private var tiers: [Tiers]
    /// Those that take mail with the null reverse-path.
    private let nullSenderMask: Mask
    /// Per tier list, each upstream's credit.
    private var credits: [[Double]]
    package var health: [UpstreamHealth]

    /// Names in routes must be those of upstreams; unknown ones are passed over (`config check` refuses them).
    package init(upstreams: [Upstream], routes: [Route], bounceUpstreams: [String]) {
        precondition(upstreams.count <= Router.maximumUpstreams)
        self.upstreams = upstreams
        var all = routes
        if !bounceUpstreams.isEmpty {
            var bounces = Route(upstreams: bounceUpstreams)
            bounces.senders = ["<>"]
            all.insert(bounces, at: 0)
        }
        // Mail that no route matches takes any upstream: it must never be without one.
        if !all.contains(where: { $0.matchesEverything }) {
            all.append(Route(upstreams: upstreams.map(\.name)))
        }
        self.routes = all
        func indices(_ names: [String]) -> [Int] {
            names.compactMap { name in upstreams.firstIndex { $0.name == name } }
        }
        tiers = all.map { Tiers(primary: indices($0.upstreams), fallback: indices($0.fallback)) }
        nullSenderMask = upstreams.indices.reduce(0) {
            upstreams[$1].nullSender ? $0 | 1 << Mask($1) : $0
        }
        credits = all.map { _ in Array(repeating: 0, count: upstreams.count) }
        health = upstreams.map { UpstreamHealth(maximumConnections: $0.maximumConnections) }
    }

    /// The index of the route that these two take.
    package func route(sender: Address?, recipient: Address) -> Int {
        if routes.count == 1 { return 0 }
        let recipientDomain = recipient.domainKey
        let senderDomain = sender?.domainKey ?? ""
        let senderText = sender.map { $0.description.lowercased() } ?? "<>"
        for (index, route) in routes.enumerated() {
            if route.matches(
                sender: senderText, senderDomain: senderDomain, recipientDomain: recipientDomain)
            {
                return index
            }
        }
        return routes.count - 1
    }

    /// Every upstream of a route that takes such a sender, fallback included.
    package func mask(route: Int, isNullSender: Bool) -> Mask {
        tiers[route].all & (isNullSender ? nullSenderMask : .max)
    }

    /// Picks by weight among the usable ones that are not excluded, and takes its turn.
    package mutating func choose(route: Int, excluding excluded: Mask, isNullSender: Bool) -> Choice {
        let candidates = mask(route: route, isNullSender: isNullSender) & ~excluded
        if candidates == 0 { return .exhausted }
        let best =
            takeTurn(of: tiers[route].primary, candidates, route)
            ?? takeTurn(of: tiers[route].fallback, candidates, route)
        return best.map { .upstream($0) } ?? .noneUsable
    }

    private mutating func takeTurn(of tier: [Int], _ candidates: Mask, _ route: Int) -> Int? {
        var best: Int?
        var total = 0.0
        for index in tier where candidates & (1 << Mask(index)) != 0 && health[index].isUsable {
            // Weight 0 takes what no other can.
            let weight = max(upstreams[index].weight, 1e-9)
            total += weight
            credits[route][index] += weight
            if best.map({ credits[route][index] > credits[route][$0] }) ?? true { best = index }
        }
        if let best { credits[route][best] -= total }
        return best
    }

    /// Whether `choose` would find one.
    package func hasUsable(route: Int, excluding excluded: Mask, isNullSender: Bool) -> Bool {
        let candidates = mask(route: route, isNullSender: isNullSender) & ~excluded
        return health.indices.contains { candidates & (1 << Mask($0)) != 0 && health[$0].isUsable }
    }

    /// The share that the configuration wants for an upstream, of the first route that has it: 0 to 1.
    package func wantedShare(_ index: Int) -> Double {
        guard let tier = tiers.last(where: { $0.primary.contains(index) }) else { return 0 }
        let total = tier.primary.reduce(0) { $0 + upstreams[$1].weight }
        return total > 0 ? upstreams[index].weight / total : 0
    }
}

extension Route {
    fileprivate var matchesEverything: Bool {
        recipientDomains.isEmpty && senderDomains.isEmpty && senders.isEmpty
    }

    fileprivate func matches(sender: String, senderDomain: String, recipientDomain: String) -> Bool {
        (senders.isEmpty || senders.contains(sender))
            && (senderDomains.isEmpty
                || senderDomains.contains { Route.domain(senderDomain, matches: $0) })
            && (recipientDomains.isEmpty
                || recipientDomains.contains { Route.domain(recipientDomain, matches: $0) })
    }

    private static func domain(_ domain: String, matches pattern: String) -> Bool {
        if pattern.hasPrefix("*.") { return domain.hasSuffix(pattern.dropFirst()) }
        return domain == pattern
    }
}
