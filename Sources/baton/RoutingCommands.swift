internal import Admin

let routingCommands = [
    CommandSpec(
        ["upstreams", "explain"], "where a message would go now, and why",
        options: [
            OptionSpec("to", "ADDRESS", "its recipient"), OptionSpec("from", "ADDRESS", "its sender; <> for a bounce"),
            OptionSpec("user", "NAME", "who logged in"), OptionSpec("client", "ADDRESS", "where it came from"),
            OptionSpec("size", "SIZE", "such as 5MiB"),
            OptionSpec("header", "FIELD", "a field of its header, such as 'X-Campaign: news'"),
        ] + AdminClient.options,
        examples: ["baton upstreams explain --to x@gmail.com"],
        details: """
            Weight = configured weight × health × reputation × headroom × cost; the share follows from it within the first
            tier that has an upstream to choose from. Any node may be asked: all route by what the whole cluster knows.
            Exit 1 when no upstream can take it now.
            JSON: from, to, route, provider, next, node, upstreams[{name, tier, configured, health, reputation, headroom, cost,
            weight, share, obstacle, nextProbeSeconds}].
            """,
        run: explain),
    CommandSpec(
        ["upstreams", "reset"], "forgets what was held against an upstream, on all nodes",
        arguments: "[NAME]",
        options: [
            OptionSpec("all", nil, "every upstream"),
            OptionSpec("at", "PROVIDER", "only there: its name or a domain of it"),
        ] + AdminClient.options,
        examples: ["baton upstreams reset ses --at google"],
        details:
            "For when the trouble is solved: the upstream NAME, or with --all each, gets its whole share back at once.",
        run: reset),
]

private func explain(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    guard arguments.text("to") != nil else { throw UsageError("--to: expected a recipient such as x@gmail.com") }
    let client = try AdminClient(arguments)
    let query = ["to", "from", "user", "client", "size", "header"].compactMap { name in
        arguments.text(name).map { "\(name)=\(encoded($0))" }
    }
    let bytes = try client.ask("GET", "/api/v1/upstreams/explain?" + query.joined(separator: "&"))
    let answer: ExplainAnswer = try client.decode(bytes)
    if arguments.has("json") { Output.write(bytes) } else { Output.write(RoutingText.explanation(answer)) }
    return answer.next == nil ? 1 : 0
}

private func reset(_ arguments: Arguments) async throws -> Int32 {
    let all = arguments.has("all")
    let names = try arguments.plain(all ? 0...0 : 1...1, "the name of one upstream, or --all")
    let client = try AdminClient(arguments)
    let at = arguments.text("at").map { "?at=\(encoded($0))" } ?? ""
    let path = names.first.map { "/\(encoded($0))" } ?? ""
    let bytes = try client.ask("POST", "/api/v1/upstreams\(path)/reset\(at)")
    let answers: [TrustAnswer] = try client.decode(bytes)
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        for answer in answers {
            let place = arguments.text("at").map { " at \($0)" } ?? ""
            Output.line("\(answer.name) starts afresh\(place): trust \(answer.trust)")
        }
    }
    return 0
}
