import Glibc
import Primitives
import Simulator

// Runs seeds until one breaks a promise of the node, then says how to see it again.

struct Options {
    var seed: UInt64?
    var seeds = 1000
    var minutes: Double?
    var first: UInt64 = 1
    var traces = false
    var goesOn = false
}

/// A line that is there even if the process crashes next.
func say(_ text: String) {
    print(text)
    fflush(nil)
}

func usage(_ problem: String? = nil) -> Never {
    if let problem { say("simulate: \(problem)") }
    print(
        """
        usage: ops/simulate [--seeds N] [--from S] [--minutes M] [--seed S [--trace]] [--go-on]

        Runs the node under simulated faults, one seed after another, until a promise is broken.

          --seeds N     so many seeds (1000)
          --from S      beginning with this one (1)
          --minutes M   as many seeds as fit into so many minutes
          --seed S      only this seed
          --trace       with its whole timeline
          --go-on       do not stop at the first seed that fails
        """)
    exit(problem == nil ? 0 : 2)
}

func parse() -> Options {
    var options = Options()
    var words = CommandLine.arguments.dropFirst()
    func value<Value>(_ name: String, _ read: (String) -> Value?) -> Value {
        guard let word = words.popFirst(), let value = read(word) else { usage("\(name) needs a number") }
        return value
    }
    while let word = words.popFirst() {
        switch word {
        case "--seed": options.seed = value(word) { UInt64($0) }
        case "--seeds": options.seeds = value(word) { Int($0) }
        case "--from": options.first = value(word) { UInt64($0) }
        case "--minutes": options.minutes = value(word) { Double($0) }
        case "--trace": options.traces = true
        case "--go-on": options.goesOn = true
        case "--help", "-h": usage()
        default: usage("unknown option \(word)")
        }
    }
    return options
}

/// The seed under way, for a crash of the process itself.
// Safe: one thread writes it; the signal handler only reads it, on that thread, when the process is about to end.
nonisolated(unsafe) var current: UInt64 = 0

func sayWhereItCrashed(_ number: Int32) {
    var digits: [UInt8] = []
    var rest = current
    repeat {
        digits.append(UInt8(0x30 + rest % 10))
        rest /= 10
    } while rest > 0
    let text = Array("\nthe process crashed: ops/simulate --seed ".utf8) + digits.reversed() + Array(" --trace\n".utf8)
    _ = write(2, text, text.count)
    signal(number, SIG_DFL)
    raise(number)
}

for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] { signal(number, sayWhereItCrashed) }

func run(_ seed: UInt64, traces: Bool) -> Simulation {
    current = seed
    let simulation = Simulation(Plan(seed: seed))
    if traces { simulation.trace = { say($0) } }
    simulation.run()
    return simulation
}

let options = parse()
var totals = Totals()
var seed = options.seed ?? options.first
let clock = ContinuousClock()
let began = clock.now
var said = began
var failures = 0
while true {
    let simulation = run(seed, traces: options.traces)
    totals.add(simulation.totals)
    if let violation = simulation.violation {
        say("seed \(seed): \(violation)\nsee it again:  ops/simulate --seed \(seed) --trace")
        failures += 1
        if !options.goesOn { exit(1) }
    }
    let now = clock.now
    if now - said > .seconds(10) {
        said = now
        say("seed \(seed): \(totals.seeds) seeds, \(failures) of them with a broken promise, \(totals.steps) steps")
    }
    if options.seed != nil { break }
    if let minutes = options.minutes {
        if now - began >= .seconds(minutes * 60) { break }
    } else if totals.seeds >= options.seeds {
        break
    }
    seed += 1
}
print(totals.report)
exit(failures == 0 ? 0 : 1)
