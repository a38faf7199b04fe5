internal import EventLoop
internal import Glibc
internal import Primitives

/// How frames get into the journals' files: all of a step together, then one sync for each file.
extension DiskThread {
    /// What one system call writes at most.
    private static let bufferSize = 1 << 20

    /// Writes that follow each other in one file.
    private struct Run {
        var journal: JournalID
        var start: UInt64
        var end: UInt64
        /// Their places in the step.
        var jobs: [Int]
    }

    /// Writes all of the step and syncs each file once; after that it is durable.
    func write() throws(FileError) {
        try createFiles()
        let began = Clock.instant()
        var runs = self.runs()
        var isGrown = false
        for index in runs.indices where open[runs[index].journal]?.needsGrowth(upTo: runs[index].end) == true {
            try grow(runs[index])
            isGrown = true
        }
        if !stuck.isEmpty {
            leaveOutStuck()
            runs = self.runs()
        }
        guard !runs.isEmpty else { return }
        // What grew is synced as a whole, so that later writes find their blocks.
        if runs.count == 1, !isGrown, runs[0].end - runs[0].start <= UInt64(DiskThread.bufferSize) {
            let file = try file(of: runs[0])
            gather(runs[0].jobs)
            try file.writeSynced(buffer, at: runs[0].start)
        } else {
            try writeInPieces(runs)
        }
        let took = Clock.instant() - began
        syncTimes.withLock { $0.record(took) }
        stepStored()
    }

    private func leaveOutStuck() {
        var late: [Job] = []
        step.removeAll { job in
            guard let journal = job.journal, stuck.contains(journal) else { return false }
            late.append(job)
            return true
        }
        putBack(late)
    }

    /// The first sign of scarcity is reported at once, while there still is room for what was appended.
    private func grow(_ run: Run) throws(FileError) {
        do throws(FileError) {
            let room = try withReserve { () throws(FileError) in
                try open[run.journal]?.grow(upTo: run.end, chunk: chunk)
            }
            if room == .enough { lookAtSpace() } else { noteFull() }
        } catch {
            guard error.isDiskFull else { throw error }
            stuck.insert(run.journal)
        }
    }

    private func writeInPieces(_ runs: [Run]) throws(FileError) {
        for run in runs {
            let file = try file(of: run)
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

    /// The core writes from a journal's beginning on: a file that is not there was taken away from under us.
    private func file(of run: Run) throws(FileError) -> OpenFile {
        guard let file = open[run.journal]?.file else {
            throw FileError("write", directory.journalPath(run.journal), code: ENOENT)
        }
        return file
    }

    private func size(_ job: Int) -> Int {
        if case .write(_, _, let bytes, _) = step[job] { bytes.count } else { 0 }
    }

    /// One copy makes one system call of many frames, and costs less than their vectors would.
    private func gather(_ jobs: some Sequence<Int>) {
        buffer.removeAll(keepingCapacity: true)
        for job in jobs {
            if case .write(_, _, let bytes, _) = step[job] { buffer.append(contentsOf: bytes) }
        }
    }

    private func runs() -> [Run] {
        var runs: [Run] = []
        var latest: [JournalID: Int] = [:]
        for index in step.indices {
            guard case .write(let journal, let offset, let bytes, _) = step[index] else { continue }
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

    // MARK: New files

    /// A journal's first write makes its file, of the spare one if it can.
    private func createFiles() throws(FileError) {
        var isChanged = false
        for job in step {
            guard case .write(let journal, 0, _, _) = job, open[journal] == nil, !stuck.contains(journal) else {
                continue
            }
            do throws(FileError) {
                try create(journal)
                isChanged = true
            } catch {
                guard error.isDiskFull else { throw error }
                stuck.insert(journal)
            }
        }
        if isChanged { try synchronizeDirectory(directory.journalsPath) }
        if !stuck.isEmpty { leaveOutStuck() }
    }

    private func create(_ journal: JournalID) throws(FileError) {
        let path = directory.journalPath(journal)
        var made: JournalFile
        if case .ready = spare {
            guard rename(directory.sparePath, path) == 0 else { throw FileError("rename", directory.sparePath) }
            // Opened anew, so that what goes wrong names the journal.
            made = JournalFile(try OpenFile(path, .readWrite), length: chunk)
            spare = .none
        } else {
            made = JournalFile(try OpenFile(path, .createNew), length: 0)
            do throws(FileError) {
                try withReserve { () throws(FileError) in _ = try made.grow(upTo: 1, chunk: chunk) }
            } catch {
                unlink(path)
                throw error
            }
        }
        open[journal] = made
        files.set(journal, made.file)
        if let space = noteSpace() { makeSpare(free: space.free.bytes) }
    }
}

/// A file of zeros that is kept ready, so that a new journal, or a new copy of somebody else's, delays no other's sync by
/// the time that zeroing takes.
enum Spare {
    case none
    case making
    case ready
}

extension DiskThread {
    /// In the background, while there is plenty of room.
    func makeSpare(free: UInt64) {
        guard case .none = spare, free > Reserve.size + 8 * chunk else { return }
        spare = .making
        let path = directory.sparePath
        let chunk = chunk
        helpers.background.begin { [self] in
            do throws(FileError) {
                var file = JournalFile(try OpenFile(path, .create), length: 0)
                try file.file.truncate(to: 0)
                _ = try file.grow(upTo: chunk, chunk: chunk)
                try file.file.synchronizeData()
                take(.spare(isReady: true))
            } catch {
                // The next look at the disk's space tries again; what is wrong shows where it matters.
                unlink(path)
                take(.spare(isReady: false))
            }
        }
    }

    /// Its room is given back; false when there was none.
    func dropSpare() -> Bool {
        guard case .ready = spare else { return false }
        spare = .none
        return unlink(directory.sparePath) == 0
    }
}
