import Primitives
import Testing

@Suite("Units as text")
struct UnitsTests {
    @Test(
        "durations",
        arguments: [
            ("250ms", .milliseconds(250)), ("2s", .seconds(2)), ("1m", .seconds(60)), ("1.5h", .seconds(5400)),
            ("3d", .seconds(259_200)), ("1h30m", .seconds(5400)), ("1w", .seconds(604_800)), ("0s", .zero),
            ("2 s", .seconds(2)), ("0.29s", .milliseconds(290)), ("1m 5s 20ms", .milliseconds(65_020)),
            ("", nil), ("5", nil), ("s", nil), ("-1s", nil), ("1x", nil), ("1.2.3s", nil), ("1h30", nil), ("1e3s", nil),
            ("٣s", nil), ("1M", nil), ("99999999999d", nil), ("inf", nil), ("nan s", nil), ("1,5s", nil), ("1s;", nil),
        ] as [(String, Duration?)])
    func durations(text: String, expected: Duration?) { #expect(Duration(text: text) == expected) }

    @Test("a duration of any length of digits is refused, not trapped")
    func longDigits() {
        let digits = String(repeating: "9", count: 500)
        #expect(
            Duration(text: digits + "s") == nil && ByteCount(text: digits) == nil && Rate(text: digits + "/s") == nil)
    }

    @Test(
        "sizes",
        arguments: [
            ("50MiB", 52_428_800), ("512 KiB", 524_288), ("10MB", 10_000_000), ("1000", 1000),
            ("1.5GiB", 1_610_612_736),
            ("2tib", 2_199_023_255_552), ("0", 0), ("7b", 7), ("1_000", 1000), ("", nil), ("MiB", nil), ("-1", nil),
            ("1XB", nil), ("1.5.5MB", nil), ("9000000TiB", nil), ("1,5MiB", nil), ("1 M", nil),
        ] as [(String, UInt64?)])
    func sizes(text: String, expected: UInt64?) { #expect(ByteCount(text: text)?.bytes == expected) }

    @Test(
        "rates",
        arguments: [
            ("50/s", 50, .recipients), ("30/m", 0.5, .recipients), ("86400/d", 1, .recipients),
            ("7200/h", 2, .recipients), ("50 messages/s", 50, .messages), ("50messages/ s", 50, .messages),
            ("10 recipients/s", 10, .recipients), ("0.5/s", 0.5, .recipients), ("0/s", nil, .messages),
            ("-1/s", nil, .messages), ("50", nil, .messages), ("50/", nil, .messages), ("/s", nil, .messages),
            ("50/s/s", nil, .messages), ("50/w", nil, .messages), ("50 mails/s", nil, .messages),
            ("10,000/d", nil, .messages),
        ] as [(String, Double?, Rate.Counted)])
    func rates(text: String, perSecond: Double?, counted: Rate.Counted) {
        let rate = Rate(text: text)
        #expect(rate?.perSecond == perSecond)
        if perSecond != nil { #expect(rate?.counted == counted) }
    }

    @Test(
        "sizes for people",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (4198, "4.1 KiB"), (10_239, "10 KiB"),
            (52_428_800, "50 MiB"),
            (1_048_575, "1.0 MiB"), (UInt64.max, "16384 PiB"),
        ] as [(UInt64, String)])
    func sizesShown(bytes: UInt64, expected: String) { #expect(ByteCount(bytes: bytes).description == expected) }

    @Test(
        "durations for people",
        arguments: [
            (.zero, "0 µs"), (.microseconds(999), "999 µs"), (.milliseconds(88), "88 ms"),
            (.microseconds(999_600), "1.0 s"), (.milliseconds(4100), "4.1 s"), (.milliseconds(59_960), "1m 00s"),
            (.seconds(125), "2m 05s"), (.seconds(3599), "59m 59s"), (.seconds(11_520), "3h 12m"),
            (.hours(218), "9d 02h"),
            (.seconds(-5), "-5.0 s"), (.nanoseconds(Int64.min), "-106751d 23h"),
        ] as [(Duration, String)])
    func durationsShown(duration: Duration, expected: String) { #expect(duration.short == expected) }
}
