/// A point on a clock that never steps and counts suspended time (`CLOCK_BOOTTIME`), in nanoseconds.
///
/// Leases, deadlines and schedules of the running process use it; it means nothing on another machine or after a boot.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static let distantFuture = Instant(nanoseconds: .max)

    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Saturates at both ends.
    package static func + (a: Instant, b: Duration) -> Instant {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.nanoseconds)
        return overflow ? (b.nanoseconds < 0 ? Instant(nanoseconds: .min) : .distantFuture) : Instant(nanoseconds: sum)
    }

    /// Saturates.
    package static func - (a: Instant, b: Instant) -> Duration {
        let (difference, overflow) = a.nanoseconds.subtractingReportingOverflow(b.nanoseconds)
        return .nanoseconds(overflow ? (a < b ? .min : .max) : difference)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z by the wall clock, which may step.
///
/// It stamps mail and retry schedules and decides nothing about ownership (`protocol.md`, 'Names').
package struct WallTime: Hashable, Comparable, Sendable {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (a: WallTime, b: WallTime) -> Bool { a.milliseconds < b.milliseconds }

    /// Saturates at both ends.
    package static func + (a: WallTime, b: Duration) -> WallTime {
        let (sum, overflow) = a.milliseconds.addingReportingOverflow(b.milliseconds)
        return WallTime(milliseconds: overflow ? (b.milliseconds < 0 ? .min : .max) : sum)
    }

    /// Saturates, so that a wall clock that jumped by centuries is only far away.
    package static func - (a: WallTime, b: WallTime) -> Duration {
        let (difference, overflow) = a.milliseconds.subtractingReportingOverflow(b.milliseconds)
        return .milliseconds(overflow ? (a < b ? .min : .max) : difference)
    }
}

/// Both clocks, read together after the event that they are used for.
package struct Now: Hashable, Sendable {
    package var instant: Instant
    package var wall: WallTime

    package init(instant: Instant, wall: WallTime) {
        self.instant = instant
        self.wall = wall
    }
}

extension Duration {
    /// Whole nanoseconds, saturating at ±292 years.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// Whole milliseconds, saturating.
    package var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, carried) = product.addingReportingOverflow(attoseconds / 1_000_000_000_000_000)
        return carried ? (seconds < 0 ? .min : .max) : sum
    }

    package var inSeconds: Double { Double(nanoseconds) / 1e9 }

    package static func minutes(_ count: Int64) -> Duration { .seconds(count * 60) }
    package static func hours(_ count: Int64) -> Duration { .seconds(count * 3600) }
    package static func days(_ count: Int64) -> Duration { .seconds(count * 86400) }
}

extension WallTime {
    /// The civil date and time in UTC of this instant (proleptic Gregorian calendar, years 0 to 9999; clamped beyond).
    package var civil: CivilTime {
        let clamped = min(max(milliseconds, -62_167_219_200_000), 253_402_300_799_999)
        let millisecond = Int(((clamped % 1000) + 1000) % 1000)
        let seconds = (clamped - Int64(millisecond)) / 1000
        var days = seconds / 86400
        var rest = seconds % 86400
        if rest < 0 {
            rest += 86400
            days -= 1
        }
        // Days to civil date (Howard Hinnant, 'chrono-Compatible Low-Level Date Algorithms', 2014).
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let m = (5 * dayOfYear + 2) / 153
        let month = m < 10 ? m + 3 : m - 9
        return CivilTime(
            year: Int(yearOfEra + era * 400 + (month <= 2 ? 1 : 0)), month: Int(month),
            day: Int(dayOfYear - (153 * m + 2) / 5 + 1),
            hour: Int(rest / 3600), minute: Int(rest % 3600 / 60), second: Int(rest % 60), millisecond: millisecond,
            weekday: Int(((days + 4) % 7 + 7) % 7))
    }

    /// `2026-11-24T12:04:31.123Z` (RFC 3339).
    package var rfc3339: String {
        var bytes: [UInt8] = []
        appendRFC3339(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The same as bytes: every log line begins with it.
    package func appendRFC3339(to bytes: inout [UInt8]) {
        let c = civil
        func append(_ value: Int, _ width: Int, _ end: UInt8) {
            var divisor = 1
            for _ in 1..<width { divisor *= 10 }
            while divisor > 0 {
                bytes.append(0x30 + UInt8(value / divisor % 10))
                divisor /= 10
            }
            bytes.append(end)
        }
        append(c.year, 4, 0x2d)
        append(c.month, 2, 0x2d)
        append(c.day, 2, 0x54)
        append(c.hour, 2, 0x3a)
        append(c.minute, 2, 0x3a)
        append(c.second, 2, 0x2e)
        append(c.millisecond, 3, 0x5a)
    }

    /// `12:04:31.123`, in UTC.
    package var clock: String {
        let c = civil
        return "\(padded(c.hour, 2)):\(padded(c.minute, 2)):\(padded(c.second, 2)).\(padded(c.millisecond, 3))"
    }

    /// `Tue, 24 Nov 2026 12:04:31 +0000` (RFC 5322 §3.3).
    package var rfc5322: String {
        let c = civil
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(days[c.weekday]), \(c.day) \(months[c.month - 1]) \(padded(c.year, 4)) "
            + "\(padded(c.hour, 2)):\(padded(c.minute, 2)):\(padded(c.second, 2)) +0000"
    }
}

/// A date and time of day in UTC. `weekday` is 0 for Sunday.
package struct CivilTime: Hashable, Sendable {
    package var year, month, day, hour, minute, second, millisecond, weekday: Int
}

private func padded(_ value: Int, _ width: Int) -> String {
    let digits = String(value)
    return digits.utf8.count >= width ? digits : String(repeating: "0", count: width - digits.utf8.count) + digits
}
