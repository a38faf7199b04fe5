internal import EventLoop
internal import Glibc

// Before any thread begins, or a thread without the mask would take the signal (only `serve` reads signals).
if CommandLine.arguments.dropFirst().first == "serve" { Signals.block() }
// A closed pipe or connection is an error of a write, not the end of the process.
signal(SIGPIPE, SIG_IGN)
exit(await Baton.run(Array(CommandLine.arguments.dropFirst())))
