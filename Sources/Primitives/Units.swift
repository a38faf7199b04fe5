/// A size in bytes.
package struct ByteCount: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    package var bytes: UInt64

    package init(bytes: UInt64) { self.bytes = bytes }
    package init(integerLiteral value: UInt64) { bytes = value }

    package static func kibibytes(_ count: UInt64) -> ByteCount { ByteCount(bytes: count << 10) }
    package static func mebibytes(_ count: UInt64) -> ByteCount { ByteCount(bytes: count << 20) }
    package static func gibibytes(_ count: UInt64) -> ByteCount { ByteCount(bytes: count << 30) }

    package static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }

    /// `4.1 KiB`: two significant digits below ten, whole numbers above.
    package var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1023.5, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let tenths = (value * 10).rounded()
        if tenths < 100 {
            return "\(Int(tenths) / 10).\(Int(tenths) % 10) \(units[unit])"
        }
        return "\(Int(value.rounded())) \(units[unit])"
    }

    /// Reads `50MiB`, `512 KiB`, `10MB`, `1000`; nil when it is not a size or does not fit.
    package init?(text: String) {
        guard let (number, unit) = splitNumber(text), number >= 0 else { return nil }
        let factors: [String: Double] = [
            "": 1, "b": 1, "kib": 1024, "mib": 1_048_576, "gib": 1_073_741_824, "tib": 1_099_511_627_776,
            "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
        ]
        guard let factor = factors[unit.lowercased()], number * factor < 9e18 else { return nil }
        bytes = UInt64(number * factor)
    }
}

extension Duration {
    /// Reads `250ms`, `2s`, `1m`, `1.5h`, `3d`, `1h30m`; nil when it is not a duration or does not fit.
    package init?(text: String) {
        let factors: [String: Double] = ["ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604_800]
        var rest = Substring(text.filter { $0 != " " })
        var total = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let number = Double(digits), let factor = factors[String(unit)] else { return nil }
            total += number * factor
        }
        guard total < 9e9 else { return nil }
        self = .nanoseconds(Int64((total * 1e9).rounded()))
    }

    /// The two largest units: `9d 02h`, `3h 12m`, `2m 05s`, `4.1 s`, `88 ms`.
    package var short: String {
        let seconds = inSeconds
        if seconds < 0 { return "-" + (Duration.zero - self).short }
        // The limits are where rounding would reach the next unit.
        if seconds < 0.001 { return "\(nanoseconds / 1000) µs" }
        if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
        if seconds < 59.95 {
            let tenths = Int((seconds * 10).rounded())
            return "\(tenths / 10).\(tenths % 10) s"
        }
        let whole = Int(max(60, seconds))
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        if whole < 3600 { return "\(whole / 60)m \(two(whole % 60))s" }
        if whole < 86400 { return "\(whole / 3600)h \(two(whole % 3600 / 60))m" }
        return "\(whole / 86400)d \(two(whole % 86400 / 3600))h"
    }
}

/// How many of something in a period: `50/s`, `30/m`, `10000/d`, `50 messages/s`.
package struct Rate: Hashable, Sendable {
    package enum Counted: Hashable, Sendable { case recipients, messages }

    package var count: Double
    package var period: Duration
    package var counted: Counted

    package var perSecond: Double { count / period.inSeconds }

    /// Recipients are counted unless the text says `messages`; nil when it is not a rate above zero.
    package init?(text: String) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, let (number, unit) = splitNumber(String(halves[0])), number > 0,
            number.isFinite
        else { return nil }
        switch unit {
        case "", "recipients": counted = .recipients
        case "messages": counted = .messages
        default: return nil
        }
        let periods: [String: Duration] = ["s": .seconds(1), "m": .minutes(1), "h": .hours(1), "d": .days(1)]
        guard let period = periods[String(halves[1].filter { $0 != " " })] else { return nil }
        count = number
        self.period = period
    }
}

/// `12.5 MiB` → (12.5, "MiB"). A comma is refused: it parts thousands for some and decimals for others.
private func splitNumber(_ text: String) -> (Double, String)? {
    let compact = text.filter { $0 != " " && $0 != "_" }
    let digits = compact.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits) else { return nil }
    return (number, String(compact.dropFirst(digits.count)))
}
