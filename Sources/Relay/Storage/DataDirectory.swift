internal import CLinux
internal import EventLoop
internal import FoundationEssentials
internal import Glibc
package import Primitives

/// Why a node can't run on a directory, in one line that says what to do.
package struct DataDirectoryError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    /// Only another configuration helps: starting again will not.
    package var isConfiguration: Bool
    package init(_ description: String, isConfiguration: Bool = false) {
        self.description = description
        self.isConfiguration = isConfiguration
    }
}

/// A node's directory: who it is, and its files. Locked as long as it is referenced.
///
///     node.json               the cluster's and node's names, the disk id, the format
///     incarnation             the highest start time used so far
///     lock                    flock: one process at a time
///     reserve                 bytes kept free for draining a full disk
///     ledger                  what was promised for each journal, and tombstones (`Ledger`)
///     acquainted              the other nodes' disks that this one has met
///     records                 the cluster's records (queue.md, 'What is not in a journal')
///     journals/ID.journal     frames
///     journals/spare          zeros that become the next journal
///     history/                what finished messages went through
///     admin.sock              the admin API
package final class DataDirectory: Sendable {
    /// 2: one ledger instead of a file for each promise.
    package static let format = 2

    package let path: String
    package let cluster: String
    package let replica: ReplicaID
    /// When this process began, always higher than at any start before.
    package let incarnation: UInt64
    /// Of the process before this one on the same disk; 0 when there was none.
    package let previousIncarnation: UInt64
    /// Nil when a test file could be written and synced at start; else why not.
    package let writeFailure: FileError?
    private let lock: OpenFile

    package var journalsPath: String { path + "/journals" }
    package var historyPath: String { path + "/history" }
    package var adminSocketPath: String { path + "/admin.sock" }
    var reservePath: String { path + "/reserve" }

    /// Makes the directory when there is none, and locks it.
    package convenience init(path: String, cluster: String, node: String) throws(DataDirectoryError) {
        do {
            try makeDirectory(path)
            try self.init(locking: path, cluster: cluster, node: node)
        } catch let error as DataDirectoryError {
            throw error
        } catch {
            throw DataDirectoryError("data directory \(path): \(error)")
        }
    }

    private init(locking path: String, cluster: String, node: String) throws {
        let lock = try OpenFile(path + "/lock", .create)
        guard flock(lock.descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw DataDirectoryError(
                "data directory \(path) is in use by another process; stop that one, or give this node its own "
                    + "directory (node.dataDirectory)")
        }
        var identity = try Identity.load(from: path + "/node.json") ?? Identity.make(cluster: cluster, node: node)
        guard let disk = ULID(text: identity.disk) else {
            throw DataDirectoryError(
                "\(path)/node.json is damaged: its disk id can't be read; restore it from a backup")
        }
        if identity.format > DataDirectory.format {
            throw DataDirectoryError(
                "data directory \(path) has format \(identity.format) and this version knows up to "
                    + "\(DataDirectory.format); start the newer version again")
        }
        for (what, has, wants) in [("cluster", identity.cluster, cluster), ("node", identity.node, node)]
        where has != wants {
            throw DataDirectoryError(
                "data directory \(path) belongs to \(what) \"\(has)\", not \"\(wants)\"; correct \(what).name or "
                    + "node.dataDirectory in the configuration", isConfiguration: true)
        }
        self.path = path
        self.cluster = cluster
        self.lock = lock
        replica = ReplicaID(node: node, disk: DiskID(disk))
        writeFailure = DataDirectory.tryWriting(in: path)
        guard writeFailure == nil else {
            (incarnation, previousIncarnation) = (0, 0)
            return
        }
        for folder in ["/journals", "/history"] { try makeDirectory(path + folder) }
        try DataDirectory.complete(&identity, in: path)
        (incarnation, previousIncarnation) = try DataDirectory.nextIncarnation(in: path)
    }

    /// The ledger comes before the name: a directory that has a name of this format and no ledger has lost it.
    private static func complete(_ identity: inout Identity, in path: String) throws {
        let isNew = access(path + "/node.json", F_OK) != 0
        guard isNew || identity.format < 2 else { return }
        let former = FormerPromises(journalsPath: path + "/journals")
        var ledger = Ledger()
        if !isNew { ledger.promises = try former.read() }
        try writeFile(ledgerName, in: path, ledger.encoded)
        identity.format = format
        try identity.save(in: path)
        if !isNew { try former.remove() }
    }

    /// A disk that failed a sync before must prove itself before anything rests on it (architecture.md, 'Storage rules').
    private static func tryWriting(in path: String) -> FileError? {
        do throws(FileError) {
            try writeFile("write-test", in: path, Array("ok\n".utf8))
            unlink(path + "/write-test")
            return nil
        } catch {
            // A full disk is no broken one: the node runs, and refuses mail until there is room.
            return error.isDiskFull ? nil : error
        }
    }

    private static func nextIncarnation(in path: String) throws -> (next: UInt64, last: UInt64) {
        let stored = try readFile(path + "/incarnation") ?? []
        let last = UInt64(String(decoding: stored.prefix { $0 != 0x0a }, as: UTF8.self)) ?? 0
        let next = max(last + 1, UInt64(max(0, Clock.wall().milliseconds)))
        let bytes = Array("\(next)\n".utf8)
        do throws(FileError) {
            try writeFile("incarnation", in: path, bytes)
        } catch {
            guard error.isDiskFull else { throw error }
            // A full disk must not keep a node from draining: the same few bytes in the same place need no room.
            if !stored.isEmpty {
                let file = try OpenFile(path + "/incarnation", .readWrite)
                try file.write(bytes[...], at: 0)
                try file.synchronize()
            }
        }
        return (next, last)
    }

    /// Lets another process have it.
    func unlock() { flock(lock.descriptor, LOCK_UN) }

    /// The journals here, oldest first.
    package func journals() throws(FileError) -> [JournalID] {
        try directoryEntries(journalsPath).compactMap { name in
            name.hasSuffix(".journal") ? ULID(text: name.dropLast(8)).map(JournalID.init) : nil
        }.sorted()
    }

    func journalPath(_ journal: JournalID) -> String { "\(journalsPath)/\(journal).journal" }
    var sparePath: String { journalsPath + "/spare" }

    // MARK: The small files

    static let ledgerName = "ledger"
    static let acquaintedName = "acquainted"
    static let recordsName = "records"

    func loadLedger() throws -> Ledger {
        guard let bytes = try readFile(path + "/" + DataDirectory.ledgerName), let ledger = Ledger(bytes) else {
            throw DataDirectoryError(
                "\(path)/\(DataDirectory.ledgerName) is missing or damaged: what this disk promised its peers is not known, "
                    + "so it counts as lost; move \(path) away and start again: the node comes back as a new disk "
                    + "(a node alone: rescue its queue from there by baton journal export)", isConfiguration: true)
        }
        return ledger
    }

    func store(_ ledger: Ledger) throws(FileError) {
        try writeFile(DataDirectory.ledgerName, in: path, ledger.encoded)
    }

    /// Nil when they can't be read: the peers are met again.
    func loadAcquainted() throws(FileError) -> [Acquaintance]? {
        guard let bytes = try readFile(path + "/" + DataDirectory.acquaintedName) else { return [] }
        return Acquaintance.decode(bytes)
    }

    func store(_ acquainted: [Acquaintance]) throws(FileError) {
        try writeFile(DataDirectory.acquaintedName, in: path, Acquaintance.encode(acquainted))
    }

    /// They bring checksums of their own. At 0 they are the whole file.
    func storeRecords(_ records: [UInt8], at offset: UInt64) throws(FileError) {
        guard offset > 0 else { return try writeFile(DataDirectory.recordsName, in: path, records) }
        let file = try OpenFile(path + "/" + DataDirectory.recordsName, .readWrite)
        try file.write(records[...], at: offset)
        try file.synchronize()
    }

    func loadRecords() throws(FileError) -> [UInt8]? { try readFile(path + "/" + DataDirectory.recordsName) }

    /// Keeps what can't be read for a person; the node goes on without it.
    func setAside(_ name: String) { rename("\(path)/\(name)", "\(path)/\(name).damaged") }
}

/// What `node.json` says.
private struct Identity: Codable {
    var format: Int
    var cluster: String
    var node: String
    var disk: String

    static func make(cluster: String, node: String) -> Identity {
        let disk = ULID(high: randomBits(), low: randomBits())
        return Identity(format: DataDirectory.format, cluster: cluster, node: node, disk: disk.description)
    }

    static func load(from path: String) throws -> Identity? {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try OpenFile(path, .read).read(at: 0, count: 65536)
        } catch {
            guard error.code == ENOENT else { throw error }
            return nil
        }
        do {
            return try JSONDecoder().decode(Identity.self, from: Data(bytes))
        } catch {
            throw DataDirectoryError("\(path) is damaged and can't be read; restore it from a backup")
        }
    }

    func save(in path: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try writeFile("node.json", in: path, Array(encoder.encode(self)) + [0x0a])
    }
}

/// From the system's generator.
package func randomBits() -> UInt64 {
    var bits: UInt64 = 0
    while getrandom(&bits, 8, 0) != 8 {}
    return bits
}
