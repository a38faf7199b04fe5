/// Which punched body frames are explained by the end of their message (`queue.md`, 'Recovery').
///
/// Feed every frame that a scan finds, and every message that is seen to be finished. What is left unexplained at the end is
/// either a stream that never became a message, or damage: such a copy is not whole.
package struct PunchedBodies: Sendable {
    /// Start and end of each punched frame, in file order, as frames come.
    private var frames: [Range<UInt64>] = []
    private var explained: Set<UInt64> = []

    package init() {}

    package mutating func add(_ frame: ScannedFrame) {
        if frame.isPunched { frames.append(frame.offset..<frame.end) }
    }

    /// A message with this content is finished; its bytes may be gone.
    package mutating func finished(_ content: AcceptRecord.Content) {
        guard case .pieces(_, let pieces) = content, !frames.isEmpty else { return }
        for piece in pieces { if let frame = frame(holding: piece) { explained.insert(frame.lowerBound) } }
    }

    /// The punched frame in which a piece lies.
    package func frame(holding piece: ContentPiece) -> Range<UInt64>? {
        var low = 0
        var high = frames.count
        while low < high {
            let middle = (low + high) / 2
            if frames[middle].upperBound <= piece.offset { low = middle + 1 } else { high = middle }
        }
        return low < frames.count && frames[low].contains(piece.offset) ? frames[low] : nil
    }

    package var unexplained: [Range<UInt64>] { frames.filter { !explained.contains($0.lowerBound) } }
}
