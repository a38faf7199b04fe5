internal import Admin
internal import Cluster
internal import Glibc
internal import Journal
internal import Node
internal import Primitives
internal import Routing
internal import SMTP

let journalCommands = [
    CommandSpec(
        ["journal", "export"], "offline: the unfinished messages of a data directory",
        arguments: "DIR",
        options: [
            OptionSpec("data", "DIR", "the data directory (default /var/lib/baton); it is only read"),
            OptionSpec("json", nil, "the counts as JSON: directory, written, skipped, remaining"),
        ],
        examples: ["baton journal export /tmp/rescued --data /mnt/old-disk/baton"],
        details: """
            Needs no node and no configuration, and changes nothing. Damaged journals are read as far as their frames are
            intact (also *.damaged files that a node set aside). A message whose last attempt has no outcome is marked
            uncertain: it may have been delivered. Exit 1 when something was damaged.
            """,
        run: exportJournals)
]

/// The queue that a data directory holds, by the same code that a starting node reads it with: the node as a value, fed
/// with the frames and never started.
private func exportJournals(_ arguments: Arguments) async throws -> Int32 {
    let directory = try arguments.plain(1...1, "one directory to write into")[0]
    let data = arguments.text("data") ?? "/var/lib/baton"
    let files = try journalFiles(data + "/journals")
    let now = wallClock()
    var configuration = NodeConfiguration(
        cluster: "", replica: ReplicaID(node: "export", disk: DiskID(.zero)), hostname: "localhost",
        upstreams: [Upstream(name: "none", addresses: ["127.0.0.1:25"])], routes: [Route(upstreams: ["none"])], seed: 0)
    configuration.uncertain = .hold
    var node = Node(configuration: configuration, at: now)
    var damage: [String] = []
    var open: Set<MessageID> = []
    for file in files {
        node.recover(journal: file.journal, promise: nil, isMarkedDamaged: false, at: now)
        let result = try scanJournal(
            file.journal, length: file.length, afterDamage: .resynchronize,
            read: { offset, count in try file.read(at: offset, count: count) },
            frame: { frame in
                switch frame.record {
                case .attempt(let attempt): open.insert(attempt.message)
                case .outcome(let outcome): open.remove(outcome.message)
                default: break
                }
                node.recover(frame: frame, of: file.journal)
            })
        // What a start would do to the file is left undone.
        _ = node.recovered(journal: file.journal, scan: result)
        for gap in result.gaps { damage.append("\(file.path): \(gap)") }
    }
    let byJournal = Dictionary(files.map { ($0.journal, $0) }, uniquingKeysWith: { first, _ in first })
    let writer = try ExportWriter(directory)
    let messages = node.list(QueueFilter(), limit: .max, at: now).messages
    for (index, message) in messages.enumerated() {
        var answer = MessageAnswer(message, at: now.wall, owner: nil)
        if open.contains(message.id) { answer.uncertain = true }
        if let content = try? byJournal[message.content.journal]?.content(message.content) {
            try writer.write(answer, content: DotStuffing.unstuffed(content))
        } else {
            writer.skipped += 1
            damage.append("\(message.id): its content cannot be read")
        }
        writer.progress(index + 1, of: messages.count)
    }
    for line in damage { Output.error("damaged: \(line)") }
    writer.finish(json: arguments.has("json"))
    return damage.isEmpty ? 0 : 1
}

/// A journal file, opened for reading only.
private final class ReadOnlyJournal {
    let journal: JournalID
    let path: String
    let length: UInt64
    private let descriptor: Int32

    init(_ journal: JournalID, _ path: String) throws(CommandFailure) {
        self.journal = journal
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            throw CommandFailure("\(path): \(String(cString: strerror(errno)))")
        }
        length = UInt64(status.st_size)
    }

    deinit { close(descriptor) }

    /// Fewer bytes only where the file ends.
    func read(at offset: UInt64, count: Int) throws(CommandFailure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress?.advanced(by: done), count - done, off_t(offset) + off_t(done))
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
            if got == 0 { break }
            done += got
        }
        return Array(bytes[..<done])
    }

    func content(_ reference: ContentReference) throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        for run in reference.runs {
            let piece = try read(at: run.offset, count: Int(run.count))
            guard piece.count == Int(run.count) else { throw CommandFailure("\(path) ends within a message") }
            bytes += piece
        }
        return bytes
    }
}

/// Oldest first; a file that was set aside comes before its successor, which holds what was saved from it. What was only
/// cut off a journal that is still there is no file of its own: the journal's other copies have it.
private func journalFiles(_ directory: String) throws(CommandFailure) -> [ReadOnlyJournal] {
    guard let stream = opendir(directory) else {
        throw CommandFailure("\(directory): \(String(cString: strerror(errno))); --data names the data directory")
    }
    defer { closedir(stream) }
    var found: [(ULID, String)] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        guard name.hasSuffix(".journal") || name.hasSuffix(".damaged"), let id = ULID(text: name.prefix(26)) else {
            continue
        }
        found.append((id, name))
    }
    let whole = Set(found.filter { $0.1.hasSuffix(".journal") }.map(\.0))
    found.removeAll { $0.1.hasSuffix(".damaged") && whole.contains($0.0) }
    var files: [ReadOnlyJournal] = []
    for (id, name) in found.sorted(by: { $0.0 < $1.0 }) {
        files.append(try ReadOnlyJournal(JournalID(id), "\(directory)/\(name)"))
    }
    return files
}

private func wallClock() -> Now {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let wall = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    return Now(instant: Instant(nanoseconds: wall * 1_000_000), wall: WallTime(milliseconds: wall))
}
