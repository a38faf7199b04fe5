package import Journal
package import Primitives

/// What the protocol must know of one copy of a journal: where it ends, which epochs wrote it, whom its last `open` or
/// `replicas` frame names, whether it holds `retire`, and whether it is whole (`protocol.md`, 'Names', 'Damaged copy').
///
/// The bytes themselves are the disk's. This index is what start-up's scan found and then follows every write and cut.
package struct JournalCopy: Sendable {
    package private(set) var runs = EpochRuns()
    /// False when start-up found a bad frame or cut a bad tail, until the copy has caught up. That must outlive the process:
    /// the next start finds nothing bad any more. So start-up marks the copy on the disk before it cuts.
    package var isWhole = true
    /// Counts cuts: bytes that were read before one may not be what stands there now.
    package private(set) var generation: UInt64 = 0
    /// Where the `retire` frame ends.
    package private(set) var retiredEnd: UInt64?
    /// A frame of a kind that this version does not know: replicated, never claimed.
    package private(set) var hasUnknownKinds = false
    /// Every set that a frame of this copy named, and where that frame ends.
    private var sets: [(end: UInt64, replicas: [ReplicaID])] = []

    package init() {}

    package var end: UInt64 { runs.end }
    package var lastEpoch: UInt64 { runs.lastEpoch }
    package var isEmpty: Bool { end == 0 }
    /// `R(J)` as this copy knows it; nil while it holds no frame.
    package var replicas: [ReplicaID]? { sets.last?.replicas }
    /// Everyone who ever was in `R(J)`, for a tombstone.
    package var everyReplica: Set<ReplicaID> { Set(sets.lazy.flatMap(\.replicas)) }

    /// Takes the next frame that start-up's scan found.
    package mutating func append(_ frame: ScannedFrame) {
        precondition(frame.offset == end, "a frame that does not follow the last one")
        runs.append(count: UInt64(frame.header.frameLength), epoch: frame.header.epoch)
        switch frame.record {
        case .open(let open): sets.append((end, open.replicas))
        case .replicas(let replicas): sets.append((end, replicas))
        case .retire: retiredEnd = end
        case .unknown: hasUnknownKinds = true
        default: break
        }
    }

    /// Takes frames that now stand at the end. `bytes` begin at `offset` of the journal and hold at least these frames.
    package mutating func append(_ frames: some Sequence<FrameSummary>, in bytes: [UInt8], at offset: UInt64) {
        for frame in frames {
            precondition(frame.offset == end, "a frame that does not follow the last one")
            runs.append(count: UInt64(frame.length), epoch: frame.epoch)
            if let replicas = replicaSet(of: frame, in: bytes, at: offset) { sets.append((end, replicas)) }
            if frame.kind == FrameKind.retire.rawValue { retiredEnd = end }
            if FrameKind(rawValue: frame.kind) == nil { hasUnknownKinds = true }
        }
    }

    package mutating func cut(to offset: UInt64) {
        guard offset < end else { return }
        runs.cut(to: offset)
        sets.removeAll { $0.end > offset }
        if let retired = retiredEnd, retired > offset { retiredEnd = nil }
        generation += 1
    }

    /// Where the copy and these frames first differ: the first of another epoch than what stands at its place, or the
    /// copy's end. `present` counts the frames before it.
    package func compare(_ frames: [FrameSummary]) -> (present: Int, difference: UInt64?) {
        for (index, frame) in frames.enumerated() {
            guard frame.end <= end else { return (index, frame.offset < end ? frame.offset : nil) }
            if runs.epoch(endingAt: frame.end) != frame.epoch || runs.runStart(endingAt: frame.end) > frame.offset {
                return (index, frame.offset)
            }
        }
        return (frames.count, nil)
    }
}
