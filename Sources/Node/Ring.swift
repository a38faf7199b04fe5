/// A queue in a ring: constant time at both ends, nothing copied on its way through.
///
/// `Primitives.Deque` is that too, but a generic of another module is not specialized here, and every message goes through
/// half a dozen of these.
struct Ring<Element> {
    private var slots: [Element?] = []
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }
    var first: Element? { count == 0 ? nil : slots[head] }

    subscript(position: Int) -> Element {
        precondition(position >= 0 && position < count)
        guard let element = slots[slot(position)] else { preconditionFailure("a hole in the ring") }
        return element
    }

    mutating func append(_ element: consuming Element) {
        growIfFull()
        slots[slot(count)] = element
        count += 1
    }

    mutating func prepend(_ element: consuming Element) {
        growIfFull()
        head = head == 0 ? slots.count - 1 : head - 1
        slots[head] = element
        count += 1
    }

    mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[head].take()
        head = head + 1 == slots.count ? 0 : head + 1
        count -= 1
        return element
    }

    /// Empties it, and returns what it held in order.
    mutating func drain() -> [Element] {
        var all: [Element] = []
        all.reserveCapacity(count)
        while let element = popFirst() { all.append(element) }
        return all
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        for element in drain() where !isUnwanted(element) { append(element) }
    }

    private func slot(_ position: Int) -> Int {
        let raw = head + position
        return raw >= slots.count ? raw - slots.count : raw
    }

    private mutating func growIfFull() {
        guard count == slots.count else { return }
        let capacity = max(16, slots.count * 2)
        var larger: [Element?] = []
        larger.reserveCapacity(capacity)
        for position in 0..<count { larger.append(slots[slot(position)].take()) }
        larger.append(contentsOf: repeatElement(nil, count: capacity - count))
        slots = larger
        head = 0
    }
}

extension Ring: Sendable where Element: Sendable {}
