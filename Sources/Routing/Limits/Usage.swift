internal import Primitives

/// How fast something happens, by an exponentially decayed count.
struct Usage: Hashable, Sendable {
    /// The memory: long enough for a few of a slow kind, short enough to follow a change within a gossip's time or two.
    private static let memory = 5.0

    private var count = 0.0
    private var at = Instant(nanoseconds: 0)

    mutating func add(_ amount: Int, at now: Instant) {
        count = decayed(at: now) + Double(amount)
        at = max(at, now)
    }

    mutating func remove(_ amount: Int) { count = max(0, count - Double(amount)) }

    /// Per second.
    func rate(at now: Instant) -> Double { decayed(at: now) / Usage.memory }

    /// 1/(1+x) is e^-x over many small steps, and needs no exponential in each transaction.
    private func decayed(at now: Instant) -> Double {
        guard now > at else { return count }
        return count / (1 + (now - at).inSeconds / Usage.memory)
    }
}

/// Tokens that come at a rate, up to a capacity. What is taken may be more than is there: the debt is waited for.
///
/// What was saved up in idle time is given in advance: it is paid back over the window that follows, so that no window has
/// more than its rate allows, and a busy bucket gives all of it.
struct TokenBucket: Hashable, Sendable {
    private(set) var rate = 0.0
    private(set) var capacity = 1.0
    private(set) var tokens = 0.0
    /// To be paid back, at a bucketful per window.
    private var advanced = 0.0
    private let window: Double
    private var at = Instant(nanoseconds: 0)

    init(window: Double) { self.window = window }

    /// What was saved at the old rate stays, as far as it fits.
    mutating func set(rate: Double, capacity: Double, at now: Instant) {
        settle(at: now)
        self.rate = rate
        self.capacity = capacity
        tokens = min(tokens, capacity)
        advanced = min(advanced, capacity)
    }

    private mutating func settle(at now: Instant) {
        guard now > at else { return }
        let elapsed = (now - at).inSeconds
        at = now
        let paid = min(advanced, elapsed * capacity / window, elapsed * rate)
        advanced -= paid
        tokens += rate * elapsed - paid
        guard tokens > capacity else { return }
        advanced = min(capacity, advanced + tokens - capacity)
        tokens = capacity
    }

    /// Nil when `amount` may be taken now; else when it may be, at the present rate.
    mutating func wait(for amount: Double, at now: Instant) -> Instant? {
        settle(at: now)
        // Larger than the bucket: it goes from a full one, and leaves a debt.
        let missing = min(amount, capacity) - tokens
        // A hair less than whole is what rounding leaves of whole.
        guard missing > 1e-6 else { return nil }
        guard rate > 0 else { return now + Limits.askAgain }
        let net = advanced > 0 ? max(rate - capacity / window, rate / 2) : rate
        return now + .nanoseconds(Int64(min(missing / net, 86_400) * 1e9) + 1000)
    }

    /// Seconds since it was last settled.
    func age(at now: Instant) -> Double { max(0, (now - at).inSeconds) }

    mutating func take(_ amount: Double) { tokens -= amount }
    mutating func giveBack(_ amount: Double) { tokens = min(capacity, tokens + amount) }
}
