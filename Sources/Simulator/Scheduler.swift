import Primitives

/// What happens next, and when: a queue by time, in which equal times keep the order in which they were asked for.
///
/// All chance comes from the seed, so a run is a function of its seed and plan alone.
struct Scheduler {
    private struct Entry {
        var when: Instant
        var sequence: UInt64
        var action: () -> Void
    }

    private(set) var now: Instant
    /// A binary heap: the earliest first.
    private var heap: [Entry] = []
    private var sequence: UInt64 = 0

    init(now: Instant) { self.now = now }

    var count: Int { heap.count }

    /// Never before now: what is due already comes after everything else that is due now.
    mutating func at(_ when: Instant, _ action: @escaping () -> Void) {
        heap.append(Entry(when: max(when, now), sequence: sequence, action: action))
        sequence += 1
        var index = heap.count - 1
        while index > 0, precedes(index, (index - 1) / 2) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func after(_ wait: Duration, _ action: @escaping () -> Void) { at(now + wait, action) }

    /// Moves the clock to the next entry; nil when nothing is left before `end`, with the clock at `end`.
    mutating func next(before end: Instant) -> (() -> Void)? {
        guard let first = heap.first, first.when < end else {
            now = max(now, end)
            return nil
        }
        now = first.when
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return first.action
    }

    private mutating func sink() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == index { return }
            heap.swapAt(index, least)
            index = least
        }
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        heap[a].when == heap[b].when ? heap[a].sequence < heap[b].sequence : heap[a].when < heap[b].when
    }
}

extension SeededRandom {
    /// Evenly from a range.
    mutating func duration(_ range: ClosedRange<Duration>) -> Duration {
        let low = range.lowerBound.nanoseconds
        let high = range.upperBound.nanoseconds
        return .nanoseconds(low + Int64(Double(high - low) * fraction()))
    }

    /// From a range of several orders of magnitude: each order is as likely as another.
    mutating func duration(acrossOrdersOf range: ClosedRange<Duration>) -> Duration {
        let low = max(1, range.lowerBound.nanoseconds)
        let ratio = Double(range.upperBound.nanoseconds) / Double(low)
        var value = Double(low)
        // ratio^fraction by halves of its exponent: no transcendental function needed, and the same on every machine.
        var exponent = fraction()
        var factor = ratio
        for _ in 0..<16 where factor > 1 {
            factor = factor.squareRoot()
            exponent *= 2
            if exponent >= 1 {
                value *= factor
                exponent -= 1
            }
        }
        return .nanoseconds(Int64(value))
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int(next() % UInt64(elements.count))]
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
    }
}
