internal import Cluster
internal import EventLoop
internal import Glibc
internal import Node
internal import Primitives
internal import Synchronization

/// The one thread that writes a node's journals and promises: takes all that has come, writes it, syncs each touched file
/// once, and reports what became durable. That is group commit (architecture.md, 'Threads').
///
/// A full disk blocks the queue and is reported; nothing that was appended is dropped: it is tried again each second,
/// and at once from the reserve. Any other failure ends the process: what a disk did with a write whose sync failed can't
/// be known.
// Sendable: everything mutable but the mailbox and `syncTimes` belongs to the thread alone.
final class DiskThread: @unchecked Sendable {
    enum Job: Sendable {
        case storePromise(JournalID, Promise)
        case create(JournalID)
        case append(JournalID, offset: UInt64, [UInt8])
        case cut(JournalID, to: UInt64)
        case setAside(JournalID)
        case delete(JournalID)
    }

    /// What one system call writes at most.
    private static let bufferSize = 1 << 20

    let files: JournalFiles
    /// How long each sync took.
    let syncTimes = Mutex(Histogram())
    private let directory: DataDirectory
    private let inbox = Mailbox<Job>()
    private let report: @Sendable ([NodeEvent]) -> Void
    private let broken: @Sendable (FileError) -> Void

    private var open: [JournalID: JournalFile] = [:]
    /// What is not done yet, in order.
    private var queue: [Job] = []
    private var events: [NodeEvent] = []
    private var reserve: Reserve
    private var isFull = false
    private var buffer: [UInt8] = []
    private var thread: SystemThread?
    /// How much is zeroed at once.
    private let chunk: UInt64

    /// - Parameters:
    ///   - report: is called on the thread, once a round.
    ///   - broken: is called on the thread for a failure other than a full disk; does not return in the product.
    init(
        directory: DataDirectory, files: JournalFiles, chunk: UInt64 = JournalFile.chunk,
        report: @escaping @Sendable ([NodeEvent]) -> Void,
        broken: @escaping @Sendable (FileError) -> Void
    ) {
        self.directory = directory
        self.files = files
        self.chunk = chunk
        self.report = report
        self.broken = broken
        reserve = Reserve(path: directory.reservePath, total: DiskSpace(at: directory.path)?.total.bytes ?? 0)
    }

    /// Gives a file that recovery has read to the thread, before `start`.
    func adopt(_ journal: JournalID, _ file: OpenFile, length: UInt64) {
        open[journal] = JournalFile(file, length: length)
        files.set(journal, file)
    }

    func start() {
        thread = SystemThread("disk") { [self] in run() }
    }

    /// In order; `jobs` is empty afterwards.
    func take(_ jobs: inout [Job]) { inbox.put(all: &jobs) }

    func take(_ job: Job) { inbox.put(job) }

    /// Does what was handed over before, ends the thread, and closes the files.
    func stop() {
        inbox.close()
        thread?.join()
        open = [:]
        files.removeAll()
    }

    private func run() {
        var batch: [Job] = []
        var nextLook = Clock.instant()
        while inbox.take(into: &batch, within: 1) {
            if queue.isEmpty { swap(&queue, &batch) } else { queue.append(contentsOf: batch) }
            workThroughQueue()
            if Clock.instant() >= nextLook {
                nextLook = Clock.instant() + .seconds(1)
                lookAtSpace()
            }
            if !events.isEmpty {
                report(events)
                events.removeAll(keepingCapacity: true)
            }
        }
    }

    private func lookAtSpace() {
        guard let space = DiskSpace(at: directory.path) else { return }
        reserve.refill(free: space.free.bytes)
        // What fills up again is reported again.
        isFull = false
        events.append(.diskSpace(free: space.free, total: space.total))
    }

    // MARK: The queue

    private func workThroughQueue() {
        var done = 0
        do throws(FileError) {
            while done < queue.count {
                if case .append = queue[done] {
                    let end = endOfAppends(from: done)
                    try write(done..<end)
                    done = end
                } else {
                    try perform(queue[done])
                    done += 1
                }
            }
        } catch {
            guard error.isDiskFull else {
                broken(error)
                return
            }
            blocked(at: done)
        }
        queue.removeSubrange(..<done)
    }

    /// Nothing can be written: what is queued waits, but for what makes room.
    private func blocked(at done: Int) {
        if let journal = queue[done].journal { reportFull(journal) }
        var index = done
        while index < queue.count {
            if case .delete(let journal) = queue[index] {
                try? delete(journal)
                queue.remove(at: index)
            } else {
                index += 1
            }
        }
    }

    private func endOfAppends(from start: Int) -> Int {
        var index = start
        while index < queue.count, case .append = queue[index] { index += 1 }
        return index
    }

    private func perform(_ job: Job) throws(FileError) {
        switch job {
        case .storePromise(let journal, let promise):
            guard open[journal] != nil else { return }
            let bytes = PromiseFile.encode(promise)
            try withReserve { () throws(FileError) in
                try writeFile("\(journal).promise", in: directory.journalsPath, bytes)
            }
            events.append(.promiseStored(journal, epoch: promise.epoch))
        case .create(let journal): try create(journal)
        case .append: break
        case .cut(let journal, let length): try open[journal]?.cut(to: length)
        case .setAside(let journal): try setAside(journal)
        case .delete(let journal): try delete(journal)
        }
    }

