import Primitives
import Testing

@Suite("Clocks")
struct TimeTests {
    @Test(
        "known dates",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 1 Jan 1970 00:00:00 +0000"),
            (-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 +0000"),
            (-86_400_000, "1969-12-31T00:00:00.000Z", "Wed, 31 Dec 1969 00:00:00 +0000"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z", "Wed, 1 Mar 2000 00:00:00 +0000"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z", "Thu, 29 Feb 2024 23:59:59 +0000"),
            (1_795_521_871_123, "2026-11-24T12:04:31.123Z", "Tue, 24 Nov 2026 12:04:31 +0000"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z", "Mon, 1 Mar 2100 00:00:00 +0000"),
            (4_107_456_000_000, "2100-02-28T00:00:00.000Z", "Sun, 28 Feb 2100 00:00:00 +0000"),
            (-2_203_891_200_001, "1900-02-28T23:59:59.999Z", "Wed, 28 Feb 1900 23:59:59 +0000"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z", "Sat, 1 Jan 0000 00:00:00 +0000"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"),
            (Int64.min, "0000-01-01T00:00:00.000Z", "Sat, 1 Jan 0000 00:00:00 +0000"),
            (Int64.max, "9999-12-31T23:59:59.999Z", "Fri, 31 Dec 9999 23:59:59 +0000"),
        ] as [(Int64, String, String)])
    func knownDates(milliseconds: Int64, rfc3339: String, rfc5322: String) {
        let time = WallTime(milliseconds: milliseconds)
        #expect(time.rfc3339 == rfc3339)
        #expect(time.rfc5322 == rfc5322)
        #expect(time.clock == rfc3339.dropFirst(11).dropLast())
    }

    @Test("each day of four centuries follows the one before it")
    func everyDay() {
        var expected = WallTime(milliseconds: -5_364_748_800_000).civil
        #expect(expected.year == 1799 && expected.month == 12 && expected.day == 31 && expected.weekday == 2)
        // 1800-01-01 was a Wednesday.
        var time = WallTime(milliseconds: -5_364_662_400_000)
        for _ in 0..<146_097 {
            let isLeap = expected.year % 4 == 0 && (expected.year % 100 != 0 || expected.year % 400 == 0)
            let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            expected.day += 1
            expected.weekday = (expected.weekday + 1) % 7
            if expected.day > lengths[expected.month - 1] {
                expected.day = 1
                expected.month += 1
            }
            if expected.month > 12 {
                expected.month = 1
                expected.year += 1
            }
            guard time.civil == expected else {
                Issue.record("\(time.civil) is not \(expected)")
                return
            }
            time = time + .days(1)
        }
    }

    @Test("arithmetic saturates")
    func saturation() {
        let far = WallTime(milliseconds: .max)
        let past = WallTime(milliseconds: .min)
        #expect(far + .seconds(1) == far && past + .seconds(-1) == past)
        #expect(far - past == .milliseconds(Int64.max) && past - far == .milliseconds(Int64.min))
        #expect(far - past > WallTime(milliseconds: 1 << 62) - WallTime(milliseconds: 0))
        #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: .min) + .seconds(-1) == Instant(nanoseconds: .min))
        #expect((Instant.distantFuture - Instant(nanoseconds: -5)).nanoseconds == .max)
        #expect((Instant(nanoseconds: .min) - Instant(nanoseconds: 5)).nanoseconds == .min)
        for seconds in [Int64.max / 1000, Int64.max / 1000 + 1, .max, .min] {
            let duration = Duration(secondsComponent: seconds, attosecondsComponent: 0) + .milliseconds(999)
            #expect(duration.milliseconds.signum() == seconds.signum())
            #expect(duration.nanoseconds == (seconds < 0 ? .min : .max))
        }
        #expect(Duration.milliseconds(-1500).milliseconds == -1500 && Duration.nanoseconds(-7).nanoseconds == -7)
    }
}
