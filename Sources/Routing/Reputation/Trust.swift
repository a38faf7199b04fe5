package import Primitives

/// How far evidence moves the share, and how long it counts.
package struct ReputationSettings: Hashable, Sendable {
    /// After which a result counts half.
    package var halfLife = Duration.hours(1)
    /// γ: the weight is multiplied with the posterior to this power.
    package var exponent = 2.0
    /// What is known beforehand, as so many good results: little evidence against it has little effect.
    package var priorGood = 20.0
    /// Between the probes of a block, for the whole cluster.
    package var probeInterval = Duration.minutes(1)
    /// Good results that bring a returning one to the next tenth, counted over the whole cluster.
    package var goodPerStep = 20.0

    package init() {}
}

/// What stands between an upstream and a provider, for people.
package struct Trust: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        case open
        /// The provider refuses this upstream: only probes go.
        case blocked
        /// It is given back so many percent of its share, 10 to 90.
        case returning(percent: Int)
    }

    /// 0 to 100; 0 while blocked.
    package var trust = 100
    package var state = State.open
    /// Since when it is blocked, or returning; nil when open.
    package var since: Instant?
    /// Results of the whole cluster since the evidence began to count anew, decayed by their half-life.
    package var good = 0.0
    package var refused = 0.0
    /// Of `refused`: what the upstream told later, by feedback.
    package var refusedByFeedback = 0.0
    /// Results of the whole cluster, undecayed, since shortly before the block began; 0 when open.
    package var refusedInBlock = 0
    package var resultsInBlock = 0
    package var refusedInBlockByFeedback = 0
    /// When a message may go to try it, as this node sees it.
    package var nextProbe: Instant?
    /// The last refusal's reply; empty when there was none.
    package var lastReply = ""

    package init() {}
}

/// A change of a block, for the log.
package struct ReputationEvent: Hashable, Sendable {
    package enum Change: Hashable, Sendable {
        case blocked(reply: String)
        case returning(percent: Int)
        case unblocked
    }

    package var upstream: Int
    package var provider: ProviderID
    package var change: Change

    package init(upstream: Int, provider: ProviderID, change: Change) {
        self.upstream = upstream
        self.provider = provider
        self.change = change
    }
}
