import Node
import Primitives
import Simulator
import Testing

@Suite("what an upstream answers after its owner lost the journal")
struct LateOutcomeTests {
    /// Found by seed 115620 of three nodes: it stayed held, and a person who released it sent it again.
    @Test("an owner that lost its lease and won it back uses what it learns of its own dot of before")
    func ownOutcome() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 11)
        configuration.replicas = 3
        configuration.lease = .seconds(2)
        configuration.uncertain = .hold
        let simulation = Simulation(scenario: configuration, nodes: 3)
        simulation.delayDots(by: .seconds(20))
        let id = try #require(simulation.send(to: ["r@example.net"], at: 0))
        simulation.run(for: .seconds(1))
        #expect(simulation.owner(of: id) == 0)
        // Nobody renews its lease; both come back before the upstream answers.
        simulation.kill(1)
        simulation.kill(2)
        simulation.run(for: .seconds(4))
        #expect(simulation.owner(of: id) == nil)
        simulation.start(1)
        simulation.start(2)
        simulation.run(for: .seconds(8))
        try #require(simulation.owner(of: id) == 0)
        #expect(simulation.message(id)?.state == .held)
        simulation.run(for: .seconds(20))
        #expect(simulation.isFinished(id) && simulation.deliveries(of: id) == 1)
        simulation.settle()
        #expect(simulation.violation == nil)
    }
}
