internal import Primitives

/// Records by key, and how far the writing of each disk is known: *everything* that a disk wrote up to there is held, or was
/// replaced by what is held, or has expired long ago.
struct RecordsTable: Sendable {
    /// Disks that ever wrote a record. Beyond it, the longest silent one that has none left makes room.
    static let maximumOrigins = 1024
    /// What is taken from others may be twice what one node would write: nodes that were apart each filled up.
    static let slack = 2

    private(set) var records: [String: ClusterRecord] = [:]
    private(set) var heads: [ReplicaID: WallTime] = [:]
    private(set) var bytes = 0

    init() {}

    func through(_ node: ReplicaID) -> WallTime { heads[node] ?? WallTime(milliseconds: 0) }

    func hasRoom(for record: ClusterRecord, among limit: Int, bytes maximumBytes: Int) -> Bool {
        guard let old = records[record.key] else {
            return records.count < limit && bytes + record.size <= maximumBytes
        }
        return record.size <= old.size || bytes - old.size + record.size <= maximumBytes
    }

    // MARK: Changing

    enum Taken { case new, old, refused }

    /// The newer of this and what is there.
    @discardableResult
    mutating func take(_ record: ClusterRecord) -> Taken {
        let old = records[record.key]
        if let old, old.version >= record.version { return .old }
        guard
            hasRoom(
                for: record, among: ClusterRecords.maximumRecords * RecordsTable.slack,
                bytes: ClusterRecords.maximumBytes * RecordsTable.slack)
        else { return .refused }
        bytes += record.size - (old?.size ?? 0)
        records[record.key] = record
        return .new
    }

    /// Everything that this disk wrote up to `wall` is here. True when that is new, and there was room to note it.
    mutating func know(_ node: ReplicaID, through wall: WallTime) -> Bool {
        guard wall > through(node) else { return false }
        if heads[node] == nil, heads.count >= RecordsTable.maximumOrigins {
            let writers = Set(records.values.lazy.map(\.version.node))
            let silent = heads.filter { !writers.contains($0.key) }.min { $0.value < $1.value }
            // Not known, and so asked for again: slow, and nothing is missed.
            guard let silent else { return false }
            heads[silent.key] = nil
        }
        heads[node] = wall
        return true
    }

    /// True when there was something to forget.
    mutating func forget(expiredBefore limit: WallTime) -> Bool {
        let expired = records.values.filter { $0.expiry.map { $0 < limit } ?? false }
        for record in expired {
            records[record.key] = nil
            bytes -= record.size
        }
        return !expired.isEmpty
    }

    // MARK: The exchange

    var digest: RecordsDigest {
        RecordsDigest(heads: heads.map { RecordsDigest.Head(node: $0.key, through: $0.value) })
    }

    /// What the sender of the digest lacks, in the order of `RecordsDelta.place`, from where it asks on.
    func delta(for digest: RecordsDigest) -> RecordsDelta? {
        let mine = self.digest
        guard !digest.covers(mine) || digest.after != nil else { return nil }
        var known: [ReplicaID: WallTime] = [:]
        for head in digest.heads { known[head.node] = head.through }
        var lacking: [(place: UInt32, key: String)] = []
        for record in records.values where record.version.wall > known[record.version.node] ?? RecordsDigest.nothing {
            let place = RecordsDelta.place(of: record.key)
            if digest.after.map({ place > $0 }) ?? true { lacking.append((place, record.key)) }
        }
        lacking.sort { $0.place == $1.place ? $0.key < $1.key : $0.place < $1.place }
        var delta = RecordsDelta(claims: mine.heads, after: digest.after, upTo: nil, records: [])
        var room = RecordsDelta.maximumBytes - mine.size
        for (place, key) in lacking {
            guard let record = records[key] else { continue }
            room -= record.size
            // Records of one place travel together; the first always travels.
            if room < 0, let last = delta.records.last.map({ RecordsDelta.place(of: $0.key) }), last < place {
                delta.upTo = last
                break
            }
            delta.records.append(record)
        }
        return delta
    }

    // MARK: The file's

    init(records: [ClusterRecord], heads: [RecordsDigest.Head]) throws(RecordsError) {
        for head in heads { self.heads[head.node] = head.through }
        for record in records {
            guard self.records.updateValue(record, forKey: record.key) == nil else {
                throw .unreadable("it holds the record \(record.key) twice")
            }
            bytes += record.size
        }
    }
}
