package import Primitives

/// How much of each disk's writing is on the sender's disk, and where it wants a long answer to go on.
package struct RecordsDigest: Hashable, Sendable {
    static let nothing = WallTime(milliseconds: 0)

    package struct Head: Hashable, Sendable {
        package var node: ReplicaID
        package var through: WallTime

        package init(node: ReplicaID, through: WallTime) {
            self.node = node
            self.through = through
        }
    }

    /// Sorted by disk, each once.
    package private(set) var heads: [Head]
    /// The receiver's last delta ended here (`RecordsDelta.upTo`).
    package var after: UInt32?

    package init(heads: [Head], after: UInt32? = nil) {
        var known: [ReplicaID: WallTime] = [:]
        for head in heads { known[head.node] = max(head.through, known[head.node] ?? head.through) }
        self.heads = known.map { Head(node: $0.key, through: $0.value) }.sorted { $0.node < $1.node }
        self.after = after
    }

    package func through(_ node: ReplicaID) -> WallTime {
        heads.first { $0.node == node }?.through ?? RecordsDigest.nothing
    }

    func merged(with other: RecordsDigest) -> RecordsDigest { RecordsDigest(heads: heads + other.heads) }

    /// Whether its sender has everything that the other's has.
    package func covers(_ other: RecordsDigest) -> Bool {
        other.heads.allSatisfy { through($0.node) >= $0.through }
    }

    /// Bytes, about.
    var size: Int { heads.reduce(0) { $0 + $1.node.node.utf8.count + 24 } }
}

/// Records that the receiver lacks, or a part of them.
///
/// Parts go by a hash of the key, which does not change when a record is replaced meanwhile: whoever has all parts has, of
/// every key, what the sender had when it sent the first, or newer. Only then does it know what the first part claims.
package struct RecordsDelta: Hashable, Sendable {
    /// One message carries no more than this.
    package static let maximumBytes = 64 << 10

    /// How far the sender knows each disk's writing.
    package var claims: [RecordsDigest.Head]
    /// Follows the part that ended here; nil for the first.
    package var after: UInt32?
    /// More follows this; nil for the last part.
    package var upTo: UInt32?
    package var records: [ClusterRecord]

    package init(claims: [RecordsDigest.Head], after: UInt32?, upTo: UInt32?, records: [ClusterRecord]) {
        self.claims = claims
        self.after = after
        self.upTo = upTo
        self.records = records
    }

    static func place(of key: String) -> UInt32 {
        var checksum = CRC32C()
        checksum.update(key.utf8)
        return checksum.value
    }
}

// MARK: As bytes, on the wire and in the file

extension RecordsDigest {
    func write(to writer: inout ByteWriter) {
        writer.write(heads)
        writer.write(place: after)
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        self.init(heads: try reader.readHeads(), after: try reader.readPlace())
    }
}

extension RecordsDelta {
    func write(to writer: inout ByteWriter) {
        writer.write(claims)
        writer.write(place: after)
        writer.write(place: upTo)
        writer.write(records)
    }

    init(from reader: inout ByteReader) throws(MalformedBytes) {
        claims = try reader.readHeads()
        after = try reader.readPlace()
        upTo = try reader.readPlace()
        records = try reader.readRecords()
    }
}

extension ByteWriter {
    mutating func write(_ heads: [RecordsDigest.Head]) {
        writeList(heads) { writer, head in
            writer.write(head.node)
            writer.writeVariable(UInt64(head.through.milliseconds))
        }
    }

    /// 0 for none.
    fileprivate mutating func write(place: UInt32?) { writeVariable(place.map { UInt64($0) + 1 } ?? 0) }

    /// By writer, so that each is named once.
    mutating func write(_ records: [ClusterRecord]) {
        var byNode: [ReplicaID: [ClusterRecord]] = [:]
        for record in records { byNode[record.version.node, default: []].append(record) }
        writeList(byNode.keys.sorted()) { writer, node in
            writer.write(node)
            writer.writeList(byNode[node] ?? []) { writer, record in
                writer.writeString(record.key)
                writer.writeVariable(UInt64(record.version.wall.milliseconds))
                // 0 for never: nothing expires in 1970.
                writer.writeVariable(UInt64(record.expiry?.milliseconds ?? 0))
                writer.writeString(record.value)
            }
        }
    }
}

extension ByteReader {
    mutating func readHeads() throws(MalformedBytes) -> [RecordsDigest.Head] {
        try readList { reader throws(MalformedBytes) in
            RecordsDigest.Head(node: try reader.readReplica(), through: try reader.readRecordTime())
        }
    }

    fileprivate mutating func readPlace() throws(MalformedBytes) -> UInt32? {
        let place = try readVariable()
        guard place <= UInt64(UInt32.max) + 1 else { throw MalformedBytes("a place of a record") }
        return place == 0 ? nil : UInt32(place - 1)
    }

    mutating func readRecords() throws(MalformedBytes) -> [ClusterRecord] {
        let lists = try readList { reader throws(MalformedBytes) in
            let node = try reader.readReplica()
            return try reader.readList { reader throws(MalformedBytes) in try reader.readRecord(by: node) }
        }
        return lists.flatMap { $0 }
    }

    private mutating func readRecord(by node: ReplicaID) throws(MalformedBytes) -> ClusterRecord {
        let key = try readText()
        guard (1...ClusterRecords.maximumKey).contains(key.utf8.count) else {
            throw MalformedBytes("a record's name of \(key.utf8.count) bytes")
        }
        let wall = try readRecordTime()
        let expiry = try readRecordTime()
        let value = try readBytes()
        guard value.count <= ClusterRecords.maximumValue else {
            throw MalformedBytes("a record of \(value.count) bytes")
        }
        return ClusterRecord(
            key: key, value: value, version: RecordVersion(wall: wall, node: node),
            expiry: expiry.milliseconds == 0 ? nil : expiry)
    }

    fileprivate mutating func readRecordTime() throws(MalformedBytes) -> WallTime {
        let milliseconds = try readVariable()
        guard milliseconds <= UInt64(ClusterRecords.latestWall.milliseconds) else {
            throw MalformedBytes("a record of a time beyond the year 9999")
        }
        return WallTime(milliseconds: Int64(milliseconds))
    }
}
