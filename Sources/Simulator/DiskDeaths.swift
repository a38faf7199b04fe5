import Cluster
import Journal
import Primitives

/// What a death leaves on the disk.
extension SimulatedDisk {
    enum Loss { case nothing, unsynced }

    /// The process is dead: a first part of its round reached the files, nothing of what was queued.
    ///
    /// - Parameter mayTear: Whether this journal's copy may be left with a bad end, which start-up can't tell from damage.
    func processDied(
        losing loss: Loss, mayTear: (JournalID) -> Bool, isSyncedAtStart: Bool, _ random: inout SeededRandom
    ) {
        let operations = forgetQueue().filter(\.isEffective)
        if random.chance(0.5) {
            performPart(of: operations, mayTear, &random)
        } else {
            // Nothing is promised about the order of two journals' files.
            var order: [JournalID?] = []
            for operation in operations where !order.contains(operation.journal) { order.append(operation.journal) }
            for journal in order { performPart(of: operations.filter { $0.journal == journal }, mayTear, &random) }
        }
        if loss == .unsynced {
            for journal in files.keys.sorted() {
                if mayTear(journal) { loseUnsynced(journal, &random) } else { loseUnsyncedFrames(journal, &random) }
            }
        }
        // Start-up syncs each file before it believes it.
        if isSyncedAtStart { syncAll() }
    }

    private func performPart(
        of operations: [Operation], _ mayTear: (JournalID) -> Bool, _ random: inout SeededRandom
    ) {
        let done = random.number(0...operations.count)
        for operation in operations.prefix(done) { performForDeath(operation) }
        guard done < operations.count, case .write(let journal, let offset, let bytes, _) = operations[done] else {
            return
        }
        let end = files[journal]?.bytes.count ?? 0
        guard end == Int(offset), mayTear(journal) else { return }
        let part = Array(bytes.prefix(random.number(0...bytes.count)))
        if files[journal] == nil { files[journal] = File() }
        files[journal]?.bytes.append(contentsOf: part)
        rescan(journal)
    }

    /// Any subset of the sectors that were not synced is lost; one of them may be torn in the middle.
    private func loseUnsynced(_ journal: JournalID, _ random: inout SeededRandom) {
        guard var file = files[journal], file.synced < file.bytes.count else { return }
        let keep = random.pick([0.0, 1.0, 0.5, 0.9])
        let torn = random.number(file.synced...file.bytes.count - 1) / SimulatedDisk.sector
        var start = file.synced
        while start < file.bytes.count {
            let end = min((start / SimulatedDisk.sector + 1) * SimulatedDisk.sector, file.bytes.count)
            let isTorn = start / SimulatedDisk.sector == torn && random.chance(0.5)
            if isTorn {
                let from = random.number(start...end)
                for index in from..<end { file.bytes[index] = 0 }
            } else if !random.chance(keep) {
                for index in start..<end { file.bytes[index] = 0 }
            }
            start = end
        }
        while file.bytes.count > file.synced, file.bytes.last == 0 { file.bytes.removeLast() }
        files[journal] = file
        rescan(journal)
    }

    /// Some last frames that were not synced are lost, each as a whole.
    private func loseUnsyncedFrames(_ journal: JournalID, _ random: inout SeededRandom) {
        guard let file = files[journal], file.synced < file.bytes.count else { return }
        let ends = [file.synced] + file.frames.map { Int($0.end) }.filter { $0 > file.synced }
        cut(journal, to: UInt64(random.pick(ends)))
        changed.insert(journal)
    }

    /// Flips some bits close together in a file, half of the time in its last frame; says where.
    func flipBits(_ journal: JournalID, _ random: inout SeededRandom) -> Int? {
        guard let file = files[journal], !file.bytes.isEmpty else { return nil }
        let last = file.frames.last.map { Int($0.offset)..<min(Int($0.end), file.bytes.count) }
        let range = random.chance(0.5) ? last ?? 0..<file.bytes.count : 0..<file.bytes.count
        guard !range.isEmpty else { return nil }
        let index = random.number(range.lowerBound...range.upperBound - 1)
        files[journal]?.bytes[index] ^= UInt8(random.number(1...255))
        rescan(journal)
        return index
    }

    /// Finds the frames that follow each other from the start, as the next start-up will.
    func rescan(_ journal: JournalID) {
        guard let file = files[journal] else { return }
        changed.insert(journal)
        var frames: [Placed] = []
        let result = try? scanJournal(
            journal, length: length(journal), afterDamage: .stop,
            read: { offset, count in read(journal, at: offset, count: count) },
            frame: { frames.append(Placed(offset: $0.offset, end: $0.end, epoch: $0.header.epoch)) })
        files[journal]?.frames = frames
        // A frame may end with zeros, which look like nothing written.
        let lacking = Int(frames.last?.end ?? 0) - file.bytes.count
        if lacking > 0 { files[journal]?.bytes.append(contentsOf: repeatElement(0, count: lacking)) }
        files[journal]?.noted = min(file.noted, frames.count)
        files[journal]?.agreed = min(file.agreed, frames.count)
        if result?.damage != nil { files[journal]?.isDamagedUnseen = true }
    }
}