    // MARK: Files

    /// A full disk makes no new journal: that one is given up, and the queue goes on.
    private func create(_ journal: JournalID) throws(FileError) {
        let path = directory.journalPath(journal)
        do throws(FileError) {
            let file = try OpenFile(path, .createNew)
            var made = JournalFile(file, length: 0)
            _ = try made.grow(upTo: 1, chunk: chunk)
            try synchronizeDirectory(directory.journalsPath)
            open[journal] = made
            files.set(journal, file)
        } catch {
            guard error.isDiskFull else { throw error }
            unlink(path)
            events.append(.diskFull(journal))
        }
    }

    private func setAside(_ journal: JournalID) throws(FileError) {
        let path = directory.journalPath(journal)
        guard rename(path, path + ".damaged") == 0 || errno == ENOENT else { throw FileError("rename", path) }
        unlink(directory.promisePath(journal))
        try synchronizeDirectory(directory.journalsPath)
        open[journal] = nil
    }

    private func delete(_ journal: JournalID) throws(FileError) {
        let path = directory.journalPath(journal)
        guard unlink(path) == 0 || errno == ENOENT else { throw FileError("delete", path) }
        unlink(directory.promisePath(journal))
        try synchronizeDirectory(directory.journalsPath)
        open[journal] = nil
        files.set(journal, nil)
        events.append(.journalDeleted(journal))
    }

    private func withReserve(_ write: () throws(FileError) -> Void) throws(FileError) {
        while true {
            do throws(FileError) {
                return try write()
            } catch {
                guard error.isDiskFull, reserve.release() else { throw error }
            }
        }
    }

    // MARK: Appends

    /// Appends that follow each other in one file.
    private struct Run {
        var journal: JournalID
        var start: UInt64
        var end: UInt64
        var jobs: [Int]
    }

    /// Writes all of these and syncs each file once; after that they are durable.
    private func write(_ range: Range<Int>) throws(FileError) {
        let runs = self.runs(range)
        for run in runs where open[run.journal]?.needsGrowth(upTo: run.end) == true { try grow(run) }
        let began = Clock.instant()
        if runs.count == 1, runs[0].end - runs[0].start <= UInt64(DiskThread.bufferSize) {
            guard let file = open[runs[0].journal]?.file else { return }
            gather(runs[0].jobs)
            try file.writeSynced(buffer, at: runs[0].start)
        } else {
            try writeInPieces(runs)
        }
        let took = Clock.instant() - began
        syncTimes.withLock { $0.record(took) }
        for run in runs { events.append(.durable(run.journal, upTo: run.end)) }
    }

    /// The first sign of scarcity is reported at once, while there still is room for what was appended.
    private func grow(_ run: Run) throws(FileError) {
        var room: JournalFile.Room?
        try withReserve { () throws(FileError) in room = try open[run.journal]?.grow(upTo: run.end, chunk: chunk) }
        if room == .enough { lookAtSpace() } else { reportFull(run.journal) }
    }

    private func reportFull(_ journal: JournalID) {
        if !isFull { events.append(.diskFull(journal)) }
        isFull = true
    }

    private func writeInPieces(_ runs: [Run]) throws(FileError) {
        for run in runs {
            guard let file = open[run.journal]?.file else { continue }
            var offset = run.start
            var first = 0
            while first < run.jobs.count {
                var last = first
                var count = 0
                while last < run.jobs.count, last == first || count + size(run.jobs[last]) <= DiskThread.bufferSize {
                    count += size(run.jobs[last])
                    last += 1
                }
                gather(run.jobs[first..<last])
                try file.write(buffer[...], at: offset)
                offset += UInt64(count)
                first = last
            }
        }
        var synced: Set<JournalID> = []
        for run in runs where synced.insert(run.journal).inserted {
            try open[run.journal]?.file.synchronizeData()
        }
    }

    private func size(_ job: Int) -> Int {
        if case .append(_, _, let bytes) = queue[job] { bytes.count } else { 0 }
    }

    /// One copy makes one system call of many frames, and costs less than their vectors would.
    private func gather(_ jobs: some Sequence<Int>) {
        buffer.removeAll(keepingCapacity: true)
        for job in jobs {
            if case .append(_, _, let bytes) = queue[job] { buffer.append(contentsOf: bytes) }
        }
    }

    private func runs(_ range: Range<Int>) -> [Run] {
        var runs: [Run] = []
        var latest: [JournalID: Int] = [:]
        for index in range {
            // A journal that was given up when the disk was full takes nothing.
            guard case .append(let journal, let offset, let bytes) = queue[index], open[journal] != nil else {
                continue
            }
            let end = offset + UInt64(bytes.count)
            if let run = latest[journal], runs[run].end == offset {
                runs[run].end = end
                runs[run].jobs.append(index)
            } else {
                latest[journal] = runs.count
                runs.append(Run(journal: journal, start: offset, end: end, jobs: [index]))
            }
        }
        return runs
    }
}

extension DiskThread.Job {
    var journal: JournalID? {
        switch self {
        case .storePromise(let journal, _), .create(let journal), .append(let journal, _, _), .cut(let journal, _),
            .setAside(let journal), .delete(let journal):
            journal
        }
    }
}
