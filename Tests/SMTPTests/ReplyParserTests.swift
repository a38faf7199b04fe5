import Primitives
import Testing

@testable import SMTP

@Suite("Replies of a server")
struct ReplyParserTests {
    /// All replies in the bytes, fed in pieces, and the error that ended them.
    static func parse(_ bytes: [UInt8], cuts: [Int] = []) -> (replies: [Reply], error: ReplyParser.Malformed?) {
        var parser = ReplyParser()
        var replies: [Reply] = []
        let edges = [0] + cuts + [bytes.count]
        for (start, end) in zip(edges, edges.dropFirst()) {
            var piece = Array(bytes[start..<end])
            while !piece.isEmpty {
                do throws(ReplyParser.Malformed) {
                    let (consumed, reply) = try piece.withUnsafeBytes { bytes in
                        Result { () throws(ReplyParser.Malformed) in try parser.next(bytes) }
                    }.get()
                    #expect(consumed > 0 && consumed <= piece.count)
                    #expect(reply != nil || consumed == piece.count)
                    piece.removeFirst(consumed)
                    if let reply { replies.append(reply) }
                } catch {
                    return (replies, error)
                }
            }
        }
        return (replies, nil)
    }

    static let table: [(String, [Reply])] = [
        ("250 ok\r\n", [Reply(250, text: Array("ok".utf8))]),
        ("250 2.1.0 ok\r\n", [Reply(250, 2, 1, 0, "ok")]),
        ("250\r\n", [Reply(250, text: [])]),
        ("250 \r\n", [Reply(250, text: [])]),
        ("250 ok\n", [Reply(250, text: Array("ok".utf8))]),
        ("550 5.1.1\r\n", [Reply(550, 5, 1, 1, "")]),
        ("550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", [Reply(550, 5, 7, 1, "one\ntwo\nthree")]),
        ("550-5.7.1 one\r\n550 two\r\n", [Reply(550, 5, 7, 1, "one\ntwo")]),
        ("550-one\n550-\n550\n", [Reply(550, text: Array("one\n\n".utf8))]),
        ("571 no\r\n", [Reply(571, text: Array("no".utf8))]),
        // The class must be that of the reply (RFC 2034 §4); otherwise it is text.
        ("550 4.1.1 odd\r\n", [Reply(550, text: Array("4.1.1 odd".utf8))]),
        ("220 2.3.4.5 hello\r\n", [Reply(220, text: Array("2.3.4.5 hello".utf8))]),
        ("550 5.1234.1 x\r\n", [Reply(550, text: Array("5.1234.1 x".utf8))]),
        ("550 5.1.x\r\n", [Reply(550, text: Array("5.1.x".utf8))]),
        ("550 5..1 x\r\n", [Reply(550, text: Array("5..1 x".utf8))]),
        (
            "250 2.1.0 a\r\n250 2.1.5 b\r\n354 go\r\n",
            [Reply(250, 2, 1, 0, "a"), Reply(250, 2, 1, 5, "b"), Reply(354, text: Array("go".utf8))]
        ),
    ]

    @Test("are read, at every split", arguments: table)
    func valid(bytes: String, replies: [Reply]) {
        let bytes = Array(bytes.utf8)
        #expect(Self.parse(bytes).replies == replies)
        for first in 0...bytes.count {
            let result = Self.parse(bytes, cuts: [first])
            #expect(result.replies == replies && result.error == nil, "cut at \(first)")
        }
        #expect(Self.parse(bytes, cuts: Array(1..<bytes.count)).replies == replies)
    }

    @Test(
        "what isn't a reply breaks the session, at every split",
        arguments: [
            "HTTP/1.1 200 OK\r\n", "\r\n", "25\r\n", "2500 ok\r\n", "250_ok\r\n", " 250 ok\r\n", "650 ok\r\n",
            "150 ok\r\n",
            "25x ok\r\n", "250-ok\r\n550 no\r\n", "250-ok\r\nrubbish\r\n", "\u{0}\u{0}\n",
        ])
    func invalid(bytes: String) {
        let bytes = Array(bytes.utf8)
        let expected = Self.parse(bytes).error
        #expect(expected != nil)
        for first in 0...bytes.count {
            let result = Self.parse(bytes, cuts: [first])
            #expect(result.error == expected && result.replies.isEmpty, "cut at \(first)")
        }
    }

    @Test("a line or a reply beyond the bounds breaks the session, at the bound")
    func bounds() {
        func line(_ count: Int) -> [UInt8] {
            Array("250 ".utf8) + [UInt8](repeating: 0x78, count: count - 4) + [0x0d, 0x0a]
        }
        let longest = Self.parse(line(ReplyParser.maximumLine))
        #expect(longest.error == nil)
        #expect(longest.replies.first?.text.count == Reply.maximumText)
        #expect(Self.parse(line(ReplyParser.maximumLine + 1)).error == .lineTooLong)
        // Without an end, it is not kept for ever.
        #expect(Self.parse([UInt8](repeating: 0x32, count: 100_000)).error == .lineTooLong)
        #expect(
            Self.parse([UInt8](repeating: 0x32, count: 100_000), cuts: Array(stride(from: 7, to: 99_999, by: 7))).error
                == .lineTooLong)

        func reply(_ lines: Int) -> [UInt8] {
            Array((String(repeating: "250-x\r\n", count: lines - 1) + "250 x\r\n").utf8)
        }
        #expect(Self.parse(reply(ReplyParser.maximumLines)).replies.count == 1)
        #expect(Self.parse(reply(ReplyParser.maximumLines + 1)).error == .tooManyLines)
    }

    @Test("the text of many long lines is kept up to its bound")
    func longText() {
        let line = "250-" + String(repeating: "y", count: 900) + "\r\n"
        let result = Self.parse(Array((line + line + line + line + "250 end\r\n250 next\r\n").utf8))
        #expect(result.replies.map(\.text.count) == [Reply.maximumText, 4])
    }

    @Test("random bytes end in replies or an error, the same at any split")
    func random() {
        var random = SeededRandom(seed: 11)
        let alphabet = Array("2459 05-.\r\n\nx\u{0}".utf8)
        for _ in 0..<5000 {
            let bytes = (0..<Int.random(in: 0...60, using: &random)).map { _ in
                random.chance(0.02)
                    ? UInt8.random(in: 0...255, using: &random) : alphabet.randomElement(using: &random)!
            }
            let whole = Self.parse(bytes)
            let cuts = (0..<5).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
            let pieces = Self.parse(bytes, cuts: cuts)
            #expect(whole.replies == pieces.replies && whole.error == pieces.error)
            for reply in whole.replies { #expect((200...599).contains(reply.code)) }
        }
    }
}
