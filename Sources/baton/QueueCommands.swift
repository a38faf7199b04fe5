internal import Admin
internal import FoundationEssentials
internal import Glibc

private let filters = [
    OptionSpec("to", "TEXT", "a recipient contains it; @example.net for a domain"),
    OptionSpec("from", "TEXT", "the sender contains it"),
    OptionSpec("user", "NAME", "from who authenticated so"),
    OptionSpec("message-id", "TEXT", "the Message-ID field contains it"),
    OptionSpec("upstream", "NAME", "last tried by this upstream"),
    OptionSpec("state", "STATE", "due, sending, retrying, waiting or held"),
    OptionSpec("older-than", "2h", "accepted longer ago"),
    OptionSpec("uncertain", nil, "that may have been delivered already"),
]

let queueCommands =
    [
        CommandSpec(
            ["queue", "list"], "the unfinished messages, oldest first", arguments: "[ID…]",
            options: filters + [OptionSpec("limit", "100", "so many at most (10000)")] + AdminClient.options,
            examples: ["baton queue list --to @example.net --older-than 1h", "baton queue list --uncertain --json"],
            details: """
                JSON: matched, messages[{id, journal, state, accepted, ageSeconds, sender, recipients[{address, state, tries,
                due, lastReply, upstream}], bytes, messageId, attempts, uncertain, due, dueInSeconds}].
                """,
            run: list),
        CommandSpec(
            ["queue", "show"], "one message: its recipients, tries and replies", arguments: "ID",
            options: [OptionSpec("raw", nil, "the message itself, as its recipients get it")] + AdminClient.options,
            examples: ["baton queue show 01JD9Q4X7M2T", "baton queue show 01JD9Q4X7M2T --raw > message.eml"],
            details: "ID may be any unambiguous beginning.", run: show),
        CommandSpec(
            ["queue", "summary"], "the queue counted by destination, sender, upstream, state or reply",
            options: [
                OptionSpec("by", "to", "to, destination (with its state), from, upstream, state or reply"),
                OptionSpec("limit", "20", "so many rows at most"),
            ] + filters + AdminClient.options,
            examples: ["baton queue summary --by reply --to @gmail.com"],
            details: "JSON: by, matched, counted, rows[{key, messages, recipients, bytes, oldestSeconds, state}].",
            run: summary),
        CommandSpec(
            ["queue", "export"], "writes messages into a directory, as JSON and .eml",
            arguments: "DIR [ID…]", options: filters + [OptionSpec("all", nil, "every message")] + AdminClient.options,
            examples: ["baton queue export /tmp/out --to @example.net"],
            details: "The messages stay in the queue. Without a running node: baton journal export.", run: export),
    ] + actions + ruleCommands

private let actions = [
    action("retry", "due now; releases no hold"), action("hold", "keeps messages from being sent until release"),
    action("release", "ends a hold: due now"), action("cancel", "removes messages; the sender is not told"),
    action("bounce", "gives messages up; the sender gets a bounce"),
    action(
        "redirect", "sends messages by another upstream, until their next outcome",
        example: "baton queue redirect --to-domain example.net --upstream ses --until 2d"),
]

private func action(_ verb: String, _ summary: String, example: String? = nil) -> CommandSpec {
    let isRedirect = verb == "redirect"
    var own: [OptionSpec] = []
    if ["hold", "release", "redirect"].contains(verb) { own += ruleOptions.prefix(verb == "release" ? 1 : 2) }
    if isRedirect { own.append(OptionSpec("off", nil, "with --to-domain: takes it back")) }
    // Where the upstream is the one to send by, it is no filter.
    let chosen = filters.map { option in
        guard isRedirect, option.name == "upstream" else { return option }
        return OptionSpec("upstream", "NAME", "the upstream to send by")
    }
    let destination =
        own.isEmpty
        ? ""
        : "With --to-domain \(verb == "release" ? "it takes the hold of that destination back, and lets go what it held" : "it is a rule of the whole cluster, shown in status, also for what is yet to come"). "
    return CommandSpec(
        ["queue", verb], summary, arguments: "[ID…]",
        options: own + chosen + [
            OptionSpec("all", nil, "every message"), OptionSpec("dry-run", nil, "prints what would be done, and stops"),
            OptionSpec("yes", nil, "does not ask"), OptionSpec("reason", "TEXT", "stands in the message's history"),
        ] + AdminClient.options,
        examples: [
            "baton queue \(verb) 01JD9Q4X7M2T\(isRedirect ? " --upstream ses" : "")",
            example ?? "baton queue \(verb) --to @example.net --dry-run",
        ],
        details: """
            \(destination)With filters or --all it prints the count and three samples, and asks. Answers once it is on the disk.
            Exit 1 when nothing matched or a message could not be \(verb == "retry" ? "retried" : "changed").
            JSON: verb, dryRun, matched, samples[], outcomes{}, messages[{id, outcome}], remaining.
            """,
        run: { try await act(verb, $0) })
}

private func query(_ arguments: Arguments) throws -> [(String, String)] {
    var query: [(String, String)] = []
    let names = [
        ("to", "to"), ("from", "from"), ("user", "user"), ("message-id", "messageId"), ("upstream", "upstream"),
        ("state", "state"),
    ]
    for (option, name) in names {
        if let value = arguments.text(option) { query.append((name, value)) }
    }
    if try arguments.duration("older-than") != nil, let text = arguments.text("older-than") {
        query.append(("olderThan", text))
    }
    if arguments.has("uncertain") { query.append(("uncertain", "1")) }
    return query
}

