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

/// Elements in reused slots of one array; each is read and changed in place.
///
/// It stands in this module so that it is specialized here: every message goes through three of these.
struct Slab<Element> {
    fileprivate struct Slot {
        var generation: UInt32 = 0
        var element: Element?
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []

    var count: Int { slots.count - free.count }

    mutating func insert(_ element: Element) -> SlabKey {
        if let slot = free.popLast() {
            slots[Int(slot)].element = element
            return SlabKey(slot: slot, generation: slots[Int(slot)].generation)
        }
        slots.append(Slot(element: element))
        return SlabKey(slot: UInt32(slots.count - 1), generation: 0)
    }

    func contains(_ key: SlabKey) -> Bool {
        Int(key.slot) < slots.count && slots[Int(key.slot)].generation == key.generation
            && slots[Int(key.slot)].element != nil
    }

    /// The element, in place. Its key must be valid.
    subscript(key: SlabKey) -> Element {
        _read {
            precondition(contains(key), "a key outlived its element")
            // In place, without a copy; the precondition proves that it is there.
            // swift-format-ignore: NeverForceUnwrap
            yield slots[Int(key.slot)].element!
        }
        _modify {
            precondition(contains(key), "a key outlived its element")
            // As above.
            // swift-format-ignore: NeverForceUnwrap
            yield &slots[Int(key.slot)].element!
        }
    }

    /// Every element with its key, in no order.
    func forEach(_ body: (SlabKey, borrowing Element) -> Void) {
        for (slot, content) in slots.enumerated() {
            if let element = content.element {
                body(SlabKey(slot: UInt32(slot), generation: content.generation), element)
            }
        }
    }

    mutating func remove(_ key: SlabKey) {
        guard contains(key) else { return }
        slots[Int(key.slot)].element = nil
        slots[Int(key.slot)].generation &+= 1
        free.append(key.slot)
    }
}

extension Slab: Sendable where Element: Sendable {}
extension Slab.Slot: Sendable where Element: Sendable {}
