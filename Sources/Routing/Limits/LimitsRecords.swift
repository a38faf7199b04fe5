package import Primitives

/// What outlives processes: the counts of the day and the first days of warm-up plans, as cluster records.
///
/// `count/LIMIT/DAY/NODE`: how far that node may have counted, written by it alone. `warmup/SCOPE`: the plan's first day;
/// of two nodes that write it at once, either will do.
extension Limits {
    /// Counters of so many limits are kept, of so many nodes each; beyond, the limit is held by shares alone.
    private static let maximumCounters = 4096
    private static let maximumWriters = 256

    /// Cluster records `count/…` and `warmup/…`. After each is stored, `recordChanged` should tell this node's own too.
    package mutating func recordsToWrite(at now: Now) -> [(key: String, value: [UInt8], expiry: WallTime)] {
        observe(now)
        if firstSeen == nil { firstSeen = now.instant }
        var records: [(key: String, value: [UInt8], expiry: WallTime)] = []
        for index in limiters.indices where limiters[index].kind == .day {
            guard let day = limiters[index].count.day else { continue }
            let limiter = limiters[index]
            let rate = limiter.usage.rate(at: now.instant)
            let part = max(1, limiter.total / 200 / max(1, known))
            let waiting = max(limiter.lastDue, limiter.need)
            let soon = max(Int(min(rate * 10, 1e9)), waiting)
            // What a crash wastes is at most a twentieth of the limit, or one large transaction.
            let ahead = max(part, min(soon, max(10, limiter.total / 20)), limiter.need)
            let value = limiters[index].count.toWrite(
                ahead: ahead, allotment: max(limiter.share, limiter.count.used), isIdle: waiting == 0, at: now.instant)
            guard let value, value > 0 else { continue }
            var writer = ByteWriter()
            writer.writeVariable(UInt64(value))
            records.append(("count/\(limiter.key)/\(day)/\(me)", writer.bytes, UTCDay.start(of: day + 2)))
        }
        records += warmupsToWrite(at: now)
        return records
    }

    /// A cluster record changed, by any node, or is there at start-up; nil when it was removed.
    package mutating func recordChanged(key: String, value: [UInt8]?, at now: Now) {
        observe(now)
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        var number: Int?
        if let value {
            var reader = ByteReader(value)
            number = (try? reader.readVariable()).map { Int(min($0, UInt64(LimitsFormat.highestNumber))) }
            guard number != nil else { return }
        }
        if parts.count >= 4, parts[0] == "count", let day = Int(parts[parts.count - 2]) {
            let limit = parts[1..<parts.count - 2].joined(separator: "/")
            count(of: limit, day, String(parts[parts.count - 1]), number, at: now.instant)
        } else if parts.count >= 2, parts[0] == "warmup" {
            let scope = parts[1...].joined(separator: "/")
            guard let known = scopes.first(where: { $0.name == scope && $0.warmup != nil }) else { return }
            warmupStarts[known.name] = number
            planWarmups(at: now.instant)
        }
    }

    private mutating func count(of limit: String, _ day: Int, _ node: String, _ value: Int?, at now: Instant) {
        guard let today = clock?.day, abs(day.clampedToDays - today) <= 2 else { return }
        guard counts[limit] != nil || counts.count < Limits.maximumCounters else { return }
        let isNewWriter = counts[limit]?[day]?[node] == nil
        guard !isNewWriter || (counts[limit]?[day]?.count ?? 0) < Limits.maximumWriters else { return }
        if value == nil, isNewWriter { return }
        counts[limit, default: [:]][day, default: [:]][node] = value
        guard let index = limiterOfKey[limit], limiters[index].kind == .day else { return }
        limiters[index].elsewhere = countedElsewhere(limit)
        if node == me, let value, limiters[index].count.day == day {
            limiters[index].count.recorded(value)
            // What an earlier process used is no longer left to lend itself.
            if limiters[index].count.writtenAt == nil { dayBases[index] = nil }
        }
        applyShare(index, at: now)
    }

    /// What other nodes' records say of today.
    func countedElsewhere(_ limit: String) -> Int {
        guard let today = clock?.day, let writers = counts[limit]?[today] else { return 0 }
        return writers.reduce(0) { $1.key == me ? $0 : $0 + $1.value }
    }

    // MARK: Days

    var dayEnd: Instant? {
        clock.map { clock in
            let end = UTCDay.start(of: clock.day + 1).milliseconds
            return Instant(nanoseconds: 0) + .milliseconds(end.subtractingReportingOverflow(clock.offset).partialValue)
        }
    }

    /// The wall clock, by which days turn.
    mutating func observe(_ now: Now) {
        let offset = now.wall.milliseconds.subtractingReportingOverflow(now.instant.nanoseconds / 1_000_000)
            .partialValue
        let day = UTCDay.number(of: now.wall)
        guard let clock else {
            self.clock = (offset, day)
            beginDay(at: now.instant)
            return
        }
        // A clock that is set back by a little must not begin yesterday anew.
        let isTurned = day > clock.day || day < clock.day - 1
        self.clock = (offset, isTurned ? day : clock.day)
        if isTurned { beginDay(at: now.instant) }
    }

    mutating func turnDay(at now: Instant) {
        guard let clock, let dayEnd, now >= dayEnd else { return }
        observe(
            Now(
                instant: now,
                wall: WallTime(milliseconds: now.nanoseconds / 1_000_000) + .milliseconds(clock.offset)))
    }

    private mutating func beginDay(at now: Instant) {
        guard let today = clock?.day else { return }
        dayBases = [:]
        for (limit, days) in counts { counts[limit] = days.filter { abs($0.key - today) <= 2 } }
        counts = counts.filter { !$0.value.isEmpty }
        for index in limiters.indices where limiters[index].kind == .day {
            limiters[index].count.begin(day: today)
            limiters[index].elsewhere = countedElsewhere(limiters[index].key)
            if let value = counts[limiters[index].key]?[today]?[me] { limiters[index].count.recorded(value) }
        }
        planWarmups(at: now)
        review(at: now)
    }

    // MARK: Warm-up

    private mutating func warmupsToWrite(at now: Now) -> [(key: String, value: [UInt8], expiry: WallTime)] {
        // Others' records come before this node's mail; a moment more, and it is the first.
        guard let clock, let firstSeen, now.instant - firstSeen >= .seconds(10) else { return [] }
        var records: [(key: String, value: [UInt8], expiry: WallTime)] = []
        for scope in scopes where scope.warmup.map({ $0.plan.since == nil }) ?? false {
            guard warmupStarts[scope.name] == nil, warmupsWritten.insert(scope.name).inserted else { continue }
            var writer = ByteWriter()
            writer.writeVariable(UInt64(max(0, clock.day)))
            records.append(("warmup/\(scope.name)", writer.bytes, now.wall + .days(36_500)))
        }
        return records
    }

    private mutating func planWarmups(at now: Instant) {
        guard let today = clock?.day else { return }
        for scope in scopes {
            guard let (limiter, plan) = scope.warmup else { continue }
            let first = plan.since.map { UTCDay.number(of: $0) } ?? warmupStarts[scope.name] ?? today
            limiters[limiter].limit = plan.limit(onDay: today - first)
            applyShare(limiter, at: now)
        }
    }
}

extension Int {
    /// No day is so far away that its difference to another overflows.
    fileprivate var clampedToDays: Int { Swift.min(Swift.max(self, -10_000_000), 10_000_000) }
}
