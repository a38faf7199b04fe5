import Foundation
import Primitives
import Testing

@Suite("Log lines")
struct LogLineTests {
    private let wall = WallTime(milliseconds: 1_795_521_871_123)

    private func text(_ value: [UInt8]) -> String {
        var line = LogLine("accepted", at: wall, format: .text)
        line.add("k", value)
        return String(decoding: line.finish(), as: UTF8.self)
    }

    @Test("a line of each format")
    func formats() {
        for format in [LogLine.Format.text, .json] {
            var line = LogLine("accepted", at: wall, format: format)
            line.add("id", ULID(high: 0, low: 1))
            line.add("size", 4096)
            line.add("from", "a@example.com")
            line.add("reply", "250 2.0.0 Ok")
            line.add("empty", "")
            let expected =
                format == .text
                ? "2026-11-24T12:04:31.123Z accepted id=00000000000000000000000001 size=4096 from=a@example.com "
                    + "reply=\"250 2.0.0 Ok\" empty=\"\"\n"
                : #"{"time":"2026-11-24T12:04:31.123Z","event":"accepted","id":"00000000000000000000000001","#
                    + #""size":4096,"from":"a@example.com","reply":"250 2.0.0 Ok","empty":""}"# + "\n"
            #expect(String(decoding: line.finish(), as: UTF8.self) == expected)
        }
    }

    @Test(
        "what a peer sent can neither forge a line or a field nor move the cursor",
        arguments: [
            ("a\r\n2026 accepted", #""a\r\n2026 accepted""#), ("a b", #""a b""#), ("a=b", #""a=b""#),
            (#"say "hi""#, #""say \"hi\"""#), (#"a\b"#, #""a\\b""#), ("\t", #""\t""#), ("\u{1b}[2J", #""\u001b[2J""#),
            ("\u{0}", #""\u0000""#), ("\u{7f}", #""\u007f""#), ("\u{9b}2J", #""\u009b2J""#),
            ("a\u{85}b", #""a\u0085b""#),
            ("a\u{2028}b", #""a\u2028b""#), ("\u{202e}moc", #""\u202emoc""#), ("пошта", "\"пошта\""),
            ("plain!", "plain!"),
        ])
    func escapes(value: String, expected: String) {
        #expect(text(Array(value.utf8)) == "2026-11-24T12:04:31.123Z accepted k=" + expected + "\n")
    }

    @Test("bytes that are not UTF-8 are repaired")
    func invalidUTF8() {
        #expect(text([0x9b, 0x32, 0x4a]).hasSuffix("k=\"\u{fffd}2J\"\n"))
        #expect(text([0x61, 0xc3]).hasSuffix("k=\"a\u{fffd}\"\n"))
    }

    @Test("any bytes make one line, and in JSON one object that holds them")
    func anyBytes() throws {
        var random = SeededRandom(seed: 3)
        for _ in 0..<1000 {
            let value = (0..<Int.random(in: 0..<30, using: &random)).map { _ in
                random.chance(0.5) ? UInt8(truncatingIfNeeded: random.next()) : UInt8.random(in: 0..<48, using: &random)
            }
            var line = LogLine("e", at: wall, format: .json)
            line.add("k", value)
            line.add("n", -5)
            let bytes = line.finish()
            let object = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
            #expect(object["k"] as? String == String(decoding: value, as: UTF8.self) && object["n"] as? Int == -5)
            for line in [bytes, Array(text(value).utf8)] {
                #expect(line.firstIndex { $0 < 0x20 || $0 == 0x7f } == line.count - 1)
            }
        }
    }
}
