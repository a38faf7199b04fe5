import Primitives
import Testing

@testable import Routing

@Suite("Limits of the whole cluster")
struct LimitsClusterTests {
    static func upstream(_ name: String = "ses", rates: [String] = [], connections: Int = 20) -> Upstream {
        var upstream = Upstream(name: name, addresses: ["\(name).example:25"])
        upstream.rates = rates.compactMap { Rate(text: $0) }
        upstream.maximumConnections = connections
        return upstream
    }

    @Test("100/s over one, three and five nodes with mail everywhere", arguments: [1, 3, 5], [1, 2, 3] as [UInt64])
    func steady(nodes: Int, seed: UInt64) {
        var simulation = LimitsSimulation(nodes: nodes, upstreams: [Self.upstream(rates: ["100/s"])], seed: seed)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(60))
        let all = simulation.windows(.seconds(10), from: .zero, to: .seconds(60))
        let steady = simulation.windows(.seconds(10), from: .seconds(5), to: .seconds(60))
        #expect(all.most <= 1050, "most \(all.most)")
        #expect(steady.least >= 900, "least \(steady.least)")
    }

    @Test(
        "100/s while one dies and another joins",
        arguments: [(true, false), (true, true), (false, false), (false, true)], [1, 2, 3, 4] as [UInt64])
    func deathAndJoin(_ how: (isProved: Bool, looksWithPulses: Bool), seed: UInt64) {
        let isProved = how.isProved
        var simulation = LimitsSimulation(nodes: 3, upstreams: [Self.upstream(rates: ["100/s"])], seed: seed)
        simulation.looksWithPulses = how.looksWithPulses
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(30))
        // The one that lends is a; it dies in every second run.
        let victim = seed.isMultiple(of: 2) ? "a" : "b"
        simulation.kill(victim, isProved: isProved)
        simulation.run(.seconds(2))
        let died = simulation.time
        simulation.run(.seconds(15))
        let after = simulation.count(from: died, to: died + .seconds(1))
        #expect(after >= 90, "in the third second after the death: \(after)")
        simulation.start(victim)
        simulation.run(.seconds(30))
        let all = simulation.windows(.seconds(10), from: .zero, to: simulation.time)
        let steady = simulation.windows(.seconds(10), from: .seconds(5), to: simulation.time)
        #expect(all.most <= 1050, "most \(all.most)")
        #expect(steady.least >= (isProved ? 900 : 880), "least \(steady.least)")
    }

    @Test("shares follow the mail that waits", arguments: [1, 2] as [UInt64])
    func proportion(seed: UInt64) {
        var simulation = LimitsSimulation(nodes: 3, upstreams: [Self.upstream(rates: ["100/s"])], seed: seed)
        simulation.startAll()
        simulation.endless["b"] = [0]
        simulation.run(.seconds(20))
        #expect(simulation.windows(.seconds(10), from: .seconds(5), to: .seconds(20)).least >= 900)
        simulation.endless["b"] = nil
        simulation.endless["c"] = [0]
        let changed = simulation.time
        simulation.run(.seconds(12))
        #expect(simulation.count(from: changed + .seconds(2), to: changed + .seconds(12)) >= 900)
        #expect(simulation.windows(.seconds(10), from: .zero, to: simulation.time).most <= 1050)
    }

    @Test("30 a minute in all, and no minute has more", arguments: [1, 2, 3, 4] as [UInt64])
    func slow(seed: UInt64) {
        var simulation = LimitsSimulation(
            nodes: 3, upstreams: [Self.upstream(rates: ["30/m"], connections: 3)], seed: seed)
        simulation.startAll()
        simulation.usesConnections = [0]
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(300))
        let all = simulation.windows(.seconds(60), from: .zero, to: .seconds(300))
        let steady = simulation.windows(.seconds(60), from: .seconds(5), to: .seconds(300))
        #expect(all.most <= 30, "most \(all.most)")
        #expect(steady.least >= 27, "least \(steady.least)")
        #expect(simulation.mostOpen <= 3)
        for name in simulation.names { #expect(simulation.count(from: .zero, to: .seconds(300), node: name) > 20) }
    }

    @Test(
        "fewer connections than nodes go round", arguments: [(3, 5), (1, 3), (2, 3), (1, 5), (3, 3)],
        [1, 2, 3] as [UInt64])
    func turns(_ size: (connections: Int, nodes: Int), seed: UInt64) {
        var simulation = LimitsSimulation(
            nodes: size.nodes, upstreams: [Self.upstream(connections: size.connections)], seed: seed)
        simulation.looksWithPulses = seed == 3
        simulation.startAll()
        simulation.usesConnections = [0]
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(6))
        simulation.forgetWaits()
        simulation.run(.seconds(60))
        #expect(simulation.mostOpen <= size.connections, "\(simulation.mostOpen) open")
        for name in simulation.names {
            let longest = simulation.longestWithout[name] ?? .zero
            #expect(longest <= .seconds(5), "\(name) waited \(longest.short)")
        }
        // A death in between: its connection is lent on.
        simulation.kill(simulation.names[0], isProved: true)
        simulation.run(.seconds(5))
        simulation.forgetWaits()
        simulation.run(.seconds(30))
        #expect(simulation.mostOpen <= size.connections)
        for name in simulation.living { #expect(simulation.longestWithout[name] ?? .zero <= .seconds(5)) }
    }

    @Test("a node that is cut off goes by its equal part, and the others have the rest when it is back")
    func partition() {
        var simulation = LimitsSimulation(nodes: 3, upstreams: [Self.upstream(rates: ["100/s"])], seed: 9)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(20))
        simulation.groups = [["a"], ["b", "c"]]
        let cut = simulation.time
        simulation.run(.seconds(20))
        let alone = simulation.count(from: cut + .seconds(10), to: cut + .seconds(20), node: "a")
        #expect(alone <= 350, "\(alone)")
        let majority = simulation.count(from: cut + .seconds(10), to: cut + .seconds(20)) - alone
        #expect(majority >= 900 && majority <= 1050, "\(majority)")
        simulation.groups = []
        let healed = simulation.time
        simulation.run(.seconds(15))
        let after = simulation.windows(.seconds(10), from: healed + .seconds(2), to: simulation.time)
        #expect(after.most <= 1050 && after.least >= 900, "\(after)")
    }

    @Test("a stopped process that wakes takes nothing that was lent to others", arguments: ["a", "b"])
    func stopped(name: String) {
        var simulation = LimitsSimulation(nodes: 3, upstreams: [Self.upstream(rates: ["100/s"])], seed: 4)
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        simulation.run(.seconds(20))
        simulation.stop(name)
        simulation.run(.seconds(12))
        simulation.resume(name)
        simulation.run(.seconds(20))
        let all = simulation.windows(.seconds(10), from: .zero, to: simulation.time)
        #expect(all.most <= 1050, "most \(all.most)")
    }

    @Test("two upstreams of one account share its limits")
    func account() {
        var one = Self.upstream("one", rates: ["60/s"], connections: 4)
        var two = Self.upstream("two", rates: ["100/s"], connections: 4)
        one.account = "shared"
        two.account = "shared"
        var simulation = LimitsSimulation(nodes: 3, upstreams: [one, two], seed: 5)
        simulation.startAll()
        simulation.endless = ["a": [0], "b": [1], "c": [0, 1]]
        simulation.run(.seconds(30))
        let all = simulation.windows(.seconds(10), from: .seconds(5), to: .seconds(30))
        // One says 60/s and the other 100/s: the lower is the account's.
        #expect(all.most <= 630 && all.least >= 540, "\(all)")
        for upstream in [0, 1] {
            #expect(simulation.count(from: .zero, to: .seconds(30), upstream: upstream) > 200)
        }
    }
}
