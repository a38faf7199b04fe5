/// Lines of a message in the making, in dot-stuffed wire form. Whatever goes in, what comes out has lines that end with
/// CRLF, none longer than `maximumLine`, and no control byte but TAB.
struct ReportText {
    /// RFC 5322 §2.1.1 allows 998; one is left for the dot.
    static let maximumLine = 990
    /// Text and fields are broken here when there is a blank.
    static let width = 78

    private(set) var bytes: [UInt8] = []

    /// A line of our own words around an address (or another piece of UTF-8 from outside).
    mutating func line(_ before: String, _ address: [UInt8] = [], _ after: String = "") {
        var line: [UInt8] = []
        Self.append(before.utf8, keepingUTF8: false, limit: 200, to: &line)
        Self.append(address, keepingUTF8: true, limit: 700, to: &line)
        Self.append(after.utf8, keepingUTF8: false, limit: 80, to: &line)
        end(line[...])
    }

    /// Text of any origin, broken at blanks.
    mutating func paragraph(_ text: String, indent: Int = 0) {
        let blanks = [UInt8](repeating: 0x20, count: indent)
        broken(text, first: blanks, rest: blanks)
    }

    /// A header field of any origin, folded at blanks.
    mutating func field(_ name: String, _ value: String) {
        broken(value, first: Array("\(name): ".utf8), rest: Array("    ".utf8))
    }

    /// Bytes that are in wire form already.
    mutating func append(wire: [UInt8]) { bytes.append(contentsOf: wire) }

    private mutating func broken(_ text: String, first: [UInt8], rest: [UInt8]) {
        var line = first
        var isEmpty = true
        for word in text.utf8.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d }) {
            if !isEmpty, line.count + 1 + word.count > Self.width {
                end(line[...])
                line = rest
                isEmpty = true
            }
            if !isEmpty { line.append(0x20) }
            Self.append(word, keepingUTF8: false, limit: Self.maximumLine - rest.count - first.count, to: &line)
            isEmpty = false
        }
        end(line[...])
    }

    private mutating func end(_ line: ArraySlice<UInt8>) {
        if line.first == 0x2e { bytes.append(0x2e) }
        bytes.append(contentsOf: line)
        bytes.append(text: "\r\n")
    }

    /// Appends with `?` for each byte that must not stand in a message, and cuts at the limit, between characters.
    static func append(
        _ piece: some Collection<UInt8>, keepingUTF8: Bool, limit: Int, to line: inout [UInt8]
    ) {
        let start = line.count
        for byte in piece {
            switch byte {
            case 0x09, 0x20..<0x7f: line.append(byte)
            case 0x80...: line.append(keepingUTF8 ? byte : 0x3f)
            default: line.append(0x3f)
            }
        }
        guard line.count - start > limit else { return }
        var end = start + limit
        while end > start, line[end] & 0xc0 == 0x80 { end -= 1 }
        line.removeSubrange(end...)
    }
}
