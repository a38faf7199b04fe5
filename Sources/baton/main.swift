internal import EventLoop
internal import Glibc

// Before any thread begins, or a thread without the mask would take the signal (only `serve` reads signals).
if CommandLine.arguments.dropFirst().first == "serve" { Signals.block() }
// A closed pipe or connection is an error of a write, not the end of the process.
signal(SIGPIPE, SIG_IGN)

let words = Array(CommandLine.arguments.dropFirst())
// Detached, because the main thread must not go into `dispatch_main`, as it would with an `await` here: that waits with
// all signals unblocked (`sigsuspend` with an empty set), and a SIGTERM would end the node there, undrained.
Task.detached { exit(await Baton.run(words)) }
while true { pause() }
