internal import Primitives

/// Records by key, and how far the writing of each disk is known: *everything* that a disk wrote up to there is held, or was
/// replaced by what is held, or has expired long ago.
struct RecordsTable: Sendable {
    /// Disks that ever wrote a record. Beyond it, the longest silent one that has none left makes room.
    static let maximumOrigins = 1024
    /// What is taken from others may be twice what one node would write: nodes that were apart each filled up.
    static let slack = 2

    /// Records of one kind, which is what stands before the first slash of their keys: `suppression`, `drain`, ….
    struct Kind: Sendable {
        var keys: Set<String> = []
        /// So often one of them changed or was forgotten.
        var changes: UInt64 = 0

        mutating func changed(_ key: String, isNew: Bool) {
            if isNew { keys.insert(key) }
            changes += 1
        }
    }

    private(set) var records: [String: ClusterRecord] = [:]
    private(set) var kinds: [String: Kind] = [:]
    private(set) var heads: [ReplicaID: WallTime] = [:]
    private(set) var bytes = 0
    /// The last that changed, in the order in which they came here. What a peer lacks is nearly always among them.
    private var recent: [(version: RecordVersion, key: String)] = []
    private static let recentLimit = 1024
    /// Per disk the newest version that is not among them any more.
    private var before: [ReplicaID: WallTime] = [:]
    /// No record expires before this.
    private var firstExpiry = ClusterRecords.latestWall

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
        put(record)
        return .new
    }

    /// Whatever was there, and however full it is.
    mutating func put(_ record: ClusterRecord) {
        let old = records.updateValue(record, forKey: record.key)
        bytes += record.size - (old?.size ?? 0)
        recent.append((record.version, record.key))
        if recent.count >= 2 * RecordsTable.recentLimit { forgetRecent() }
        if let expiry = record.expiry { firstExpiry = min(firstExpiry, expiry) }
        kinds[RecordsTable.kind(of: record.key), default: Kind()].changed(record.key, isNew: old == nil)
    }

    private mutating func forgetRecent() {
        for (version, _) in recent.prefix(RecordsTable.recentLimit) {
            before[version.node] = max(version.wall, before[version.node] ?? version.wall)
        }
        recent.removeFirst(RecordsTable.recentLimit)
    }

    static func kind(of key: String) -> String { String(key.prefix { $0 != "/" }) }

    /// As they were when a file was written.
    mutating func know(_ heads: [ReplicaID: WallTime]) { self.heads = heads }

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
        guard firstExpiry < limit else { return false }
        var expired: [ClusterRecord] = []
        firstExpiry = ClusterRecords.latestWall
        for record in records.values {
            guard let expiry = record.expiry else { continue }
            if expiry < limit { expired.append(record) } else { firstExpiry = min(firstExpiry, expiry) }
        }
        for record in expired {
            records[record.key] = nil
            bytes -= record.size
            let kind = RecordsTable.kind(of: record.key)
            kinds[kind]?.keys.remove(record.key)
            kinds[kind]?.changes += 1
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
        func look(at record: ClusterRecord) {
            guard record.version.wall > known[record.version.node] ?? RecordsDigest.nothing else { return }
            let place = RecordsDelta.place(of: record.key)
            if digest.after.map({ place > $0 }) ?? true { lacking.append((place, record.key)) }
        }
        if before.allSatisfy({ known[$0.key] ?? RecordsDigest.nothing >= $0.value }) {
            for key in Set(recent.map(\.key)) { if let record = records[key] { look(at: record) } }
        } else {
            for record in records.values { look(at: record) }
        }
        var delta = RecordsDelta(claims: mine.heads, after: digest.after, upTo: nil, records: [])
        var room = RecordsDelta.maximumBytes - mine.size
        let end = nearest(&lacking, after: digest.after, filling: room)
        lacking.sort { $0.place == $1.place ? $0.key < $1.key : $0.place < $1.place }
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
        if delta.upTo == nil { delta.upTo = end }
        return delta
    }

    /// Of very many, leaves those of the first places, when they alone fill a part: the rest need not be sorted for it. Up to
    /// which place they are all that there are; nil when none was left out.
    private func nearest(
        _ lacking: inout [(place: UInt32, key: String)], after: UInt32?, filling room: Int
    ) -> UInt32? {
        // Twice as many as the smallest records that fill a part; places are spread evenly.
        let enough = 4096
        guard lacking.count > 2 * enough else { return nil }
        let start = after.map { UInt64($0) + 1 } ?? 0
        let end = UInt32(start + (UInt64(UInt32.max) - start) / UInt64(lacking.count / enough))
        let near = lacking.filter { $0.place <= end }
        guard near.reduce(0, { $0 + (records[$1.key]?.size ?? 0) }) > room else { return nil }
        lacking = near
        return end
    }
}
