internal import Journal
package import Primitives
package import Routing
internal import SMTP

/// Where a message would go now, and why, for people.
package struct RouteExplanation: Sendable {
    package struct Upstream: Sendable {
        package var name: String
        package var why: Explanation
    }

    /// Which route matched.
    package enum Matched: Hashable, Sendable {
        /// By its number in the configuration.
        case configured(Int)
        /// `delivery.bounces.upstreams`.
        case bounces
        /// None: all upstreams.
        case none
    }

    package var matched: Matched
    /// The mailbox provider's name; `other` for the long tail.
    package var provider: String
    package var upstreams: [Upstream]
    /// Who would get it; nil when nobody can now.
    package var next: String?
    /// The time of `upstreams[].why.nextProbe`.
    package var now: Instant
}

/// What is known of one upstream at each provider, and how much of its limits is used.
package struct UpstreamTrust: Sendable {
    package struct Provider: Sendable {
        package var name: String
        package var trust: Trust
    }

    package var name: String
    /// 0 to 100.
    package var trust: Int
    /// Whether someone tells what became of its mail later.
    package var hasFeedback: Bool
    /// Those that were asked for, or those with something to tell, the least trusted first.
    package var providers: [Provider]
    package var limits: [LimitUse]
    package var spent: Cost.Spent
    /// The time of `providers[].trust.nextProbe` and `.since`.
    package var now: Instant
}

extension Node {
    package func explain(_ subject: RouteSubject, at now: Now) -> RouteExplanation {
        let route = router.route(for: subject)
        // Looking a provider up is remembered, which a question must not be.
        var providers = router.providers
        let provider = providers.provider(of: subject.recipient.domainKey)
        let isNullSender = subject.sender == nil
        let next = router.next(
            route: route, provider: provider, isNullSender: isNullSender, idle: idleMask, random: random,
            at: now.instant)
        return RouteExplanation(
            matched: matched(route), provider: providers.name(provider),
            upstreams: router.explain(route: route, provider: provider, isNullSender: isNullSender, at: now.instant)
                .map { RouteExplanation.Upstream(name: router.upstreams[$0.upstream].name, why: $0) },
            next: next.map { router.upstreams[$0].name }, now: now.instant)
    }

    private func matched(_ route: Int) -> RouteExplanation.Matched {
        let first = configuration.bounces.upstreams.isEmpty ? 0 : 1
        if route < first { return .bounces }
        return route - first < configuration.routes.count ? .configured(route - first) : .none
    }

    /// Nil when no upstream has the name, or no provider that is asked for.
    ///
    /// - Parameter provider: A provider's name or one of its domains.
    package func trust(of upstream: String, at provider: String?, _ now: Now) -> UpstreamTrust? {
        guard let index = router.upstreams.firstIndex(where: { $0.name == upstream }) else { return nil }
        var found: [UpstreamTrust.Provider] = []
        if let provider {
            guard let id = providerID(provider) else { return nil }
            let trust = router.reputation.trust(upstream: index, provider: id, at: now.instant)
            found = [UpstreamTrust.Provider(name: router.providers.name(id), trust: trust)]
        } else {
            for (lane, id, trust) in router.reputation.notable(at: now.instant) where lane == index {
                found.append(UpstreamTrust.Provider(name: router.providers.name(id), trust: trust))
            }
        }
        return UpstreamTrust(
            name: upstream, trust: router.reputation.trust(upstream: index, at: now.instant),
            hasFeedback: router.reputation.hasFeedback(upstream: index, at: now.instant), providers: found,
            limits: router.limits.used(upstream: index, at: now.instant), spent: router.cost.spent(upstream: index),
            now: now.instant)
    }

    /// A provider by its name or by one of its domains.
    private func providerID(_ text: String) -> ProviderID? {
        var providers = router.providers
        let name = text.lowercased()
        if name == providers.name(.other) { return .other }
        let byName = providers.id(named: name)
        // A name that nobody had becomes one, on the copy only.
        if byName != .other, router.providers.name(byName) == name { return byName }
        let byDomain = providers.provider(of: name)
        return byDomain == .other && !name.contains(".") ? nil : byDomain
    }

    /// It is solved, a person says: what was held against an upstream (all of them when nil), at a provider or at all, is
    /// forgotten on all nodes, and what waits for it is tried at once.
    mutating func resetTrust(
        of upstream: String?, at provider: String?, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        var id: ProviderID?
        if let provider {
            guard let known = providerID(provider) else { return }
            id = known
        }
        for index in router.upstreams.indices where upstream == nil || router.upstreams[index].name == upstream {
            router.reputation.reset(upstream: index, provider: id, at: now.instant)
            guard id == nil else { continue }
            router.health[index].probeNow(at: now.instant)
            probe(index, now, &effects)
        }
    }

    /// Upstreams with a connection that waits for a message.
    var idleMask: Router.Mask {
        lanes.indices.reduce(0) { lanes[$1].idle.isEmpty ? $0 : $0 | 1 << Router.Mask($1) }
    }
}
