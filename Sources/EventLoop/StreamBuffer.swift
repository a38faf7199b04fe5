internal import Glibc

/// Bytes that wait to be read or sent, in one contiguous piece of memory that is lent by the loop's pool only while
/// there are any: an idle connection holds none.
package struct StreamBuffer: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private var start = 0
    private var end = 0

    init() {}

    deinit { free(base) }

    package var count: Int { end - start }
    package var isEmpty: Bool { end == start }
    /// The memory that it holds, in bytes.
    var room: Int { capacity }

    /// The bytes that wait, oldest first. The pointer is valid within the call only, and the buffer must not be changed in it.
    package func withUnreadBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0 + start) }, count: end - start))
    }

    /// Lets go of the oldest `count` bytes.
    package mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= end - start, "consumes more than there is")
        start += count
        if start == end {
            start = 0
            end = 0
        }
    }

    package mutating func consumeAll() { consume(end - start) }
}

extension StreamBuffer {
    /// Room behind the bytes that wait: at least `minimum`, but all there is.
    mutating func reserve(_ minimum: Int, from pool: BufferPool) -> UnsafeMutableRawBufferPointer {
        if capacity - end < minimum { makeRoom(minimum, pool) }
        return UnsafeMutableRawBufferPointer(start: base.map { $0 + end }, count: capacity - end)
    }

    /// `count` bytes were put where `reserve` said.
    mutating func filled(_ count: Int) {
        assert(count <= capacity - end)
        end += count
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, from pool: BufferPool) {
        guard let source = bytes.baseAddress else { return }
        reserve(bytes.count, from: pool).baseAddress?.copyMemory(from: source, byteCount: bytes.count)
        end += bytes.count
    }

    /// Drops what is left and gives the memory back.
    mutating func release(to pool: BufferPool) {
        if let base { pool.give(base, capacity: capacity) }
        base = nil
        capacity = 0
        start = 0
        end = 0
    }

    private mutating func makeRoom(_ minimum: Int, _ pool: BufferPool) {
        let held = end - start
        if let base, start > 0, capacity - held >= max(minimum, held) {
            memmove(base, base + start, held)
        } else if base == nil, minimum <= BufferPool.pieceSize {
            base = pool.take()
            capacity = BufferPool.pieceSize
        } else {
            let size = max((held + minimum).roundedUpToPowerOfTwo, capacity * 2)
            let larger = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
            if let base {
                memcpy(larger, base + start, held)
                pool.give(base, capacity: capacity)
            }
            base = larger
            capacity = size
        }
        start = 0
        end = held
    }
}

extension Int {
    var roundedUpToPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}

/// The memory that a loop lends to its connections.
final class BufferPool {
    static let pieceSize = 16 << 10
    /// How many pieces are kept for the next one; more are freed.
    static let keptPieces = 256

    private var pieces: [UnsafeMutableRawPointer] = []

    deinit { for piece in pieces { free(piece) } }

    func take() -> UnsafeMutableRawPointer {
        pieces.popLast() ?? UnsafeMutableRawPointer.allocate(byteCount: Self.pieceSize, alignment: 16)
    }

    func give(_ piece: UnsafeMutableRawPointer, capacity: Int) {
        if capacity == Self.pieceSize, pieces.count < Self.keptPieces {
            pieces.append(piece)
        } else {
            free(piece)
        }
    }
}
