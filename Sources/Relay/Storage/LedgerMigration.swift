internal import Cluster
internal import Glibc
internal import Primitives

/// Directories of format 1, of a node alone, kept each promise in a file `ID.promise` beside its journal.
struct FormerPromises {
    private static let magic: UInt32 = 0x5052_4d31

    let journalsPath: String

    /// Throws for one that can't be read.
    func read() throws -> [JournalID: Promise] {
        var promises: [JournalID: Promise] = [:]
        for name in try names() {
            guard let ulid = ULID(text: name.prefix(26)), let bytes = try readFile("\(journalsPath)/\(name)") else {
                continue
            }
            guard let promise = decode(bytes) else {
                throw DataDirectoryError(
                    "\(journalsPath)/\(name) is damaged and can't be read; restore it from a backup, or rescue the queue by "
                        + "baton journal export", isConfiguration: true)
            }
            promises[JournalID(ulid)] = promise
        }
        return promises
    }

    func remove() throws(FileError) {
        for name in try names() { unlink("\(journalsPath)/\(name)") }
    }

    private func names() throws(FileError) -> [String] {
        try directoryEntries(journalsPath).filter { $0.hasSuffix(".promise") }
    }

    private func decode(_ bytes: [UInt8]) -> Promise? {
        guard var body = Sealed.open(bytes, magic: FormerPromises.magic) else { return nil }
        do throws(MalformedBytes) {
            let epoch: UInt64 = try body.read()
            let owner = ReplicaID(node: try body.readText(), disk: DiskID(try body.readULID()))
            let lease: UInt64 = try body.read()
            return Promise(epoch: epoch, owner: owner, lease: .nanoseconds(Int64(clamping: lease)))
        } catch {
            return nil
        }
    }
}
