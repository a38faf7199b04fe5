package import Primitives

/// Whether an upstream can be used now: a circuit that opens when it cannot be reached and a ramp when it returns.
///
/// Only what happens before MAIL, or speaks of the upstream itself, opens it. While it is open one probe connection at a
/// time is tried, each after twice the wait of the one before.
package struct UpstreamHealth: Hashable, Sendable {
    package enum Condition: Hashable, Sendable {
        case up
        case down(since: Instant, nextProbe: Instant)
    }

    /// The first wait after a failure, and the longest.
    private static let firstWait = Duration.seconds(1)
    private static let longestWait = Duration.seconds(30)

    private let maximumConnections: Int
    package private(set) var condition = Condition.up
    /// Connections that may be open at once: the ramp after a return, the maximum in good times.
    package private(set) var allowedConnections: Int
    /// Failures in a row and when the row began; a connection alone does not end it, an answered transaction does.
    private var failures = 0
    private var failingSince: Instant?
    /// When a transaction was answered last.
    package private(set) var lastAnswer: Instant?
    /// What went wrong last; kept until it is up again.
    package private(set) var lastFailure: String?
    /// Opening one more was refused while others work: none is opened until then.
    package private(set) var holdOpeningUntil: Instant?
    package var isDisabled = false

    package init(maximumConnections: Int) {
        self.maximumConnections = maximumConnections
        allowedConnections = maximumConnections
    }

    package var isUsable: Bool { !isDisabled && condition == .up }
    package var isRamping: Bool { condition == .up && allowedConnections < maximumConnections }

    /// Nobody can be reached, or it turns all away. Returns how long until the next probe. `spread` is 0 to 1, for jitter.
    package mutating func failed(_ reason: String, spread: Double, at now: Instant) -> Duration {
        lastFailure = reason
        // Several connections or transactions that fail in one round count once.
        if case .down(_, let probe) = condition, now < probe { return probe - now }
        let since = failingSince ?? now
        failingSince = since
        failures += 1
        let doubled = UpstreamHealth.firstWait * (1 << min(failures - 1, 10))
        let wait = min(doubled, UpstreamHealth.longestWait) * (0.8 + 0.4 * spread)
        condition = .down(since: since, nextProbe: now + wait)
        allowedConnections = 1
        return wait
    }

    /// One more connection was refused while `open` others work: stay with those for a while.
    package mutating func refusedMore(than open: Int, at now: Instant) {
        allowedConnections = max(1, open)
        holdOpeningUntil = now + .seconds(5)
    }

    /// A connection became ready. True when that ends an outage.
    package mutating func connected() -> Bool {
        guard condition != .up else { return false }
        condition = .up
        lastFailure = nil
        allowedConnections = min(2, maximumConnections)
        return true
    }

    /// A transaction was answered: one more connection may be opened, which doubles them once a round trip. True when that
    /// ends an outage, as on a connection that was there before it.
    package mutating func answered(at now: Instant) -> Bool {
        lastAnswer = now
        failures = 0
        failingSince = nil
        if condition != .up { return connected() }
        if allowedConnections < maximumConnections { allowedConnections += 1 }
        return false
    }

    /// A person wants it tried without waiting.
    package mutating func probeNow(at now: Instant) {
        if case .down(let since, _) = condition { condition = .down(since: since, nextProbe: now) }
        holdOpeningUntil = nil
    }

    /// Ends the hold when its time has come, so that it is no deadline any more.
    package mutating func mayOpen(at now: Instant) -> Bool {
        guard let until = holdOpeningUntil else { return true }
        guard until <= now else { return false }
        holdOpeningUntil = nil
        return true
    }
}
