/// Transparency (RFC 5321 §4.5.2): a line that begins with a dot gets another one in front on the wire.
///
/// Each direction remembers only whether the next byte begins a line, so both take their input in any pieces.
package struct DotUnstuffer: Hashable, Sendable {
    // The last two bytes decide: a line begins at the start and after CRLF alone.
    private var last: UInt8 = 0x0a
    private var lastButOne: UInt8 = 0x0d

    package init() {}

    package mutating func append(_ stuffed: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        var from = 0
        for index in 0..<stuffed.count {
            let byte = stuffed[index]
            if byte == 0x2e, last == 0x0a, lastButOne == 0x0d {
                output.append(contentsOf: stuffed[from..<index])
                from = index + 1
            }
            lastButOne = last
            last = byte
        }
        output.append(contentsOf: stuffed[from...])
    }
}

/// Makes the wire form of generated content, which ends its lines with CRLF.
package struct DotStuffer: Hashable, Sendable {
    private var last: UInt8 = 0x0a
    private var lastButOne: UInt8 = 0x0d

    package init() {}

    package mutating func append(_ plain: UnsafeRawBufferPointer, to output: inout [UInt8]) {
        var from = 0
        for index in 0..<plain.count {
            let byte = plain[index]
            if byte == 0x2e, last == 0x0a, lastButOne == 0x0d {
                output.append(contentsOf: plain[from..<index])
                output.append(0x2e)
                from = index
            }
            lastButOne = last
            last = byte
        }
        output.append(contentsOf: plain[from...])
    }
}

/// Both directions for content that is whole in memory.
package enum DotStuffing {
    package static func unstuffed(_ content: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(content.count)
        var unstuffer = DotUnstuffer()
        content.withUnsafeBytes { unstuffer.append($0, to: &output) }
        return output
    }

    package static func stuffed(_ content: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(content.count + content.count / 64)
        var stuffer = DotStuffer()
        content.withUnsafeBytes { stuffer.append($0, to: &output) }
        return output
    }
}
