import Glibc

/// What the command line asks for.
struct Options: Sendable {
    enum Nodes: Sendable {
        case some(Int)
        /// By the seed.
        case mix
    }

    var seed: UInt64?
    var seeds = 1000
    var minutes: Double?
    var first: UInt64 = 1
    var nodes = Nodes.mix
    var jobs = 2
    var mutant: String?
    var traces = false
    var goesOn = false
    var lists = false

    var isMixed: Bool { if case .mix = nodes { true } else { false } }

    func nodes(of seed: UInt64) -> Int {
        switch nodes {
        case .some(let count): count
        case .mix: [3, 1, 3, 5][Int(seed % 4)]
        }
    }

    static func usage(_ problem: String? = nil) -> Never {
        if let problem { print("simulate: \(problem)") }
        print(
            """
            usage: ops/simulate [--seeds N] [--nodes 1|3|5|mix] [--from S] [--minutes M] [--jobs J] [--go-on]
                   ops/simulate --seed S [--nodes N] [--trace] [--mutant NAME]

            Runs nodes under simulated faults, one seed after another, until a promise is broken.

              --seeds N     so many seeds (1000)
              --nodes N     so many nodes in each run, or 'mix' (half of the runs three, a quarter one, a quarter five)
              --from S      beginning with this one (1)
              --minutes M   as many seeds as fit into so many minutes
              --jobs J      so many runs at a time (2)
              --seed S      only this seed
              --trace       with its whole timeline
              --go-on       do not stop at the first seed that fails
              --mutant NAME with this guard left out, until a seed notices ('--mutants' lists them)
            """)
        exit(problem == nil ? 0 : 2)
    }

    static func parse(_ arguments: ArraySlice<String>) -> Options {
        var options = Options()
        var words = arguments
        func value<Value>(_ name: String, _ read: (String) -> Value?) -> Value {
            guard let word = words.popFirst(), let value = read(word) else { usage("\(name) needs a value") }
            return value
        }
        while let word = words.popFirst() {
            switch word {
            case "--seed": options.seed = value(word) { UInt64($0) }
            case "--seeds": options.seeds = value(word) { Int($0) }
            case "--from": options.first = value(word) { UInt64($0) }
            case "--minutes": options.minutes = value(word) { Double($0) }
            case "--jobs": options.jobs = value(word) { Int($0).flatMap { $0 > 0 ? $0 : nil } }
            case "--nodes":
                options.nodes = value(word) {
                    $0 == "mix" ? .mix : Int($0).flatMap { [1, 3, 5].contains($0) ? .some($0) : nil }
                }
            case "--mutant": options.mutant = value(word) { $0 }
            case "--mutants": options.lists = true
            case "--trace": options.traces = true
            case "--go-on": options.goesOn = true
            case "--help", "-h": usage()
            default: usage("unknown option \(word)")
            }
        }
        return options
    }
}
