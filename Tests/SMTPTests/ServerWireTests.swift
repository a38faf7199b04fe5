import SMTP
import Testing

@Suite("Command lines and replies on the wire")
struct ServerWireTests {
    private func scan(_ text: String, from start: Int = 0) -> CommandLineScanner.Found {
        var scanner = CommandLineScanner()
        return Array(text.utf8).withUnsafeBytes { scanner.next(in: $0, from: start) }
    }

    @Test(
        "only CRLF ends a command line (RFC 5321 §2.3.8)",
        arguments: [
            ("NOOP\r\nRSET\r\n", CommandLineScanner.Found.line(0..<4, next: 6)),
            ("\r\n", .line(0..<0, next: 2)),
            ("NOOP\nRSET\r\n", .line(0..<9, next: 11)),
            ("NOOP\rRSET\r\n", .line(0..<9, next: 11)),
            ("NOOP\r\r\n", .line(0..<5, next: 7)),
            ("\nNOOP\r\n", .line(0..<5, next: 7)),
            ("NOOP\r", .incomplete(next: 0)),
            ("NOOP\rX", .incomplete(next: 0)),
            ("NOOP\nX", .incomplete(next: 0)),
            ("", .incomplete(next: 0)),
            ("NOOP\n", .bareLineFeed(next: 5)),
            ("\n", .bareLineFeed(next: 1)),
        ])
    func lines(text: String, found: CommandLineScanner.Found) { #expect(scan(text) == found) }

    @Test("the second line is found where the first one's `next` says")
    func second() {
        #expect(scan("NOOP\r\nRSET\r\n", from: 6) == .line(6..<10, next: 12))
        #expect(scan("NOOP\r\n\nX\r\n", from: 6) == .line(6..<8, next: 10))
        #expect(scan("NOOP\r\n", from: 6) == .incomplete(next: 6))
        #expect(scan("NOOP\r\n\n", from: 6) == .bareLineFeed(next: 7))
    }

    @Test("a line of 2048 octets is handed over; a longer one is thrown away to its CRLF, in whatever pieces it comes")
    func overlong() {
        let longest = String(repeating: "x", count: 2046) + "\r\n"
        #expect(scan(longest) == .line(0..<2046, next: 2048))
        #expect(scan("x" + longest) == .overlong(next: 2049))
        var scanner = CommandLineScanner()
        func next(_ text: String) -> CommandLineScanner.Found {
            Array(text.utf8).withUnsafeBytes { scanner.next(in: $0, from: 0) }
        }
        let piece = String(repeating: "x", count: 3000)
        #expect(next(piece) == .incomplete(next: 3000))
        #expect(next(piece + "\nMAIL FROM:<a@b>") == .incomplete(next: 3016))
        #expect(next(piece + "\r") == .incomplete(next: 3000))
        #expect(next("\r\nNOOP\r\n") == .overlong(next: 2))
        #expect(next("NOOP\r\n") == .line(0..<4, next: 6))
    }

    @Test("each line of a reply has the code and the enhanced code (RFC 5321 §4.2.1, RFC 2034 §4)")
    func format() {
        #expect(String(decoding: wire(Reply(250, 2, 1, 0, "Ok")), as: UTF8.self) == "250 2.1.0 Ok\r\n")
        #expect(
            String(decoding: wire(Reply(550, 5, 7, 1, "one\ntwo\n\nfour")), as: UTF8.self)
                == "550-5.7.1 one\r\n550-5.7.1 two\r\n550-5.7.1\r\n550 5.7.1 four\r\n")
        #expect(String(decoding: wire(Reply(354, text: Array("go".utf8))), as: UTF8.self) == "354 go\r\n")
        #expect(String(decoding: wire(Reply(250, text: [])), as: UTF8.self) == "250 \r\n")
        #expect(String(decoding: wire(Reply(451, 4, 3, 2, "")), as: UTF8.self) == "451 4.3.2\r\n")
        #expect(
            String(decoding: wire(Reply(550, EnhancedCode(5, 10, 123), text: [0x61])), as: UTF8.self)
                == "550 5.10.123 a\r\n")
    }

    @Test("no text forges a reply, and no line is longer than 512 octets (§4.5.3.1.5)")
    func hostile() {
        #expect(String(decoding: wire(Reply(550, 5, 0, 0, "a\r\r\tb\u{7f}")), as: UTF8.self) == "550 5.0.0 a???b?\r\n")
        let long = Reply(550, 5, 1, 1, String(repeating: "ü", count: 700))
        let lines = String(decoding: wire(long), as: UTF8.self).split(separator: "\r\n")
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { $0.utf8.count + 2 <= 512 && !$0.contains("\u{fffd}") })
        #expect(lines.dropLast().allSatisfy { $0.hasPrefix("550-5.1.1 ü") })
        #expect(lines.last?.hasPrefix("550 5.1.1 ü") == true)
    }
}
