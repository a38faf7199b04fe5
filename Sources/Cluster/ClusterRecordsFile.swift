internal import Primitives

/// The file: its format (2), then parts. A part is its length 4, CRC-32C 4 (both little-endian, of what follows), how far each
/// disk's writing is known by it, and records; each replaces what earlier parts say. The first part holds everything: whoever
/// changes a record appends it, and only when that has grown as long as the first part the file is written anew.
///
/// A crash can tear the last part alone, and nothing of that was told to anybody: it is passed over. Damage before it makes
/// the file unreadable. Format 1 was one part without a length.
extension RecordsTable {
    static let format: UInt8 = 2
    private static let partHeader = 8

    /// A file of one part.
    func encoded() -> [UInt8] {
        [RecordsTable.format] + RecordsTable.part(digest.heads, Array(records.values), reserving: bytes)
    }

    static func part(_ heads: [RecordsDigest.Head], _ records: [ClusterRecord], reserving bytes: Int = 0) -> [UInt8] {
        var writer = ByteWriter(reserving: partHeader + bytes + heads.count * 64)
        writer.write(UInt64(0))
        writer.write(heads)
        writer.write(records)
        var checksum = CRC32C()
        checksum.update(writer.bytes[partHeader...])
        withUnsafeBytes(of: UInt32(writer.bytes.count - partHeader).littleEndian) {
            writer.bytes.replaceSubrange(0..<4, with: $0)
        }
        withUnsafeBytes(of: checksum.value.littleEndian) { writer.bytes.replaceSubrange(4..<8, with: $0) }
        return writer.bytes
    }

    init(file bytes: [UInt8]) throws(RecordsError) {
        do throws(MalformedBytes) {
            guard let format = bytes.first else { throw MalformedBytes("it is empty") }
            self.init()
            switch format {
            case 1: try readWhole(bytes)
            case RecordsTable.format: try readParts(bytes)
            default:
                throw MalformedBytes("it is of format \(format), and this version knows \(RecordsTable.format)")
            }
        } catch {
            throw .unreadable(error.reason)
        }
    }

    private mutating func readWhole(_ bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes, in: 1..<bytes.count)
        let checksum: UInt32 = try reader.read()
        guard RecordsTable.isWhole(reader.position..<bytes.count, of: bytes, checksum) else {
            throw MalformedBytes("its checksum is wrong")
        }
        try take(part: reader.position..<bytes.count, of: bytes)
    }

    private mutating func readParts(_ bytes: [UInt8]) throws(MalformedBytes) {
        var start = 1
        repeat {
            guard start + RecordsTable.partHeader < bytes.count else {
                if start == 1 { throw MalformedBytes("it is cut off") }
                return
            }
            var reader = ByteReader(bytes, in: start..<bytes.count)
            let length: UInt32 = try reader.read()
            let checksum: UInt32 = try reader.read()
            guard length > 0, Int(length) <= reader.remaining else {
                if start == 1 { throw MalformedBytes("it is cut off") }
                return
            }
            let range = reader.position..<reader.position + Int(length)
            guard RecordsTable.isWhole(range, of: bytes, checksum) else {
                if start > 1, range.upperBound == bytes.count { return }
                throw MalformedBytes("the checksum of its part at \(start) is wrong")
            }
            try take(part: range, of: bytes)
            start = range.upperBound
        } while start < bytes.count
    }

    private static func isWhole(_ range: Range<Int>, of bytes: [UInt8], _ checksum: UInt32) -> Bool {
        var found = CRC32C()
        found.update(bytes[range])
        return found.value == checksum
    }

    private mutating func take(part range: Range<Int>, of bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes, in: range)
        let heads = try reader.readHeads()
        let records = try reader.readRecords()
        guard reader.isAtEnd else { throw MalformedBytes("it is longer than what it says") }
        for record in records { put(record) }
        know(Dictionary(heads.map { ($0.node, $0.through) }) { max($0, $1) })
    }
}
