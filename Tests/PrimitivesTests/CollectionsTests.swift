import Primitives
import Testing

@Suite("Collections")
struct CollectionsTests {
    @Test("a deque does what an array does")
    func deque() {
        for seed in 0..<UInt64(20) {
            var random = SeededRandom(seed: seed)
            var deque = Deque<Int>()
            var array: [Int] = []
            for step in 0..<500 {
                switch Int.random(in: 0..<8, using: &random) {
                case 0, 1, 2:
                    deque.append(step)
                    array.append(step)
                case 3:
                    deque.prepend(step)
                    array.insert(step, at: 0)
                case 4 where random.chance(0.1):
                    deque.removeAll { $0 % 3 == 0 }
                    array.removeAll { $0 % 3 == 0 }
                case 5 where random.chance(0.05):
                    #expect(deque.drain() == array)
                    array = []
                default: #expect(deque.popFirst() == (array.isEmpty ? nil : array.removeFirst()))
                }
                #expect(deque.count == array.count && deque.first == array.first && deque.last == array.last)
                #expect(deque.isEmpty == array.isEmpty && array.indices.allSatisfy { deque[$0] == array[$0] })
            }
        }
    }

    @Test("a heap gives the least first")
    func heap() {
        var random = SeededRandom(seed: 1)
        var heap = MinimumHeap<Int>()
        var array: [Int] = []
        for _ in 0..<2000 {
            if random.chance(0.55) {
                let value = Int.random(in: 0..<100, using: &random)
                heap.insert(value)
                array.append(value)
            } else {
                let least = array.min()
                #expect(heap.first == least && heap.popFirst() == least)
                if let least, let index = array.firstIndex(of: least) { array.remove(at: index) }
            }
            #expect(heap.count == array.count)
        }
    }

    @Test("a slab's key names its element until it is removed, and never a later one")
    func slab() {
        var random = SeededRandom(seed: 2)
        var slab = Slab<Int>()
        var present: [SlabKey: Int] = [:]
        var gone: [SlabKey] = []
        for step in 0..<1000 {
            if random.chance(0.5) {
                let key = slab.insert(step)
                #expect(present[key] == nil && !gone.contains(key))
                present[key] = step
            } else if let key = present.keys.min(by: { $0.slot < $1.slot }) {
                slab.remove(key)
                slab.remove(key)
                present[key] = nil
                gone.append(key)
            }
            #expect(slab.count == present.count)
        }
        for (key, value) in present {
            #expect(slab.contains(key) && slab[key] == value)
            slab[key] += 1
            #expect(slab[key] == value + 1)
        }
        #expect(gone.allSatisfy { !slab.contains($0) })
        var seen = 0
        slab.forEach { key, value in
            seen += 1
            #expect(present[key] == value - 1)
        }
        #expect(seen == present.count)
    }
}
