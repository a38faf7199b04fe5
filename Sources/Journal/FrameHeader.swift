package import Primitives

/// The 32 bytes before each frame's body.
///
/// Little-endian: magic 4, format 1, kind 1, flags 2, epoch 8, body length 4, header CRC-32C 4, body CRC-32C 4, reserved 4.
/// Both checksums begin with the journal's id and the frame's offset, so that neither a stale frame of another place nor
/// content that imitates a frame ever passes. The header's covers all of the header but itself, the body's checksum
/// included, so that a body that was given back (zeros) still stands under a header that can be trusted.
package struct FrameHeader: Hashable, Sendable {
    package static let size = 32
    package static let maximumBody = 1 << 20
    package static let format: UInt8 = 1
    /// Begins with a byte that no UTF-8 text contains.
    static let magic: UInt32 = 0x4e54_42fb

    package var kind: UInt8
    /// Zero so far. A frame with flags set is of a newer version: kept, never understood.
    package var flags: UInt16 = 0
    package var epoch: UInt64
    package var bodyLength: Int
    package var headerChecksum: UInt32
    package var bodyChecksum: UInt32

    /// The whole frame's length.
    package var frameLength: Int { FrameHeader.size + bodyLength }

    /// What 32 bytes of a journal file are.
    package enum Parsed: Hashable, Sendable {
        case header(FrameHeader)
        /// All zeros: nothing was written here yet.
        case zeros
        /// The checksum holds, but this version cannot read what follows.
        case newerFormat(UInt8)
        /// Not a header of this journal at this offset.
        case bad
    }

    /// Reads the header at `index` of `bytes`, where the frame stands at `offset` in `journal`'s file.
    ///
    /// - Precondition: 32 bytes stand there.
    package static func parse(
        _ bytes: [UInt8], at index: Int = 0, journal: JournalID, offset: UInt64
    ) -> Parsed {
        precondition(index >= 0 && bytes.count - index >= size)
        return bytes.withUnsafeBytes { all in
            parse(UnsafeRawBufferPointer(rebasing: all[index..<index + size]), journal: journal, offset: offset)
        }
    }

    /// - Precondition: `bytes` holds at least 32.
    static func parse(_ bytes: UnsafeRawBufferPointer, journal: JournalID, offset: UInt64) -> Parsed {
        guard load(bytes, 0, UInt32.self) == magic else {
            return bytes.prefix(size).allSatisfy { $0 == 0 } ? .zeros : .bad
        }
        let checksum = load(bytes, 20, UInt32.self)
        guard headerChecksum(bytes, journal: journal, offset: offset) == checksum else { return .bad }
        guard bytes[4] == format else { return .newerFormat(bytes[4]) }
        let length = load(bytes, 16, UInt32.self)
        guard length <= maximumBody else { return .bad }
        return .header(
            FrameHeader(
                kind: bytes[5],
                // The reserved bytes count as flags: set by a newer version only.
                flags: load(bytes, 6, UInt16.self) | (load(bytes, 28, UInt32.self) == 0 ? 0 : 0x8000),
                epoch: load(bytes, 8, UInt64.self), bodyLength: Int(length), headerChecksum: checksum,
                bodyChecksum: load(bytes, 24, UInt32.self)))
    }

    /// Writes the header before a body that already stands behind it in `frame`.
    static func seal(
        _ frame: UnsafeMutableRawBufferPointer, kind: UInt8, epoch: UInt64, journal: JournalID, offset: UInt64
    ) {
        let body = UnsafeRawBufferPointer(rebasing: frame[size...])
        store(magic, frame, 0)
        store(format, frame, 4)
        store(kind, frame, 5)
        store(UInt16(0), frame, 6)
        store(epoch, frame, 8)
        store(UInt32(body.count), frame, 16)
        store(bodyChecksum(body, journal: journal, offset: offset), frame, 24)
        store(UInt32(0), frame, 28)
        let header = UnsafeRawBufferPointer(rebasing: frame[..<size])
        store(headerChecksum(header, journal: journal, offset: offset), frame, 20)
    }

    static func headerChecksum(_ header: UnsafeRawBufferPointer, journal: JournalID, offset: UInt64) -> UInt32 {
        var checksum = seeded(journal, offset)
        checksum.update(UnsafeRawBufferPointer(rebasing: header[..<20]).bytes)
        checksum.update(UnsafeRawBufferPointer(rebasing: header[24..<size]).bytes)
        return checksum.value
    }

    /// Of the body of the frame at `offset` (the frame's, not the body's).
    static func bodyChecksum(_ body: UnsafeRawBufferPointer, journal: JournalID, offset: UInt64) -> UInt32 {
        var checksum = seeded(journal, offset)
        checksum.update(body.bytes)
        return checksum.value
    }

    /// Begun with the 24 bytes (journal, offset).
    private static func seeded(_ journal: JournalID, _ offset: UInt64) -> CRC32C {
        var seed = (journal.ulid.high.littleEndian, journal.ulid.low.littleEndian, offset.littleEndian)
        var checksum = CRC32C()
        withUnsafeBytes(of: &seed) { checksum.update($0.bytes) }
        return checksum
    }
}

private func load<T: FixedWidthInteger>(_ bytes: UnsafeRawBufferPointer, _ offset: Int, _ type: T.Type) -> T {
    T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
}

private func store<T: FixedWidthInteger>(_ value: T, _ bytes: UnsafeMutableRawBufferPointer, _ offset: Int) {
    bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
}
