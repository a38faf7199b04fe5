package import Primitives

/// Moving averages of how an upstream answers, as this node sees it.
///
/// Each new sample counts a fixed part, so that an average follows some ten samples, whatever the time between them.
package struct UpstreamAverages: Hashable, Sendable {
    /// What a new sample counts.
    private static let newest = 0.125
    /// Failures are forgotten by time too: one that is tried seldom is not judged by last hour's.
    private static let failuresHalfLife = Duration.minutes(1)
    /// Connections that fail less often than this say nothing.
    private static let ordinaryFailures = 0.05
    /// A transaction may take this long, or as many times as long as the fastest upstream's, before it costs share.
    private static let patience = Duration.seconds(2)
    private static let timesFastest = 4
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

    /// Of the latest connections, the part that failed: 0 to 1.
    package func failureRate(at now: Instant) -> Double {
        failures * Decay.factor(now - failuresAt, halfLife: UpstreamAverages.failuresHalfLife)
    }

    /// 1 while it works as fast as its like, down to 0: 1 less the part of connections that fail, times, when its
    /// transactions take longer than 2 s and four times the fastest upstream's, that limit by what they take.
    package func factor(fastest: Duration?, at now: Instant) -> Double {
        let rate = failureRate(at: now)
        let reached = rate <= UpstreamAverages.ordinaryFailures ? 1 : 1 - rate
        guard let transaction else { return reached }
        let limit = max(UpstreamAverages.patience, (fastest ?? .zero) * UpstreamAverages.timesFastest)
        if transaction <= limit { return reached }
        return reached * max(UpstreamAverages.leastForSlowness, limit.inSeconds / transaction.inSeconds)
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
