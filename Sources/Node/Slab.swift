/// Names a slot's present tenant in a `Slab`, never a later one.
struct SlabKey: Hashable, Sendable {
    var slot: UInt32
    var generation: UInt32
}

extension SlabKey {
    /// As one number, for those outside.
    var number: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    init(number: UInt64) {
        self.init(slot: UInt32(truncatingIfNeeded: number), generation: UInt32(truncatingIfNeeded: number >> 32))
    }
}

/// Elements in reused slots of one block of memory; each is read and changed in place.
///
/// An array's subscript copies what it reads, some twenty references of a message for one of its fields. So the elements lie
/// in memory of our own, which addressors give access to. A slab is a value all the same: a change of one whose memory has
/// another owner copies it first.
struct Slab<Element> {
    private var memory = SlabMemory<Element>(capacity: 16)
    private var free: [UInt32] = []

    var count: Int { memory.used - free.count }

    func contains(_ key: SlabKey) -> Bool {
        // Live slots have odd generations, and so have keys.
        Int(key.slot) < memory.used && memory.generations[Int(key.slot)] == key.generation && key.generation & 1 == 1
    }

    /// The element, in place. Its key must be valid.
    subscript(key: SlabKey) -> Element {
        unsafeAddress {
            precondition(contains(key), "a key outlived its element")
            return UnsafePointer(memory.elements + Int(key.slot))
        }
        unsafeMutableAddress {
            precondition(contains(key), "a key outlived its element")
            makeUnique()
            return memory.elements + Int(key.slot)
        }
    }

    mutating func insert(_ element: consuming Element) -> SlabKey {
        makeUnique()
        let slot: Int
        if let reused = free.popLast() {
            slot = Int(reused)
        } else {
            if memory.used == memory.capacity { memory = SlabMemory(copying: memory, capacity: memory.capacity * 2) }
            slot = memory.used
            memory.used += 1
        }
        (memory.elements + slot).initialize(to: element)
        memory.generations[slot] &+= 1
        return SlabKey(slot: UInt32(slot), generation: memory.generations[slot])
    }

    /// Takes the element out; nil when its key is not valid.
    @discardableResult
    mutating func remove(_ key: SlabKey) -> Element? {
        guard contains(key) else { return nil }
        makeUnique()
        memory.generations[Int(key.slot)] &+= 1
        free.append(key.slot)
        return (memory.elements + Int(key.slot)).move()
    }

    /// Every element with its key, in no order.
    func forEach(_ body: (SlabKey, borrowing Element) -> Void) {
        for slot in 0..<memory.used where memory.generations[slot] & 1 == 1 {
            body(SlabKey(slot: UInt32(slot), generation: memory.generations[slot]), memory.elements[slot])
        }
    }

    private mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&memory) { memory = SlabMemory(copying: memory, capacity: memory.capacity) }
    }
}

// Sendable: the memory is reached through its slab alone, and a slab that shares it with another copies it before a change.
extension Slab: @unchecked Sendable where Element: Sendable {}

/// The block of memory of a slab. A slot whose generation is odd holds an element.
private final class SlabMemory<Element> {
    let capacity: Int
    let elements: UnsafeMutablePointer<Element>
    let generations: UnsafeMutablePointer<UInt32>
    /// Slots that were ever used, from the beginning.
    var used = 0

    init(capacity: Int) {
        self.capacity = capacity
        elements = .allocate(capacity: capacity)
        generations = .allocate(capacity: capacity)
        generations.initialize(repeating: 0, count: capacity)
    }

    convenience init(copying other: SlabMemory, capacity: Int) {
        self.init(capacity: capacity)
        used = other.used
        for slot in 0..<used {
            generations[slot] = other.generations[slot]
            if generations[slot] & 1 == 1 { (elements + slot).initialize(to: other.elements[slot]) }
        }
    }

    deinit {
        for slot in 0..<used where generations[slot] & 1 == 1 { (elements + slot).deinitialize(count: 1) }
        elements.deallocate()
        generations.deallocate()
    }
}
