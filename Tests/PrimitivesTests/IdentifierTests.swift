import Primitives
import Testing

@Suite("Ids")
struct IdentifierTests {
    @Test("the text of known ids")
    func known() {
        // The specification's example, whose time is 1469918176385 ms.
        let id = ULID(text: "01ARYZ6S41TSV4RRFFQ69G5FAV")
        #expect(id?.time == WallTime(milliseconds: 1_469_918_176_385))
        #expect(id?.description == "01ARYZ6S41TSV4RRFFQ69G5FAV")
        #expect(ULID.zero.description == "00000000000000000000000000")
        #expect(ULID(high: .max, low: .max).description == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
        #expect(ULID(high: 0, low: 1).description == "00000000000000000000000001")
        #expect(ULID(high: 1, low: 0).description == "0000000000000G000000000000")
    }

    @Test("any id is read back from its text, and the text sorts as the id does")
    func roundTrip() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<2000 {
            let a = ULID(high: random.next() >> UInt64.random(in: 0..<64, using: &random), low: random.next())
            let b = ULID(high: random.chance(0.5) ? a.high : random.next(), low: random.next())
            #expect(ULID(text: a.description) == a && ULID(text: a.description.lowercased()) == a)
            #expect((a < b) == (a.description < b.description))
            var bytes: [UInt8] = [1]
            a.append(to: &bytes)
            #expect(bytes == [1] + Array(a.description.utf8))
            #expect(ULID(high: a.high, low: .max).successor == ULID(high: a.high &+ 1, low: 0))
        }
    }

    @Test(
        "what is not an id is refused",
        arguments: [
            "", "0", "0000000000000000000000000", "000000000000000000000000000", "80000000000000000000000000",
            "0000000000000000000000000U", "0000000000000000000000000I", "0000000000000000000000000é",
            "000000000000000000000000 0", "ééééééééééééé",
        ])
    func refused(text: String) { #expect(ULID(text: text) == nil) }

    @Test("a prefix covers exactly the ids that begin with it")
    func prefixes() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<300 {
            let id = ULID(high: random.next(), low: random.next())
            let other = ULID(high: random.next(), low: random.next())
            for length in 1...26 {
                let prefix = String(id.description.prefix(length))
                guard let range = ULID.range(prefix: prefix) else {
                    Issue.record("no range for \(prefix)")
                    return
                }
                #expect(range.contains(id) && range.contains(other) == other.description.hasPrefix(prefix))
                #expect(range.lowerBound.description == prefix + String(repeating: "0", count: 26 - length))
                #expect(range.upperBound.description == prefix + String(repeating: "Z", count: 26 - length))
            }
        }
        #expect(ULID.range(prefix: "") == nil && ULID.range(prefix: "8") == nil && ULID.range(prefix: "0-") == nil)
        #expect(ULID.range(prefix: String(repeating: "0", count: 27)) == nil)
    }

    @Test("generated ids only increase, whatever the wall clock does")
    func generator() {
        var generator = ULIDGenerator(seed: 7)
        var random = SeededRandom(seed: 8)
        var last = ULID.zero
        var wall = WallTime(milliseconds: 1_700_000_000_000)
        for _ in 0..<5000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0: wall = wall + .milliseconds(1)
            case 1: wall = WallTime(milliseconds: Int64.random(in: -1000...2_000_000_000_000, using: &random))
            case 2: generator.raise(to: ULID(high: last.high, low: last.low &+ 5))
            default: break
            }
            let next = generator.next(at: wall)
            #expect(next > last)
            last = next
        }
        generator.raise(to: ULID(high: 1 << 63, low: 5))
        let raised = generator.next(at: wall)
        #expect(raised > ULID(high: 1 << 63, low: 5))
        #expect(generator.next(at: wall) == raised.successor)
    }

    @Test("a new millisecond gives a time of its own and fresh chance")
    func freshTime() {
        var generator = ULIDGenerator(seed: 1)
        let a = generator.next(at: WallTime(milliseconds: 1000))
        let b = generator.next(at: WallTime(milliseconds: 1001))
        #expect(a.time.milliseconds == 1000 && b.time.milliseconds == 1001 && a.low != b.low)
    }

    @Test("the seeded generator is xoshiro256** behind SplitMix64")
    func chance() {
        var random = SeededRandom(seed: 0)
        #expect(random.next() == 0x99ec_5f36_cb75_f2b4)
        var same = SeededRandom(seed: 9)
        var again = SeededRandom(seed: 9)
        for _ in 0..<100 {
            #expect(same.next() == again.next())
            #expect((0..<1).contains(same.fraction()) && (0..<1).contains(again.fraction()))
        }
    }
}
