import Cluster
import Journal
import Primitives

/// One journal's files on a simulated disk: what the process sees (the page cache), what would survive a power cut, and
/// what lies between.
struct SimulatedJournalFiles {
    enum Operation {
        case write(offset: Int, [UInt8])
        case cut(Int)
        case promise(Promise)
        case entomb(Tombstone)

        var isOfFile: Bool {
            switch self {
            case .write, .cut: true
            case .promise, .entomb: false
            }
        }
    }

    struct Contents {
        var bytes: [UInt8] = []
        var promise: Promise?
        var tombstone: Tombstone?
        /// Start-up's mark on a copy that it found damaged.
        var isWhole = true

        mutating func apply(_ operation: Operation) {
            switch operation {
            case .write(let offset, let new):
                if offset > bytes.count { bytes += [UInt8](repeating: 0, count: offset - bytes.count) }
                bytes.replaceSubrange(offset..<min(bytes.count, offset + new.count), with: new)
            case .cut(let length): if length < bytes.count { bytes.removeLast(bytes.count - length) }
            case .promise(let new): promise = new
            case .entomb(let new):
                tombstone = new
                bytes = []
                promise = nil
                isWhole = true
            }
        }
    }

    let journal: JournalID
    var cache = Contents()
    var durable = Contents()
    var pending: [(mark: DiskMark, operation: Operation)] = []
    /// Which epochs stand in `durable.bytes`.
    private(set) var durableRuns = EpochRuns()

    init(journal: JournalID) { self.journal = journal }

    mutating func ask(_ operation: Operation, _ mark: DiskMark) {
        cache.apply(operation)
        pending.append((mark, operation))
    }

    mutating func sync(through mark: DiskMark) {
        while let first = pending.first, first.mark <= mark {
            makeDurable(pending.removeFirst().operation)
        }
    }

    private mutating func makeDurable(_ operation: Operation) {
        durable.apply(operation)
        switch operation {
        case .write(let offset, let bytes):
            durableRuns.cut(to: UInt64(offset))
            for frame in walkFrames(bytes, of: journal, at: UInt64(offset)) {
                durableRuns.append(count: UInt64(frame.length), epoch: frame.epoch)
            }
        case .cut(let length): durableRuns.cut(to: UInt64(length))
        case .entomb: durableRuns = EpochRuns()
        case .promise: break
        }
    }

    /// The power is cut: any part of what was not synced may be there, in order within each file; the last write may be torn.
    mutating func crash(_ random: inout SeededRandom) {
        let file = pending.filter(\.operation.isOfFile)
        let other = pending.filter { !$0.operation.isOfFile }
        pending = []
        let kept = Int.random(in: 0...file.count, using: &random)
        for entry in file[..<kept] { makeDurable(entry.operation) }
        for entry in other[..<Int.random(in: 0...other.count, using: &random)] { makeDurable(entry.operation) }
        if kept < file.count, case .write(let offset, let bytes) = file[kept].operation, random.chance(0.3),
            durable.bytes.count == offset, durable.tombstone == nil
        {
            durable.bytes += bytes[..<Int.random(in: 0..<bytes.count, using: &random)]
        }
    }

    /// The process is killed: the page cache stays, and start-up syncs it.
    mutating func kill() {
        for entry in pending { makeDurable(entry.operation) }
        pending = []
    }

    /// A mutant's start-up: what the killed process wrote is read, and is not on the disk yet. The next sync takes it along.
    mutating func leaveUnsynced() { pending = pending.map { (DiskMark(0), $0.operation) } }

    mutating func flipBit(_ random: inout SeededRandom) -> Bool {
        guard !durable.bytes.isEmpty else { return false }
        // The last frame is what matters most.
        let range =
            random.chance(0.5) ? max(0, durable.bytes.count - 60)..<durable.bytes.count : 0..<durable.bytes.count
        let index = Int.random(in: range, using: &random)
        durable.bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        return true
    }

    /// What start-up does: scans, marks a copy that has a bad frame, cuts it there.
    ///
    /// - Parameter takesFlipsForTorn: A mutant's start-up: what is bad in the last frame was never acknowledged.
    mutating func scan(takesFlipsForTorn: Bool = false) {
        let bytes = durable.bytes
        let result = try? scanJournal(
            journal, length: UInt64(bytes.count), afterDamage: .stop,
            read: { offset, count in
                Array(bytes[min(Int(offset), bytes.count)..<min(Int(offset) + count, bytes.count)])
            }, frame: { _ in })
        let end = Int(result?.end ?? 0)
        if result?.damage != nil || end < bytes.count {
            let isTail = !(end + 1..<max(bytes.count, end + 1)).contains { start in
                !walkFrames(Array(bytes[start...]), of: journal, at: UInt64(start)).isEmpty
            }
            if !(takesFlipsForTorn && isTail) { durable.isWhole = false }
            durable.bytes.removeLast(bytes.count - end)
        }
        durableRuns = EpochRuns()
        for frame in walkFrames(durable.bytes, of: journal, at: 0) {
            durableRuns.append(count: UInt64(frame.length), epoch: frame.epoch)
        }
        cache = durable
    }

    /// What a node is told of it at start-up.
    var copy: JournalCopy {
        var copy = JournalCopy()
        copy.append(walkFrames(cache.bytes, of: journal, at: 0), in: cache.bytes, at: 0)
        copy.isWhole = cache.isWhole
        return copy
    }
}
