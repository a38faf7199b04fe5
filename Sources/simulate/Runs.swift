import Glibc
import Primitives
import Simulator
import Synchronization

/// A line that is there even if the process crashes next.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

/// Which seeds are under way, for a crash of the process itself: a place for each job.
enum UnderWay {
    static let most = 64
    // Safe: each job writes its own place; the signal handler only reads, when the process is about to end.
    nonisolated(unsafe) static let places = UnsafeMutablePointer<UInt64>.allocate(capacity: 2 * most)

    static func watch() {
        places.initialize(repeating: 0, count: 2 * most)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] { signal(number, sayWhereItCrashed) }
    }

    static func set(_ job: Int, _ seed: UInt64, nodes: Int) {
        places[2 * (job % most)] = seed
        places[2 * (job % most) + 1] = UInt64(nodes)
    }
}

private func sayWhereItCrashed(_ number: Int32) {
    func write(_ text: StaticString) { _ = Glibc.write(2, text.utf8Start, text.utf8CodeUnitCount) }
    func write(number: UInt64) {
        var rest = number
        var digits: (UInt64, Int) = (0, 0)
        repeat {
            digits = (digits.0 * 10 + rest % 10, digits.1 + 1)
            rest /= 10
        } while rest > 0
        for _ in 0..<digits.1 {
            var character = UInt8(0x30 + digits.0 % 10)
            digits.0 /= 10
            _ = Glibc.write(2, &character, 1)
        }
    }
    write("\nthe process crashed; one of:\n")
    for job in 0..<UnderWay.most where UnderWay.places[2 * job] != 0 {
        write("  ops/simulate --nodes ")
        write(number: UnderWay.places[2 * job + 1])
        write(" --seed ")
        write(number: UnderWay.places[2 * job])
        write(" --trace\n")
    }
    signal(number, SIG_DFL)
    raise(number)
}

enum Runs {
    static func run(
        _ seed: UInt64, nodes: Int, mutant: String? = nil, job: Int = 0, traces: Bool = false
    ) -> Simulation {
        UnderWay.set(job, seed, nodes: nodes)
        let simulation = Simulation(Plan(seed: seed, nodes: nodes, mutant: mutant))
        if traces { simulation.trace = { say($0) } }
        simulation.run()
        UnderWay.set(job, 0, nodes: 0)
        return simulation
    }

    static func one(_ seed: UInt64, _ options: Options) -> Int32 {
        UnderWay.watch()
        let simulation = run(seed, nodes: options.nodes(of: seed), traces: options.traces)
        if let violation = simulation.violation { say("seed \(seed): \(violation)") }
        print(simulation.totals.report)
        return simulation.violation == nil ? 0 : 1
    }

    /// What all jobs share.
    private final class Shared: Sendable {
        let progress: Mutex<Progress>
        init(_ progress: Progress) { self.progress = Mutex(progress) }
    }

    private struct Progress {
        var next: UInt64
        var last: UInt64
        var totals = Totals()
        var failures: [(seed: UInt64, text: String)] = []
        var said: ContinuousClock.Instant
    }

    static func many(_ options: Options) async -> Int32 {
        UnderWay.watch()
        let clock = ContinuousClock()
        let began = clock.now
        let last = options.minutes == nil ? options.first &+ UInt64(options.seeds) - 1 : .max
        let shared = Shared(Progress(next: options.first, last: last, said: began))
        await withTaskGroup(of: Void.self) { group in
            for job in 0..<options.jobs {
                group.addTask { work(job, options, shared, began) }
            }
        }
        let took = clock.now - began
        let (totals, failures) = shared.progress.withLock { ($0.totals, $0.failures) }
        print(totals.report)
        print("real time: \((took.inSeconds * 10).rounded() / 10) s, \(options.jobs) runs at a time")
        return failures.isEmpty ? 0 : 1
    }

    private static func work(
        _ job: Int, _ options: Options, _ shared: Shared, _ began: ContinuousClock.Instant
    ) {
        while true {
            let now = ContinuousClock.now
            let seed = shared.progress.withLock { progress -> UInt64? in
                if let minutes = options.minutes, now - began >= .seconds(minutes * 60) { return nil }
                guard progress.next <= progress.last, options.goesOn || progress.failures.isEmpty else { return nil }
                progress.next += 1
                return progress.next - 1
            }
            guard let seed else { return }
            let nodes = options.nodes(of: seed)
            let simulation = run(seed, nodes: nodes, job: job)
            shared.progress.withLock { progress in
                progress.totals.add(simulation.totals)
                if let violation = simulation.violation {
                    progress.failures.append((seed, violation))
                    say("seed \(seed), \(nodes) nodes: \(violation)")
                    say("see it again:  ops/simulate --nodes \(nodes) --seed \(seed) --trace")
                }
                let now = ContinuousClock.now
                guard now - progress.said > .seconds(20) else { return }
                progress.said = now
                let hours = (progress.totals.simulated.inSeconds / 360).rounded() / 10
                say("\(progress.totals.seeds) seeds, \(progress.failures.count) failed, \(hours) hours simulated")
            }
        }
    }
}
