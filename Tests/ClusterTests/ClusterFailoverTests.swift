import Cluster
import Primitives
import Testing

/// How long a journal is without an owner when nothing else goes wrong, at the lease that users have.
@Suite("failover")
struct ClusterFailoverTests {
    /// A quiet cluster with one journal's owner, after a second.
    static func cluster(seed: UInt64, nodes: Int = 3) -> (ClusterSimulation, SimulatedClusterNode, JournalID)? {
        var plan = ClusterSimulation.Plan(seed: seed, nodes: nodes)
        plan.lease = .seconds(2)
        plan.hasFaults = false
        let simulation = ClusterSimulation(plan, tellsStory: true)
        simulation.advance(to: 1_500_000_000)
        for node in simulation.nodes {
            for (journal, replica) in node.core?.journals ?? [:] where replica.owner?.phase == .active {
                return (simulation, node, journal)
            }
        }
        return nil
    }

    /// Milliseconds until another node is active on the journal.
    static func untilActive(_ simulation: ClusterSimulation, _ journal: JournalID, but former: SimulatedClusterNode)
        -> Int64
    {
        let start = simulation.time
        while simulation.time < start + 10_000_000_000 {
            simulation.advance(to: simulation.time + 1_000_000)
            for node in simulation.nodes where node.index != former.index {
                if node.core?.journals[journal]?.owner?.phase == .active {
                    return (simulation.time - start) / 1_000_000
                }
            }
        }
        return .max
    }

    @Test("a killed owner's journal is active elsewhere within 300 ms")
    func killed() throws {
        for seed in 1...10 {
            let (simulation, owner, journal) = try #require(Self.cluster(seed: UInt64(seed)))
            simulation.stop(owner, losesPower: false)
            let took = Self.untilActive(simulation, journal, but: owner)
            #expect(took <= 300, "seed \(seed): \(took) ms")
            #expect(simulation.invariants.violation == nil)
        }
    }

    @Test("a silent owner's journal is active elsewhere within a lease and half a second")
    func silent() throws {
        for seed in 1...10 {
            let (simulation, owner, journal) = try #require(Self.cluster(seed: UInt64(seed)))
            owner.isPaused = true
            let took = Self.untilActive(simulation, journal, but: owner)
            #expect(took <= 2500, "seed \(seed): \(took) ms")
            #expect(took >= 1500, "seed \(seed): its lease was not over")
            #expect(simulation.invariants.violation == nil)
        }
    }

    @Test("an owner that restarts at once, or whoever is faster, owns its journal within half a second")
    func restarted() throws {
        for seed in 1...10 {
            let (simulation, owner, journal) = try #require(Self.cluster(seed: UInt64(seed)))
            simulation.stop(owner, losesPower: false)
            simulation.start(owner.index)
            let start = simulation.time
            while simulation.time < start + 2_000_000_000,
                !simulation.nodes.contains(where: { $0.core?.journals[journal]?.owner?.phase == .active })
            {
                simulation.advance(to: simulation.time + 1_000_000)
            }
            #expect(simulation.time - start < 500_000_000, "seed \(seed)")
        }
    }

    @Test("a released journal moves within a rank or two")
    func released() throws {
        for seed in 1...10 {
            let (simulation, owner, journal) = try #require(Self.cluster(seed: UInt64(seed)))
            simulation.give(owner.index, .mayClaim(false))
            simulation.give(owner.index, .release(journal))
            let took = Self.untilActive(simulation, journal, but: owner)
            #expect(took <= 350, "seed \(seed): \(took) ms")
        }
    }

    @Test("without a majority nobody owns anything, and its return ends that")
    func minority() throws {
        let (simulation, owner, journal) = try #require(Self.cluster(seed: 3))
        let others = simulation.nodes.filter { $0.index != owner.index }
        for other in others { simulation.stop(other, losesPower: true) }
        simulation.advance(to: simulation.time + 5_000_000_000)
        #expect(owner.core?.journals[journal]?.owner == nil)
        simulation.start(others[0].index)
        simulation.advance(to: simulation.time + 5_000_000_000)
        let active = simulation.nodes.filter { $0.core?.journals[journal]?.owner?.phase == .active }
        #expect(active.count == 1)
        #expect(simulation.invariants.violation == nil)
    }
}
