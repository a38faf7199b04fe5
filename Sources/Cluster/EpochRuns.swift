/// Which epoch wrote which bytes of a copy: what log matching needs to know of a journal's frames.
///
/// An epoch has one owner, and an owner writes each byte of its journal once. So two copies that hold bytes of one epoch at
/// one offset hold the same frame there, and everything before it too (Raft's log matching property). Comparing frames by
/// epoch is comparing these runs, and a run costs 16 bytes however many frames it has.
package struct EpochRuns: Hashable, Sendable {
    private struct Run: Hashable, Sendable {
        var end: UInt64
        var epoch: UInt64
    }

    private var runs: [Run] = []

    package init() {}

    package var end: UInt64 { runs.last?.end ?? 0 }
    /// Of the last frame; 0 when there is none.
    package var lastEpoch: UInt64 { runs.last?.epoch ?? 0 }

    /// The epoch of the frame that ends at (or, between boundaries, spans) this offset: 0 at the beginning, nil beyond the
    /// end.
    package func epoch(endingAt offset: UInt64) -> UInt64? {
        if offset == 0 { return 0 }
        guard offset <= end else { return nil }
        return runs[index(endingAt: offset)].epoch
    }

    /// Where the run that holds the byte before `offset` begins: the next place to try after a mismatch there.
    package func runStart(endingAt offset: UInt64) -> UInt64 {
        guard offset > 0, !runs.isEmpty else { return 0 }
        guard offset <= end else { return end }
        let index = index(endingAt: offset)
        return index == 0 ? 0 : runs[index - 1].end
    }

    /// Where to try after this answer: a place where a frame ends here, and perhaps there.
    func boundary(for mismatch: Mismatch) -> UInt64 {
        let hint = min(mismatch.hint, end)
        return hint == mismatch.hint && epoch(endingAt: hint) == mismatch.hintEpoch ? hint : runStart(endingAt: hint)
    }

    package mutating func append(count: UInt64, epoch: UInt64) {
        precondition(epoch >= lastEpoch, "an epoch never follows a higher one")
        let newEnd = end + count
        if let last = runs.indices.last, runs[last].epoch == epoch {
            runs[last].end = newEnd
        } else {
            runs.append(Run(end: newEnd, epoch: epoch))
        }
    }

    package mutating func cut(to offset: UInt64) {
        guard offset < end else { return }
        while let last = runs.indices.last {
            let start = last == 0 ? 0 : runs[last - 1].end
            if start < offset {
                runs[last].end = offset
                return
            }
            runs.removeLast()
        }
    }

    private func index(endingAt offset: UInt64) -> Int {
        // The last runs are asked for most.
        var index = runs.count - 1
        while index > 0, runs[index - 1].end >= offset { index -= 1 }
        return index
    }
}
