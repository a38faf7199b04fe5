internal import Cluster
internal import Primitives

/// The journals that this node holds, few enough to be looked through. Each is read and changed in place: through a
/// dictionary every change of one would cost three allocations (measured 2026-11).
struct JournalTable: Sendable {
    private var ids: [JournalID?] = [nil]
    /// At 0 is what an unknown id names: nothing.
    private var held: [HeldJournal?] = [nil]

    var values: [HeldJournal] { held.compactMap { $0 } }

    /// Nothing that was appended to any of them waits for its commit.
    var isAllCommitted: Bool { held.allSatisfy { $0?.pending.isEmpty ?? true } }

    // One `yield` each, so that they are inlined.
    subscript(id: JournalID) -> HeldJournal? {
        _read { yield held[index(id)] }
        _modify {
            let index = index(id)
            yield &held[index]
            if index == 0 || held[index] == nil { settle(id, at: index) }
        }
    }

    // MARK: What every message asks

    func epoch(of id: JournalID) -> UInt64 { held[index(id)]?.owner.epoch ?? 0 }

    /// Under which epoch and where the next frame of a journal will stand.
    func nextPlace(in id: JournalID) -> (epoch: UInt64, offset: UInt64) {
        let index = index(id)
        guard let epoch = held[index]?.owner.epoch, let end = held[index]?.owner.end else {
            preconditionFailure("a frame for a journal that is not held")
        }
        return (epoch, end)
    }

    /// Takes the place of a frame of so many bytes; returns its offset.
    mutating func append(_ count: Int, to id: JournalID, then pending: Pending) -> UInt64 {
        let index = index(id)
        guard let offset = held[index]?.owner.append(count: count) else {
            preconditionFailure("a frame for a journal that is not held")
        }
        held[index]?.ends.append(offset + UInt64(count))
        held[index]?.pending.append(pending)
        return offset
    }

    /// True when that committed something.
    mutating func durable(_ id: JournalID, at replica: ReplicaID, upTo offset: UInt64) -> Bool {
        held[index(id)]?.owner.durable(at: replica, upTo: offset) ?? false
    }

    /// What follows the next frame that is committed.
    mutating func popCommitted(of id: JournalID) -> Pending? {
        let index = index(id)
        guard let end = held[index]?.ends.first, let committed = held[index]?.owner.committed, end <= committed else {
            return nil
        }
        _ = held[index]?.ends.popFirst()
        return held[index]?.pending.popFirst()
    }

    mutating func count(unfinished change: Int, in id: JournalID) { held[index(id)]?.unfinished += change }

    /// Whether nothing in it is unfinished and no mail can come into it any more.
    func isFinished(_ id: JournalID) -> Bool {
        let index = index(id)
        guard held[index]?.isSealed == true, held[index]?.unfinished == 0, held[index]?.openStreams == 0 else {
            return false
        }
        return held[index]?.pending.isEmpty == true && held[index]?.owner.phase == .active
    }

    func mayAct(in id: JournalID, for margin: Duration, at now: Instant) -> Bool {
        let index = index(id)
        guard held[index]?.owner.phase == .active else { return false }
        return held[index]?.owner.holdsLease(for: margin, at: now) ?? false
    }

    /// Takes a new one in, or an old one out.
    private mutating func settle(_ id: JournalID, at index: Int) {
        if index > 0 {
            ids.remove(at: index)
            held.remove(at: index)
        } else if let new = held[0].take() {
            ids.append(id)
            held.append(new)
        }
    }

    /// The newest are at the end, and asked for most.
    private func index(_ id: JournalID) -> Int {
        var index = ids.count - 1
        while index > 0, ids[index] != id { index -= 1 }
        return index
    }
}
