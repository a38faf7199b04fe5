internal import Cluster
internal import Primitives

/// The journals that this node holds, few enough to be looked through. Each is read and changed in place: through a
/// dictionary every change of one would cost three allocations (measured 2026-11).
struct JournalTable: Sendable {
    private var ids: [JournalID] = []
    private var keys: [SlabKey] = []
    private var held = Slab<HeldJournal>()

    var values: [HeldJournal] { keys.map { held[$0] } }

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

    func epoch(of id: JournalID) -> UInt64 { held[key(id)].owner.epoch }

    /// Under which epoch and where the next frame of a journal will stand.
    func nextPlace(in id: JournalID) -> (epoch: UInt64, offset: UInt64) {
        let key = key(id)
        return (held[key].owner.epoch, held[key].owner.end)
    }

    /// Takes the place of a frame of so many bytes; returns its offset.
    mutating func append(_ count: Int, to id: JournalID, then pending: consuming Pending) -> UInt64 {
        let key = key(id)
        let offset = held[key].owner.append(count: count)
        held[key].ends.append(offset + UInt64(count))
        held[key].pending.append(pending)
        return offset
    }

    /// True when that committed something.
    mutating func durable(_ id: JournalID, at replica: ReplicaID, upTo offset: UInt64) -> Bool {
        guard let index = index(id) else { return false }
        return held[keys[index]].owner.durable(at: replica, upTo: offset)
    }

    /// What follows the next frame that is committed.
    mutating func popCommitted(of id: JournalID) -> Pending? {
        guard let index = index(id) else { return nil }
        let key = keys[index]
        guard let end = held[key].ends.first, end <= held[key].owner.committed else { return nil }
        _ = held[key].ends.popFirst()
        return held[key].pending.popFirst()
    }

    mutating func count(unfinished change: Int, in id: JournalID) { held[key(id)].unfinished += change }

    /// Whether nothing in it is unfinished and no mail can come into it any more.
    func isFinished(_ id: JournalID) -> Bool {
        guard let index = index(id) else { return false }
        let key = keys[index]
        guard held[key].isSealed, held[key].unfinished == 0, held[key].openStreams == 0 else { return false }
        return held[key].pending.isEmpty && held[key].owner.phase == .active
    }

    /// Whether it takes frames other than the first of its epoch.
    func isActive(_ id: JournalID) -> Bool { index(id).map { held[keys[$0]].owner.phase == .active } ?? false }

    func end(of id: JournalID) -> UInt64 { held[key(id)].owner.end }

    func backlog(of id: JournalID) -> UInt64 {
        let key = key(id)
        return held[key].owner.end - held[key].owner.committed
    }

    func mayAct(in id: JournalID, for margin: Duration, at now: Instant) -> Bool {
        guard isActive(id) else { return false }
        return held[key(id)].owner.holdsLease(for: margin, at: now)
    }
}
