import Primitives

/// Where an encoder puts bytes. Each record has one `write` that runs twice: once to count, once to copy into an array of
/// exactly that size. So a frame costs one allocation, lengths are known before what they measure, and the two can't differ.
protocol FieldSink {
    mutating func byte(_ value: UInt8)
    mutating func copy(_ bytes: UnsafeRawBufferPointer)
    mutating func fixed(_ value: UInt64)
    mutating func variable(_ value: UInt64)
}

/// Counts only.
struct CountingSink: FieldSink {
    private(set) var count = 0

    @inline(__always)
    mutating func byte(_ value: UInt8) { count += 1 }
    @inline(__always)
    mutating func copy(_ bytes: UnsafeRawBufferPointer) { count += bytes.count }
    @inline(__always)
    mutating func fixed(_ value: UInt64) { count += 8 }
    @inline(__always)
    mutating func variable(_ value: UInt64) {
        // 7 bits a byte, at least one.
        count += (64 - (value | 1).leadingZeroBitCount + 6) / 7
    }
}

/// Copies into memory that the counting pass measured.
struct CopyingSink: FieldSink {
    private let buffer: UnsafeMutableRawBufferPointer
    private(set) var position: Int

    init(_ buffer: UnsafeMutableRawBufferPointer, from position: Int) {
        self.buffer = buffer
        self.position = position
    }

    @inline(__always)
    mutating func byte(_ value: UInt8) {
        precondition(position < buffer.count)
        buffer[position] = value
        position += 1
    }

    @inline(__always)
    mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, let target = buffer.baseAddress, bytes.count > 0 else { return }
        precondition(bytes.count <= buffer.count - position)
        (target + position).copyMemory(from: source, byteCount: bytes.count)
        position += bytes.count
    }

    @inline(__always)
    mutating func fixed(_ value: UInt64) {
        precondition(buffer.count - position >= 8)
        buffer.storeBytes(of: value.littleEndian, toByteOffset: position, as: UInt64.self)
        position += 8
    }

    @inline(__always)
    mutating func variable(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            byte(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        byte(UInt8(truncatingIfNeeded: rest))
    }
}

extension FieldSink {
    @inline(__always)
    mutating func id(_ ulid: ULID) {
        fixed(ulid.high)
        fixed(ulid.low)
    }

    @inline(__always)
    mutating func time(_ time: WallTime) { fixed(UInt64(bitPattern: time.milliseconds)) }

    @inline(__always)
    mutating func string(_ bytes: [UInt8]) {
        variable(UInt64(bytes.count))
        bytes.withUnsafeBytes { copy($0) }
    }

    @inline(__always)
    mutating func string(_ text: String) {
        let utf8 = text.utf8
        variable(UInt64(utf8.count))
        let copied: Void? = utf8.withContiguousStorageIfAvailable { copy(UnsafeRawBufferPointer($0)) }
        if copied == nil { for unit in utf8 { byte(unit) } }
    }

    @inline(__always)
    mutating func field(_ tag: UInt64, _ bytes: [UInt8]) {
        variable(tag)
        string(bytes)
    }

    /// Left out when empty.
    @inline(__always)
    mutating func optionalField(_ tag: UInt64, _ bytes: [UInt8]) {
        if !bytes.isEmpty { field(tag, bytes) }
    }

    /// Left out when empty.
    @inline(__always)
    mutating func optionalField(_ tag: UInt64, _ text: String) {
        if !text.isEmpty {
            variable(tag)
            string(text)
        }
    }

    /// Its presence is its meaning.
    @inline(__always)
    mutating func flag(_ tag: UInt64, _ isSet: Bool) {
        if isSet {
            variable(tag)
            variable(0)
        }
    }

    /// How many bytes a number takes as `variable`.
    @inline(__always)
    func length(_ value: UInt64) -> UInt64 {
        var sink = CountingSink()
        sink.variable(value)
        return UInt64(sink.count)
    }
}
