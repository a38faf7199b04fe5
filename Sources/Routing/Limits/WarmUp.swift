internal import Glibc
package import Primitives

/// A plan for a new sending address: a day limit that grows by the same factor every day.
package struct WarmUp: Hashable, Sendable {
    /// The first day's limit and the last one's. Both are per day and count the same.
    package var from: Rate
    package var to: Rate
    package var over: Duration
    /// Midnight (UTC) of the first day. Nil: the day on which a node first had this plan (cluster record `warmup/NAME`).
    package var since: WallTime?

    package init(from: Rate, to: Rate, over: Duration, since: WallTime? = nil) {
        self.from = from
        self.to = to
        self.over = over
        self.since = since
    }
}

/// What holds for the mail of one upstream to one mailbox provider, besides the upstream's own limits.
package struct ProviderLimits: Hashable, Sendable {
    package var rates: [Rate] = []
    package var maximumConnections: Int?

    package init(rates: [Rate] = [], maximumConnections: Int? = nil) {
        self.rates = rates
        self.maximumConnections = maximumConnections
    }
}

extension WarmUp {
    /// The whole day's limit, so many days after the first: it grows by the same factor each day until the last, and stays.
    package func limit(onDay day: Int) -> Double {
        let first = max(1, (from.perSecond * 86_400).rounded())
        let last = max(1, (to.perSecond * 86_400).rounded())
        let days = (over.inSeconds / 86_400).rounded()
        guard day > 0 else { return first }
        guard Double(day) < days else { return last }
        return (first * pow(last / first, Double(day) / days)).rounded()
    }
}
