internal import Cluster
internal import Primitives

/// What a disk must not forget about its journals, besides their frames (`protocol.md`, 'What a replica keeps'): what it
/// promised for them, which of them are retired, and which copies start-up found damaged.
///
/// One checksummed file that is replaced as a whole, for three reasons: the promises of all journals of one dead owner are
/// on the disk after one sync; a tombstone takes a promise's place in one step; and since a kill leaves the old file or the
/// new one, one that can't be read is damage and nothing else: then this is a lost disk. A hundred journals are 7 kB.
struct Ledger: Hashable, Sendable {
    private static let magic: UInt32 = 0x4c44_4731

    var promises: [JournalID: Promise] = [:]
    /// Retired journals, with every disk that ever held a copy.
    var tombstones: [JournalID: Set<ReplicaID>] = [:]
    /// Copies that are not whole (`protocol.md`, 'Damaged copy').
    var damaged: Set<JournalID> = []

    var encoded: [UInt8] {
        var writer = ByteWriter(reserving: 64 * (promises.count + tombstones.count) + 16)
        writer.writeVariable(UInt64(promises.count))
        for (journal, promise) in promises.sorted(by: { $0.key < $1.key }) {
            writer.write(journal.ulid)
            writer.write(promise.epoch)
            writer.write(promise.owner)
            writer.write(UInt64(max(0, promise.lease.nanoseconds)))
        }
        writer.writeVariable(UInt64(tombstones.count))
        for (journal, disks) in tombstones.sorted(by: { $0.key < $1.key }) {
            writer.write(journal.ulid)
            writer.writeVariable(UInt64(disks.count))
            for disk in disks.sorted() { writer.write(disk) }
        }
        writer.writeVariable(UInt64(damaged.count))
        for journal in damaged.sorted() { writer.write(journal.ulid) }
        return Sealed.seal(writer.bytes, magic: Ledger.magic)
    }

    init() {}

    /// Nil for what can't be trusted.
    init?(_ bytes: [UInt8]) {
        guard var reader = Sealed.open(bytes, magic: Ledger.magic) else { return nil }
        do throws(MalformedBytes) {
            for _ in 0..<(try reader.readVariable()) {
                let journal = JournalID(try reader.readULID())
                let epoch: UInt64 = try reader.read()
                let owner = try reader.readReplica()
                let lease: UInt64 = try reader.read()
                promises[journal] = Promise(
                    epoch: epoch, owner: owner, lease: .nanoseconds(Int64(clamping: lease)))
            }
            for _ in 0..<(try reader.readVariable()) {
                let journal = JournalID(try reader.readULID())
                var disks: Set<ReplicaID> = []
                for _ in 0..<(try reader.readVariable()) { disks.insert(try reader.readReplica()) }
                tombstones[journal] = disks
            }
            for _ in 0..<(try reader.readVariable()) { damaged.insert(JournalID(try reader.readULID())) }
            guard reader.isAtEnd else { return nil }
        } catch {
            return nil
        }
    }
}

/// Another disk that this one has met, and where its node listened then.
struct Acquaintance: Hashable, Sendable {
    var replica: ReplicaID
    var address: String

    private static let magic: UInt32 = 0x4143_5131

    init(_ replica: ReplicaID, address: String) {
        self.replica = replica
        self.address = address
    }

    static func encode(_ all: [Acquaintance]) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeVariable(UInt64(all.count))
        for one in all {
            writer.write(one.replica)
            writer.writeString(one.address)
        }
        return Sealed.seal(writer.bytes, magic: magic)
    }

    /// Nil for what can't be trusted.
    static func decode(_ bytes: [UInt8]) -> [Acquaintance]? {
        guard var reader = Sealed.open(bytes, magic: magic) else { return nil }
        var all: [Acquaintance] = []
        do throws(MalformedBytes) {
            for _ in 0..<(try reader.readVariable()) {
                let replica = try reader.readReplica()
                all.append(Acquaintance(replica, address: try reader.readText()))
            }
        } catch {
            return nil
        }
        return all
    }
}

extension ByteWriter {
    fileprivate mutating func write(_ replica: ReplicaID) {
        writeString(replica.node)
        write(replica.disk.bits)
    }
}

extension ByteReader {
    fileprivate mutating func readReplica() throws(MalformedBytes) -> ReplicaID {
        let node = try readText()
        return ReplicaID(node: node, disk: DiskID(try readULID()))
    }
}
