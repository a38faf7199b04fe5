internal import Cluster
internal import Primitives

/// The journals that this node holds, few enough to be looked through. Each is read and changed in place: through a
/// dictionary every change of one would cost three allocations (measured 2026-11).
struct JournalTable: Sendable {
    private var ids: [JournalID] = []
    private var keys: [SlabKey] = []
    private var held = Slab<HeldJournal>()

    var values: [HeldJournal] { keys.map { held[$0] } }

    var all: [JournalID] { ids }

    /// Nothing that was appended to any of them waits for its commit.
    var isAllCommitted: Bool { keys.allSatisfy { held[$0].pending.isEmpty } }

    /// One that is not held is nil, and setting nil lets one go. It is moved out and in for a change, never copied.
    subscript(id: JournalID) -> HeldJournal? {
        get { index(id).map { held[keys[$0]] } }
        _modify {
            let index = index(id)
            var journal = index.flatMap { held.remove(keys[$0]) }
            yield &journal
            if let journal {
                let key = held.insert(journal)
                if let index {
                    keys[index] = key
                } else {
                    ids.append(id)
                    keys.append(key)
                }
            } else if let index {
                ids.remove(at: index)
                keys.remove(at: index)
            }
        }
    }

    /// The newest are at the end, and asked for most.
    private func index(_ id: JournalID) -> Int? {
        var index = ids.count
        while index > 0 {
            index -= 1
            if ids[index] == id { return index }
        }
        return nil
    }

    private func key(_ id: JournalID) -> SlabKey {
        guard let index = index(id) else { preconditionFailure("a journal that is not held") }
        return keys[index]
    }

    // MARK: What every message asks, of journals that are held

    func epoch(of id: JournalID) -> UInt64 { held[key(id)].epoch }

    /// Under which epoch and where the next frame of a journal will stand.
    func nextPlace(in id: JournalID) -> (epoch: UInt64, offset: UInt64) {
        let key = key(id)
        return (held[key].epoch, held[key].end)
    }

    /// Takes the place of a frame of so many bytes; returns its offset.
    mutating func append(_ count: Int, to id: JournalID, then pending: consuming Pending) -> UInt64 {
        let key = key(id)
        switch held[key].role {
        case .takingOver, .active: break
        case .replica, .retiring, .setAside: preconditionFailure("only an owner appends, and nothing after `retire`")
        }
        let offset = held[key].end
        held[key].end += UInt64(count)
        held[key].ends.append(held[key].end)
        held[key].pending.append(pending)
        return offset
    }

    mutating func committed(_ id: JournalID, upTo offset: UInt64) {
        let key = key(id)
        held[key].committed = max(held[key].committed, offset)
    }

    /// What follows the next frame that is committed.
    mutating func popCommitted(of id: JournalID) -> Pending? {
        guard let index = index(id) else { return nil }
        let key = keys[index]
        guard let end = held[key].ends.first, end <= held[key].committed else { return nil }
        _ = held[key].ends.popFirst()
        return held[key].pending.popFirst()
    }

    mutating func count(unfinished change: Int, in id: JournalID) { held[key(id)].unfinished += change }

    /// Whether nothing in it is unfinished and no mail can come into it any more.
    func isFinished(_ id: JournalID) -> Bool {
        guard let index = index(id) else { return false }
        let key = keys[index]
        guard held[key].isSealed, held[key].unfinished == 0, held[key].openStreams == 0 else { return false }
        // While the index is being made anew, nothing known to be unfinished means nothing.
        return held[key].pending.isEmpty && held[key].isActive && held[key].scan == nil
    }

    /// Whether this node owns it and may append frames other than the first of its epoch.
    func isActive(_ id: JournalID) -> Bool { index(id).map { held[keys[$0]].isActive } ?? false }

    func isOwned(_ id: JournalID) -> Bool { index(id).map { held[keys[$0]].isOwned } ?? false }

    /// Whether it was taken over and nothing of it was delivered since.
    func isReclaimed(_ id: JournalID) -> Bool { held[key(id)].reclaimedFrom != nil }

    func end(of id: JournalID) -> UInt64 { held[key(id)].end }

    func backlog(of id: JournalID) -> UInt64 {
        let key = key(id)
        return held[key].end - held[key].committed
    }
}
