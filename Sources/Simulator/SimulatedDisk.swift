import Cluster
import Journal
import Node
import Primitives

/// One disk of one machine: what a reader would see, what would survive a power loss, and the disk thread's queue.
///
/// The thread takes all that was asked for, in order, as one round: each step that is no write is durable before the next
/// begins; written bytes are durable when the round's sync ends. So a process that dies in a round leaves the effects of
/// some first part of it; a machine that loses power moreover loses any subset of the sectors that were not synced.
final class SimulatedDisk {
    enum Operation {
        case promise(JournalID, Promise, DiskMark)
        case write(JournalID, offset: UInt64, [UInt8], DiskMark)
        case cut(JournalID, to: UInt64, DiskMark)
        case entomb(Tombstone, DiskMark)
        case forgetTombstone(JournalID)
        case whole(JournalID)
        case setAside(JournalID)
        case read(ReadRequest)
        case scan(JournalID, number: UInt64, upTo: UInt64)
        case content(Ticket, ContentReference, limit: Int)
        case records([UInt8], at: UInt64, version: UInt64)
        case met(ReplicaID)
    }

    /// One frame as it stands in a file.
    struct Placed: Hashable {
        var offset: UInt64
        var end: UInt64
        var epoch: UInt64
    }

    struct File {
        /// As a reader sees it, up to the last byte that was written; zeros follow.
        var bytes: [UInt8] = []
        /// Everything below is on the disk.
        var synced = 0
        /// Zeroed ahead up to here.
        var allocated = SimulatedDisk.chunk
        /// The intact frames that follow each other from the start.
        var frames: [Placed] = []
        /// Start-up's mark: it found the copy damaged, and cut it.
        var isMarkedDamaged = false
        /// Damaged, and no process has started since that would mark it.
        var isDamagedUnseen = false
        /// How many frames the books have noted as held here, and how many agree with what is committed.
        var noted = 0
        var agreed = 0

        var isWhole: Bool { !isMarkedDamaged && !isDamagedUnseen }
    }

    static let sector = 512
    static let chunk = 16 << 10

    let id: DiskID
    /// Of all disks of the run.
    let number: Int
    var files: [JournalID: File] = [:]
    var promises: [JournalID: Promise] = [:]
    var tombstones: [JournalID: Tombstone] = [:]
    var acquainted: Set<ReplicaID> = []
    var records: [UInt8]?
    private(set) var setAside: Set<JournalID> = []
    private(set) var queue: [Operation] = []
    private(set) var round: [Operation]?
    /// What waits for room: a full disk takes nothing that needs more of it.
    private(set) var stalled: [Operation] = []
    var isFull = false
    /// Whether a little reserve serves while it is full.
    var hasReserve = true
    /// The first thing that was asked for and makes no sense.
    private(set) var misuse: String?
    /// Whose copies have changed since this was last emptied.
    var changed: Set<JournalID> = []
    /// The highest epoch of each journal that answers from this disk stood for.
    var said: [JournalID: UInt64] = [:]
    /// Ended lately without room.
    private var ranFull = false

    init(id: DiskID, number: Int) {
        self.id = id
        self.number = number
    }

    /// Every journal of which something is kept.
    var journals: [JournalID] { Set(files.keys).union(promises.keys).sorted() }
    var used: UInt64 { files.values.reduce(0) { $0 + UInt64($1.allocated) } }
    var isIdle: Bool { queue.isEmpty && round == nil && stalled.isEmpty }

    func ask(_ operation: Operation) { queue.append(operation) }

    /// The last promise that was asked for or kept.
    func promised(_ journal: JournalID) -> Promise? {
        for operation in (queue + (round ?? [])).reversed() {
            if case .promise(journal, let promise, _) = operation { return promise }
        }
        return promises[journal]
    }

