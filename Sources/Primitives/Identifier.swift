/// 128 bits that sort by creation time: 48 bits of milliseconds, then 80 bits of chance (the ULID specification).
package struct ULID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var high: UInt64
    package var low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    package static let zero = ULID(high: 0, low: 0)

    package static func < (a: ULID, b: ULID) -> Bool { a.high == b.high ? a.low < b.low : a.high < b.high }

    /// The wall time at which it was made, as its maker saw it.
    package var time: WallTime { WallTime(milliseconds: Int64(high >> 16)) }

    /// 26 characters of Crockford's base 32.
    package var description: String {
        String(unsafeUninitializedCapacity: 26) { buffer in
            for index in 0..<26 { buffer[index] = character(index) }
            return 26
        }
    }

    /// Appends the 26 characters.
    package func append(to bytes: inout [UInt8]) {
        for index in 0..<26 { bytes.append(character(index)) }
    }

    private func character(_ index: Int) -> UInt8 {
        // 26 characters of 5 bits are 130: the first holds only the top 3.
        let shift = (25 - index) * 5
        let value: UInt64
        if shift >= 64 {
            value = high >> UInt64(shift - 64)
        } else if shift > 59 {
            value = (high << UInt64(64 - shift)) | (low >> UInt64(shift))
        } else {
            value = low >> UInt64(shift)
        }
        return crockfordDigit(UInt8(truncatingIfNeeded: value & 31))
    }

    /// Reads 26 characters, upper or lower case; nil for anything else.
    package init?(text: some StringProtocol) {
        guard text.utf8.count == 26, let range = ULID.range(prefix: text) else { return nil }
        self = range.lowerBound
    }

    /// Every id that begins with these 1 to 26 characters; nil when one is not of the alphabet.
    package static func range(prefix: some StringProtocol) -> ClosedRange<ULID>? {
        let characters = Array(prefix.utf8)
        guard (1...26).contains(characters.count) else { return nil }
        var first = ULID.zero
        var last = ULID.zero
        for index in 0..<26 {
            var value: UInt8? = nil
            if index < characters.count {
                guard let digit = crockfordValue(characters[index]) else { return nil }
                value = digit
            }
            if index == 0, let value, value > 7 { return nil }
            first.shiftIn(UInt64(value ?? 0))
            last.shiftIn(UInt64(value ?? (index == 0 ? 7 : 31)))
        }
        return first...last
    }

    private mutating func shiftIn(_ digit: UInt64) {
        high = (high << 5) | (low >> 59)
        low = (low << 5) | digit
    }

    /// The next larger id (wraps around after the largest).
    package var successor: ULID {
        low == .max ? ULID(high: high &+ 1, low: 0) : ULID(high: high, low: low + 1)
    }
}

/// The alphabet leaves out I, L, O and U. Arithmetic, because a global table costs a check of its initialization each time.
@inline(__always)
private func crockfordDigit(_ value: UInt8) -> UInt8 {
    switch value {
    case ..<10: 0x30 + value
    case ..<18: 0x41 + value - 10
    case ..<20: 0x4a + value - 18
    case ..<22: 0x4d + value - 20
    case ..<27: 0x50 + value - 22
    default: 0x56 + value - 27
    }
}

private func crockfordValue(_ byte: UInt8) -> UInt8? {
    let upper = byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte
    return (0..<32).first { crockfordDigit($0) == upper }
}

/// Makes ids that only increase, whatever the wall clock does. Chance comes from the caller's seed.
package struct ULIDGenerator: Sendable {
    private var random: SeededRandom
    private var last = ULID.zero
    private var isRaised = false

    package init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// Never repeats or goes back below `floor`, such as the highest id found on the disk.
    package mutating func raise(to floor: ULID) {
        guard floor > last else { return }
        last = floor
        isRaised = true
    }

    package mutating func next(at wall: WallTime) -> ULID {
        let milliseconds = UInt64(max(0, min(wall.milliseconds, (1 << 48) - 1)))
        let fresh = ULID(high: milliseconds << 16 | random.next() >> 48, low: random.next())
        let floor = last.high >> 16
        if milliseconds > floor {
            last = fresh
        } else if isRaised, floor < (1 << 48) - 1 {
            // The successor of what is on the disk may have been given out by the process before, which wrote nothing of it.
            last = ULID(high: (floor + 1) << 16 | fresh.high & 0xffff, low: fresh.low)
        } else {
            last = last.successor
        }
        isRaised = false
        return last
    }
}

/// A message's id, fixed when it is accepted, unique in the cluster (`queue.md`).
package struct MessageID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var ulid: ULID
    package init(_ ulid: ULID) { self.ulid = ulid }
    package static func < (a: MessageID, b: MessageID) -> Bool { a.ulid < b.ulid }
    package var description: String { ulid.description }
}

/// A journal's id; tables show its last four characters.
package struct JournalID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var ulid: ULID
    package init(_ ulid: ULID) { self.ulid = ulid }
    package static func < (a: JournalID, b: JournalID) -> Bool { a.ulid < b.ulid }
    package var description: String { ulid.description }
    package var short: String { String(ulid.description.suffix(4)) }
}

/// 128 random bits written with a data directory; a wiped node has others (`protocol.md`, 'Names').
package struct DiskID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var bits: ULID
    package init(_ bits: ULID) { self.bits = bits }
    package static func < (a: DiskID, b: DiskID) -> Bool { a.bits < b.bits }
    package var description: String { bits.description }
}

/// One disk of one node: what a replica set is made of.
package struct ReplicaID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var node: String
    package var disk: DiskID
    package init(node: String, disk: DiskID) {
        self.node = node
        self.disk = disk
    }
    package static func < (a: ReplicaID, b: ReplicaID) -> Bool { a.node == b.node ? a.disk < b.disk : a.node < b.node }
    package var description: String { node }
}
