import SMTP
import Testing

/// Feeds the pieces one after another, as reads would bring them.
struct Collected {
    var content: [UInt8] = []
    var summary: ContentSummary?
    /// What was not consumed: commands pipelined behind the message.
    var rest: [UInt8] = []

    var text: String { String(decoding: content, as: UTF8.self) }

    init(_ pieces: [ArraySlice<UInt8>], maximumSize: UInt64 = 1_000_000) {
        var collector = ContentCollector(maximumSize: maximumSize)
        for piece in pieces {
            if summary != nil {
                rest += piece
                continue
            }
            let (consumed, isComplete) = piece.withUnsafeBytes { collector.feed($0, into: &content) }
            precondition(isComplete || consumed == piece.count)
            if isComplete {
                summary = collector.result
                rest += piece.dropFirst(consumed)
            }
        }
    }

    init(_ text: String, maximumSize: UInt64 = 1_000_000) {
        self.init([Array(text.utf8)[...]], maximumSize: maximumSize)
    }

    var refusal: String? { summary?.refusal.map { "\($0.code) " + ($0.enhanced?.description ?? "") } }
}

/// All ways to cut a text in two, and into single bytes.
func cuts(_ text: String) -> [[ArraySlice<UInt8>]] {
    let bytes = Array(text.utf8)
    var all = (0...bytes.count).map { [bytes[..<$0], bytes[$0...]] }
    all.append(bytes.indices.map { bytes[$0..<$0 + 1] })
    return all
}

@Suite("The content of a message (RFC 5321 §4.1.1.4, §4.5.2)")
struct ContentCollectorTests {
    @Test(
        "the content is kept in wire form, without the final dot's line, however it is cut",
        arguments: [
            ("A: b\r\n\r\nbody\r\n.\r\n", "A: b\r\n\r\nbody\r\n", 14),
            // 'the first character of each line … if it is a period, one additional period is inserted'
            ("A: b\r\n\r\n..\r\n..x\r\n...\r\n.\r\n", "A: b\r\n\r\n..\r\n..x\r\n...\r\n", 19),
            // no content at all; an empty body; no header
            (".\r\n", "", 0),
            ("\r\n.\r\n", "\r\n", 2),
            ("A: b\r\n.\r\n", "A: b\r\n", 6),
            ("just words\r\n.\r\n", "just words\r\n", 12),
            // a dot that nobody stuffed is dropped by whoever unstuffs
            (".a\r\n.\r\n", ".a\r\n", 3),
            (".a\r\n. \r\n.\r\n", ".a\r\n. \r\n", 6),
            ("a.\r\n.\r\n", "a.\r\n", 4),
        ])
    func content(wire: String, kept: String, size: UInt64) {
        for pieces in cuts(wire) {
            let collected = Collected(pieces)
            #expect(collected.text == kept)
            #expect(collected.summary?.size == size)
            #expect(collected.summary?.refusal == nil)
            #expect(collected.rest.isEmpty)
        }
    }

    @Test("what follows the final dot is left for the next command")
    func rest() {
        for pieces in cuts("a: b\r\n.\r\nMAIL FROM:<a@b>\r\n") {
            let collected = Collected(pieces)
            #expect(collected.text == "a: b\r\n")
            #expect(String(decoding: collected.rest, as: UTF8.self) == "MAIL FROM:<a@b>\r\n")
        }
    }

    @Test(
        "no published smuggling sequence ends a message, and the message is refused at its true end",
        arguments: [
            "\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\n\0.\r\n", "\n\n.\n\n", "\r\n.\r\r\n",
            "\r\r\n.\r\r\n",
            "\n.\r", "\r.\n", "\r\n\r.\r\n", "\r\n\n.\r\n", "\r\n.\r.\r\n", "\r\n.\0\r\n", "\r\n\r.\n", "\n\r.\r\n",
        ])
    func smuggling(sequence: String) {
        let smuggled = "MAIL FROM:<evil@b>\r\n"
        for pieces in cuts("A: b\r\n\r\nx" + sequence + smuggled + "\r\n.\r\nQUIT\r\n") {
            let collected = Collected(pieces)
            #expect(String(decoding: collected.rest, as: UTF8.self) == "QUIT\r\n")
            let isNull = sequence.contains("\0")
            #expect(collected.refusal == (isNull ? "550 5.6.0" : "550 5.6.11"))
        }
    }

    @Test(
        "the same sequences right at the beginning and right before the end",
        arguments: ["\n.\n", "\n.\r\n", "\r.\r", ".\n", ".\r", "\n", "\r", "\0.\r\n", ".\r\r\n"])
    func smugglingAtTheEdges(sequence: String) {
        for wire in [sequence + "x\r\n.\r\nQUIT", "x\r\n" + sequence + "\r\n.\r\nQUIT", sequence + "\r\n.\r\nQUIT"] {
            for pieces in cuts(wire) {
                let collected = Collected(pieces)
                #expect(String(decoding: collected.rest, as: UTF8.self) == "QUIT", "\(wire.debugDescription)")
                #expect(collected.refusal?.hasPrefix("550 5.6") == true, "\(wire.debugDescription)")
            }
        }
    }

