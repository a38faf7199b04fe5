package import Primitives

/// How much may go to each upstream, held for the whole cluster.
package struct Limits: Sendable {
    package enum Taken: Hashable, Sendable {
        case granted
        /// Nothing was taken; ask again then.
        case wait(until: Instant)
    }

    private let upstreams: [Upstream]

    /// - Parameters:
    ///   - me: This node, as `absorb` names others.
    ///   - start: Grows with every start of any process of the cluster, about: the oldest lends.
    ///   - providers: The numbers of the providers that `perProvider` names.
    package init(upstreams: [Upstream], me: String, start: UInt64 = 0, providers: [String: ProviderID] = [:]) {
        self.upstreams = upstreams
    }

    /// One transaction of so many recipients begins now; takes what it needs of every limit or nothing.
    package mutating func take(upstream: Int, provider: ProviderID, recipients: Int, at now: Instant) -> Taken {
        .granted
    }

    /// Given back: it did not begin after all (nothing reached MAIL).
    package mutating func giveBack(upstream: Int, provider: ProviderID, recipients: Int, at now: Instant) {}

    /// How many connections this node may have open there now.
    package func connections(upstream: Int, at now: Instant) -> Int { upstreams[upstream].maximumConnections }

    package mutating func connectionsChanged(upstream: Int, open: Int, at now: Instant) {}

    /// What waits on this node, told before `publish`.
    package mutating func demand(upstream: Int, provider: ProviderID, due: Int) {}

    /// The upstream said 'too fast'; nil when it speaks of all mail.
    package mutating func rateLimited(upstream: Int, provider: ProviderID?, at now: Instant) {}

    package mutating func succeeded(upstream: Int, provider: ProviderID, at now: Instant) {}

    /// What is left of the tightest limit: 0 to 1.
    package func headroom(upstream: Int, provider: ProviderID, at now: Instant) -> Double { 1 }

    /// For status.
    package func used(upstream: Int, at now: Instant) -> [LimitUse] { [] }

    /// Gossip records `limits/…`, only what changed.
    package mutating func publish(at now: Now) -> [(key: String, value: [UInt8])] { [] }

    package mutating func absorb(from node: String, key: String, value: [UInt8], at now: Now) {}

    /// - Parameters:
    ///   - alive: Sorted, with this node.
    ///   - known: How many nodes the cluster has.
    package mutating func nodes(alive: [String], known: Int, at now: Instant) {}

    /// When something changes without an event.
    package func nextDeadline(at now: Instant) -> Instant? { nil }

    /// Cluster records `count/…` and `warmup/…`; each has one writer, this node.
    package mutating func recordsToWrite(at now: Now) -> [(key: String, value: [UInt8], expiry: WallTime)] { [] }

    /// A cluster record changed, by any node, or is there at start-up; nil when it was removed.
    package mutating func recordChanged(key: String, value: [UInt8]?, at now: Now) {}
}

/// One limit and how much of it the cluster uses, for people.
package struct LimitUse: Hashable, Sendable {
    /// `messages/s`, `recipients/d`, `connections`, with `@provider` for a pair's.
    package var name: String
    /// Of the whole cluster, as configured.
    package var limit: Double
    /// In the same unit, of the whole cluster as far as known here.
    package var used: Double
    /// The limit now, where 'too fast' or a warm-up plan has lowered it.
    package var reducedTo: Double?

    package init(name: String, limit: Double, used: Double, reducedTo: Double? = nil) {
        self.name = name
        self.limit = limit
        self.used = used
        self.reducedTo = reducedTo
    }
}
