internal import Primitives

/// The file: format 1, CRC-32C 4 (little-endian, of all that follows), then how far each disk's writing is known, and the
/// records. It is read whole or not at all.
extension RecordsTable {
    static let format: UInt8 = 1
    private static let headerSize = 5

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: RecordsTable.headerSize + bytes + heads.count * 64)
        writer.write(RecordsTable.format)
        writer.write(UInt32(0))
        writer.write(digest.heads)
        writer.write(Array(records.values))
        var checksum = CRC32C()
        checksum.update(writer.bytes[RecordsTable.headerSize...])
        withUnsafeBytes(of: checksum.value.littleEndian) { writer.bytes.replaceSubrange(1..<5, with: $0) }
        return writer.bytes
    }

    init(file bytes: [UInt8]) throws(RecordsError) {
        let records: [ClusterRecord]
        let heads: [RecordsDigest.Head]
        do throws(MalformedBytes) {
            var reader = ByteReader(bytes)
            let format: UInt8 = try reader.read()
            guard format == RecordsTable.format else {
                throw MalformedBytes("it is of format \(format), and this version knows \(RecordsTable.format)")
            }
            let checksum: UInt32 = try reader.read()
            var found = CRC32C()
            found.update(bytes[RecordsTable.headerSize...])
            guard found.value == checksum else { throw MalformedBytes("its checksum is wrong") }
            heads = try reader.readHeads()
            records = try reader.readRecords()
            guard reader.isAtEnd else { throw MalformedBytes("it is longer than what it says") }
        } catch {
            throw .unreadable(error.reason)
        }
        try self.init(records: records, heads: heads)
    }
}
