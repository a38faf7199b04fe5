package import Primitives

extension [UInt8] {
    /// Appends ASCII text that is known when we compile.
    mutating func append(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Appends `Tue, 24 Nov 2026 12:04:31 +0000` (RFC 5322 §3.3): what `WallTime.rfc5322` says, without its strings, since
    /// each message has one.
    package mutating func appendDate(_ time: WallTime) {
        let civil = time.civil
        append(weekday(civil.weekday))
        append(", ")
        appendNumber(civil.day, width: 1)
        append(monthName(civil.month))
        appendNumber(civil.year, width: 4)
        append(" ")
        appendNumber(civil.hour, width: 2)
        append(":")
        appendNumber(civil.minute, width: 2)
        append(":")
        appendNumber(civil.second, width: 2)
        append(" +0000")
    }

    private mutating func appendNumber(_ number: Int, width: Int) {
        if number >= 10 || width > 1 { appendNumber(number / 10, width: width - 1) }
        append(UInt8(truncatingIfNeeded: number % 10) + 0x30)
    }
}

private func weekday(_ number: Int) -> StaticString {
    switch number {
    case 0: "Sun"
    case 1: "Mon"
    case 2: "Tue"
    case 3: "Wed"
    case 4: "Thu"
    case 5: "Fri"
    default: "Sat"
    }
}

private func monthName(_ number: Int) -> StaticString {
    switch number {
    case 1: " Jan "
    case 2: " Feb "
    case 3: " Mar "
    case 4: " Apr "
    case 5: " May "
    case 6: " Jun "
    case 7: " Jul "
    case 8: " Aug "
    case 9: " Sep "
    case 10: " Oct "
    case 11: " Nov "
    default: " Dec "
    }
}
