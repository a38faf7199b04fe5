import Foundation
import Node
import Primitives
import Simulator
import Testing

/// Recipient domains that can't be reached, beside others that can.
@Suite("dead destinations")
struct DestinationTests {
    /// What a run with a thousand messages for living domains, ten a second, came to.
    private struct Run {
        /// From acceptance to delivery, of each.
        var times: [Duration] = []
        var deadTries = 0
        var parked = 0

        var p99: Duration { times.sorted()[times.count * 99 / 100] }
    }

    /// - Parameter dead: So many messages for one dead domain, of the same sender, arrive in the first ten seconds.
    private func run(dead: Int) throws -> Run {
        var configuration = Plan.configuration(upstreams: 1, seed: 21)
        configuration.upstreams[0].maximumConnections = 10
        configuration.journalLimit = .mebibytes(8)
        let simulation = Simulation(scenario: configuration, turns: .max)
        simulation.setUnreachable("dead.example", at: "up1", after: .milliseconds(500))
        var run = Run()
        var sent: [MessageID: Instant] = [:]
        var deadIDs: Set<MessageID> = []
        simulation.onDelivery = { id, _, _ in
            if let since = sent.removeValue(forKey: id) { run.times.append(simulation.clock - since) }
        }
        simulation.onTransaction = { if deadIDs.contains($0.message) { run.deadTries += 1 } }
        for number in 0..<1000 {
            if number < 100 {
                for _ in 0..<dead / 100 {
                    if let id = simulation.send(to: ["r\(number)@dead.example"]) { deadIDs.insert(id) }
                }
            }
            let since = simulation.clock
            let id = try #require(simulation.send(to: ["r@living\(number % 7).example"]))
            sent[id] = since
            simulation.run(for: .milliseconds(100))
        }
        simulation.run(for: .seconds(10))
        #expect(simulation.violation == nil && run.times.count == 1000 && deadIDs.count == dead)
        run.parked = try #require(simulation.status()).parked
        simulation.onDelivery = nil
        simulation.onTransaction = nil
        return run
    }

    @Test("messages for a dead domain do not keep a thousand for living ones: their p99 stays within two times")
    func share() throws {
        let alone = try run(dead: 0)
        // (`BATON_DEAD=100000 swift test` for as many as a campaign has; a debug build takes minutes.)
        let dead = ProcessInfo.processInfo.environment["BATON_DEAD"].flatMap(Int.init) ?? 3000
        let beside = try run(dead: dead)
        #expect(beside.p99 <= alone.p99 * 2, "\(beside.p99.short) beside them, \(alone.p99.short) alone")
        #expect(beside.deadTries < 60, "\(beside.deadTries) tries")
        #expect(beside.parked > dead - 60, "those that were tried come back to the others")
    }

    @Test("once the domain answers its backlog goes, without a second outage")
    func returns() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 22)
        configuration.upstreams[0].maximumConnections = 10
        let simulation = Simulation(scenario: configuration)
        simulation.setUnreachable("dead.example", at: "up1", after: .milliseconds(200))
        var ids: [MessageID] = []
        for number in 0..<500 { ids.append(try #require(simulation.send(to: ["r\(number)@dead.example"]))) }
        simulation.run(for: .minutes(30))
        #expect(try #require(simulation.status()).problems.map(\.name) == ["destination-deferred"])
        let tried = ids.filter { (simulation.message($0)?.recipients[0].tries ?? 0) > 0 }.count
        #expect(tried < 40)
        simulation.setUnreachable("dead.example", at: "up1", after: nil)
        simulation.run(for: .minutes(16))
        let left = ids.filter { !simulation.isFinished($0) }
        #expect(left.count < tried, "only those that wait for their own next try")
        simulation.settle()
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
        #expect(ids.allSatisfy { simulation.deliveries(of: $0) == 1 })
    }

    @Test("what is parked on a node that dies or drains is parked or delivered by the next", arguments: [false, true])
    func takeover(_ isDrained: Bool) throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 23)
        configuration.replicas = 3
        configuration.lease = .seconds(2)
        let simulation = Simulation(scenario: configuration, nodes: 3)
        simulation.setUnreachable("dead.example", at: "up1", after: .milliseconds(50))
        var ids: [MessageID] = []
        for number in 0..<60 { ids.append(try #require(simulation.send(to: ["r\(number)@dead.example"]))) }
        simulation.run(for: .seconds(10))
        let parked = try #require(simulation.status()).parked
        #expect(parked > 30)
        if isDrained { simulation.drain(0) } else { simulation.kill(0) }
        simulation.run(for: .seconds(20))
        #expect(ids.allSatisfy { simulation.message($0) != nil })
        simulation.setUnreachable("dead.example", at: "up1", after: nil)
        simulation.run(for: .minutes(3))
        let delivered = ids.filter { simulation.deliveries(of: $0) == 1 }
        #expect(delivered.count > 40)
        if !isDrained { simulation.start(0) }
        simulation.settle()
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
        #expect(ids.allSatisfy { simulation.deliveries(of: $0) == 1 })
    }
}
