internal import Primitives

/// Counts over the last five minutes, in slots of five seconds.
struct RecentCounts: Sendable {
    enum Kind: Int, CaseIterable, Sendable { case accepted, sent, deferred, bounced, uncertain }

    private static let slotSeconds: Int64 = 5
    private static let slotCount = 60

    private var slots = [[UInt32]](repeating: .init(repeating: 0, count: Kind.allCases.count), count: slotCount)
    private var stamps = [Int64](repeating: -1, count: slotCount)

    mutating func add(_ kind: Kind, at now: Instant) {
        let stamp = now.nanoseconds / 1_000_000_000 / RecentCounts.slotSeconds
        let slot = Int(stamp % Int64(RecentCounts.slotCount))
        if stamps[slot] != stamp {
            stamps[slot] = stamp
            for index in slots[slot].indices { slots[slot][index] = 0 }
        }
        slots[slot][kind.rawValue] += 1
    }

    func total(_ kind: Kind, slots wanted: Int = slotCount, at now: Instant) -> Int {
        let stamp = now.nanoseconds / 1_000_000_000 / RecentCounts.slotSeconds
        var total = 0
        for slot in slots.indices where stamps[slot] > stamp - Int64(wanted) && stamps[slot] >= 0 {
            total += Int(slots[slot][kind.rawValue])
        }
        return total
    }

    /// Over the last whole ten seconds or so.
    func perSecond(_ kind: Kind, at now: Instant) -> Double {
        let stamp = now.nanoseconds / 1_000_000_000 / RecentCounts.slotSeconds
        var total = 0
        for slot in slots.indices where stamps[slot] < stamp && stamps[slot] >= stamp - 2 && stamps[slot] >= 0 {
            total += Int(slots[slot][kind.rawValue])
        }
        return Double(total) / Double(2 * RecentCounts.slotSeconds)
    }
}

/// A median over the last few minutes: two histograms that take turns.
struct RecentDurations: Sendable {
    private static let turn = Duration.seconds(150)
    private var present = Histogram()
    private var past = Histogram()
    private var since: Instant?

    mutating func record(_ duration: Duration, at now: Instant) {
        if let since, now - since > RecentDurations.turn {
            past = present
            present = Histogram()
            self.since = now
        }
        if since == nil { since = now }
        present.record(duration)
    }

    var median: Duration? {
        var both = present
        both.merge(past)
        return both.count > 0 ? both.quantile(0.5) : nil
    }
}

/// How many results of each kind there ever were.
struct ResultTotals: Sendable {
    private(set) var sent: UInt64 = 0
    private(set) var deferred: UInt64 = 0
    private(set) var bounced: UInt64 = 0
    private(set) var expired: UInt64 = 0
    private(set) var uncertain: UInt64 = 0
    private(set) var suppressed: UInt64 = 0

    mutating func add(_ status: Note.Result.Status) {
        switch status {
        case .sent: sent += 1
        case .deferred: deferred += 1
        case .bounced: bounced += 1
        case .expired: expired += 1
        case .uncertain: uncertain += 1
        case .suppressed: suppressed += 1
        case .held, .cancelled: break
        }
    }

    var all: [(status: Note.Result.Status, count: UInt64)] {
        [
            (.sent, sent), (.deferred, deferred), (.bounced, bounced), (.expired, expired), (.uncertain, uncertain),
            (.suppressed, suppressed),
        ]
    }
}
