/// Appends numbers (little-endian), variable-length numbers and byte strings to an array.
package struct ByteWriter: Sendable {
    package var bytes: [UInt8]

    package init(reserving capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package mutating func write<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// LEB128, 1 to 10 bytes.
    package mutating func writeVariable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    package mutating func write(_ id: ULID) {
        write(id.high)
        write(id.low)
    }

    /// The length, then the bytes.
    package mutating func writeString(_ value: some Collection<UInt8>) {
        writeVariable(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func writeString(_ value: String) { writeString(value.utf8) }

    /// One tagged field: tag, length, bytes. Readers keep the tags that they do not know.
    package mutating func writeField(_ tag: UInt64, _ value: some Collection<UInt8>) {
        writeVariable(tag)
        writeString(value)
    }
}

/// The bytes end early, or a length in them is out of range.
package struct MalformedBytes: Error, Hashable, Sendable {
    package var reason: String
    package init(_ reason: String) { self.reason = reason }
}

/// Reads what `ByteWriter` wrote from untrusted bytes: never traps, throws `MalformedBytes`.
package struct ByteReader: Sendable {
    package let bytes: [UInt8]
    package private(set) var position: Int
    package let end: Int

    package init(_ bytes: [UInt8]) { self.init(bytes, in: 0..<bytes.count) }

    package init(_ bytes: [UInt8], in range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
        self.bytes = bytes
        position = range.lowerBound
        end = range.upperBound
    }

    package var isAtEnd: Bool { position == end }
    package var remaining: Int { end - position }

    package mutating func read<T: FixedWidthInteger>(_ type: T.Type = T.self) throws(MalformedBytes) -> T {
        let size = MemoryLayout<T>.size
        guard remaining >= size else { throw MalformedBytes("ends within a number") }
        var value: T = 0
        for index in 0..<size {
            value |= T(truncatingIfNeeded: bytes[position + index]) << T(truncatingIfNeeded: index * 8)
        }
        position += size
        return value
    }

    package mutating func readVariable() throws(MalformedBytes) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard position < end else { throw MalformedBytes("ends within a number") }
            let byte = bytes[position]
            position += 1
            guard shift < 63 || (shift == 63 && byte <= 1) else { throw MalformedBytes("a number is too long") }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
    }

    package mutating func readULID() throws(MalformedBytes) -> ULID {
        ULID(high: try read(), low: try read())
    }

    /// A length and so many bytes; the range of the bytes in `self.bytes`.
    package mutating func readStringRange() throws(MalformedBytes) -> Range<Int> {
        let count = try readVariable()
        guard count <= UInt64(remaining) else { throw MalformedBytes("a length is beyond the end") }
        let range = position..<position + Int(count)
        position = range.upperBound
        return range
    }

    package mutating func readBytes() throws(MalformedBytes) -> [UInt8] {
        let range = try readStringRange()
        return range.isEmpty ? [] : Array(bytes[range])
    }

    /// UTF-8; invalid sequences are replaced.
    package mutating func readText() throws(MalformedBytes) -> String {
        String(decoding: bytes[try readStringRange()], as: UTF8.self)
    }
}
