internal import Admin

let upstreamCommands = [
    CommandSpec(
        ["upstreams"], "the same as upstreams list", options: AdminClient.options, examples: ["baton upstreams"],
        run: list),
    CommandSpec(
        ["upstreams", "list"], "where mail goes: state, share, rates, replies", options: AdminClient.options,
        examples: ["baton upstreams list --json"],
        details: """
            Exit 1 when an upstream is down.
            JSON: upstreams[{name, state, share, wantedShare, sentPerSecond, connections, maximumConnections, transientShare,
            permanentShare, medianSeconds, ready, failure, downSeconds, nextProbeSeconds, sent, deferred, failed, downAt[]}], silent[].
            """,
        run: list),
    CommandSpec(
        ["upstreams", "show"], "one upstream: its last failure, its trust at each provider",
        arguments: "NAME",
        options: [OptionSpec("at", "PROVIDER", "only there: its name or a domain of it")] + AdminClient.options,
        examples: ["baton upstreams show own", "baton upstreams show own --at google"],
        details: """
            JSON: as in upstreams list; with --at: name, trust, blind, node, limits[{name, limit, used}], spentToday,
            spentThisMonth, providers[{name, trust, state, returningPercent, sinceSeconds, good, refused, refusedByFeedback,
            refusedInBlock, resultsInBlock, refusedInBlockByFeedback, nextProbeSeconds, lastReply}].
            """, run: show),
    CommandSpec(
        ["upstreams", "enable"], "lets an upstream take mail again, on all nodes", arguments: "NAME",
        options: AdminClient.options, examples: ["baton upstreams enable own"], run: { try await change("enable", $0) }),
    CommandSpec(
        ["upstreams", "disable"], "gives an upstream no new mail on any node, until enable", arguments: "NAME",
        options: [OptionSpec("reason", "TEXT", "stands in the record")] + AdminClient.options,
        examples: ["baton upstreams disable own --reason 'maintenance until 18:00'"],
        details: "It stays off through restarts. Its mail goes by the other upstreams of the route, or waits.",
        run: { try await change("disable", $0) }),
]

private func list(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/upstreams")
    let answer: UpstreamsAnswer = try client.decode(bytes)
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.line(UpstreamText.table(answer.upstreams).joined(separator: "\n"))
        Output.write(silence(answer.silent))
        for upstream in answer.upstreams where ["down", "partial"].contains(upstream.state) {
            if let failure = upstream.failure {
                Output.line(cut("\(upstream.name): \(printable(failure))", TextTable.width))
            }
        }
    }
    return answer.upstreams.contains { $0.state == "down" } ? 1 : 0
}

private func show(_ arguments: Arguments) async throws -> Int32 {
    let name = try arguments.plain(1...1, "the name of one upstream")[0]
    let client = try AdminClient(arguments)
    let at = arguments.text("at").map { "?at=\(encoded($0))" } ?? ""
    let known = try client.ask("GET", "/api/v1/upstreams/\(encoded(name))/trust\(at)")
    let trust: TrustAnswer = try client.decode(known)
    if arguments.text("at") != nil {
        if arguments.has("json") {
            Output.write(known)
        } else {
            Output.line(RoutingText.trust(trust).joined(separator: "\n"))
        }
        return trust.providers.contains { $0.state == "blocked" } ? 1 : 0
    }
    let bytes = try client.ask("GET", "/api/v1/upstreams/\(encoded(name))")
    let answer: UpstreamAnswer = try client.decode(bytes)
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.write(UpstreamText.details(answer))
        let lines = RoutingText.trust(trust)
        if !lines.isEmpty { Output.line(lines.joined(separator: "\n")) }
    }
    return answer.state == "down" ? 1 : 0
}

private func change(_ verb: String, _ arguments: Arguments) async throws -> Int32 {
    let name = try arguments.plain(1...1, "the name of one upstream")[0]
    let client = try AdminClient(arguments)
    let by = Output.environment("SUDO_USER") ?? Output.environment("USER")
    let body = CommandBody(by: by, reason: arguments.text("reason"))
    let bytes = try client.ask("POST", "/api/v1/upstreams/\(encoded(name))/\(verb)", body: JSONText.bytes(body))
    if arguments.has("json") { Output.write(bytes) } else { Output.line("\(name) is \(verb)d") }
    return 0
}
