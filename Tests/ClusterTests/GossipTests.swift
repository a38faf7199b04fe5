import Cluster
import Primitives
import Testing

@Suite("gossip")
struct GossipTests {
    static let ids = (0..<5).map { ReplicaID(node: "n\($0)", disk: DiskID(ULID(high: 0, low: UInt64($0 + 1)))) }
    static func at(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test("what one node sets, all learn through others, whatever order the exchanges have")
    func spreads() {
        var random = SeededRandom(seed: 3)
        var nodes = Self.ids.map { Gossip(me: $0, incarnation: 1, at: Self.at(0)) }
        nodes[0].set("zone", to: [1])
        nodes[0].set("zone", to: [2])
        nodes[4].set("load", to: [9])
        for round in 0..<60 {
            let a = Int.random(in: 0..<5, using: &random)
            let b = (a + 1 + round % 4) % 5
            nodes[a].beat(at: Self.at(Int64(round)))
            nodes[a].take(nodes[b].deltas(for: nodes[a].digest()), at: Self.at(Int64(round)))
            nodes[b].take(nodes[a].deltas(for: nodes[b].digest()), at: Self.at(Int64(round)))
        }
        for node in nodes {
            #expect(node.value("zone", of: Self.ids[0]) == [2])
            #expect(node.value("load", of: Self.ids[4]) == [9])
            #expect(node.known == Self.ids)
        }
    }

    @Test("a node is alive while its version moves, and not longer than a lease")
    func liveness() {
        var a = Gossip(me: Self.ids[0], incarnation: 1, at: Self.at(0))
        var b = Gossip(me: Self.ids[1], incarnation: 1, at: Self.at(0))
        #expect(!a.isAlive(Self.ids[1], within: .seconds(2), at: Self.at(0)))
        a.take(b.deltas(for: a.digest()), at: Self.at(100))
        #expect(a.isAlive(Self.ids[1], within: .seconds(2), at: Self.at(2099)))
        #expect(!a.isAlive(Self.ids[1], within: .seconds(2), at: Self.at(2100)))
        b.beat(at: Self.at(2000))
        a.take(b.deltas(for: a.digest()), at: Self.at(2200))
        #expect(a.live(within: .seconds(2), at: Self.at(2300)) == [Self.ids[0], Self.ids[1]])
        a.died(Self.ids[1])
        #expect(!a.isAlive(Self.ids[1], within: .seconds(2), at: Self.at(2300)))
    }

    @Test("nobody writes another's records, and a new process begins with none")
    func ownership() {
        var a = Gossip(me: Self.ids[0], incarnation: 1, at: Self.at(0))
        a.set("state", to: [1])
        let forged = GossipDelta(
            node: Self.ids[0], incarnation: 9, version: 99,
            records: [GossipRecord(key: "state", version: 99, value: [7])])
        a.take([forged], at: Self.at(1))
        #expect(a.value("state", of: Self.ids[0]) == [1])

        var b = Gossip(me: Self.ids[1], incarnation: 1, at: Self.at(0))
        b.take(a.deltas(for: b.digest()), at: Self.at(1))
        let restarted = Gossip(me: Self.ids[0], incarnation: 2, at: Self.at(5))
        b.take(restarted.deltas(for: b.digest()), at: Self.at(6))
        #expect(b.value("state", of: Self.ids[0]) == nil)
        // What the old process said, come late, changes nothing.
        b.take(a.deltas(for: []), at: Self.at(7))
        #expect(b.value("state", of: Self.ids[0]) == nil)
    }

    @Test("an answer that is cut short is a prefix, and the next one goes on behind it")
    func bounded() {
        var a = Gossip(me: Self.ids[0], incarnation: 1, at: Self.at(0))
        for number in 0..<8 { a.set("key\(number)", to: [UInt8](repeating: UInt8(number), count: 20_000)) }
        var b = Gossip(me: Self.ids[1], incarnation: 1, at: Self.at(0))
        var rounds = 0
        while b.value("key7", of: Self.ids[0]) == nil, rounds < 10 {
            let deltas = a.deltas(for: b.digest())
            #expect(deltas.reduce(0) { $0 + $1.records.reduce(0) { $0 + $1.value.count } } <= 64 << 10)
            b.take(deltas, at: Self.at(1))
            rounds += 1
        }
        #expect(rounds > 1 && rounds < 10)
        for number in 0..<8 { #expect(b.value("key\(number)", of: Self.ids[0])?.first == UInt8(number)) }
    }
}
