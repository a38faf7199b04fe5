/// Cuts a server's replies out of the bytes that arrive (RFC 5321 §4.2), one `Reply` at a time.
///
/// The bytes come from a stranger. Lenient where servers in the field are sloppy and nothing hangs on it: a bare LF ends
/// a line too, `250` may stand without a text, any second digit is taken (`571` is common). Strict where guessing could
/// put a reply to the wrong command: whatever isn't a reply line breaks the session, and so does a line or a reply
/// beyond the bounds. After an error the parser is of no further use.
package struct ReplyParser: Sendable {
    /// RFC 5321 §4.5.3.1.5 says 512; servers that put a URL into it say more.
    package static let maximumLine = 4096
    package static let maximumLines = 128

    package enum Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        case lineTooLong, tooManyLines
        /// The beginning of the line that isn't one of a reply.
        case notAReply([UInt8])
        /// A line with another code than the first line of the same reply.
        case codesDiffer(Int, Int)

        package var description: String {
            switch self {
            case .lineTooLong: "a reply line longer than \(ReplyParser.maximumLine) bytes"
            case .tooManyLines: "a reply of more than \(ReplyParser.maximumLines) lines"
            case .notAReply(let line): "not an SMTP reply: '\(String(decoding: line.map(printable), as: UTF8.self))'"
            case .codesDiffer(let first, let other): "a reply with two codes, \(first) and \(other)"
            }
        }
    }

    /// The beginning of a line whose end has not arrived.
    private var partial: [UInt8] = []
    /// Of the lines of the present reply so far; 0 before its first.
    private var code = 0
    private var lines = 0
    private var enhanced: EnhancedCode?
    private var text: [UInt8] = []

    package init() {}

    /// Whether it stands between two replies, with nothing half read.
    package var isBetweenReplies: Bool { code == 0 && partial.isEmpty }

    /// Reads up to the end of one reply, or all of `bytes` when they hold no end. Call again with the rest until the
    /// reply is nil.
    package mutating func next(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> (consumed: Int, reply: Reply?) {
        var start = 0
        while let end = Self.lineEnd(in: bytes, from: start) {
            let isLast: Bool
            if partial.isEmpty {
                isLast = try take(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            } else {
                try keep(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                let line = partial
                partial.removeAll(keepingCapacity: true)
                isLast = try line.withUnsafeBytes { bytes in Result { () throws(Malformed) in try take(bytes) } }.get()
            }
            start = end + 1
            if isLast { return (start, finish()) }
        }
        try keep(UnsafeRawBufferPointer(rebasing: bytes[start...]))
        return (bytes.count, nil)
    }

    private static func lineEnd(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            if bytes[index] == 0x0a { return index }
            index += 1
        }
        return nil
    }

    private mutating func keep(_ piece: UnsafeRawBufferPointer) throws(Malformed) {
        guard partial.count + piece.count <= Self.maximumLine else { throw .lineTooLong }
        partial.append(contentsOf: piece)
    }

    /// Takes one line, without its LF; true when it is the reply's last.
    private mutating func take(_ bytes: UnsafeRawBufferPointer) throws(Malformed) -> Bool {
        var end = bytes.count
        if end > 0, bytes[end - 1] == 0x0d { end -= 1 }
        guard end <= Self.maximumLine else { throw .lineTooLong }
        guard lines < Self.maximumLines else { throw .tooManyLines }
        guard end >= 3, (0x32...0x35).contains(bytes[0]), isDigit(bytes[1]), isDigit(bytes[2]),
            end == 3 || bytes[3] == 0x20 || bytes[3] == 0x2d
        else { throw .notAReply(Array(bytes.prefix(min(end, 60)))) }
        let here = Int(bytes[0] - 0x30) * 100 + Int(bytes[1] - 0x30) * 10 + Int(bytes[2] - 0x30)
        guard code == 0 || code == here else { throw .codesDiffer(code, here) }
        code = here
        addText(UnsafeRawBufferPointer(rebasing: bytes[min(4, end)..<end]))
        lines += 1
        return end == 3 || bytes[3] == 0x20
    }

    /// Adds a line's text; an enhanced code in front (RFC 2034 §4: on every line) goes to its own field.
    private mutating func addText(_ line: UnsafeRawBufferPointer) {
        var words = line
        if let (found, length) = Self.enhancedCode(line), Int(found.class) == code / 100 {
            if lines == 0 { enhanced = found }
            if found == enhanced { words = UnsafeRawBufferPointer(rebasing: line[min(length + 1, line.count)...]) }
        }
        if lines > 0, text.count < Reply.maximumText { text.append(0x0a) }
        text.append(contentsOf: words.prefix(Reply.maximumText - text.count))
    }

    private mutating func finish() -> Reply {
        let reply = Reply(code, enhanced, text: text)
        code = 0
        lines = 0
        enhanced = nil
        text = []
        return reply
    }

    /// The enhanced code that begins a text, and its length. It tells most texts from one by their first two bytes.
    private static func enhancedCode(_ line: UnsafeRawBufferPointer) -> (EnhancedCode, length: Int)? {
        guard line.count >= 5, line[1] == 0x2e, line[0] == 0x32 || line[0] == 0x34 || line[0] == 0x35 else {
            return nil
        }
        var numbers: (UInt16, UInt16) = (0, 0)
        var index = 2
        for isDetail in [false, true] {
            var value: UInt16 = 0
            let start = index
            while index < line.count, index - start < 3, isDigit(line[index]) {
                value = value * 10 + UInt16(line[index] - 0x30)
                index += 1
            }
            guard index > start else { return nil }
            if isDetail {
                numbers.1 = value
                guard index == line.count || line[index] == 0x20 || line[index] == 0x09 else { return nil }
            } else {
                numbers.0 = value
                guard index < line.count, line[index] == 0x2e else { return nil }
                index += 1
            }
        }
        return (EnhancedCode(line[0] - 0x30, numbers.0, numbers.1), index)
    }
}

private func printable(_ byte: UInt8) -> UInt8 { (0x20..<0x7f).contains(byte) ? byte : 0x3f }
