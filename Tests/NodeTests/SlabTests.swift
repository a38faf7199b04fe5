import Primitives
import Testing

@testable import Node

@Suite("A slab")
struct SlabTests {
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
