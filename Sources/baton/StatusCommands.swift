internal import Admin
internal import FoundationEssentials
internal import Glibc

let statusCommands = [
    CommandSpec(
        ["status"], "the cluster at a glance, what is wrong and what to do",
        options: [OptionSpec("watch", nil, "again every 2 seconds, until interrupted")] + AdminClient.options,
        examples: ["baton status --config /etc/baton/baton.json5", "baton status --json | jq .queue"],
        details: """
            Exit 0: healthy, also with warnings that Baton handles itself. 1: degraded, starting or draining.
            Any node answers for all, within a second, also without a majority.
            JSON: verdict, summary, warnings, ready, time, from, cluster, silent[], nodes[], copies{wanted, fewest, mayFail,
            nodes, liveNodes, needed, majority, lackingJournals}, queue{}, recent5m{}, takeovers[], upstreams[], journals[],
            drainedNodes[], disabledUpstreams[], problems[{name, severity, summary, effect, baton, you, nodes}]. Times are
            RFC 3339, durations seconds.
            """,
        run: status),
    CommandSpec(
        ["explain"], "what a problem of baton status means, and what to do about it", arguments: "PROBLEM",
        options: [OptionSpec("json", nil, "the entry as JSON: name, title, text")],
        examples: ["baton explain upstream-down"], run: explain),
]

private func status(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    guard arguments.has("watch") else { return try show(client, arguments) }
    while true {
        if Output.isTerminal { Output.write("\u{1b}[H\u{1b}[2J") }
        do {
            _ = try show(client, arguments)
        } catch let failure as CommandFailure where failure.code == 3 {
            // A node that restarts is what people watch for.
            Output.line(failure.text)
        }
        if !Output.isTerminal { Output.line("") }
        sleep(2)
    }
}

private func show(_ client: AdminClient, _ arguments: Arguments) throws -> Int32 {
    let bytes = try client.ask("GET", "/api/v1/status")
    let answer: StatusAnswer = try client.decode(bytes)
    if arguments.has("json") { Output.write(bytes) } else { Output.write(StatusText(answer).text) }
    return answer.verdict == .healthy ? 0 : 1
}

private func explain(_ arguments: Arguments) async throws -> Int32 {
    let names = Runbook.entries.map(\.name).joined(separator: ", ")
    guard let name = arguments.plain.first, arguments.plain.count == 1 else {
        throw UsageError("expected the name of a problem: \(names)")
    }
    guard let entry = Runbook.entries.first(where: { $0.name == name }) else {
        throw UsageError("no problem is named \(name); known: \(names)")
    }
    if arguments.has("json") {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Output.write(Array(try encoder.encode(entry)) + [0x0a])
    } else {
        Output.line("\(entry.name): \(entry.title)\n\n\(entry.text)")
    }
    return 0
}
