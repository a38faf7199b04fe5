import struct Primitives.SeededRandom
import Testing

@testable import Node

@Suite("The node's collections")
struct NodeCollectionsTests {
    @Test("a ring does what an array does")
    func ring() {
        for seed in 0..<UInt64(20) {
            var random = SeededRandom(seed: seed)
            var ring = Ring<String>()
            var array: [String] = []
            for step in 0..<500 {
                switch Int.random(in: 0..<8, using: &random) {
                case 0, 1, 2:
                    ring.append("\(step)")
                    array.append("\(step)")
                case 3:
                    ring.prepend("\(step)")
                    array.insert("\(step)", at: 0)
                case 4 where random.chance(0.1):
                    ring.removeAll { $0.hasSuffix("3") }
                    array.removeAll { $0.hasSuffix("3") }
                case 5 where random.chance(0.05):
                    #expect(ring.drain() == array)
                    array = []
                default: #expect(ring.popFirst() == (array.isEmpty ? nil : array.removeFirst()))
                }
                #expect(ring.count == array.count && ring.first == array.first)
                #expect(ring.isEmpty == array.isEmpty && array.indices.allSatisfy { ring[$0] == array[$0] })
            }
        }
    }

    @Test("a slab's key names one tenant and none after it")
    func slab() {
        var random = SeededRandom(seed: 3)
        var slab = Slab<[Int]>()
        var known: [SlabKey: [Int]] = [:]
        var gone: [SlabKey] = []
        for step in 0..<3000 {
            if random.chance(0.6) || known.isEmpty {
                known[slab.insert([step])] = [step]
            } else if let key = known.keys.min(by: { $0.slot < $1.slot }) {
                #expect(slab.remove(key) == known.removeValue(forKey: key))
                gone.append(key)
            }
            if let key = known.keys.randomElement(using: &random) {
                slab[key].append(step)
                known[key]?.append(step)
            }
        }
        #expect(slab.count == known.count)
        #expect(known.allSatisfy { slab.contains($0) && slab[$0] == $1 && SlabKey(number: $0.number) == $0 })
        #expect(gone.allSatisfy { !slab.contains($0) })
        #expect(slab.remove(gone[0]) == nil)
        var seen: [SlabKey: [Int]] = [:]
        slab.forEach { key, element in seen[key] = element }
        #expect(seen == known)
    }

    @Test("a slab is a value: a copy keeps what it had")
    func slabIsAValue() {
        var slab = Slab<String>()
        let keys = (0..<100).map { slab.insert("\($0)") }
        let copy = slab
        slab[keys[0]] = "changed"
        slab.remove(keys[1])
        let new = slab.insert("new")
        #expect(copy[keys[0]] == "0" && copy[keys[1]] == "1" && !copy.contains(new))
        #expect(slab[keys[0]] == "changed" && slab[new] == "new" && slab[keys[2]] == copy[keys[2]])
        #expect(copy.count == 100 && slab.count == 100)
    }

    @Test("no number from outside names what is not there")
    func strangers() {
        var slab = Slab<Int>()
        let key = slab.insert(1)
        slab.remove(key)
        for generation in 0..<5 as Range<UInt32> {
            for slot in 0..<3 as Range<UInt32> { #expect(!slab.contains(SlabKey(slot: slot, generation: generation))) }
        }
        #expect(!slab.contains(SlabKey(number: .max)))
    }
}
