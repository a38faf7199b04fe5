import Cluster
import Foundation
import Testing

/// Guards of the protocol left out, one at a time: the simulation must notice (`mutants.md`).
@Suite("mutants of the protocol")
struct ClusterMutantTests {
    /// The seeds at which a mutant was first caught, for the five that every run tries.
    static let quick: [(Mutation, nodes: Int, seed: UInt64)] = []

    /// All of them, with the table: `BATON_CLUSTER_MUTANTS=300` (seeds tried for each).
    @Test(
        "every mutant is caught", .enabled(if: ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTANTS"] != nil))
    func table() {
        let limit = ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTANTS"].flatMap(UInt64.init) ?? 100
        for mutation in Mutation.allCases {
            let (caught, seeds) = ClusterMutantTests.hunt(mutation, limit)
            print("| \(mutation.rawValue) | \(caught ?? "not caught") | \(seeds) |")
        }
    }

    static func hunt(_ mutation: Mutation, _ limit: UInt64) -> (String?, UInt64) {
        for seed in 1...limit {
            for nodes in [3, 5] {
                let plan = ClusterSimulation.Plan(seed: seed, nodes: nodes, mutations: [mutation])
                if let violation = ClusterSimulation(plan).run() { return (violation, seed) }
            }
        }
        return (nil, limit)
    }
}
