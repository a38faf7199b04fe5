/// A queue in a ring: constant time at both ends.
package struct Deque<Element> {
    private var ring: [Element?]
    private var head = 0
    package private(set) var count = 0

    package init() { ring = [] }

    package var isEmpty: Bool { count == 0 }
    package var first: Element? { count == 0 ? nil : ring[head] }
    package var last: Element? { count == 0 ? nil : ring[index(count - 1)] }

    package subscript(position: Int) -> Element {
        precondition(position >= 0 && position < count)
        guard let element = ring[index(position)] else { preconditionFailure("a hole in the ring") }
        return element
    }

    package mutating func append(_ element: Element) {
        growIfFull()
        ring[index(count)] = element
        count += 1
    }

    package mutating func prepend(_ element: Element) {
        growIfFull()
        head = head == 0 ? ring.count - 1 : head - 1
        ring[head] = element
        count += 1
    }

    package mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = ring[head]
        ring[head] = nil
        head = head + 1 == ring.count ? 0 : head + 1
        count -= 1
        return element
    }

    /// Empties it, and returns what it held in order.
    package mutating func drain() -> [Element] {
        var all: [Element] = []
        all.reserveCapacity(count)
        while let element = popFirst() { all.append(element) }
        return all
    }

    package mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        for element in drain() where !isUnwanted(element) { append(element) }
    }

    private func index(_ position: Int) -> Int {
        let raw = head + position
        return raw >= ring.count ? raw - ring.count : raw
    }

    private mutating func growIfFull() {
        guard count == ring.count else { return }
        var larger: [Element?] = []
        larger.reserveCapacity(max(16, ring.count * 2))
        for position in 0..<count { larger.append(ring[index(position)]) }
        larger.append(contentsOf: repeatElement(nil, count: max(16, ring.count * 2) - count))
        ring = larger
        head = 0
    }
}

extension Deque: Sendable where Element: Sendable {}

/// A binary heap: the least element first.
package struct MinimumHeap<Element: Comparable> {
    private var items: [Element] = []

    package init() {}

    package var first: Element? { items.first }
    package var count: Int { items.count }

    package mutating func insert(_ element: Element) {
        items.append(element)
        var child = items.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard items[child] < items[parent] else { return }
            items.swapAt(child, parent)
            child = parent
        }
    }

    package mutating func popFirst() -> Element? {
        guard let least = items.first else { return nil }
        let moved = items.removeLast()
        guard !items.isEmpty else { return least }
        items[0] = moved
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < items.count else { return least }
            if child + 1 < items.count, items[child + 1] < items[child] { child += 1 }
            guard items[child] < items[parent] else { return least }
            items.swapAt(child, parent)
            parent = child
        }
    }
}

extension MinimumHeap: Sendable where Element: Sendable {}
