internal import Cluster
internal import EventLoop
internal import Journal
internal import Node
internal import Primitives

/// Start-up's reading of the data directory: each journal is synced and read from the disk itself, not from what a killed
/// process left in memory, and its frames become the node's queue (architecture.md, 'Storage rules').
struct JournalRecovery {
    let directory: DataDirectory
    /// Something that a person should know, in words.
    let warn: (String) -> Void

    struct Found {
        var ledger: Ledger
        var acquainted: [Acquaintance] = []
        var journals: [(journal: JournalID, file: OpenFile, length: UInt64)] = []
    }

    func run(into node: inout Node) throws -> Found {
        var found = Found(ledger: try directory.loadLedger())
        try recoverRecords(into: &node)
        if let acquainted = try directory.loadAcquainted() {
            found.acquainted = acquainted
        } else {
            warn("the file \(DataDirectory.acquaintedName) is damaged; this node meets its peers anew")
        }
        node.recover(acquainted: found.acquainted.map(\.replica))
        for (journal, disks) in found.ledger.tombstones {
            node.recover(tombstone: Tombstone(journal: journal, disks: disks, me: directory.replica))
        }
        let files = try directory.journals().filter { found.ledger.tombstones[$0] == nil }
        for journal in Set(files).union(found.ledger.promises.keys).sorted() {
            try recover(journal, hasFile: files.contains(journal), &found, into: &node)
        }
        return found
    }

    private func recoverRecords(into node: inout Node) throws {
        do {
            try node.recover(records: try directory.loadRecords())
        } catch let error as RecordsError {
            directory.setAside(DataDirectory.recordsName)
            warn("\(DataDirectory.recordsName): \(error); set aside, and this node asks its peers for the records")
        }
    }

    private func recover(_ journal: JournalID, hasFile: Bool, _ found: inout Found, into node: inout Node) throws {
        node.recover(
            journal: journal, promise: found.ledger.promises[journal],
            isMarkedDamaged: found.ledger.damaged.contains(journal), at: Clock.now())
        guard hasFile else {
            let nothing = try scanJournal(
                journal, length: 0, afterDamage: .stop, read: { _, _ in [] }, frame: { _ in })
            _ = node.recovered(journal: journal, scan: nothing)
            return
        }
        let file = try OpenFile(directory.journalPath(journal), .readWrite)
        try file.synchronize()
        file.dropFromCache()
        var length = try file.size
        let scan = try scanJournal(
            journal, length: length, afterDamage: .resynchronize,
            read: { offset, count in try file.read(at: offset, count: count) },
            frame: { node.recover(frame: $0, of: journal) })
        if case .newerFormat? = scan.damage?.reason {
            throw DataDirectoryError(
                "\(directory.journalPath(journal)) holds \(scan.damage?.description ?? ""); start that version again",
                isConfiguration: true)
        }
        if case .cut(let end, let isMarked) = node.recovered(journal: journal, scan: scan) {
            if isMarked, found.ledger.damaged.insert(journal).inserted { try directory.store(found.ledger) }
            if scan.framesAfterDamage { try keepCut(journal, file, end..<scan.lastEnd) }
            try file.truncate(to: end)
            try file.synchronize()
            length = end
        }
        found.journals.append((journal, file, length))
    }

    /// What is cut off and has intact frames in it is kept for a person, where it was in the file. Nothing rests on it: a
    /// full disk only loses that copy.
    private func keepCut(_ journal: JournalID, _ file: OpenFile, _ range: Range<UInt64>) throws {
        let path = directory.journalPath(journal) + ".damaged"
        do throws(FileError) {
            let copy = try OpenFile(path, .create)
            try copy.truncate(to: 0)
            var position = range.lowerBound
            while position < range.upperBound {
                let bytes = try file.read(at: position, count: Int(min(1 << 20, range.upperBound - position)))
                guard !bytes.isEmpty else { break }
                try copy.write(bytes[...], at: position)
                position += UInt64(bytes.count)
            }
            try copy.synchronize()
            warn("what was cut off journal \(journal) is kept in \(path)")
        } catch {
            guard error.isDiskFull else { throw error }
            warn("no room for \(path): what is cut off journal \(journal) is not kept")
        }
    }
}
