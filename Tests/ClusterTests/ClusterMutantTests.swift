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
            .cutAlways, .releaseStillCounts, .noCut, .appendPromiseUnsynced,
        ])
    func quick(mutation: Mutation) {
        let caught = Self.hunt(mutation, seeds: 25)
        #expect(caught != nil, "\(mutation.rawValue) survives")
    }

    /// All of them, a line each: `BATON_CLUSTER_MUTANTS=all`, or names. `BATON_CLUSTER_SEEDS` tries more seeds.
    ///
    ///     mutant NAME caught I4 after 12 seeds
    ///     mutant NAME caught I1 by the scenario 'NAME'
    ///     mutant NAME redundant REASON
    ///     mutant NAME survives 400 seeds
    @Test(
        "every mutant is caught, or redundant for a reason",
        .enabled(if: ProcessInfo.processInfo.environment["BATON_CLUSTER_MUTANTS"] != nil))
    func table() {
        let environment = ProcessInfo.processInfo.environment
        let named = environment["BATON_CLUSTER_MUTANTS"] ?? "all"
        let seeds = environment["BATON_CLUSTER_SEEDS"].flatMap(UInt64.init) ?? 400
        func isWanted(_ name: String) -> Bool { named == "all" || named.split(separator: ",").contains { $0 == name } }
        for (name, reason) in Self.redundant.sorted(by: { $0.key < $1.key }) where isWanted(name) {
            print("mutant \(name) redundant \(reason)")
        }
        for mutation in Mutation.allCases
        where isWanted(mutation.rawValue) && Self.redundant[mutation.rawValue] == nil {
            if let caught = Self.scenario(mutation) ?? Self.hunt(mutation, seeds: seeds) {
                print("mutant \(mutation.rawValue) caught \(caught)")
            } else {
                print("mutant \(mutation.rawValue) survives \(seeds) seeds")
                Issue.record("\(mutation.rawValue) survives")
            }
            fflush(nil)
        }
    }

    /// Guards of `mutants.md` that others here stand in for.
    static let redundant = [
        "knock-untied": """
        a proof counts only against processes up to the one that was knocked at, and any word of a later one ends the \
        knock: nothing can be promised between that the proof would wrongly end
        """,
        "owner-claims-no-stepdown":
            "a replica is follower, claimant or owner by one enum: a claimant has no lease to keep",
        "eof-any-connection":
            "no closed connection proves anything here: only a refused knock does (eof-without-knock)",
        "close-then-uncount": "as eof-any-connection: who closes first still listens, and the knock is taken",
        "two-connections": "as eof-any-connection: the end of either proves nothing",
    ]

    static func scenario(_ mutation: Mutation) -> String? {
        guard let (_, name, run) = ClusterScenarios.all.first(where: { $0.mutation == mutation }),
            let violation = run([mutation]).violation
        else { return nil }
        return "\(invariant(": " + violation)) by the scenario '\(name)'"
    }

    /// The invariant that broke, and what it took.
    static func hunt(_ mutation: Mutation, seeds: UInt64) -> String? {
        for seed in 1...seeds {
            for plan in plans(seed, mutation) {
                guard let violation = ClusterSimulation(plan).run() else { continue }
                if ProcessInfo.processInfo.environment["BATON_CLUSTER_VERBOSE"] != nil { print(violation) }
                return "\(invariant(violation)) after \(seed) \(seed == 1 ? "seed" : "seeds")"
            }
        }
        return nil
    }

    /// Each seed tries a few clusters: of three and of five, where messages outlive connections, and where leases break.
    private static func plans(_ seed: UInt64, _ mutation: Mutation) -> [ClusterSimulation.Plan] {
        let plain = ClusterSimulation.Plan(seed: seed, mutations: [mutation])
        var five = plain
        five.nodes = 5
        var late = plain
        late.outlivesConnections = true
        var forged = late
        forged.forgesDeath = true
        return [plain, five, late, forged]
    }

    static func invariant(_ violation: String) -> String {
        for number in [1, 2, 3, 4, 8, 9, 10] where violation.contains(": I\(number): ") { return "I\(number)" }
        // The core itself would break a promise: it stops the process.
        return "stop"
    }
}
