internal import CLinux
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
///     journals/ID.journal     frames
///     journals/ID.promise     what was promised for it (protocol.md, 'What a replica keeps')
///     history/                what finished messages went through
///     admin.sock              the admin API
package final class DataDirectory: Sendable {
    package static let format = 1

    package let path: String
    package let cluster: String
    package let replica: ReplicaID
    /// When this process began, always higher than at any start before.
    package let incarnation: UInt64
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
        let identity = try Identity.load(from: path + "/node.json") ?? Identity.make(cluster: cluster, node: node)
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
            incarnation = 0
            return
        }
        for folder in ["/journals", "/history"] { try makeDirectory(path + folder) }
        try identity.save(in: path)
        incarnation = try DataDirectory.nextIncarnation(in: path)
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

    private static func nextIncarnation(in path: String) throws -> UInt64 {
        let stored = (try? OpenFile(path + "/incarnation", .read).read(at: 0, count: 32)) ?? []
        let last = UInt64(String(decoding: stored.prefix { $0 != 0x0a }, as: UTF8.self)) ?? 0
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let next = max(last + 1, UInt64(max(0, now.tv_sec)) * 1000 + UInt64(now.tv_nsec) / 1_000_000)
        do throws(FileError) {
            try writeFile("incarnation", in: path, Array("\(next)\n".utf8))
        } catch {
            // Alone it decides nothing; a full disk must not keep a node from draining.
            guard error.isDiskFull else { throw error }
        }
        return next
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
    func promisePath(_ journal: JournalID) -> String { "\(journalsPath)/\(journal).promise" }
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
        guard access(path + "/node.json", F_OK) != 0 else { return }
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

/// Makes a directory, with those above it, unless it is there.
func makeDirectory(_ path: String) throws(FileError) {
    if mkdir(path, 0o700) == 0 {
        return try synchronizeDirectory(parent(of: path))
    }
    if errno == EEXIST { return }
    guard errno == ENOENT, path.contains("/") else { throw FileError("make directory", path) }
    try makeDirectory(parent(of: path))
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError("make directory", path) }
    try synchronizeDirectory(parent(of: path))
}

private func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Puts creations, renames and removals in it on the disk.
func synchronizeDirectory(_ path: String) throws(FileError) {
    try OpenFile(path, .directory).synchronize()
}

/// Replaces a small file as a whole: whatever happens, it is the old one or the new one.
func writeFile(_ name: String, in directory: String, _ bytes: [UInt8]) throws(FileError) {
    let path = directory + "/" + name
    let temporary = path + ".new"
    let file = try OpenFile(temporary, .create)
    try file.truncate(to: 0)
    try file.write(bytes[...], at: 0)
    try file.synchronize()
    guard rename(temporary, path) == 0 else { throw FileError("rename", temporary) }
    try synchronizeDirectory(directory)
}

func directoryEntries(_ path: String) throws(FileError) -> [String] {
    guard let stream = opendir(path) else { throw FileError("read directory", path) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
