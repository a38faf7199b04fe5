internal import Primitives
package import SMTP

/// Which upstream each recipient's mail takes now.
///
/// A route is the first that matches; its upstreams stand in tiers, of which a later one counts only while no upstream of
/// those before is usable. Within a tier the choice is smooth weighted round robin (`Turns`), by
/// weight = configured weight × health × reputation × headroom × cost (`RouterChoice.swift`).
///
/// Composed of values that each know one thing; who feeds them what happened speaks to them directly.
package struct Router: Sendable {
    /// A set of upstreams as bits: a configuration has at most 64.
    package typealias Mask = UInt64
    package static let maximumUpstreams = 64
    /// Which of the routes that ask of the message as a whole a message satisfies, as bits.
    package typealias Marks = UInt64
    package static let maximumMarkedRoutes = 64

    package private(set) var upstreams: [Upstream]
    package private(set) var routes: [Route]
    package let settings: RoutingSettings
    /// Per route, and behind them for each upstream alone, tier by tier; empty tiers are left out.
    let tiers: [[[Int]]]
    /// Per route, all its upstreams.
    private let masks: [Mask]
    /// Those that take mail with the null reverse-path.
    private let nullSenderMask: Mask
    /// Per route its bit in a message's marks; 0 for one that asks nothing of the message as a whole.
    private let marks: [Marks]
    private let isAnyMarked: Bool
    private let isAnySenderListed: Bool

    // What is known.
    package var health: [UpstreamHealth]
    package var reputation: Reputation
    package var limits: Limits
    package var cost: Cost
    package var providers: Providers
    package var classifier: ReplyClassifier
    /// Per upstream, what is ready to go there from this node and has not begun: told by whoever knows, before a choice.
    package var ready: [Int]
    // Of each upstream, what a choice reads of its configuration.
    let weights: [Double]
    let paces: [Double]
    let hasProviderLimits: [Bool]
    var turns: Turns
    // Reused by each choice, so that none allocates.
    var candidates: [Turns.Candidate] = []

    /// Names in routes must be those of upstreams; unknown ones are passed over (`config check` refuses them).
    ///
    /// - Parameters:
    ///   - me: This node, as others name it.
    ///   - start: Grows with every start of any process of the cluster, about.
    package init(
        upstreams: [Upstream], routes: [Route], bounceUpstreams: [String],
        settings: RoutingSettings = RoutingSettings(), classifier: ReplyClassifier = .standard, me: String = "",
        start: UInt64 = 0
    ) {
        precondition(upstreams.count <= Router.maximumUpstreams)
        self.upstreams = upstreams
        self.settings = settings
        self.classifier = classifier
        let all = Router.complete(routes, upstreams, bounceUpstreams)
        self.routes = all
        func indices(_ names: [String]) -> [Int] {
            names.compactMap { name in upstreams.firstIndex { $0.name == name } }
        }
        // Behind the routes, one for each upstream alone: for what people redirect to it.
        tiers =
            all.map { route in ([route.upstreams] + route.fallback).map(indices).filter { !$0.isEmpty } }
            + upstreams.indices.map { [[$0]] }
        masks = tiers.map { $0.joined().reduce(0) { $0 | 1 << Mask($1) } }
        nullSenderMask = upstreams.indices.reduce(0) { upstreams[$1].nullSender ? $0 | 1 << Mask($1) : $0 }
        var marked: Marks = 0
        marks = all.map { route in
            guard route.asksOfMessage else { return 0 }
            // `config check` refuses more.
            precondition(marked < Router.maximumMarkedRoutes, "too many routes ask of the message as a whole")
            marked += 1
            return 1 << (marked - 1)
        }
        isAnyMarked = marked > 0
        isAnySenderListed = all.contains { !$0.senders.isEmpty }
        health = upstreams.map { UpstreamHealth(maximumConnections: $0.maximumConnections, me: me) }
        ready = upstreams.map { _ in 0 }
        weights = upstreams.map { max($0.weight, Router.leastWeight) }
        paces = upstreams.map { $0.rates.map(\.perSecond).min() ?? .greatestFiniteMagnitude }
        hasProviderLimits = upstreams.map { !$0.perProvider.isEmpty }
        turns = Turns(upstreamCount: upstreams.count)
        var providers = Providers()
        let limited = Set(upstreams.flatMap(\.perProvider.keys)).subtracting(["*"]).sorted()
        let numbers = limited.map { ($0, providers.id(named: $0)) }
        self.providers = providers
        reputation = Reputation(upstreams: upstreams.map(\.name), settings: settings.reputation, me: me)
        limits = Limits(
            upstreams: upstreams, me: me, start: start, providers: Dictionary(uniqueKeysWithValues: numbers))
        cost = Cost(upstreams: upstreams, me: me, preference: settings.costPreference)
        candidates.reserveCapacity(upstreams.count)
    }

    private static func complete(
        _ routes: [Route], _ upstreams: [Upstream], _ bounceUpstreams: [String]
    ) -> [Route] {
        var all = routes
        if !bounceUpstreams.isEmpty {
            var bounces = Route(upstreams: bounceUpstreams)
            bounces.senders = ["<>"]
            all.insert(bounces, at: 0)
        }
        // Mail that no route matches takes any upstream: it must never be without one.
        if !all.contains(where: \.takesAll) { all.append(Route(upstreams: upstreams.map(\.name))) }
        return all
    }

    // MARK: Routes

    /// Which routes a message satisfies as far as they ask of it as a whole: found once, when it comes.
    package func marks(for facts: RouteFacts) -> Marks {
        guard isAnyMarked else { return 0 }
        let priority = facts.priority
        let client = ClientRange(client: facts.client)
        var found: Marks = 0
        for (route, mark) in zip(routes, marks) where mark != 0 {
            if route.matches(facts, priority: priority, client: client) { found |= mark }
        }
        return found
    }

    /// The index of the route that a recipient's mail takes.
    package func route(sender: Address?, recipient: Address, marks found: Marks = 0) -> Int {
        if routes.count == 1 { return 0 }
        let recipientDomain = recipient.domainKey
        let senderDomain = sender?.domainKey ?? ""
        let senderText = isAnySenderListed ? sender.map { $0.description.lowercased() } ?? "<>" : ""
        for (index, route) in routes.enumerated() where marks[index] & ~found == 0 {
            if route.matches(sender: senderText, senderDomain: senderDomain, recipientDomain: recipientDomain) {
                return index
            }
        }
        return routes.count - 1
    }

    /// What a route has instead of the whole configuration's waits and lifetime; nil when it has none of its own.
    package func retry(route: Int) -> [Duration]? { routes.indices.contains(route) ? routes[route].retry : nil }
    package func lifetime(route: Int) -> Duration? { routes.indices.contains(route) ? routes[route].lifetime : nil }

    /// In place of a route: this upstream alone.
    package func route(by upstream: Int) -> Int { routes.count + upstream }

    package func route(for subject: RouteSubject) -> Int {
        route(sender: subject.sender, recipient: subject.recipient, marks: marks(for: subject.facts))
    }

    /// Every upstream of a route that takes such a sender, fallback included.
    package func mask(route: Int, isNullSender: Bool) -> Mask {
        masks[route] & (isNullSender ? nullSenderMask : .max)
    }

    /// The share that the configuration wants for an upstream, of the first route that has it: 0 to 1.
    package func wantedShare(_ index: Int) -> Double {
        guard let tier = tiers.prefix(routes.count).compactMap(\.first).last(where: { $0.contains(index) }) else {
            return 0
        }
        let total = tier.reduce(0) { $0 + upstreams[$1].weight }
        return total > 0 ? upstreams[index].weight / total : 0
    }

    /// Something is counted by the clock: limits, prices or a plan to warm up.
    package var needsTime: Bool {
        upstreams.contains {
            !$0.rates.isEmpty || !$0.perProvider.isEmpty || $0.warmup != nil || $0.price != nil
        }
    }

    /// Pairs of route and provider whose turns are remembered, for the bound on memory.
    package var pairCount: Int { turns.pairCount }
}
