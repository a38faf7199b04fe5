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
}
