package import Primitives

/// When something ends, as people write it: `7d` from now, `2026-12-01`, `2026-12-01T12:00Z`, or a time as answers have it.
package enum TimeText {
    package static let expectation =
        "a duration such as 7d, a date such as 2026-12-01, or a time such as 2026-12-01T12:00Z"

    /// Nil for anything else, and for what is over already.
    package static func end(_ text: String, from now: WallTime) -> WallTime? {
        let end = Duration(text: text).map { now + $0 } ?? time(text)
        return end.flatMap { $0 > now ? $0 : nil }
    }

    private static func time(_ text: String) -> WallTime? {
        let whole =
            switch text.utf8.count {
            case 10: text + "T00:00:00.000Z"
            case 17: "\(text.dropLast()):00.000Z"
            case 20: "\(text.dropLast()).000Z"
            default: text
            }
        guard text.utf8.count == 10 || text.hasSuffix("Z") else { return nil }
        return WallTime(rfc3339: whole)
    }
}
