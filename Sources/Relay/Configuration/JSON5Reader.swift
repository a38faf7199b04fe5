/// Reads JSON5 (spec.json5.org, 1.0.0) from bytes: comments, trailing commas, bare keys, single quotes, hexadecimal
/// numbers, line continuations. Two things are stricter: a key may stand only once in an object, and nesting ends at 64.
struct JSON5Reader {
    private static let maximumDepth = 64

    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var lineStart = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    static func read(_ bytes: [UInt8]) throws(JSON5Error) -> JSON5 {
        var reader = JSON5Reader(bytes)
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { reader.position = 3 }
        try reader.skipSpace()
        let value = try reader.readValue(depth: 0)
        try reader.skipSpace()
        if let byte = reader.peek {
            throw reader.error("expected the end of the file after the closing }, got \(reader.name(byte))")
        }
        return value
    }

    // MARK: Values

    private mutating func readValue(depth: Int) throws(JSON5Error) -> JSON5 {
        let place = self.place
        guard depth <= JSON5Reader.maximumDepth else { throw error("nested too deeply: at most 64 levels") }
        guard let byte = peek else { throw error("expected a value, got the end of the file") }
        switch byte {
        case UInt8(ascii: "{"): return JSON5(kind: .object(try readMembers(depth: depth)), place: place)
        case UInt8(ascii: "["): return JSON5(kind: .array(try readItems(depth: depth)), place: place)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return JSON5(kind: .string(try readString()), place: place)
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."), 0x30...0x39:
            return JSON5(kind: .number(try readNumber()), place: place)
        default: break
        }
        let start = position
        let word = readWord()
        switch word {
        case "null": return JSON5(kind: .null, place: place)
        case "true": return JSON5(kind: .boolean(true), place: place)
        case "false": return JSON5(kind: .boolean(false), place: place)
        case "Infinity": return JSON5(kind: .number(.infinity), place: place)
        case "NaN": return JSON5(kind: .number(.nan), place: place)
        default:
            position = start
            if word.isEmpty { throw error("expected a value, got \(name(byte))") }
            throw error("expected a value, got \(word); a text needs quotes: \"\(word)\"")
        }
    }

    private mutating func readMembers(depth: Int) throws(JSON5Error) -> [JSON5.Member] {
        let opened = line
        advance()
        var members: [JSON5.Member] = []
        while true {
            try skipSpace()
            guard let byte = peek else {
                throw error("expected } for the { of line \(opened), got the end of the file")
            }
            if byte == UInt8(ascii: "}") {
                advance()
                return members
            }
            let place = self.place
            let quoted = byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'")
            let key = quoted ? try readString() : readWord()
            guard quoted || !key.isEmpty else {
                throw error("expected a key or } (for the { of line \(opened)), got \(name(byte))")
            }
            if let first = members.first(where: { $0.key == key }) {
                throw JSON5Error(place: place, text: "\(key) stands twice: first in line \(first.place.line)")
            }
            try skipSpace()
            guard peek == UInt8(ascii: ":") else {
                throw error("expected : after \(key), got \(peek.map(name) ?? "the end")")
            }
            advance()
            try skipSpace()
            members.append(JSON5.Member(key: key, place: place, value: try readValue(depth: depth + 1)))
            try skipSpace()
            try readComma(or: UInt8(ascii: "}"), opened: opened)
        }
    }

    private mutating func readItems(depth: Int) throws(JSON5Error) -> [JSON5] {
        let opened = line
        advance()
        var items: [JSON5] = []
        while true {
            try skipSpace()
            if peek == UInt8(ascii: "]") {
                advance()
                return items
            }
            items.append(try readValue(depth: depth + 1))
            try skipSpace()
            try readComma(or: UInt8(ascii: "]"), opened: opened)
        }
    }

    /// Takes a comma; leaves the closing bracket for the caller.
    private mutating func readComma(or close: UInt8, opened: Int) throws(JSON5Error) {
        guard let byte = peek else {
            throw error("expected \(name(close)) (opened in line \(opened)), got the end of the file")
        }
        if byte == UInt8(ascii: ",") {
            advance()
        } else if byte != close {
            throw error("expected a comma or \(name(close)) (opened in line \(opened)), got \(name(byte))")
        }
    }

