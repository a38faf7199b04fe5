package import Primitives

/// Moving averages of how an upstream answers, as this node sees it.
///
/// Each new sample counts a fixed part, so that an average follows some ten samples, whatever the time between them.
package struct UpstreamAverages: Hashable, Sendable {
    /// What a new sample counts.
    private static let newest = 0.125
    /// Failures are forgotten by time too: one that is tried seldom is not judged by last hour's.
    private static let failuresHalfLife = Duration.minutes(1)
    /// A smaller part of failed connections says nothing: a single outage leaves an eighth.
    private static let ordinaryFailures = 0.25
    /// Transactions may take this long before they cost share.
    private static let patience = Duration.seconds(5)
    /// What slowness leaves at least: it must be noticed when it ends.
    private static let leastForSlowness = 0.1

    /// TCP and TLS; nil before the first.
    package private(set) var connect: Duration?
    /// From then until it greeted and answered EHLO.
    package private(set) var greeting: Duration?
    /// From MAIL to the last reply.
    package private(set) var transaction: Duration?
    private var failures = 0.0
    private var failuresAt = Instant(nanoseconds: 0)

    package init() {}

    /// Of the latest connections, the part that failed: 0 to 1. The probes of an outage do not count.
    package func failureRate(at now: Instant) -> Double {
        failures * Decay.factor(now - failuresAt, halfLife: UpstreamAverages.failuresHalfLife)
    }

    /// 1 for what works, whatever little it is slower than another: configured shares stay. Where more than a quarter of the
    /// connections fail, the part that does not; where transactions take longer than 5 s, 5 s by what they take.
    package func factor(at now: Instant) -> Double {
        var factor = 1.0
        if failures > UpstreamAverages.ordinaryFailures {
            let rate = failureRate(at: now)
            if rate > UpstreamAverages.ordinaryFailures { factor = 1 - rate }
        }
        if let transaction, transaction > UpstreamAverages.patience {
            let slowness = UpstreamAverages.patience.inSeconds / transaction.inSeconds
            factor *= max(UpstreamAverages.leastForSlowness, slowness)
        }
        return factor
    }

    mutating func connected(connect: Duration?, greeting: Duration?, at now: Instant) {
        if let connect { self.connect = UpstreamAverages.average(self.connect, connect) }
        if let greeting { self.greeting = UpstreamAverages.average(self.greeting, greeting) }
        noteConnection(failed: 0, at: now)
    }

    mutating func connectionFailed(at now: Instant) { noteConnection(failed: 1, at: now) }

    mutating func answered(_ duration: Duration) {
        transaction = UpstreamAverages.average(transaction, duration)
    }

    private mutating func noteConnection(failed: Double, at now: Instant) {
        let rate = failureRate(at: now)
        failures = rate + (failed - rate) * UpstreamAverages.newest
        failuresAt = now
    }

    private static func average(_ old: Duration?, _ new: Duration) -> Duration {
        guard let old else { return new }
        return old + (new - old) * newest
    }
}
