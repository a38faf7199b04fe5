internal import Primitives

/// One limit of the cluster and this node's share of it.
struct Limiter: Sendable {
    enum Kind: UInt8, Hashable, Sendable {
        /// So many in a period of at most an hour: the share is in millionths of the whole.
        case rate = 1
        /// So many in a day of UTC: the share is how far this node's own count may go.
        case day = 2
        /// Open at once, as told by `connectionsChanged`.
        case connections = 3
        /// Of one provider, under way at once.
        case transactions = 4
    }

    /// The whole of a rate.
    static let whole = 1_000_000

    let key: String
    /// The key's hash: the same on every node.
    let id: UInt64
    let kind: Kind
    let counted: Rate.Counted
    let period: Duration
    /// Of the whole cluster: per period, per day, or at once. Falls with 'too fast', grows with a warm-up plan.
    var limit: Double
    /// This node's part, in the units of the kind.
    private(set) var share = 0

    private(set) var bucket: TokenBucket
    private(set) var usage = Usage()
    var count = DayCount()
    /// What other nodes' records count of the day, in all.
    var elsewhere = 0
    /// Connections, or transactions, at once.
    var open = 0
    /// What waits here, summed since the last `publish`.
    var due = 0
    /// Refused since the last `publish`: how often, and the largest.
    private(set) var refusals = 0
    private(set) var need = 0
    /// Wanted by anyone here lately, so it is told to others.
    var wantedAt: Instant?
    /// What waited when it was last published.
    private(set) var lastDue = 0

    init(key: String, kind: Kind, counted: Rate.Counted, period: Duration, limit: Double) {
        self.key = key
        self.kind = kind
        self.counted = counted
        self.period = period
        self.limit = limit
        id = Limiter.hash(key)
        bucket = TokenBucket(window: max(10, period.inSeconds))
    }

    /// FNV-1a, 64 bits.
    static func hash(_ key: String) -> UInt64 {
        key.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3 }
    }

    /// What is lent of it in the whole cluster.
    var total: Int { kind == .rate ? Limiter.whole : Int(min(max(limit, 0), 1e12)) }

    func amount(_ recipients: Int) -> Int { counted == .messages ? 1 : max(1, recipients) }

    // MARK: Its share

    /// The part of every node that nobody lends to, of so many known ones: all of them together are not above the limit.
    func base(known: Int) -> Int { total / max(1, known) }

    mutating func set(share: Int, at now: Instant) {
        self.share = share
        guard kind == .rate else { return }
        let rate = limit / period.inSeconds * min(1, Double(share) / Double(Limiter.whole))
        bucket.set(rate: rate, capacity: max(1, rate * burst), at: now)
    }

    /// Seconds' worth that may be saved up: a quarter second hides how coarse timers are, longer periods take it less strictly.
    private var burst: Double { max(0.25, period.inSeconds * 0.05) }

    // MARK: Taking

    /// Nil when so much may be taken now.
    mutating func wait(for amount: Int, at now: Instant) -> Instant? {
        let until: Instant?
        switch kind {
        case .rate: until = bucket.wait(for: Double(amount), at: now)
        case .day:
            // More than the whole day's is let go by a whole day's worth: it could never go otherwise.
            let needed = count.used + min(amount, max(1, total))
            if needed <= share, needed <= count.reserved(at: now) {
                until = nil
            } else {
                until = now + Limits.askAgain
            }
        case .connections: until = nil
        case .transactions: until = open < share ? nil : now + Limits.askAgain
        }
        guard until != nil else { return nil }
        refusals += 1
        need = max(need, amount)
        return until
    }

    mutating func take(_ amount: Int, at now: Instant) {
        switch kind {
        case .rate: bucket.take(Double(amount))
        case .day: count.take(min(amount, max(1, total)))
        case .connections: return
        case .transactions: open += 1
        }
        usage.add(amount, at: now)
    }

    mutating func giveBack(_ amount: Int) {
        switch kind {
        case .rate: bucket.giveBack(Double(amount))
        case .day: count.giveBack(min(amount, max(1, total)))
        case .connections: return
        case .transactions: open = max(0, open - 1)
        }
        usage.remove(amount)
    }

    /// What is told to others, and begins to be summed anew.
    mutating func demandSinceLast() -> (due: Int, need: Int) {
        defer {
            due = 0
            refusals = 0
            need = 0
        }
        lastDue = max(due, refusals)
        return (lastDue, need)
    }
}
