internal import Primitives

/// What this node has used of a day's limit, and how far a crash would count it.
///
/// The cluster record says `reserved`: this node goes no further before a higher number is on the disk, so after a crash
/// the record is at least what was used.
struct DayCount: Hashable, Sendable {
    /// Between two writes of a counter.
    static let writeInterval = Duration.seconds(3)
    /// A record that was handed over is taken for durable after so long, when nobody tells it.
    private static let durableAfter = Duration.seconds(1)

    /// The number of the day since 1970, in UTC; nil before the wall clock is known.
    private(set) var day: Int?
    private(set) var used = 0
    private var durable = 0
    private var pending: (value: Int, at: Instant)?
    private(set) var writtenAt: Instant?
    /// What an earlier process of this node left; part of `used`.
    private var inherited = 0

    mutating func begin(day: Int) {
        self = DayCount()
        self.day = day
    }

    /// This node's own record, as it is known now.
    mutating func recorded(_ value: Int) {
        if writtenAt == nil {
            let value = max(value, inherited)
            used += value - inherited
            inherited = value
            durable = max(durable, value)
        } else if let pending, value >= pending.value {
            durable = pending.value
            self.pending = nil
        }
    }

    /// How far this node may go by what is on the disk.
    mutating func reserved(at now: Instant) -> Int {
        if let waiting = pending, now - waiting.at >= DayCount.durableAfter {
            durable = waiting.value
            pending = nil
        }
        return durable
    }

    mutating func take(_ amount: Int) { used += amount }
    mutating func giveBack(_ amount: Int) { used = max(inherited, used - amount) }

    /// The next number to write, when it is time to.
    /// - Parameters:
    ///   - ahead: How much more is expected until some writes later; at least 1.
    ///   - allotment: This node's share: more is not reserved.
    mutating func toWrite(ahead: Int, allotment: Int, isIdle: Bool, at now: Instant) -> Int? {
        if let writtenAt, now - writtenAt < DayCount.writeInterval { return nil }
        let reserved = reserved(at: now)
        guard pending == nil else { return nil }
        let next = max(used, min(used + ahead, allotment))
        if next < reserved {
            // Given back only when nothing goes on: others could not use it anyway while this node lives.
            guard isIdle, reserved - next > ahead else { return nil }
            durable = next
        } else {
            guard next > reserved, used + (ahead + 1) / 2 > reserved else { return nil }
            pending = (next, now)
        }
        writtenAt = now
        return next
    }

    static func == (a: DayCount, b: DayCount) -> Bool {
        a.day == b.day && a.used == b.used && a.durable == b.durable && a.pending?.value == b.pending?.value
    }
    func hash(into hasher: inout Hasher) {
        hasher.combine(day)
        hasher.combine(used)
    }
}

/// Days of UTC by number since 1970-01-01.
enum UTCDay {
    private static let milliseconds: Int64 = 86_400_000

    static func number(of wall: WallTime) -> Int {
        Int((wall.milliseconds - (wall.milliseconds < 0 ? milliseconds - 1 : 0)) / milliseconds)
    }

    static func start(of day: Int) -> WallTime {
        let (product, overflow) = Int64(day).multipliedReportingOverflow(by: milliseconds)
        return WallTime(milliseconds: overflow ? (day < 0 ? .min : .max) : product)
    }
}
