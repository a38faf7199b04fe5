/// One log event as `key=value` pairs or as a JSON object, built as bytes (`outputs.md`, 'Log lines').
///
/// Control bytes are escaped, so that what a peer sent can neither forge a line nor move a terminal's cursor.
package struct LogLine: Sendable {
    package enum Format: String, Hashable, Sendable { case text, json }

    package private(set) var bytes: [UInt8]
    private let format: Format

    /// Begins a line for an event such as `accepted`, stamped in UTC.
    package init(_ event: StaticString, at wall: WallTime, format: Format) {
        self.format = format
        bytes = []
        bytes.reserveCapacity(384)
        let name = event.withUTF8Buffer { Array($0) }
        switch format {
        case .text:
            wall.appendRFC3339(to: &bytes)
            bytes.append(0x20)
            bytes.append(contentsOf: name)
        case .json:
            bytes.append(contentsOf: #"{"time":""#.utf8)
            wall.appendRFC3339(to: &bytes)
            bytes.append(contentsOf: #"","event":""#.utf8)
            bytes.append(contentsOf: name)
            bytes.append(0x22)
        }
    }

    // Not generic: unspecialised code across modules cost more than all the rest of a line.
    package mutating func add(_ key: StaticString, _ value: [UInt8]) {
        value.withUnsafeBytes { addBytes(key, $0) }
    }

    package mutating func add(_ key: StaticString, _ value: ArraySlice<UInt8>) {
        value.withUnsafeBytes { addBytes(key, $0) }
    }

    package mutating func add(_ key: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { addBytes(key, UnsafeRawBufferPointer($0)) }
    }

    package mutating func add(_ key: StaticString, _ value: Int) { addNumber(key, value) }
    package mutating func add(_ key: StaticString, _ value: Int64) { addNumber(key, Int(value)) }
    package mutating func add(_ key: StaticString, _ value: UInt16) { addNumber(key, Int(value)) }
    package mutating func add(_ key: StaticString, _ value: UInt32) { addNumber(key, Int(value)) }
    package mutating func add(_ key: StaticString, _ value: UInt64) { addNumber(key, Int(clamping: value)) }

    private mutating func addNumber(_ key: StaticString, _ value: Int) {
        beginField(key)
        var text = String(value)
        text.withUTF8 { bytes.append(contentsOf: $0) }
    }

    private mutating func addBytes(_ key: StaticString, _ value: UnsafeRawBufferPointer) {
        beginField(key)
        let isPlain =
            format == .text && !value.isEmpty
            && value.allSatisfy { LogLine.isPlain($0) && $0 != 0x20 && $0 != 0x3d }
        if isPlain {
            bytes.append(contentsOf: value)
        } else {
            appendQuoted(value)
        }
    }

    package mutating func add(_ key: StaticString, _ value: ULID) {
        beginField(key)
        if format == .json { bytes.append(0x22) }
        value.append(to: &bytes)
        if format == .json { bytes.append(0x22) }
    }

    /// Ends the line, with its newline.
    package consuming func finish() -> [UInt8] {
        if format == .json { bytes.append(0x7d) }
        bytes.append(0x0a)
        return bytes
    }

    private mutating func beginField(_ key: StaticString) {
        bytes.append(format == .text ? 0x20 : 0x2c)
        if format == .json { bytes.append(0x22) }
        key.withUTF8Buffer { bytes.append(contentsOf: $0) }
        if format == .json { bytes.append(0x22) }
        bytes.append(format == .text ? 0x3d : 0x3a)
    }

    /// Printable ASCII that needs no escape between quotes.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7f && byte != 0x22 && byte != 0x5c
    }

    private mutating func appendQuoted(_ value: UnsafeRawBufferPointer) {
        bytes.append(0x22)
        defer { bytes.append(0x22) }
        if value.allSatisfy({ LogLine.isPlain($0) }) { return bytes.append(contentsOf: value) }
        // What is not UTF-8 would make the whole line unreadable to JSON parsers: repair it first.
        for scalar in String(decoding: value, as: UTF8.self).unicodeScalars {
            switch scalar.value {
            case 0x22, 0x5c:
                bytes.append(0x5c)
                bytes.append(UInt8(scalar.value))
            case 0x0a: bytes.append(contentsOf: [0x5c, 0x6e])
            case 0x0d: bytes.append(contentsOf: [0x5c, 0x72])
            case 0x09: bytes.append(contentsOf: [0x5c, 0x74])
            case let value where LogLine.isControl(value):
                bytes.append(contentsOf: [0x5c, 0x75])
                for shift in [12, 8, 4, 0] as [UInt32] { bytes.append(hexadecimal[Int(value >> shift & 15)]) }
            default: bytes.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
            }
        }
    }

    /// What could move a terminal's cursor or reorder its line: C0 and C1 controls (0x9b begins an escape sequence), line and
    /// paragraph separators, and the marks of text direction.
    private static func isControl(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0..<0x20, 0x7f...0x9f, 0x061c, 0x200e, 0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}

private let hexadecimal = Array("0123456789abcdef".utf8)