    private mutating func readNumber() throws(JSON5Error) -> Double {
        let start = position
        while let byte = peek, isNumberPart(byte) { advance() }
        var text = String(decoding: bytes[start..<position], as: UTF8.self)
        var sign = 1.0
        if text.hasPrefix("-") || text.hasPrefix("+") {
            if text.hasPrefix("-") { sign = -1 }
            text.removeFirst()
        }
        if text == "Infinity" { return sign * .infinity }
        if text == "NaN" { return .nan }
        if text.lowercased().hasPrefix("0x"), let value = UInt64(text.dropFirst(2), radix: 16) {
            return sign * Double(value)
        }
        let padded = (text.hasPrefix(".") ? "0" : "") + text + (text.hasSuffix(".") ? "0" : "")
        guard let value = Double(padded), padded.allSatisfy({ "0123456789.eE+-".contains($0) }) else {
            position = start
            throw error("expected a number, got \(text); a value with a unit needs quotes: \"\(text)\"")
        }
        return sign * value
    }

    private func isNumberPart(_ byte: UInt8) -> Bool {
        isWordPart(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
    }

    // MARK: Strings and words

    private mutating func readString() throws(JSON5Error) -> String {
        let quote = bytes[position]
        let opened = line
        advance()
        var text: [UInt8] = []
        while let byte = peek {
            advance()
            switch byte {
            case quote:
                guard let valid = String(validating: text, as: UTF8.self) else { throw error("the text is not UTF-8") }
                return valid
            case UInt8(ascii: "\\"): try readEscape(into: &text)
            case 0x0a, 0x0d:
                throw JSON5Error(
                    place: .init(line: opened, column: 1), text: "a text in quotes does not end in its line")
            default: text.append(byte)
            }
        }
        throw error("the text in quotes of line \(opened) does not end")
    }

    private mutating func readEscape(into text: inout [UInt8]) throws(JSON5Error) {
        guard let byte = peek else { throw error("the file ends within a text") }
        advance()
        switch byte {
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "v"): text.append(0x0b)
        case UInt8(ascii: "0"): text.append(0)
        case UInt8(ascii: "x"): append(try readHexadecimal(2), to: &text)
        case UInt8(ascii: "u"): append(try readUTF16(), to: &text)
        case 0x0a: startLine()
        case 0x0d:
            if peek == 0x0a { advance() }
            startLine()
        default: text.append(byte)
        }
    }

    private func append(_ code: UInt32, to text: inout [UInt8]) {
        text.append(contentsOf: String(Unicode.Scalar(code) ?? "\u{fffd}").utf8)
    }

    /// `\uXXXX`, and its second half when it is the first of a surrogate pair.
    private mutating func readUTF16() throws(JSON5Error) -> UInt32 {
        let first = try readHexadecimal(4)
        guard (0xd800..<0xdc00).contains(first), position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
            bytes[position + 1] == UInt8(ascii: "u")
        else { return first }
        position += 2
        let second = try readHexadecimal(4)
        guard (0xdc00..<0xe000).contains(second) else { return 0xfffd }
        return 0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)
    }

    private mutating func readHexadecimal(_ digits: Int) throws(JSON5Error) -> UInt32 {
        guard position + digits <= bytes.count,
            let value = UInt32(String(decoding: bytes[position..<position + digits], as: UTF8.self), radix: 16)
        else { throw error("expected \(digits) hexadecimal digits in an escape") }
        position += digits
        return value
    }

    private mutating func readWord() -> String {
        let start = position
        while let byte = peek, isWordPart(byte) { advance() }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private func isWordPart(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "$"), 0x80...: true
        default: false
        }
    }

    // MARK: Space and places

    private mutating func skipSpace() throws(JSON5Error) {
        while let byte = peek {
            switch byte {
            case 0x20, 0x09, 0x0b, 0x0c: advance()
            case 0x0d: advance()
            case 0x0a:
                advance()
                startLine()
            case 0xc2 where bytes[position...].starts(with: [0xc2, 0xa0]): position += 2
            case UInt8(ascii: "/"): try skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() throws(JSON5Error) {
        let opened = line
        let second = position + 1 < bytes.count ? bytes[position + 1] : 0
        if second == UInt8(ascii: "/") {
            while let byte = peek, byte != 0x0a { advance() }
            return
        }
        guard second == UInt8(ascii: "*") else { throw error("expected // or /* after a lone /") }
        position += 2
        while let byte = peek {
            advance()
            if byte == 0x0a { startLine() }
            if byte == UInt8(ascii: "*"), peek == UInt8(ascii: "/") {
                advance()
                return
            }
        }
        throw error("the comment that begins in line \(opened) does not end")
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }
    private mutating func advance() { position += 1 }
    private mutating func startLine() {
        line += 1
        lineStart = position
    }
    private var place: JSON5.Place { JSON5.Place(line: line, column: position - lineStart + 1) }
    private func error(_ text: String) -> JSON5Error { JSON5Error(place: place, text: text) }
    private func name(_ byte: UInt8) -> String {
        byte > 0x20 && byte < 0x7f ? String(UnicodeScalar(byte)) : "the byte 0x\(String(byte, radix: 16))"
    }
}
