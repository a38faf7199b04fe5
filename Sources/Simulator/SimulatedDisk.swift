import Cluster
import Journal
import Node
import Primitives

/// One node's disk: what a reader would see, what would survive a power loss, and the disk thread's queue.
///
/// The thread takes all that was asked for, in order, as one round: each step that is not an append is durable before the
/// next begins; appended bytes are durable when the round's sync ends. So a process that dies in a round leaves the effects of
/// some first part of it; a machine that loses power moreover loses any subset of the sectors that were not synced.
final class SimulatedDisk {
    enum Operation {
        case storePromise(JournalID, Promise)
        case create(JournalID)
        case append(JournalID, offset: UInt64, [UInt8])
        case cut(JournalID, to: UInt64)
        case delete(JournalID)
        case setAside(JournalID)
        case read(Ticket, ContentReference, limit: Int)

        /// The journal that has to exist for it.
        var file: JournalID? {
            switch self {
            case .append(let journal, _, _), .cut(let journal, _), .delete(let journal), .setAside(let journal): journal
            case .storePromise, .create, .read: nil
            }
        }
    }

    struct File {
        /// As a reader sees it, up to the last byte that was written; zeros follow.
        var bytes: [UInt8] = []
        /// Everything below is on the disk.
        var synced = 0
        /// Zeroed ahead up to here.
        var allocated = 0
    }

    private static let sector = 512
    private static let chunk = 16 << 10

    private(set) var files: [JournalID: File] = [:]
    private(set) var promises: [JournalID: Promise] = [:]
    private(set) var setAside: [JournalID: File] = [:]
    private(set) var queue: [Operation] = []
    private(set) var round: [Operation]?
    var isFull = false
    /// The first thing that was asked for and makes no sense.
    private(set) var misuse: String?

    var journals: [JournalID] { files.keys.sorted() }
    var used: UInt64 { files.values.reduce(0) { $0 + UInt64($1.allocated) } }
    var isIdle: Bool { queue.isEmpty && round == nil }

    func ask(_ operation: Operation) { queue.append(operation) }

    func isDurable(_ journal: JournalID, upTo end: UInt64) -> Bool {
        files[journal].map { UInt64($0.synced) >= end } ?? false
    }

    /// The bytes of a message's content; nil when some of it is in no file.
    func content(_ reference: ContentReference, limit: Int = .max) -> [UInt8]? {
        var bytes: [UInt8] = []
        for run in reference.runs {
            let start = Int(run.offset)
            let end = start + Int(run.count)
            if let frame = reference.frame, run.offset >= reference.frameOffset,
                end <= Int(reference.frameOffset) + frame.count
            {
                let base = start - Int(reference.frameOffset)
                bytes += frame[base..<base + Int(run.count)]
            } else if let file = files[reference.journal], end <= file.bytes.count {
                bytes += file.bytes[start..<end]
            } else {
                return nil
            }
            if bytes.count >= limit { return Array(bytes.prefix(limit)) }
        }
        return bytes
    }

    /// Reads as the recovery does: zeros after the last byte that was written.
    func read(_ journal: JournalID, at offset: UInt64, count: Int) -> [UInt8] {
        guard let file = files[journal] else { return [] }
        let start = min(Int(offset), file.bytes.count)
        let end = min(start + count, file.bytes.count)
        return Array(file.bytes[start..<end]) + [UInt8](repeating: 0, count: count - (end - start))
    }

    func length(_ journal: JournalID) -> UInt64 {
        UInt64(files[journal].map { max($0.allocated, $0.bytes.count) } ?? 0)
    }
}

// Rounds.
extension SimulatedDisk {
    /// Takes all that is asked for. False: there is nothing.
    func beginRound() -> Bool {
        guard round == nil, !queue.isEmpty else { return false }
        round = queue
        queue = []
        return true
    }

    /// The round's sync has ended: its answers, in order.
    func endRound() -> [NodeEvent] {
        let operations = round ?? []
        round = nil
        var answers: [NodeEvent] = []
        for operation in operations { perform(operation, &answers) }
        syncAll()
        return merged(answers)
    }