    @Test("a CR at the end of one read and an LF at the beginning of the next are a line's end")
    func cutLineEnd() {
        let collected = Collected([Array("a: b\r".utf8)[...], Array("\n.\r".utf8)[...], Array("\n".utf8)[...]])
        #expect(collected.text == "a: b\r\n")
        #expect(collected.summary?.refusal == nil)
    }

    @Test("lines have 998 octets at most, a stuffed dot not counted (§4.5.3.1.6)")
    func lineLength() {
        let longest = String(repeating: "x", count: 998)
        for line in [longest, "." + longest, ".." + longest.dropFirst()] {
            for pieces in cuts("\r\n" + line + "\r\n.\r\n").prefix(3) { #expect(Collected(pieces).refusal == nil) }
        }
        for line in ["x" + longest, "..x" + longest, longest + longest, "A: " + longest + longest] {
            for pieces in cuts("\r\n" + line + "\r\n.\r\n") { #expect(Collected(pieces).refusal == "550 5.6.0") }
        }
    }

    @Test("a message of the maximum size is taken; a larger one is read to its end, refused, and not kept")
    func size() {
        let wire = "\r\n..x\r\n..\r\n12\r\n.\r\n"  // 2 + 4 + 3 + 4
        for pieces in cuts(wire) {
            #expect(Collected(pieces, maximumSize: 13).refusal == nil)
            #expect(Collected(pieces, maximumSize: 12).refusal == "552 5.3.4")
        }
        var collector = ContentCollector(maximumSize: 1000)
        var content: [UInt8] = []
        let line = Array(repeating: UInt8(0x78), count: 98) + [13, 10]
        for _ in 0..<1000 { _ = line.withUnsafeBytes { collector.feed($0, into: &content) } }
        #expect(collector.isRefused)
        #expect(content.count <= 1003)
        let end = Array(".\r\n".utf8).withUnsafeBytes { collector.feed($0, into: &content) }
        #expect(end.isComplete)
        #expect(collector.result.size == 100_000)
        #expect(collector.result.refusal?.code == 552)
    }

    @Test("eight-bit bytes and NUL are noticed wherever they are")
    func bytes() {
        for length in 0..<70 {
            let padding = String(repeating: "x", count: length)
            #expect(Collected("\r\n\(padding)é\(padding)\r\n.\r\n").summary?.hasEightBit == true)
            #expect(Collected("\r\n\(padding)\r\n.\r\n").summary?.hasEightBit == false)
            #expect(Collected("\r\n\(padding)\0\(padding)\r\n.\r\n").refusal == "550 5.6.0")
            #expect(Collected("\r\n\(padding)\r\(padding)\r\n.\r\n").refusal == "550 5.6.11")
        }
    }

    @Test("bare CRs are counted right in a piece that is mostly CR")
    func manyReturns() {
        let returns = String(repeating: "\r\n", count: 10_000)
        #expect(Collected(returns + ".\r\n").summary?.refusal == nil)
        #expect(Collected(returns + "\r.\r\n\r\n.\r\n").refusal == "550 5.6.11")
    }

    @Test("random content over random cuts agrees with a plain reading of the rules")
    func random() {
        var random = SplitMix(state: 42)
        let alphabet = Array("\r\n.\r\n.ab:\r\n \r\n".utf8)
        for _ in 0..<20_000 {
            var bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                alphabet.randomElement(using: &random) ?? 0
            }
            bytes += Array("\r\n.\r\n".utf8)
            var pieces: [ArraySlice<UInt8>] = []
            var start = 0
            while start < bytes.count {
                let end = min(bytes.count, start + Int.random(in: 1..<12, using: &random))
                pieces.append(bytes[start..<end])
                start = end
            }
            let collected = Collected(pieces)
            let plain = PlainReading(bytes)
            #expect(collected.content == plain.content || plain.isBare)
            #expect(collected.rest == plain.rest)
            #expect((collected.refusal == "550 5.6.11") == plain.isBare)
            if collected.content != plain.content, !plain.isBare { break }
        }
    }
}

/// The rules, spelt out byte by byte.
private struct PlainReading {
    var content: [UInt8] = []
    var rest: [UInt8] = []
    var isBare = false

    init(_ bytes: [UInt8]) {
        var end = 0
        var lineStart = 0
        for index in bytes.indices {
            let isLineEnd = bytes[index] == 10 && index > lineStart && bytes[index - 1] == 13
            guard isLineEnd else { continue }
            if Array(bytes[lineStart...index]) == [0x2e, 13, 10] {
                end = index + 1
                break
            }
            lineStart = index + 1
        }
        content = Array(bytes[..<lineStart])
        rest = Array(bytes[end...])
        let taken = bytes[..<end]
        for index in taken.indices {
            if taken[index] == 10, index == 0 || taken[index - 1] != 13 { isBare = true }
            if taken[index] == 13, index + 1 == end || taken[index + 1] != 10 { isBare = true }
        }
    }
}
