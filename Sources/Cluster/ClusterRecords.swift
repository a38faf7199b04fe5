package import Primitives

/// What outlives messages and belongs to no journal: drained nodes, upstreams switched off by hand, suppressions, bans
/// (`queue.md`, 'What is not in a journal').
///
/// Every node keeps every record and may write any; of two writes to one key the one of the higher version wins. A version
/// is a wall time and the disk that wrote it, always higher than that of the record it replaces and than every earlier one
/// of its disk, whatever the wall clock does. So one number for each disk says how much of its writing a node knows (a
/// version vector), and a node that lacks some is sent it, a bounded part at a time: taking a part twice, late, or after a
/// newer one changes nothing.
///
/// *Persist before answering*: what a node tells of itself, and what it passes on, covers only what is synced on its disk.
/// The shell stores the whole file (`fileToStore`) and says when it is durable (`stored`). A command is done once a majority
/// of the nodes has said that its version is on their disks (`isHeld`).
///
/// A removed record is a marker without a value. What has expired is hidden at once and forgotten after `retention`: a node
/// that was away for longer, and comes back with its old disk, may still hold what was removed meanwhile.
package struct ClusterRecords: Sendable {
    /// A node writes no new key beyond this, markers included.
    package static let maximumRecords = 100_000
    /// Keys and values together. The file is written as a whole.
    package static let maximumBytes = 32 << 20
    package static let maximumKey = 255
    package static let maximumValue = 4096
    /// After its expiry a record is kept for so long, so that it wins over what it replaced on nodes that were away.
    package static let retention = Duration.days(7)
    /// No record is of a later time (31 December 9999): a clock beyond it is wrong, and a version must have a successor.
    package static let latestWall = WallTime(milliseconds: 253_402_300_799_999)
    /// More than any cluster has; one more is not counted.
    static let maximumPeers = 1024

    package let me: ReplicaID
    /// As this node's questions see it.
    private(set) var current = RecordsTable()
    /// As it is on the disk: all that others hear of.
    private(set) var durable = RecordsTable()
    /// On its way to the disk: what the file holds that `durable` does not.
    private var writing: (mark: DiskMark, records: [ClusterRecord], heads: [ReplicaID: WallTime])?
    private var lastMark = DiskMark(0)
    private var isChanged = false
    /// Keys of records that changed since a file was last written.
    private var unwritten: Set<String> = []
    /// Where the file ends that this process wrote; 0 before it wrote one: the first is a whole one.
    private var fileEnd: UInt64 = 0
    /// Of that, what its first part takes.
    private var wholeEnd: UInt64 = 0
    /// Parts are appended up to so many bytes, however small the first one is.
    static let appended: UInt64 = 256 << 10
    /// What others said is on their disks.
    private var seen: [ReplicaID: RecordsDigest] = [:]
    /// Of a long answer of a peer: what its first part claims, and where the last one that came ends.
    private var partial: [ReplicaID: (claims: [RecordsDigest.Head], upTo: UInt32)] = [:]
    /// No version of this disk is this low: peers know one. Above what the file says only when the disk was rolled back.
    private var ownFloor = WallTime(milliseconds: 0)

    package init(me: ReplicaID) { self.me = me }

    /// As the file holds it, which must be synced: start-up syncs what a killed process may have left in the page cache.
    package init(me: ReplicaID, file bytes: [UInt8]) throws(RecordsError) {
        self.me = me
        current = try RecordsTable(file: bytes)
        durable = current
    }

    // MARK: Questions

    /// The value, unless the record was removed or has expired.
    package func value(_ key: String, at now: WallTime) -> [UInt8]? {
        current.records[key].flatMap { $0.isVisible(at: now) ? $0.value : nil }
    }

    /// The record as it stands, markers and expired ones too.
    package func record(_ key: String) -> ClusterRecord? { current.records[key] }

    /// Those that have a value now, by key.
    package func records(prefix: String, at now: WallTime) -> [ClusterRecord] {
        unsorted(prefix: prefix, at: now).sorted { $0.key < $1.key }
    }

    /// The same in no order. A prefix with a slash looks only at records of its kind.
    package func unsorted(prefix: String, at now: WallTime) -> [ClusterRecord] {
        guard prefix.contains("/") else {
            return current.records.values.filter { $0.key.hasPrefix(prefix) && $0.isVisible(at: now) }
        }
        let keys = current.kinds[RecordsTable.kind(of: prefix)]?.keys ?? []
        return keys.lazy.filter { $0.hasPrefix(prefix) }.compactMap { key in
            current.records[key].flatMap { $0.isVisible(at: now) ? $0 : nil }
        }
    }

    /// How many of this kind (`suppression`) have a value now. Looks at each.
    package func count(ofKind kind: String, at now: WallTime) -> Int {
        current.kinds[kind]?.keys.count { current.records[$0]?.isVisible(at: now) ?? false } ?? 0
    }

    /// Moves whenever a record of this kind changes; stands while only time goes by.
    package func changes(ofKind kind: String) -> UInt64 { current.kinds[kind]?.changes ?? 0 }

    /// Whether there is a record of this kind, a removed or expired one too.
    package func has(kind: String) -> Bool { !(current.kinds[kind]?.keys.isEmpty ?? true) }

    /// How full it is, 0 to 1: by number or by bytes, whichever is nearer to its bound.
    package var fullness: Double {
        max(
            Double(count) / Double(ClusterRecords.maximumRecords),
            Double(current.bytes) / Double(ClusterRecords.maximumBytes))
    }

    /// Of all records, markers included.
    package var count: Int { current.records.count }

    // MARK: Writing

    /// Writes a record; nil or an empty value removes it. The command that asked for it is done when `isHeld` says so.
    ///
    /// - Parameter expiry: When the value ends; nil for never. A marker's is the time of its version at the earliest.
    package mutating func set(
        _ key: String, to value: [UInt8]?, expiry: WallTime?, at now: WallTime
    ) throws(RecordsError) -> RecordVersion {
        try set([RecordWrite(key: key, value: value, expiry: expiry)], at: now)
    }

    /// Writes several records, all or none of them, under one version: so a list of thousands does not run ahead of the
    /// clock. Of two writes to one key the later counts.
    package mutating func set(_ writes: [RecordWrite], at now: WallTime) throws(RecordsError) -> RecordVersion {
        var above = max(current.through(me), ownFloor)
        var added = 0
        var growth = 0
        for write in writes {
            guard (1...ClusterRecords.maximumKey).contains(write.key.utf8.count) else {
                throw .keyLength(write.key.utf8.count)
            }
            guard write.value.count <= ClusterRecords.maximumValue else { throw .valueLength(write.value.count) }
            let old = current.records[write.key]
            if old == nil { added += 1 }
            growth += max(0, ClusterRecord.size(write.key, write.value) - (old?.size ?? 0))
            if let old { above = max(above, old.version.wall) }
        }
        let wall = max(now, above + .milliseconds(1))
        guard wall <= ClusterRecords.latestWall else { throw .clock }
        guard added == 0 || current.records.count + added <= ClusterRecords.maximumRecords,
            growth == 0 || current.bytes + growth <= ClusterRecords.maximumBytes, current.know(me, through: wall)
        else { throw .full }
        let version = RecordVersion(wall: wall, node: me)
        for write in writes {
            let end = write.value.isEmpty ? max(write.expiry ?? wall, wall) : write.expiry
            let record = ClusterRecord(
                key: write.key, value: write.value, version: version,
                expiry: end.map { min($0, ClusterRecords.latestWall) })
            current.put(record)
            unwritten.insert(record.key)
        }
        isChanged = true
        return version
    }

    /// Forgets what expired long ago. It comes back from nobody: all know that they had seen it.
    package mutating func expire(at now: WallTime) {
        let before = now + (.zero - ClusterRecords.retention)
        _ = durable.forget(expiredBefore: before)
        if current.forget(expiredBefore: before) { isChanged = true }
    }

    // MARK: The disk

    package struct Writing: Sendable {
        package var mark: DiskMark
        /// Where the bytes go. At 0 they take the old file's place, at once or not at all (write aside, sync, rename, sync the
        /// folder); else they are appended to it and synced.
        package var offset: UInt64
        package var bytes: [UInt8]
    }

    /// What to write when something changed, one at a time: nil while the last one is on its way; then `stored(through: mark)`.
    package mutating func fileToStore() -> Writing? {
        guard isChanged, writing == nil else { return nil }
        lastMark.number += 1
        let changed = unwritten.compactMap { current.records[$0] }
        writing = (lastMark, changed, current.heads)
        unwritten = []
        isChanged = false
        // Half of it has been written anew: then it is read faster whole, and is as short as it can be.
        if fileEnd > 0, fileEnd - wholeEnd < max(wholeEnd, ClusterRecords.appended) {
            let part = RecordsTable.part(current.digest.heads, changed)
            defer { fileEnd += UInt64(part.count) }
            return Writing(mark: lastMark, offset: fileEnd, bytes: part)
        }
        let whole = current.encoded()
        fileEnd = UInt64(whole.count)
        wholeEnd = fileEnd
        return Writing(mark: lastMark, offset: 0, bytes: whole)
    }

    /// That file is durable: from now on others may hear of what it holds.
    package mutating func stored(through mark: DiskMark) {
        guard let written = writing, written.mark <= mark else { return }
        for record in written.records { durable.put(record) }
        durable.know(written.heads)
        writing = nil
    }

    // MARK: Who has what

    /// What is on this node's disk: small, sent to every peer with each pulse, and at once when a file is stored.
    package func digest(for peer: ReplicaID) -> RecordsDigest {
        var digest = durable.digest
        digest.after = partial[peer]?.upTo
        return digest
    }

    /// What the sender of this digest lacks of what is synced here: at most `RecordsDelta.maximumBytes`. Nil for nothing.
    package func delta(for digest: RecordsDigest) -> RecordsDelta? { durable.delta(for: digest) }

    /// The same, by what this peer last said; from the beginning for one that has said nothing.
    package func delta(forPeer peer: ReplicaID) -> RecordsDelta? {
        durable.delta(for: seen[peer] ?? RecordsDigest(heads: []))
    }

    package enum Taken: Hashable, Sendable {
        case nothing
        /// Store the file, and then tell everyone this node's digest.
        case changed
        /// More of it follows: tell this peer this node's digest, at once.
        case wantsMore
    }

    package mutating func take(_ delta: RecordsDelta, from peer: ReplicaID) -> Taken {
        var results: Set<RecordsTable.Taken> = []
        for record in delta.records where record.version.wall <= ClusterRecords.latestWall {
            let taken = current.take(record)
            if taken == .new { unwritten.insert(record.key) }
            results.insert(taken)
        }
        let wasChanged = isChanged
        if results.contains(.new) { isChanged = true }
        let taken: Taken = results.contains(.new) ? .changed : .nothing
        // What found no room is asked for again: it may be there by then.
        guard !results.contains(.refused) else { return taken }

        let claims: [RecordsDigest.Head]
        switch (partial[peer], delta.after) {
        case (nil, nil): claims = delta.claims
        case (let earlier?, let after?) where earlier.upTo == after:
            claims = earlier.claims
            // Left over from an older answer: it shows the sender's records as they were before the first part.
            guard RecordsDigest(heads: delta.claims).covers(RecordsDigest(heads: claims)) else {
                partial[peer] = nil
                return taken
            }
        default: return taken  // A part that came twice, or too late.
        }
        if let upTo = delta.upTo {
            guard partial[peer] != nil || partial.count < ClusterRecords.maximumPeers else { return taken }
            partial[peer] = (claims, upTo)
            // Nothing can be claimed before the last part: the file is not worth writing yet.
            isChanged = wasChanged
            return .wantsMore
        }
        partial[peer] = nil
        let isMore = claims.map { current.know($0.node, through: $0.through) }.contains(true)
        guard isMore else { return taken }
        isChanged = true
        return .changed
    }

    /// A peer says what is on its disk.
    package mutating func acknowledged(by peer: ReplicaID, _ digest: RecordsDigest) {
        guard peer != me, seen[peer] != nil || seen.count < ClusterRecords.maximumPeers else { return }
        // Messages overtake each other, and a disk does not forget.
        seen[peer] = seen[peer].map { $0.merged(with: digest) } ?? digest
        ownFloor = max(ownFloor, digest.through(me))
    }

    /// Whether a majority of the known nodes, this one among them, has this version or what replaced it on its disk. A node
    /// with a new disk is one node: it counts by either.
    package func isHeld(_ version: RecordVersion, byMajorityOf known: some Sequence<ReplicaID>) -> Bool {
        var holders: [String: Bool] = [me.node: durable.through(version.node) >= version.wall]
        for peer in known where peer.node != me.node {
            let holds = (seen[peer]?.through(version.node) ?? WallTime(milliseconds: 0)) >= version.wall
            holders[peer.node] = holders[peer.node] ?? false || holds
        }
        return holders.values.count(where: \.self) > holders.count / 2
    }

    /// `baton node forget`: it counts no more. What it wrote stays.
    package mutating func forget(_ peer: ReplicaID) {
        seen[peer] = nil
        partial[peer] = nil
    }
}

