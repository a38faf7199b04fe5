import Node
import Primitives
import Simulator
import Testing

@Suite("three nodes, one queue")
struct FailoverTests {
    static func simulation(seed: UInt64 = 21, _ change: (inout NodeConfiguration) -> Void = { _ in }) -> Simulation {
        var configuration = Plan.configuration(upstreams: 1, seed: seed)
        configuration.replicas = 3
        configuration.lease = .seconds(2)
        configuration.retry = [.seconds(2)]
        change(&configuration)
        return Simulation(scenario: configuration, nodes: 3)
    }

    @Test("a killed node's mail goes out by another, within half a second of its death")
    func kill() throws {
        let simulation = FailoverTests.simulation()
        simulation.set("up1", [.refuseConnect: 1])
        let ids = try (0..<5).map { try #require(simulation.send(to: ["r\($0)@example.net"])) }
        simulation.run(for: .seconds(1))
        simulation.set("up1", [:])
        simulation.kill(0)
        let death = simulation.clock
        var owned: Duration?
        while owned == nil, simulation.clock - death < .seconds(3) {
            simulation.run(for: .milliseconds(10))
            if simulation.owner(of: ids[0]) != nil { owned = simulation.clock - death }
        }
        #expect(try #require(owned) <= .milliseconds(500))
        simulation.run(for: .seconds(20))
        for id in ids { #expect(simulation.deliveries(of: id) == 1) }
        #expect(simulation.violation == nil)
    }

    @Test("an owner that was stopped for ten seconds sends no dot when it wakes; others have its mail after a lease")
    func pause() throws {
        let simulation = FailoverTests.simulation()
        simulation.set("up1", [.refuseConnect: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .milliseconds(500))
        simulation.pause(0, for: .seconds(10))
        simulation.set("up1", [:])
        simulation.run(for: .milliseconds(2500))
        #expect(simulation.deliveries(of: id) == 1, "within a lease and half a second")
        simulation.run(for: .seconds(20))
        #expect(simulation.deliveries(of: id) == 1)
        #expect(simulation.violation == nil)
    }

    @Test(
        "what is uncertain after a kill is sent again and was listed so; with 'hold' it waits",
        arguments: [false, true])
    func uncertain(_ isHeld: Bool) throws {
        let simulation = FailoverTests.simulation { if isHeld { $0.uncertain = .hold } }
        simulation.set("up1", [.dotUnanswered: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .milliseconds(200))
        #expect(simulation.deliveries(of: id) == 1 && !simulation.isFinished(id))
        simulation.set("up1", [:])
        simulation.kill(0)
        simulation.run(for: .seconds(20))
        #expect(simulation.deliveries(of: id) == (isHeld ? 1 : 2))
        #expect(simulation.isFinished(id) == !isHeld)
        if isHeld {
            let message = try #require(simulation.message(id))
            #expect(message.isUncertain && message.state == .held)
        }
        #expect(simulation.violation == nil)
    }

    @Test("all killed at once: everything that was answered 250 is delivered after their start")
    func all() throws {
        let simulation = FailoverTests.simulation()
        simulation.set("up1", [.refuseConnect: 1])
        let ids = try (0..<9).map { try #require(simulation.send(to: ["r\($0)@example.net"], at: $0 % 3)) }
        simulation.run(for: .seconds(1))
        for node in 0..<3 { simulation.kill(node) }
        simulation.set("up1", [:])
        simulation.run(for: .seconds(5))
        for node in 0..<3 { simulation.start(node) }
        simulation.run(for: .seconds(30))
        for id in ids { #expect(simulation.deliveries(of: id) == 1) }
        #expect(simulation.violation == nil)
    }

    @Test("a drained node hands over, and nothing is sent twice or listed as uncertain")
    func drain() throws {
        let simulation = FailoverTests.simulation()
        simulation.set("up1", [.dataTransient: 1])
        let ids = try (0..<5).map { try #require(simulation.send(to: ["r\($0)@example.net"])) }
        simulation.run(for: .seconds(1))
        simulation.drain(0)
        simulation.set("up1", [:])
        simulation.run(for: .seconds(20))
        for id in ids { #expect(simulation.deliveries(of: id) == 1) }
        #expect(simulation.totals.duplicates == 0 && simulation.violation == nil)
    }

    @Test("without a majority nothing is accepted, and the node that is left does not spin")
    func minority() throws {
        let simulation = FailoverTests.simulation()
        let id = try #require(simulation.send(to: ["r@example.net"], at: 1))
        simulation.run(for: .seconds(1))
        simulation.kill(0)
        simulation.kill(1)
        // A tick that is due for ever would be noticed.
        simulation.run(for: .seconds(10))
        #expect(simulation.send(to: ["q@example.net"], at: 2) == nil)
        simulation.start(0)
        simulation.run(for: .seconds(20))
        #expect(simulation.isFinished(id) && simulation.violation == nil)
        #expect(simulation.send(to: ["q@example.net"], at: 2) != nil)
    }

    @Test("the tail of an owner that was cut off is cut when it is back, and its index is made anew")
    func tail() throws {
        let simulation = FailoverTests.simulation()
        simulation.set("up1", [.refuseConnect: 1])
        let ids = try (0..<3).map { try #require(simulation.send(to: ["r\($0)@example.net"])) }
        simulation.run(for: .seconds(1))
        simulation.cutOff([0])
        // Never committed, and never answered 250.
        let lost = try #require(simulation.send(to: ["lost@example.net"]))
        simulation.run(for: .seconds(6))
        #expect(simulation.owner(of: ids[0]) != 0)
        simulation.set("up1", [:])
        simulation.cutOff([])
        simulation.run(for: .seconds(30))
        for id in ids { #expect(simulation.deliveries(of: id) == 1) }
        #expect(simulation.deliveries(of: lost) == 0)
        #expect(simulation.violation == nil)
    }

    @Test("an owner that wakes with its lease over sends no dot; a late outcome ends the hold of what was uncertain")
    func guards() {
        for stop in Simulation.stops {
            let woken = Simulation.wokenOwner(stoppedAfter: stop)
            // Stopped behind the dot, its fate is uncertain and it is sent again.
            #expect(woken.violation == nil && (1...2).contains(woken.totals.deliveries))
        }
        let late = Simulation.lateOutcome()
        #expect(late.violation == nil && late.totals.deliveries == 1 && late.totals.lateOutcomes > 0)
        #expect(late.backlog == 0)
        // One attempt was refused, the later one is of unknown fate: the first says nothing of it.
        let refused = Simulation.lateRefusal()
        #expect(refused?.violation == nil && refused?.backlog == 1 && refused?.totals.bounces == 0)
        for mutant in ["dot-without-lease", "late-outcome-ignored", "late-outcome-wrong-epoch"] {
            #expect(Simulation.scenario(without: mutant)?.violation != nil, "\(mutant) is noticed")
        }
    }
}

/// The negative tests: what leases rest upon is broken. Two nodes own a journal at once, so that what holds of leases may
/// break, and nothing that holds of mail does.
@Suite("leases that break")
struct BrokenLeaseTests {
    static let times: [Duration] = (0..<8).map { .milliseconds(900 + 150 * $0) }

    @Test("a forged death gives a journal two owners; its message may go twice, listed, and is never lost")
    func forgedDeath() { check(BrokenLeaseTests.times.map { Simulation.forgedDeath(after: $0) }) }

    @Test("a clock beyond its bound gives a journal two owners; its message may go twice, listed, and is never lost")
    func slowClock() { check(BrokenLeaseTests.times.map { Simulation.slowClock(cutOffAfter: $0) }) }

    private func check(_ simulations: [Simulation]) {
        for simulation in simulations {
            // Among the promises is that what goes twice was listed as uncertain before.
            #expect(simulation.violation == nil)
            #expect((1...2).contains(simulation.totals.deliveries) && simulation.backlog == 0)
        }
        #expect(simulations.contains { $0.totals.doubleLeases > 0 })
        #expect(simulations.contains { $0.totals.doubleLeases > 0 && $0.totals.duplicates > 0 })
    }

    @Test("under every other fault too: leases break in some seeds, and no message is lost in any")
    func seeds() {
        var forged = Totals()
        var drifting = Totals()
        // At least a handful of each; leases break in one of a few.
        for seed in 1...30 as ClosedRange<UInt64> {
            if seed <= 5 || forged.doubleLeases == 0 {
                forged.add(
                    run(seed) {
                        $0.faults.insert(.forgedDeath)
                        $0.configuration.isFastFailover = true
                    })
            }
            if seed <= 5 || drifting.doubleLeases == 0 {
                drifting.add(
                    run(seed) {
                        $0.clocksBeyondBound = true
                        $0.faults.insert(.isolation)
                    })
            }
        }
        #expect(forged.doubleLeases > 0)
        #expect(drifting.doubleLeases > 0)
    }

    private func run(_ seed: UInt64, _ change: (inout Plan) -> Void) -> Totals {
        var plan = Plan(seed: seed, nodes: 3)
        plan.clusterFaultEvery = .seconds(1)
        change(&plan)
        let simulation = Simulation(plan)
        simulation.run()
        #expect(simulation.violation == nil, "seed \(seed)")
        return simulation.totals
    }
}
