internal import Glibc

/// Counts in vectorised passes what would otherwise take a look at each byte: 16 bytes at a step.
struct ByteCensus {
    private(set) var carriageReturns = 0
    let hasNull: Bool
    let hasEightBit: Bool

    init(_ bytes: UnsafeRawBufferPointer) {
        typealias Vector = SIMD16<UInt8>
        let returns = Vector(repeating: 0x0d)
        var union = Vector(repeating: 0)
        var index = 0
        while bytes.count - index >= 16 {
            // A lane counts at most 255 before the counts are added up.
            let end = index + min(bytes.count - index, 255 * 16) / 16 * 16
            var counts = Vector(repeating: 0)
            while index < end {
                let block = bytes.loadUnaligned(fromByteOffset: index, as: Vector.self)
                counts.replace(with: counts &+ 1, where: block .== returns)
                union |= block
                index += 16
            }
            for lane in 0..<16 { carriageReturns += Int(counts[lane]) }
        }
        var rest: UInt8 = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x0d { carriageReturns += 1 }
            rest |= byte
            index += 1
        }
        for lane in 0..<16 { rest |= union[lane] }
        hasEightBit = rest >= 0x80
        hasNull = bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
    }
}
