internal import Cluster
internal import EventLoop
internal import Glibc
internal import Node
internal import Primitives
internal import Synchronization

/// The one thread that writes a node's journals and promises: takes all that has come, writes it, syncs each touched file
/// once, and reports what became durable. That is group commit (architecture.md, 'Threads').
///
/// What is asked for one journal is done in order. Across journals, jobs of a kind are done together: a round is a few
/// *steps*, each of which takes from every journal as many jobs of one kind as come first. So the writes of all journals are
/// followed by one sync for each file, and the promises for all journals of a dead owner by one sync of the ledger.
///
/// A full disk makes the jobs of a journal wait, and is reported; nothing is dropped: it is tried again each second, and at
/// once from the reserve. Any other failure ends the process: what a disk did with a write whose sync failed can't be known.
// Sendable: everything mutable but the mailbox and `syncTimes` belongs to the thread alone, once it is started.
final class DiskThread: @unchecked Sendable {
    /// What other threads do for this one, and whom it tells.
    struct Helpers: Sendable {
        /// Reads what is asked for, so that the bulk of a copy never delays a sync.
        var reader: WorkThread
        /// Keeps history, removes files and makes spare ones.
        var background: WorkThread
        /// Keeps what a retired journal's messages went through; on the background thread.
        var keepHistory: @Sendable (JournalID, OpenFile) -> Void = { _, _ in }
        /// Is called on the disk thread and on the reader.
        var report: @Sendable ([NodeEvent]) -> Void
        /// Is called on the disk thread for a failure other than a full disk; does not return in the product.
        var broken: @Sendable (FileError) -> Void
    }

    let files: JournalFiles
    let helpers: Helpers
    /// How long each sync took.
    let syncTimes = Mutex(Histogram())
    let directory: DataDirectory
    /// How much is zeroed at once.
    let chunk: UInt64
    private let inbox = Mailbox<Job>()
    private var thread: SystemThread?

    var open: [JournalID: JournalFile] = [:]
    var ledger: Ledger
    /// Buried journals whose files are not gone yet: whether the tombstone is to be forgotten after that.
    var burials: [JournalID: Bool] = [:]
    var reserve: Reserve
    var spare = Spare.none
    var buffer: [UInt8] = []
    /// What is not done yet, in order.
    var queue: [Job] = []
    /// What is being done.
    var step: [Job] = []
    /// Journals whose next job has to wait for room on the disk.
    var stuck: Set<JournalID> = []
    /// What concerns no journal and has to wait for room.
    var waiting: [Job] = []
    private var events: [NodeEvent] = []
    private var isFull = false

    init(
        directory: DataDirectory, ledger: Ledger = Ledger(), files: JournalFiles, chunk: UInt64 = JournalFile.chunk,
        helpers: Helpers
    ) {
        self.directory = directory
        self.ledger = ledger
        self.files = files
        self.chunk = chunk
        self.helpers = helpers
        reserve = Reserve(path: directory.reservePath, total: DiskSpace(at: directory.path)?.total.bytes ?? 0)
    }

    /// Gives a file that recovery has read to the thread, before `start`.
    func adopt(_ journal: JournalID, _ file: OpenFile, length: UInt64) {
        open[journal] = JournalFile(file, length: length)
        files.set(journal, file)
    }

    /// The first thing it reports is how much room there is.
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
        // Without this the node takes no mail; the reserve and the spare file can wait.
        noteSpace()
        tell()
        removeLeftovers()
        var batch: [Job] = []
        var nextLook = Clock.instant() + .seconds(1)
        while inbox.take(into: &batch, within: 1) {
            if queue.isEmpty { swap(&queue, &batch) } else { queue.append(contentsOf: batch) }
            workThroughQueue()
            if Clock.instant() >= nextLook {
                nextLook = Clock.instant() + .seconds(1)
                lookAtSpace()
                tell()
            }
        }
    }

    func lookAtSpace() {
        guard let space = noteSpace() else { return }
        reserve.refill(free: space.free.bytes)
        makeSpare(free: space.free.bytes)
        // What fills up again is reported again.
        isFull = false
    }

    @discardableResult
    func noteSpace() -> DiskSpace? {
        guard let space = DiskSpace(at: directory.path) else { return nil }
        events.append(.diskSpace(free: space.free, total: space.total))
        return space
    }

    // MARK: Reports

    /// Everything that this step asked for is on the disk.
    func stepStored() {
        if step.count == 1, let journal = step[0].journal, let mark = step[0].mark {
            return events.append(.cluster(.stored(journal, through: mark)))
        }
        var marks: [JournalID: DiskMark] = [:]
        for job in step {
            if let journal = job.journal, let mark = job.mark { marks[journal] = max(mark, marks[journal] ?? mark) }
        }
        for (journal, mark) in marks { events.append(.cluster(.stored(journal, through: mark))) }
    }

    func note(_ event: NodeEvent) { events.append(event) }

    func noteFull() {
        if !isFull { events.append(.diskFull) }
        isFull = true
    }

    private func tell() {
        guard !events.isEmpty else { return }
        helpers.report(events)
        events.removeAll(keepingCapacity: true)
    }

    // MARK: Steps

    private func workThroughQueue() {
        stuck.removeAll(keepingCapacity: true)
        queue.append(contentsOf: waiting)
        waiting.removeAll()
        while let kind = takeStep() {
            do throws(FileError) {
                switch kind {
                case .ledger: try updateLedger()
                case .write: try write()
                case .single: try performSingly()
                }
            } catch {
                return helpers.broken(error)
            }
            tell()
        }
    }

    /// Moves from the queue to the step what is of the first job's kind and stands behind nothing else of its journal; nil
    /// when nothing can be done.
    private func takeStep() -> Kind? {
        step.removeAll(keepingCapacity: true)
        if !stuck.isEmpty { makeRoom() }
        var kind: Kind?
        var passed = stuck
        var rest: [Job] = []
        for job in queue {
            let journal = job.journal
            if let journal, passed.contains(journal) {
                rest.append(job)
            } else if kind ?? job.kind == job.kind {
                kind = job.kind
                step.append(job)
            } else {
                if let journal { passed.insert(journal) }
                rest.append(job)
            }
        }
        queue = rest
        return kind
    }

    /// These jobs of the step found no room: they and what follows them wait. They come before what is queued.
    func putBack(_ jobs: [Job]) {
        guard !jobs.isEmpty else { return }
        noteFull()
        for job in jobs { if let journal = job.journal { stuck.insert(journal) } }
        queue.insert(contentsOf: jobs, at: 0)
    }

    /// What waits for room of a journal that is to be buried needs none any more.
    private func makeRoom() {
        for case .entomb(let tombstone, _) in queue where stuck.contains(tombstone.journal) {
            let before = queue.count
            queue.removeAll { job in
                if case .entomb = job { return false }
                return job.journal == tombstone.journal
            }
            // Else it is the tombstone itself that waits.
            if queue.count < before { stuck.remove(tombstone.journal) }
        }
    }

    /// Gives up the spare file, then the reserve, piece by piece.
    func withReserve<Result>(_ write: () throws(FileError) -> Result) throws(FileError) -> Result {
        while true {
            do throws(FileError) {
                return try write()
            } catch {
                guard error.isDiskFull, dropSpare() || reserve.release() else { throw error }
            }
        }
    }
}
