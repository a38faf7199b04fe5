package import Primitives

/// How well each upstream is trusted at each mailbox provider, by the results of the whole cluster.
package struct Reputation: Sendable {
    package enum Evidence: Hashable, Sendable {
        case good
        /// Against this upstream at this provider.
        case refused
    }

    package init(
        upstreams: [String], settings: ReputationSettings = ReputationSettings(), me: String = ""
    ) {}

    /// A transaction's result. One for all its recipients at the provider: a single message must not open a circuit.
    /// Only what speaks for or against the upstream counts; `reply` is the refusal's, for people.
    package mutating func record(
        _ evidence: Evidence, upstream: Int, provider: ProviderID, reply: String, fromFeedback: Bool, at now: Instant
    ) {}

    /// What the weight is multiplied with: posterior^γ × what a block leaves (0 while blocked).
    package func factor(upstream: Int, provider: ProviderID, at now: Instant) -> Double { 1 }

    /// Blocked there, and the next message may go as the probe; taking it counts.
    package mutating func takeProbe(upstream: Int, provider: ProviderID, at now: Instant) -> Bool { false }

    /// For people.
    package func trust(upstream: Int, provider: ProviderID, at now: Instant) -> Trust { Trust() }

    /// Of an upstream as a whole, by what it carries where: 0 to 100.
    package func trust(upstream: Int, at now: Instant) -> Int { 100 }

    package func lowest(upstream: Int, at now: Instant) -> (provider: ProviderID, trust: Int)? { nil }

    /// Pairs that are not open, and those with evidence against them, the least trusted first.
    package func notable(at now: Instant) -> [(upstream: Int, provider: ProviderID, trust: Trust)] { [] }

    /// Whether someone tells later what became of its mail; without, `status` says `blind`.
    package func hasFeedback(upstream: Int, at now: Instant) -> Bool { false }

    /// It is solved, a person says: everything is forgotten, on all nodes.
    package mutating func reset(upstream: Int, provider: ProviderID?, at now: Instant) {}

    /// Blocked, returning, unblocked since the last call.
    package mutating func events() -> [ReputationEvent] { [] }

    /// Gossip records `reputation/UPSTREAM`, only what changed and is worth telling. To be called at each pulse.
    package mutating func publish(names: Providers, at now: Instant) -> [(key: String, value: [UInt8])] { [] }

    /// A record of another node, told once for each version. Anything but a well-formed one is passed over.
    package mutating func absorb(
        from node: String, key: String, value: [UInt8], names: inout Providers, at now: Instant
    ) {}

    /// A node that never comes back; the evidence of one that died decays by itself.
    package mutating func forget(node: String) {}
}
