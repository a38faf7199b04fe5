import Cluster
import Primitives
import Simulator
import Synchronization

/// Looks for a seed that notices the lack of one guard.
enum Hunt {
    static var names: [String] { Plan.mutants }

    private final class Shared: Sendable {
        let progress: Mutex<Progress>
        init(_ progress: Progress) { self.progress = Mutex(progress) }
    }

    private struct Progress {
        var next: UInt64
        var caught: (seed: UInt64, nodes: Int, by: String)?
    }

    /// Prints one row of the table; 0 when it was caught.
    static func run(_ name: String, _ options: Options) async -> Int32 {
        guard ClusterSettings.canLeaveOutGuards else {
            Options.usage("this build has every guard: ops/mutants makes one that can leave them out")
        }
        guard names.contains(name) else { Options.usage("no mutant is called \(name)") }
        if let seed = options.seed {
            let nodes = options.nodes(of: seed)
            let simulation = Runs.run(seed, nodes: nodes, mutant: name, traces: options.traces)
            say("seed \(seed): \(simulation.violation ?? "nothing noticed")")
            return simulation.violation == nil ? 1 : 0
        }
        if let violation = Simulation.scenario(without: name)?.violation {
            say("| \(name) | \(violation) | by a scenario |")
            return 0
        }
        let last = options.first &+ UInt64(options.seeds) - 1
        let shared = Shared(Progress(next: options.first))
        await withTaskGroup(of: Void.self) { group in
            for job in 0..<options.jobs { group.addTask { hunt(name, job, options, last, shared) } }
        }
        guard let caught = shared.progress.withLock({ $0.caught }) else {
            say("| \(name) | not caught | \(options.seeds) |")
            return 1
        }
        let seeds = caught.seed - options.first + 1
        say("| \(name) | \(caught.by) | \(seeds) |")
        return 0
    }

    private static func hunt(
        _ mutant: String, _ job: Int, _ options: Options, _ last: UInt64, _ shared: Shared
    ) {
        while true {
            let seed = shared.progress.withLock { progress -> UInt64? in
                guard progress.next <= last, progress.caught == nil else { return nil }
                progress.next += 1
                return progress.next - 1
            }
            guard let seed else { return }
            // Most guards are of several nodes.
            let nodes = options.isMixed ? [3, 5, 3, 3][Int(seed % 4)] : options.nodes(of: seed)
            let simulation = Runs.run(seed, nodes: nodes, mutant: mutant, job: job)
            guard let violation = simulation.violation else { continue }
            shared.progress.withLock { progress in
                if progress.caught.map({ seed < $0.seed }) ?? true { progress.caught = (seed, nodes, violation) }
            }
        }
    }
}
