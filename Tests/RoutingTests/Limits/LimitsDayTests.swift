import Primitives
import Testing

@testable import Routing

@Suite("Day limits and warm-up plans")
struct LimitsDayTests {
    private static func simulation(_ rate: String, nodes: Int, seed: UInt64) -> LimitsSimulation {
        LimitsSimulation(nodes: nodes, upstreams: [LimitsClusterTests.upstream(rates: [rate])], seed: seed)
    }

    @Test(
        "the whole of a day's limit goes, and no more, over a restart of every node", arguments: [1, 2, 3] as [UInt64])
    func restart(seed: UInt64) {
        var simulation = Self.simulation("3000/d", nodes: 3, seed: seed)
        simulation.startAll()
        simulation.due = ["a": [0: 600], "b": [0: 300], "c": [0: 100]]
        simulation.run(.seconds(20))
        #expect(simulation.sent.count == 1000)
        // All at once, and then one after the other.
        for name in simulation.names { simulation.kill(name, isProved: true) }
        simulation.run(.seconds(5))
        simulation.startAll()
        simulation.due = ["a": [0: 500], "b": [0: 500]]
        simulation.run(.seconds(30))
        for name in ["a", "b"] {
            simulation.kill(name, isProved: false)
            simulation.run(.seconds(10))
            simulation.start(name)
            simulation.run(.seconds(10))
        }
        #expect(simulation.sent.count == 2000)
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(90))
        #expect(simulation.sent.count <= 3000, "\(simulation.sent.count)")
        // What crashed processes had reserved is counted as used: five times at most a twentieth.
        #expect(simulation.sent.count >= 2500, "\(simulation.sent.count)")
    }

    @Test("one node with all the mail uses what the others do not", arguments: [1, 2] as [UInt64])
    func oneSided(seed: UInt64) {
        var simulation = Self.simulation("1000/d", nodes: 3, seed: seed)
        simulation.startAll()
        simulation.endless["b"] = [0]
        simulation.run(.seconds(120))
        #expect(simulation.sent.count <= 1000 && simulation.sent.count >= 970, "\(simulation.sent.count)")
    }

    @Test("a single node: a crash never undercounts")
    func single() {
        var simulation = Self.simulation("100/d", nodes: 1, seed: 1)
        simulation.startAll()
        simulation.endless["a"] = [0]
        for _ in 0..<20 {
            simulation.run(.milliseconds(2300))
            simulation.kill("a", isProved: true)
            simulation.start("a")
        }
        simulation.run(.seconds(60))
        #expect(simulation.sent.count <= 100 && simulation.sent.count >= 50, "\(simulation.sent.count)")
    }

    @Test("counters are written every few seconds at most")
    func writes() {
        var simulation = Self.simulation("100000/d", nodes: 3, seed: 2)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(20))
        let byKey = Dictionary(grouping: simulation.recordWrites, by: \.key)
        #expect(byKey.count == 3)
        for writes in byKey.values {
            for (one, next) in zip(writes, writes.dropFirst()) { #expect(next.at - one.at >= .seconds(3)) }
        }
    }

    @Test("the next day begins with the whole limit")
    func midnight() {
        var simulation = Self.simulation("500/d", nodes: 3, seed: 3)
        simulation.wallStart = WallTime(milliseconds: LimitsSimulation.noon.milliseconds + 12 * 3_600_000 - 60_000)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(59))
        let before = simulation.sent.count
        #expect(before <= 500 && before >= 480, "\(before)")
        simulation.run(.seconds(120))
        let after = simulation.sent.count - before
        #expect(after <= 500 && after >= 480, "\(after)")
    }

    @Test("a warm-up plan grows by the same factor each day and then stays")
    func plan() throws {
        let plan = WarmUp(
            from: try #require(Rate(text: "200/d")), to: try #require(Rate(text: "100000/d")), over: .days(30))
        #expect(plan.limit(onDay: -3) == 200)
        #expect(plan.limit(onDay: 0) == 200)
        #expect(plan.limit(onDay: 30) == 100_000)
        #expect(plan.limit(onDay: 400) == 100_000)
        for day in 1...30 {
            let growth = plan.limit(onDay: day) / plan.limit(onDay: day - 1)
            #expect(growth > 1.21 && growth < 1.25, "day \(day): \(growth)")
        }
    }

    @Test("a plan without a first day remembers the day it began, over restarts")
    func remembered() throws {
        var upstream = LimitsClusterTests.upstream()
        upstream.warmup = WarmUp(
            from: try #require(Rate(text: "200/d")), to: try #require(Rate(text: "3200/d")), over: .days(4))
        var simulation = LimitsSimulation(nodes: 3, upstreams: [upstream], seed: 4)
        simulation.startAll()
        simulation.run(.seconds(15))
        #expect(simulation.records.keys.contains("warmup/ses"))
        for name in simulation.names { simulation.kill(name, isProved: true) }
        // Two days later.
        simulation.wallStart = simulation.wallStart + .days(2)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(60))
        #expect(simulation.sent.count <= 800 && simulation.sent.count >= 760, "\(simulation.sent.count)")
        let use = simulation.limits(of: "a")?.used(upstream: 0, at: .init(nanoseconds: 0)).first {
            $0.name == "warm-up"
        }
        #expect(use?.limit == 800)
    }

    @Test("a plan with a first day asks no record")
    func since() throws {
        var upstream = LimitsClusterTests.upstream()
        upstream.warmup = WarmUp(
            from: try #require(Rate(text: "100/d")), to: try #require(Rate(text: "400/d")), over: .days(2),
            since: WallTime(milliseconds: 1_796_126_400_000 - 36 * 3_600_000))
        var simulation = LimitsSimulation(nodes: 1, upstreams: [upstream], seed: 4)
        simulation.startAll()
        simulation.endless["a"] = [0]
        simulation.run(.seconds(90))
        #expect(simulation.sent.count == 200)
        #expect(!simulation.records.keys.contains { $0.hasPrefix("warmup/") })
    }
}