/// One of several that are written together; an empty value removes the record.
package struct RecordWrite: Hashable, Sendable {
    package var key: String
    package var value: [UInt8]
    package var expiry: WallTime?

    package init(key: String, value: [UInt8]?, expiry: WallTime? = nil) {
        self.key = key
        self.value = value ?? []
        self.expiry = expiry
    }
}

/// When, by the writer's clock and always later than what it replaces, and by whom. Of equal times the greater name wins.
package struct RecordVersion: Hashable, Comparable, Sendable {
    package var wall: WallTime
    /// The disk that wrote it: a node whose disk was wiped starts anew under another id.
    package var node: ReplicaID

    package init(wall: WallTime, node: ReplicaID) {
        self.wall = wall
        self.node = node
    }

    package static func < (a: RecordVersion, b: RecordVersion) -> Bool {
        a.wall == b.wall ? a.node < b.node : a.wall < b.wall
    }
}

package struct ClusterRecord: Hashable, Sendable {
    package var key: String
    /// Empty: removed.
    package var value: [UInt8]
    package var version: RecordVersion
    package var expiry: WallTime?

    package init(key: String, value: [UInt8], version: RecordVersion, expiry: WallTime?) {
        self.key = key
        self.value = value
        self.version = version
        self.expiry = expiry
    }

    package func isVisible(at now: WallTime) -> Bool { !value.isEmpty && expiry.map { now < $0 } ?? true }

    /// What it counts for where room is bounded: its bytes, and its other fields about.
    var size: Int { ClusterRecord.size(key, value) }

    static func size(_ key: String, _ value: [UInt8]) -> Int { key.utf8.count + value.count + 32 }
}

/// Why a record was not written, or the file not read, in words for whoever asked. The caller names the file.
package enum RecordsError: Error, Hashable, Sendable, CustomStringConvertible {
    case keyLength(Int)
    case valueLength(Int)
    case full
    case clock
    case unreadable(String)

    package var description: String {
        switch self {
        case .keyLength(let count): "a record's name has 1 to \(ClusterRecords.maximumKey) bytes, not \(count)"
        case .valueLength(let count): "a record holds at most \(ClusterRecords.maximumValue) bytes, not \(count)"
        case .full:
            "the cluster's records are full (\(ClusterRecords.maximumRecords), or \(ClusterRecords.maximumBytes >> 20) MiB)"
        case .clock: "the clock is beyond the year 9999"
        case .unreadable(let reason): "the cluster's records cannot be read: \(reason)"
        }
    }
}
