internal import Glibc
internal import Primitives

/// How fast something happens: an exponentially decayed count, and the last whole second.
struct Usage: Hashable, Sendable {
    /// The memory: long enough for a few of a slow kind, short enough to follow a change within a gossip's time or two.
    private static let memory = 5.0

    private var count = 0.0
    private var at = Instant(nanoseconds: 0)
    private var second: Int64 = 0
    private var inSecond = 0
    private var inSecondBefore = 0

    mutating func add(_ amount: Int, at now: Instant) {
        count = decayed(at: now) + Double(amount)
        at = max(at, now)
        let current = now.nanoseconds / 1_000_000_000
        if current != second {
            inSecondBefore = current == second + 1 ? inSecond : 0
            second = current
            inSecond = 0
        }
        inSecond += amount
    }

    mutating func remove(_ amount: Int) {
        count = max(0, count - Double(amount))
        inSecond = max(0, inSecond - amount)
    }

    /// Per second.
    func rate(at now: Instant) -> Double { decayed(at: now) / Usage.memory }

    /// The same, at the fastest of late: what has only begun is not yet in the mean.
    func peak(at now: Instant) -> Double {
        let current = now.nanoseconds / 1_000_000_000
        let lately = current == second ? max(inSecond, inSecondBefore) : current == second + 1 ? inSecond : 0
        return max(rate(at: now), Double(lately))
    }

    private func decayed(at now: Instant) -> Double {
        guard now > at else { return count }
        let age = (now - at).inSeconds / Usage.memory
        // Over small steps the same, and cheaper in each transaction.
        return age < 0.05 ? count / (1 + age) : count * exp(-age)
    }
}

/// Tokens that come at a rate, up to a capacity. What is taken may be more than is there: the debt is waited for.
///
/// What was saved up in idle time is given in advance: it is paid back over the window that follows, so that no window has
/// more than its rate allows, and a busy bucket gives all of it.
struct TokenBucket: Hashable, Sendable {
    private(set) var rate = 0.0
    private(set) var capacity = 1.0
    /// One to begin with: an earlier process may have used the rest.
    private(set) var tokens = 1.0
    /// To be paid back, at a bucketful per window.
    private var advanced = 1.0
    private let window: Double
    /// Nil before the first use.
    private var at: Instant?

    init(window: Double) { self.window = window }

    /// What was saved at the old rate stays, as far as it fits.
    mutating func set(rate: Double, capacity: Double, at now: Instant) {
        // Before its first use nothing was saved.
        if at != nil { settle(at: now) }
        self.rate = rate
        self.capacity = capacity
        tokens = min(tokens, capacity)
        advanced = min(advanced, capacity)
    }

    private mutating func settle(at now: Instant) {
        guard let before = at else {
            at = now
            return
        }
        guard now > before else { return }
        let elapsed = (now - before).inSeconds
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

    /// Whether one will be there within so many seconds.
    func isNear(within seconds: Double, at now: Instant) -> Bool {
        let age = at.map { max(0, (now - $0).inSeconds) } ?? 0
        return rate > 0 && tokens + rate * (age + seconds) >= 1
    }

    mutating func take(_ amount: Double) { tokens -= amount }
    mutating func giveBack(_ amount: Double) { tokens = min(capacity, tokens + amount) }
}
