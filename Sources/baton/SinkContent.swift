internal import CLinux
internal import Glibc
internal import Primitives

/// A message on its way into `baton sink`: finds its end, digests it, and reads the number that `baton send` gave it.
///
/// The digest covers the wire form from `X-Baton-Number` (or, without one, from the body) to the end, because relays put their
/// own lines above. Memory stays bounded for any size, unless the message is to be kept.
struct SinkContent {
    private(set) var checksum = CRC32C()
    /// Bytes digested.
    private(set) var size = 0
    /// `run-number`, empty when there is none.
    private(set) var number: [UInt8] = []
    /// Microseconds since 1970 of the first try, from `X-Baton-Sent`.
    private(set) var sentAt: Int64 = 0
    /// The whole message in wire form, when it is to be kept.
    private(set) var kept: [UInt8] = []
    private let keeps: Bool
    private var isInHeader = true
    /// The two bytes before what comes next: a dot ends the message only behind CRLF, which also stands before the first.
    private var last: (UInt8, UInt8) = (0x0d, 0x0a)
    private static let headerLimit = 64 << 10

    init(keeps: Bool) { self.keeps = keeps }

    /// Takes what it can of the bytes; complete once the final dot was among them.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> (taken: Int, isComplete: Bool) {
        let (end, isComplete) = findEnd(bytes)
        let content = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        if isInHeader {
            // Whole headers are looked at; what is missing of them comes again with the rest.
            guard let start = readHeader(content, isLast: isComplete) else { return (0, false) }
            isInHeader = false
            keep(content)
            digest(UnsafeRawBufferPointer(rebasing: content[start...]))
        } else {
            keep(content)
            digest(content)
        }
        if end >= 2 { last = (bytes[end - 2], bytes[end - 1]) } else if end == 1 { last = (last.1, bytes[0]) }
        return (isComplete ? end + 3 : end, isComplete)
    }

    /// Where the content ends in these bytes, or as far as it is certain that no final dot stands.
    private func findEnd(_ bytes: UnsafeRawBufferPointer) -> (Int, Bool) {
        guard let base = bytes.baseAddress else { return (0, false) }
        var from = 0
        while from < bytes.count, let found = memchr(base + from, 0x2e, bytes.count - from) {
            let dot = UnsafeRawPointer(found) - base
            from = dot + 1
            let before = dot >= 1 ? bytes[dot - 1] : last.1
            let beforeThat = dot >= 2 ? bytes[dot - 2] : dot == 1 ? last.1 : last.0
            guard before == 0x0a, beforeThat == 0x0d else { continue }
            if dot + 2 >= bytes.count {
                if dot + 1 < bytes.count, bytes[dot + 1] != 0x0d { continue }
                return (dot, false)
            }
            if bytes[dot + 1] == 0x0d, bytes[dot + 2] == 0x0a { return (dot, true) }
        }
        return (bytes.count, false)
    }

    /// Where the digest begins, or nil when more of the header has to come first.
    private mutating func readHeader(_ bytes: UnsafeRawBufferPointer, isLast: Bool) -> Int? {
        var line = 0
        var start: Int?
        while line < bytes.count {
            guard let newline = bytes[line...].firstIndex(of: 0x0a) else { break }
            let next = newline + 1
            if newline - line <= 1 { return start ?? next }
            if let value = SinkContent.value(of: "x-baton-number:", bytes, line, next) {
                number = Array(value)
                start = line
            } else if let value = SinkContent.value(of: "x-baton-sent:", bytes, line, next) {
                sentAt = value.reduce(0) { ($0 &* 10) &+ Int64($1) &- 0x30 }
            }
            line = next
        }
        return isLast || bytes.count > SinkContent.headerLimit ? start ?? 0 : nil
    }

    private static func value(
        of name: StaticString, _ bytes: UnsafeRawBufferPointer, _ line: Int, _ end: Int
    ) -> Slice<UnsafeRawBufferPointer>? {
        let length = name.utf8CodeUnitCount
        guard end - line > length else { return nil }
        for index in 0..<length where bytes[line + index] | 0x20 != name.utf8Start[index] | 0x20 { return nil }
        var first = line + length
        while first < end, bytes[first] == 0x20 { first += 1 }
        var last = end
        while last > first, bytes[last - 1] <= 0x20 { last -= 1 }
        return bytes[first..<last]
    }

    private mutating func digest(_ bytes: UnsafeRawBufferPointer) {
        checksum.update(bytes.bytes)
        size += bytes.count
    }

    private mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        if keeps { kept.append(contentsOf: bytes) }
    }
}