    /// The bytes of a message's content, written or on their way; nil when some of it is nowhere.
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
            } else if let queued = queued(reference.journal, start..<end) {
                bytes += queued
            } else {
                return nil
            }
            if bytes.count >= limit { return Array(bytes.prefix(limit)) }
        }
        return bytes
    }

    /// What the queue would write there: a read comes behind it.
    private func queued(_ journal: JournalID, _ range: Range<Int>) -> [UInt8]? {
        var view = files[journal]?.bytes ?? []
        for operation in stalled + (round ?? []) + queue {
            if case .write(journal, let offset, let bytes, _) = operation, Int(offset) <= view.count {
                view.replaceSubrange(Int(offset)..., with: bytes)
            }
        }
        return range.upperBound <= view.count ? Array(view[range]) : nil
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

    func misused(_ text: String) { misuse = misuse ?? text }
}

// Rounds.
extension SimulatedDisk {
    /// Takes all that is asked for. False: there is nothing, or nothing that has room.
    func beginRound() -> Bool {
        if !isFull || hasReserve, !stalled.isEmpty {
            queue = stalled + queue
            stalled = []
        }
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
        var waiting = Set(stalled.compactMap(\.journal))
        for operation in operations {
            // Behind what waits for room, in the order of the journal.
            if let journal = operation.journal, waiting.contains(journal) || lacksRoom(operation) {
                if waiting.insert(journal).inserted { answers.append(.diskFull) }
                stalled.append(operation)
                continue
            }
            perform(operation, &answers)
        }
        if ranFull { answers.append(.diskFull) }
        ranFull = false
        for journal in Set(operations.compactMap(\.journal)) { sync(journal) }
        return merged(answers)
    }

    private func lacksRoom(_ operation: Operation) -> Bool {
        guard isFull, !hasReserve, case .write(let journal, let offset, let bytes, _) = operation else { return false }
        return Int(offset) + bytes.count > files[journal]?.allocated ?? 0
    }

    private func perform(_ operation: Operation, _ answers: inout [NodeEvent]) {
        if let journal = operation.journal { changed.insert(journal) }
        switch operation {
        case .promise(let journal, let promise, let mark):
            promises[journal] = promise
            answers.append(.cluster(.stored(journal, through: mark)))
        case .write(let journal, let offset, let bytes, let mark):
            write(journal, Int(offset), bytes)
            answers.append(.cluster(.stored(journal, through: mark)))
        case .cut(let journal, let end, let mark):
            cut(journal, to: end)
            answers.append(.cluster(.stored(journal, through: mark)))
        case .entomb(let tombstone, let mark):
            tombstones[tombstone.journal] = tombstone
            files[tombstone.journal] = nil
            promises[tombstone.journal] = nil
            answers.append(.cluster(.stored(tombstone.journal, through: mark)))
        case .forgetTombstone(let journal): tombstones[journal] = nil
        case .whole(let journal): files[journal]?.isMarkedDamaged = false
        case .setAside(let journal):
            if files[journal] == nil { misused("\(journal.short) set aside, which does not exist") }
            setAside.insert(journal)
            files[journal] = nil
            promises[journal] = nil
        case .read(let request):
            let bytes = files[request.journal]?.bytes ?? []
            let start = min(Int(request.offset), bytes.count)
            answers.append(.cluster(.read(request, Array(bytes[start..<min(start + request.count, bytes.count)]))))
        case .scan(let journal, let number, let end): scan(journal, number, upTo: end, &answers)
        case .content(let ticket, let reference, let limit):
            answers.append(.contentRead(ticket, content(reference, limit: limit)))
        case .records(let bytes, let offset, let version):
            if offset > 0, offset != UInt64(records?.count ?? 0) {
                misused("the records are written at \(offset), and end at \(records?.count ?? 0)")
            }
            records = offset == 0 ? bytes : (records ?? []) + bytes
            answers.append(.recordsStored(version: version))
        case .met(let peer): acquainted.insert(peer)
        }
    }

