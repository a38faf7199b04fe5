import Cluster
import Foundation
import Testing

/// Guards of the protocol left out, one at a time: the simulation must notice (`mutants.md`).
@Suite("mutants of the protocol")
struct ClusterMutantTests {
    @Test(
        "a mutant is caught within a few seeds",
        arguments: [
            Mutation.ownPromiseUnsynced, .acknowledgeUnsynced, .bestByLength, .grantWhileOwnLease, .previousOffsetOnly,
            .cutAlways, .releaseStillCounts, .releaseAnySender,
        ])
    func quick(mutation: Mutation) {
        let (caught, _) = Self.hunt(mutation, 25)
        #expect(caught != nil, "\(mutation.rawValue) survives")
    }

    /// All of them, with the table: `BATON_CLUSTER_MUTANTS=300` (seeds tried for each).
    @Test(
        "every mutant is caught", .enabled(if: ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTANTS"] != nil))
    func table() {
        let limit = ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTANTS"].flatMap(UInt64.init) ?? 100
        let named = ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTATION"]
        for mutation in Mutation.allCases where named?.contains(mutation.rawValue) ?? true {
            let (caught, seeds) = ClusterMutantTests.hunt(mutation, limit)
            print("| \(mutation.rawValue) | \(caught ?? "not caught") | \(seeds) |")
            fflush(nil)
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
