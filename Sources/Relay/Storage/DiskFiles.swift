internal import Cluster
internal import Glibc
internal import Journal
internal import Node
internal import Primitives

/// What the disk thread does besides writing frames.
extension DiskThread {
    // MARK: The ledger

    /// All promises, tombstones and marks of the step, in one file and with one sync.
    func updateLedger() throws(FileError) {
        var new = ledger
        var buried: [JournalID] = []
        for job in step {
            switch job {
            case .storePromise(let journal, let promise, _): new.promises[journal] = promise
            case .whole(let journal): new.damaged.remove(journal)
            case .entomb(let tombstone, _):
                let journal = tombstone.journal
                new.tombstones[journal] = tombstone.disks
                new.promises[journal] = nil
                new.damaged.remove(journal)
                buried.append(journal)
            case .forgetTombstone(let journal):
                // Not before its file is gone: what has no tombstone comes back at the next start.
                if burials[journal] == nil { new.tombstones[journal] = nil } else { burials[journal] = true }
            default: break
            }
        }
        do throws(FileError) {
            try store(new)
        } catch {
            guard error.isDiskFull else { throw error }
            return putBack(step)
        }
        stepStored()
        for journal in buried { remove(journal) }
    }

    private func store(_ new: Ledger) throws(FileError) {
        guard new != ledger else { return }
        try withReserve { () throws(FileError) in try directory.store(new) }
        ledger = new
    }

    // MARK: Buried journals

    /// Its history is kept first; only then the file goes. Neither keeps this thread from its syncs.
    private func remove(_ journal: JournalID) {
        open[journal] = nil
        guard let file = files[journal] else { return }
        burials[journal] = false
        let keepHistory = helpers.keepHistory
        let path = directory.journalPath(journal)
        helpers.background.begin { [self] in
            keepHistory(journal, file)
            unlink(path)
            take(.removed(journal))
        }
    }

    private func removed(_ journal: JournalID) throws(FileError) {
        try synchronizeDirectory(directory.journalsPath)
        files.set(journal, nil)
        if burials.removeValue(forKey: journal) == true { queue.append(.forgetTombstone(journal)) }
    }

    /// What the process before left: journals that were buried and not removed yet, and its spare file.
    func removeLeftovers() {
        unlink(directory.sparePath)
        for journal in ledger.tombstones.keys {
            let path = directory.journalPath(journal)
            guard let file = try? OpenFile(path, .read) else { continue }
            files.set(journal, file)
            remove(journal)
        }
    }

    // MARK: One by one

    func performSingly() throws(FileError) {
        // Of several only the newest matters.
        let records = step.lastIndex { if case .storeRecords(_, at: 0, _) = $0 { true } else { false } } ?? 0
        let acquainted = step.lastIndex { if case .storeAcquainted = $0 { true } else { false } }
        var late: [Job] = []
        for (index, job) in step.enumerated() {
            switch job {
            case .storeRecords where index < records: continue
            case .storeAcquainted where index != acquainted: continue
            default: break
            }
            guard job.journal.map({ !stuck.contains($0) }) ?? true else {
                late.append(job)
                continue
            }
            do throws(FileError) {
                try perform(job)
            } catch {
                guard error.isDiskFull else { throw error }
                noteFull()
                guard let journal = job.journal else {
                    waiting.append(job)
                    continue
                }
                stuck.insert(journal)
                late.append(job)
            }
        }
        putBack(late)
    }

    private func perform(_ job: Job) throws(FileError) {
        switch job {
        case .cut(let journal, let length, let mark):
            try open[journal]?.cut(to: length)
            note(.cluster(.stored(journal, through: mark)))
        case .read(let request): read(request)
        case .scan(let journal, let scan, let end): self.scan(journal, scan, upTo: end)
        case .setAside(let journal): try setAside(journal)
        case .storeRecords(let records, let offset, let version):
            try withReserve { () throws(FileError) in try directory.storeRecords(records, at: offset) }
            note(.recordsStored(version: version))
        case .storeAcquainted(let acquainted):
            try withReserve { () throws(FileError) in try directory.store(acquainted) }
        case .removed(let journal): try removed(journal)
        case .spare(let isReady): spare = isReady ? .ready : .none
        case .storePromise, .write, .entomb, .forgetTombstone, .whole: break
        }
    }

    private func setAside(_ journal: JournalID) throws(FileError) {
        let path = directory.journalPath(journal)
        guard rename(path, path + ".damaged") == 0 || errno == ENOENT else { throw FileError("rename", path) }
        try synchronizeDirectory(directory.journalsPath)
        var new = ledger
        new.promises[journal] = nil
        new.damaged.remove(journal)
        open[journal] = nil
        try store(new)
    }

    // MARK: Reading

    /// A read finds what was written before it: those writes are done. What is cut afterwards is the asker's to judge.
    private func read(_ request: ReadRequest) {
        let file = files[request.journal]
        let report = helpers.report
        helpers.reader.begin {
            let bytes = (try? file?.read(at: request.offset, count: request.count)) ?? []
            report([.cluster(.read(request, bytes))])
        }
    }

    private func scan(_ journal: JournalID, _ scan: UInt64, upTo end: UInt64) {
        let file = files[journal]
        let report = helpers.report
        helpers.reader.begin {
            var reading = ScanReading(journal: journal, scan: scan, report: report)
            reading.run(file, upTo: end)
        }
    }
}

/// A journal's frames on their way to the node, in batches.
private struct ScanReading {
    private static let batch = 1024

    let journal: JournalID
    let scan: UInt64
    let report: @Sendable ([NodeEvent]) -> Void
    private var frames: [ScannedFrame] = []

    init(journal: JournalID, scan: UInt64, report: @escaping @Sendable ([NodeEvent]) -> Void) {
        self.journal = journal
        self.scan = scan
        self.report = report
    }

    /// Fewer frames than there should be are the node's to judge, whatever was wrong.
    mutating func run(_ file: OpenFile?, upTo end: UInt64) {
        if let file {
            _ = try? scanJournal(
                journal, length: end, afterDamage: .stop,
                read: { offset, count in try file.read(at: offset, count: count) }, frame: { take($0) })
        }
        deliver(isLast: true)
    }

    private mutating func take(_ frame: ScannedFrame) {
        frames.append(frame)
        if frames.count == ScanReading.batch { deliver(isLast: false) }
    }

    private mutating func deliver(isLast: Bool) {
        report([.scanned(journal, scan: scan, frames, isLast: isLast)])
        frames = []
    }
}