    private func write(_ journal: JournalID, _ offset: Int, _ bytes: [UInt8]) {
        if files[journal] == nil, offset == 0 { files[journal] = File() }
        guard let count = files[journal]?.bytes.count else {
            return misused("\(journal.short) is written at \(offset), and has no beginning")
        }
        // A frame may end with zeros, which look like nothing written.
        guard offset >= count, offset - count < 1 << 20 else {
            return misused("\(journal.short) is written at \(offset), and ends at \(count)")
        }
        files[journal]?.bytes.append(contentsOf: repeatElement(0, count: offset - count))
        files[journal]?.bytes.append(contentsOf: bytes)
        for frame in walkFrames(bytes, of: journal, at: UInt64(offset)) {
            files[journal]?.frames.append(Placed(offset: frame.offset, end: frame.end, epoch: frame.epoch))
        }
        let end = offset + bytes.count
        if end > files[journal]?.allocated ?? 0 {
            files[journal]?.allocated = (end / SimulatedDisk.chunk + 1) * SimulatedDisk.chunk
            ranFull = ranFull || isFull
        }
    }

    func cut(_ journal: JournalID, to end: UInt64) {
        guard let file = files[journal], Int(end) <= file.bytes.count else { return }
        files[journal]?.bytes.removeSubrange(Int(end)...)
        files[journal]?.synced = Int(end)
        while let last = files[journal]?.frames.last, last.end > end { files[journal]?.frames.removeLast() }
        let count = files[journal]?.frames.count ?? 0
        files[journal]?.noted = min(file.noted, count)
        files[journal]?.agreed = min(file.agreed, count)
    }

    private func scan(_ journal: JournalID, _ number: UInt64, upTo end: UInt64, _ answers: inout [NodeEvent]) {
        var frames: [ScannedFrame] = []
        _ = try? scanJournal(
            journal, length: min(end, length(journal)), afterDamage: .stop,
            read: { offset, count in read(journal, at: offset, count: count) }, frame: { frames.append($0) })
        // In batches, as a long file comes.
        let half = frames.count / 2
        if half > 0 {
            answers.append(.scanned(journal, scan: number, Array(frames[..<half]), isLast: false))
        }
        answers.append(.scanned(journal, scan: number, Array(frames[half...]), isLast: true))
    }

    /// One answer for all steps of a journal that follow one another, as group commit gives.
    private func merged(_ answers: [NodeEvent]) -> [NodeEvent] {
        var result: [NodeEvent] = []
        for answer in answers {
            if case .cluster(.stored(let journal, let mark)) = answer,
                case .cluster(.stored(journal, _))? = result.last
            {
                result[result.count - 1] = .cluster(.stored(journal, through: mark))
            } else {
                result.append(answer)
            }
        }
        return result
    }

    private func sync(_ journal: JournalID) {
        let end = files[journal]?.bytes.count ?? 0
        files[journal]?.synced = end
    }

    func syncAll() {
        for journal in files.keys { sync(journal) }
    }

    /// The process is dead: what was asked for and not begun is forgotten. Returns the round that was under way.
    func forgetQueue() -> [Operation] {
        // Behind what waits for room nothing of its journal is done.
        let waiting = Set(stalled.compactMap(\.journal))
        let operations = (round ?? []).filter { $0.journal.map { !waiting.contains($0) } ?? true }
        round = nil
        queue = []
        stalled = []
        ranFull = false
        return operations
    }

    func performForDeath(_ operation: Operation) {
        var ignored: [NodeEvent] = []
        perform(operation, &ignored)
    }
}

extension SimulatedDisk.Operation {
    /// The journal in whose order it stands.
    var journal: JournalID? {
        switch self {
        case .promise(let journal, _, _), .write(let journal, _, _, _), .cut(let journal, _, _),
            .forgetTombstone(let journal), .whole(let journal), .setAside(let journal), .scan(let journal, _, _):
            journal
        case .entomb(let tombstone, _): tombstone.journal
        case .read(let request): request.journal
        case .content(_, let reference, _): reference.journal
        case .records, .met: nil
        }
    }

    var isEffective: Bool {
        switch self {
        case .read, .scan, .content: false
        default: true
        }
    }
}
