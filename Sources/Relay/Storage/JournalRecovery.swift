internal import Cluster
internal import Journal
internal import Node
internal import Primitives

/// Start-up's reading of the journals: each file is synced and read from the disk itself, not from what a killed process
/// left in memory, and its frames become the node's queue (architecture.md, 'Storage rules').
struct JournalRecovery {
    let directory: DataDirectory

    struct Found {
        var journal: JournalID
        var file: OpenFile
        var length: UInt64
    }

    func run(into node: inout Node) throws -> [Found] {
        var found: [Found] = []
        for journal in try directory.journals() {
            let file = try OpenFile(directory.journalPath(journal), .readWrite)
            try file.synchronize()
            file.dropFromCache()
            node.recover(journal: journal, promise: promise(journal))
            let length = try file.size
            let result = try scanJournal(
                journal, length: length, afterDamage: .resynchronize,
                read: { offset, count in try file.read(at: offset, count: count) },
                frame: { node.recover(frame: $0, of: journal) })
            node.recovered(journal: journal, scan: result)
            found.append(Found(journal: journal, file: file, length: length))
        }
        return found
    }

    private func promise(_ journal: JournalID) -> Promise? {
        guard let file = try? OpenFile(directory.promisePath(journal), .read),
            let bytes = try? file.read(at: 0, count: 4096)
        else { return nil }
        return PromiseFile.decode(bytes)
    }
}