private func path(_ path: String, _ query: [(String, String)]) -> String {
    path + (query.isEmpty ? "" : "?" + query.map { "\($0)=\(encoded($1))" }.joined(separator: "&"))
}

private func list(_ arguments: Arguments) async throws -> Int32 {
    let limit = try arguments.integer("limit", in: 1...10_000) ?? 100
    let items = try query(arguments) + arguments.plain.map { ("id", $0) } + [("limit", String(limit))]
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", path("/api/v1/queue", items))
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.write(QueueText.list(try client.decode(bytes)))
    }
    return 0
}

private func show(_ arguments: Arguments) async throws -> Int32 {
    let id = try arguments.plain(1...1, "one message id")[0]
    let client = try AdminClient(arguments)
    let raw = arguments.has("raw")
    let bytes = try client.ask("GET", "/api/v1/queue/\(encoded(id))\(raw ? "/raw" : "")")
    if raw || arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.write(QueueText.message(try client.decode(bytes)))
    }
    return 0
}

private func summary(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let limit = try arguments.integer("limit", in: 1...10_000) ?? 20
    let client = try AdminClient(arguments)
    let items = [("by", arguments.text("by") ?? "to")] + (try query(arguments))
    let bytes = try client.ask("GET", path("/api/v1/queue/summary", items))
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.write(QueueText.summary(try client.decode(bytes), limit: limit))
    }
    return 0
}

private func act(_ verb: String, _ arguments: Arguments) async throws -> Int32 {
    if let result = try actOnDestination(verb, arguments) { return result }
    var request = try selection(verb, arguments)
    let client = try AdminClient(arguments)
    let isBulk = request.ids == nil
    let mustAsk = isBulk && !arguments.has("yes")
    if mustAsk, !arguments.has("dry-run"), isatty(STDIN_FILENO) != 1 {
        throw UsageError(
            "a bulk action asks first, and nobody is there to answer: --yes, or --dry-run to see what it means")
    }
    if arguments.has("dry-run") || mustAsk {
        request.dryRun = true
        let answer: ActionAnswer = try client.post("/api/v1/queue/actions", request)
        if arguments.has("dry-run") { return try tell(answer, arguments, QueueText.selection(answer)) }
        Output.error(QueueText.selection(answer) + "")
        guard answer.matched > 0 else { return 1 }
        guard Output.confirm("\(verb) \(counted(answer.matched, "message"))?") else {
            Output.error("nothing was done")
            return 1
        }
        request.dryRun = false
    }
    let answer: ActionAnswer = try client.post("/api/v1/queue/actions", request)
    return try tell(answer, arguments, QueueText.outcomes(answer))
}

private func tell(_ answer: ActionAnswer, _ arguments: Arguments, _ text: String) throws -> Int32 {
    if arguments.has("json") {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        Output.write(Array(try encoder.encode(answer)) + [0x0a])
    } else {
        Output.write(text)
    }
    return answer.matched > 0 && answer.outcomes.keys.allSatisfy { $0 == "done" } ? 0 : 1
}

private func selection(_ verb: String, _ arguments: Arguments) throws -> ActionRequest {
    var request = ActionRequest(verb: verb)
    var filter = ActionRequest.Filter()
    filter.to = arguments.text("to")
    filter.from = arguments.text("from")
    filter.messageId = arguments.text("message-id")
    filter.user = arguments.text("user")
    if verb == "redirect" {
        guard let upstream = arguments.text("upstream") else { throw UsageError("expected --upstream NAME") }
        request.upstream = upstream
    } else {
        filter.upstream = arguments.text("upstream")
    }
    filter.state = arguments.text("state")
    filter.olderThan = arguments.text("older-than")
    if arguments.has("uncertain") { filter.uncertain = true }
    _ = try arguments.duration("older-than")
    if !filter.isEmpty { request.filter = filter }
    if !arguments.plain.isEmpty { request.ids = arguments.plain }
    if arguments.has("all") { request.all = true }
    guard request.ids != nil || request.filter != nil || request.all == true else {
        throw UsageError("expected message ids, filters such as --to @example.net, or --all")
    }
    if request.all == true, request.ids != nil { throw UsageError("--all and ids contradict each other") }
    request.reason = arguments.text("reason")
    request.by = invoker
    return request
}

private func export(_ arguments: Arguments) async throws -> Int32 {
    guard let directory = arguments.plain.first else { throw UsageError("expected a directory to write into") }
    let ids = arguments.plain.dropFirst()
    let items = try query(arguments) + ids.map { ("id", $0) }
    guard !items.isEmpty || arguments.has("all") else { throw UsageError("expected ids, filters, or --all") }
    let client = try AdminClient(arguments)
    let answer: QueueListAnswer = try client.get(path("/api/v1/queue", items + [("limit", "10000")]))
    let writer = try ExportWriter(directory)
    for (index, message) in answer.messages.enumerated() {
        do {
            try writer.write(message, content: try client.ask("GET", "/api/v1/queue/\(message.id)/raw"))
        } catch let failure as CommandFailure where failure.code == 1 {
            // It was delivered in the meantime.
            writer.skipped += 1
        }
        writer.progress(index + 1, of: answer.messages.count)
    }
    writer.finish(json: arguments.has("json"), remaining: answer.matched - answer.messages.count)
    return 0
}
