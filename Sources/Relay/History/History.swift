internal import EventLoop
internal import Glibc
internal import Journal
package import Primitives

/// What finished messages went through, kept when their journal is deleted: for each journal a file of the same frames
/// without the contents, in the same format, so that one scan reads both. Bounded by age and size.
package final class History: Sendable {
    package struct Limits: Hashable, Sendable {
        package var age = Duration.days(7)
        package var size = ByteCount.gibibytes(1)
        package init() {}
    }

    /// What is read at once: history is never in a hurry, and shares the memory with the mail.
    private static let window = 256 << 10

    private let directory: DataDirectory
    private let limits: Limits

    init(directory: DataDirectory, limits: Limits = Limits()) {
        self.directory = directory
        self.limits = limits
    }

    /// Extracts a journal that is about to be deleted. History is no mail: a failure here keeps nobody from going on.
    func keep(_ journal: JournalID, _ file: OpenFile?) {
        guard let file, let length = try? file.size else { return }
        var extract = Extract(journal: journal)
        let result = try? scanJournal(
            journal, length: length, afterDamage: .resynchronize, window: History.window,
            read: { offset, count in try file.read(at: offset, count: count) }, frame: { extract.add($0) })
        guard result != nil else { return }
        try? writeFile("\(journal).journal", in: directory.historyPath, extract.bytes)
        bound()
    }

    /// Drops the oldest files beyond the limits.
    func bound() {
        var left = limits.size.bytes
        let oldest = Clock.wall() + (Duration.zero - limits.age)
        for name in files().sorted(by: >) {
            let path = directory.historyPath + "/" + name
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let size = UInt64(status.st_size)
            if size > left || WallTime(milliseconds: Int64(status.st_mtim.tv_sec) * 1000) < oldest {
                unlink(path)
                left = size > left ? 0 : left
            } else {
                left -= size
            }
        }
    }

    private func files() -> [String] {
        ((try? directoryEntries(directory.historyPath)) ?? []).filter { $0.hasSuffix(".journal") }
    }

    /// A message's life as this node's disk knows it; nil when no file names it. Blocks: for a thread that may.
    func trace(_ id: MessageID) -> Trace? {
        var builder = TraceBuilder(id, node: directory.replica.node)
        var kept: Set<JournalID> = []
        for name in files().sorted() {
            guard let ulid = ULID(text: name.dropLast(8)) else { continue }
            kept.insert(JournalID(ulid))
            read(JournalID(ulid), directory.historyPath + "/" + name, into: &builder)
        }
        // One whose history is kept may be there still, for a moment.
        for journal in (try? directory.journals()) ?? [] where !kept.contains(journal) {
            read(journal, directory.journalPath(journal), into: &builder)
        }
        return builder.finish()
    }

    private func read(_ journal: JournalID, _ path: String, into builder: inout TraceBuilder) {
        // Within one node ids only grow: a journal that was opened after a message was taken holds nothing of it, unless
        // it was moved there from a damaged one.
        guard journal.ulid < builder.id.ulid || !builder.isFound else { return }
        guard let file = try? OpenFile(path, .read), let length = try? file.size else { return }
        builder.begin(journal)
        _ = try? scanJournal(
            journal, length: length, afterDamage: .resynchronize, window: History.window,
            read: { offset, count in try file.read(at: offset, count: count) }, frame: { builder.add($0) })
    }
}

/// The frames of a journal without contents.
private struct Extract {
    let journal: JournalID
    var bytes: [UInt8] = []

    init(journal: JournalID) { self.journal = journal }

    mutating func add(_ frame: ScannedFrame) {
        var record = frame.record
        switch record {
        case .accept(var accept):
            accept.content = .inline([])
            record = .accept(accept)
        case .outcome(var outcome):
            outcome.notice?.content = .inline([])
            record = .outcome(outcome)
        case .body, .abort, .unknown: return
        default: break
        }
        bytes.append(
            contentsOf: Frame.encode(record, epoch: frame.header.epoch, journal: journal, offset: UInt64(bytes.count)))
    }
}
