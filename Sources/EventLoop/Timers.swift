internal import Primitives

/// Names a timer of a loop, to cancel it.
package struct TimerToken: Hashable, Sendable {
    let id: UInt64
}

/// A few exact timers, in a heap: schedules, pulses, pauses. (Deadlines of connections are the wheel's.)
struct TimerHeap {
    private struct Entry {
        let instant: Instant
        let id: UInt64
        /// Timers of the same instant fire in the order in which they were set.
        func isBefore(_ other: Entry) -> Bool {
            instant == other.instant ? id < other.id : instant < other.instant
        }
    }

    private var heap: [Entry] = []
    private var works: [UInt64: () -> Void] = [:]
    private var lastID: UInt64 = 0

    var count: Int { works.count }

    /// When the next one fires; cancelled ones at the front are dropped first.
    mutating func nextInstant() -> Instant {
        while let first = heap.first {
            if works[first.id] != nil { return first.instant }
            removeFirst()
        }
        return .distantFuture
    }

    mutating func add(at instant: Instant, _ work: @escaping () -> Void) -> TimerToken {
        lastID += 1
        works[lastID] = work
        heap.append(Entry(instant: instant, id: lastID))
        var child = heap.count - 1
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
        return TimerToken(id: lastID)
    }

    mutating func cancel(_ token: TimerToken) {
        guard works.removeValue(forKey: token.id) != nil else { return }
        // Cancelled entries must not pile up behind one that is far away.
        if heap.count > 64, heap.count > 2 * works.count {
            let kept = heap.filter { works[$0.id] != nil }.sorted { $0.isBefore($1) }
            heap = kept
        }
    }

    mutating func popDue(at now: Instant) -> (() -> Void)? {
        guard nextInstant() <= now, let first = heap.first else { return nil }
        removeFirst()
        return works.removeValue(forKey: first.id)
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least])
            {
                least = child
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}

/// Deadlines of connections, kept lazily: to move a deadline is one store in the connection, and the wheel looks at it when
/// the slot of its last known deadline comes round. Coarse (a deadline fires up to one tick late) and without an object
/// each: an idle connection is one number in one slot.
struct DeadlineWheel {
    static let tick: Int64 = 1 << 25  // 33.6 ms
    private static let slotCount = 1024
    /// Deadlines beyond the horizon (34 s) wait in its last slot and are put on from there.
    private static let horizon = Int64(slotCount - 2)

    private var slots = [[UInt64]](repeating: [], count: slotCount)
    /// Everything up to the end of this tick has been looked at.
    private var current: Int64
    private(set) var count = 0
    private var nextTick = Int64.max

    init(now: Instant) { current = now.nanoseconds / Self.tick }

    /// When to look again; `distantFuture` for an empty wheel.
    var nextInstant: Instant {
        nextTick == .max ? .distantFuture : Instant(nanoseconds: (nextTick + 1) * Self.tick)
    }

    /// Puts a token in for an instant and returns when it will be looked at.
    mutating func add(_ token: UInt64, at instant: Instant) -> Instant {
        let wanted = instant.nanoseconds / Self.tick
        let tick = min(max(wanted, current + 1), current + Self.horizon)
        slots[Int(tick) & (Self.slotCount - 1)].append(token)
        count += 1
        nextTick = min(nextTick, tick)
        return Instant(nanoseconds: (tick + 1) * Self.tick)
    }

    /// Takes out every token whose slot is over by now.
    mutating func takeDue(at now: Instant, into due: inout [UInt64]) {
        let last = now.nanoseconds / Self.tick - 1
        guard nextTick <= last else { return }
        let final = min(last, current + Int64(Self.slotCount))
        var tick = max(current + 1, min(nextTick, final))
        while tick <= final {
            let slot = Int(tick) & (Self.slotCount - 1)
            count -= slots[slot].count
            due.append(contentsOf: slots[slot])
            slots[slot].removeAll(keepingCapacity: slots[slot].count < 64)
            tick += 1
        }
        current = last
        nextTick = .max
        guard count > 0 else { return }
        for tick in (current + 1)...(current + Int64(Self.slotCount))
        where !slots[Int(tick) & (Self.slotCount - 1)].isEmpty {
            nextTick = tick
            break
        }
    }
}
