import Glibc
import Primitives
import Simulator

// Runs seeds until one breaks a promise of the nodes, then says how to see it again.

let options = Options.parse(CommandLine.arguments.dropFirst())
if options.lists {
    for mutation in Hunt.names { print(mutation) }
    exit(0)
}
if let seed = options.seed, options.mutant == nil {
    exit(Runs.one(seed, options))
}
if let name = options.mutant {
    exit(await Hunt.run(name, options))
}
exit(await Runs.many(options))