    private func perform(_ operation: Operation, _ answers: inout [NodeEvent]) {
        if let journal = operation.file, files[journal] == nil {
            return misused("\(operation.name) on journal \(journal.short), which does not exist")
        }
        switch operation {
        case .storePromise(let journal, let promise):
            promises[journal] = promise
            answers.append(.promiseStored(journal, epoch: promise.epoch))
        case .create(let journal):
            if isFull {
                answers.append(.diskFull(journal))
            } else if files[journal] != nil {
                misused("journal \(journal.short) made twice")
            } else {
                files[journal] = File(allocated: SimulatedDisk.chunk)
            }
        case .append(let journal, let offset, let bytes):
            if grow(journal, to: Int(offset) + bytes.count) { answers.append(.diskFull(journal)) }
            write(journal, Int(offset), bytes)
            answers.append(.durable(journal, upTo: offset + UInt64(bytes.count)))
        case .cut(let journal, let end):
            guard Int(end) <= files[journal]?.bytes.count ?? 0 else { return }
            files[journal]?.bytes.removeSubrange(Int(end)...)
            files[journal]?.synced = Int(end)
        case .delete(let journal):
            files[journal] = nil
            promises[journal] = nil
            answers.append(.journalDeleted(journal))
        case .setAside(let journal):
            setAside[journal] = files[journal]
            files[journal] = nil
            promises[journal] = nil
        case .read(let ticket, let reference, let limit):
            answers.append(.contentRead(ticket, content(reference, limit: limit)))
        }
    }

    /// True: there was no space to zero ahead; the reserve served.
    private func grow(_ journal: JournalID, to end: Int) -> Bool {
        guard let file = files[journal], end > file.allocated else { return false }
        files[journal]?.allocated = (end / SimulatedDisk.chunk + 1) * SimulatedDisk.chunk
        return isFull
    }

    private func write(_ journal: JournalID, _ offset: Int, _ bytes: [UInt8]) {
        guard let end = files[journal]?.bytes.count else { return }
        // A frame may end with zeros, which look like nothing written.
        guard offset >= end, offset - end < 1 << 20 else {
            return misused("append to \(journal.short) at \(offset), which ends at \(end)")
        }
        files[journal]?.bytes.append(contentsOf: repeatElement(0, count: offset - end))
        files[journal]?.bytes.append(contentsOf: bytes)
    }

    /// One answer for all appends of a journal that follow one another, as group commit gives.
    private func merged(_ answers: [NodeEvent]) -> [NodeEvent] {
        var result: [NodeEvent] = []
        for answer in answers {
            if case .durable(let journal, let end) = answer, case .durable(journal, _)? = result.last {
                result[result.count - 1] = .durable(journal, upTo: end)
            } else {
                result.append(answer)
            }
        }
        return result
    }

    private func misused(_ text: String) { misuse = misuse ?? text }
}

// Deaths.
extension SimulatedDisk {
    enum Loss { case nothing, unsynced }

    /// The process is dead: a first part of its round reached the files, nothing of what was queued.
    func processDied(losing loss: Loss, _ random: inout SeededRandom) {
        let operations = round ?? []
        round = nil
        queue = []
        var ignored: [NodeEvent] = []
        let done = random.number(0...operations.count)
        for operation in operations.prefix(done) where isEffective(operation) { perform(operation, &ignored) }
        if done < operations.count, case .append(let journal, let offset, let bytes) = operations[done],
            let end = files[journal]?.bytes.count, end <= Int(offset)
        {
            write(journal, Int(offset), Array(bytes.prefix(random.number(0...bytes.count))))
        }
        if loss == .unsynced {
            for journal in journals { loseUnsynced(journal, &random) }
        }
        // Start-up syncs each file before it believes it.
        syncAll()
    }

    private func syncAll() {
        for journal in journals {
            let end = files[journal]?.bytes.count ?? 0
            files[journal]?.synced = end
        }
    }

    private func isEffective(_ operation: Operation) -> Bool {
        if case .read = operation { return false }
        return true
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
    }

    /// Flips some bits close together somewhere; says where.
    func flipBits(_ random: inout SeededRandom) -> (JournalID, Int)? {
        let candidates = journals.filter { (files[$0]?.bytes.count ?? 0) > 0 }
        guard !candidates.isEmpty else { return nil }
        let journal = random.pick(candidates)
        guard let count = files[journal]?.bytes.count else { return nil }
        let index = random.number(0...count - 1)
        files[journal]?.bytes[index] ^= UInt8(random.number(1...255))
        return (journal, index)
    }
}

extension SimulatedDisk.Operation {
    var name: String {
        switch self {
        case .storePromise: "a promise"
        case .create: "create"
        case .append: "append"
        case .cut: "cut"
        case .delete: "delete"
        case .setAside: "set aside"
        case .read: "read"
        }
    }
}
