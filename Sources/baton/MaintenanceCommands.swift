internal import Admin
internal import Glibc
internal import Primitives

private let reason = OptionSpec("reason", "TEXT", "stands in the record")

let maintenanceCommands = [
    CommandSpec(
        ["drain"], "hands a node's work over to the others, until resume", arguments: "[NODE]",
        options: [
            OptionSpec("check", nil, "only says whether the others can do without it"),
            OptionSpec("no-wait", nil, "does not follow the work"),
            OptionSpec("yes", nil, "also when the others cannot do without it"), reason,
        ] + AdminClient.options,
        examples: ["baton drain --check b", "baton drain b --reason 'new disk'"],
        details: """
            NODE is the one that is asked, unless named. It follows the work until all is handed over; interrupted, the work
            goes on. The node stays drained through restarts. Exit 1: with --check it is not safe; else it could not be done.
            JSON: with --check node, state, safe, reasons[], drained, liveNodesAfter, needed, journals, messages, clients;
            else done, text, silent[].
            """,
        run: drain),
    CommandSpec(
        ["resume"], "lets a drained node take part again", arguments: "[NODE]", options: [reason] + AdminClient.options,
        examples: ["baton resume b"],
        details: "NODE is the one that is asked, unless named. JSON: done, text, silent[].", run: resume),
    CommandSpec(
        ["node", "forget"], "a node is gone for good: nobody waits for it any more", arguments: "NODE",
        options: [OptionSpec("yes", nil, "does not ask")] + AdminClient.options, examples: ["baton node forget c"],
        details: """
            Refuses a node that is alive. Its former copies count no more, also when its disk comes back: started again, it
            must begin with an empty data directory. JSON: done, text, silent[].
            """,
        run: forget),
    CommandSpec(
        ["cluster", "finalize"], "after an upgrade: lets all write what older ones cannot read",
        arguments: "VERSION", options: [OptionSpec("yes", nil, "does not ask")] + AdminClient.options,
        examples: ["baton nodes", "baton cluster finalize 1"],
        details: """
            VERSION is a number that every node speaks (PROTOCOLS of baton nodes). Until then the older binary starts on
            the same data; afterwards it does not. JSON: done, text, silent[].
            """,
        run: finalize),
]

/// Whoever is named, or the node that is asked.
private func subject(_ arguments: Arguments, _ client: AdminClient) throws -> String {
    let names = try arguments.plain(0...1, "the name of one node")
    if let name = names.first { return name }
    return (try client.get("/api/v1/status?scope=local", as: StatusAnswer.self)).from
}

private func body(_ arguments: Arguments, version: Int? = nil) -> CommandBody {
    CommandBody(
        by: Output.environment("SUDO_USER") ?? Output.environment("USER") ?? "admin", reason: arguments.text("reason"),
        version: version)
}

private func drain(_ arguments: Arguments) async throws -> Int32 {
    let client = try AdminClient(arguments)
    let node = try subject(arguments, client)
    let path = "/api/v1/nodes/\(encoded(node))/drain"
    let bytes = try client.ask("GET", path)
    let check: DrainCheckAnswer = try client.decode(bytes)
    if arguments.has("check") {
        Output.write(arguments.has("json") ? bytes : Array(DrainText.check(check).utf8))
        return check.safe ? 0 : 1
    }
    if !check.safe, !check.drained, !arguments.has("yes") {
        Output.error(DrainText.check(check) + "")
        guard isatty(STDIN_FILENO) == 1, Output.confirm("drain \(node) all the same?") else {
            throw CommandFailure("nothing was done; --yes drains it all the same")
        }
    }
    let said = try client.ask("POST", path, body: JSONText.bytes(body(arguments)))
    let answer: DoneAnswer = try client.decode(said)
    if arguments.has("json") { Output.write(said) } else { Output.line(answer.text) }
    guard !arguments.has("no-wait") else { return 0 }
    return try follow(node, client, isQuiet: arguments.has("json"))
}

/// Until everything is handed over. A node that went away meanwhile has nothing left to hand over here.
private func follow(_ node: String, _ client: AdminClient, isQuiet: Bool) throws -> Int32 {
    var last = ""
    while true {
        let check: DrainCheckAnswer = try client.get("/api/v1/nodes/\(encoded(node))/drain")
        let line = DrainText.progress(check)
        if line != last, !isQuiet { Output.line(line) }
        last = line
        if check.state == "drained" || check.state == "down" { return 0 }
        usleep(250_000)
    }
}

enum DrainText {
    static func check(_ check: DrainCheckAnswer) -> String {
        var lines = [
            check.safe
                ? "safe: \(check.node) can be drained, \(counted(check.liveNodesAfter, "node")) go on, "
                    + "\(check.needed) needed" : "not safe to drain \(check.node)"
        ]
        for reason in check.reasons { lines += folded(reason, TextTable.width - 2).map { "  \($0)" } }
        lines.append("under way: \(progress(check))")
        return lines.joined(separator: "\n") + "\n"
    }

    static func progress(_ check: DrainCheckAnswer) -> String {
        "\(check.node) is \(check.state) · owns \(counted(check.journals, "journal")), "
            + "\(counted(check.messages, "message")) · \(counted(check.clients, "client"))"
    }
}

private func resume(_ arguments: Arguments) async throws -> Int32 {
    let client = try AdminClient(arguments)
    let node = try subject(arguments, client)
    return try command(client, "/api/v1/nodes/\(encoded(node))/resume", arguments)
}

private func forget(_ arguments: Arguments) async throws -> Int32 {
    let node = try arguments.plain(1...1, "the name of one node")[0]
    let client = try AdminClient(arguments)
    if !arguments.has("yes") {
        guard isatty(STDIN_FILENO) == 1 else { throw UsageError("it asks first, and nobody is there to answer: --yes") }
        guard Output.confirm("forget \(node) for good, with whatever only its disk holds?") else {
            throw CommandFailure("nothing was done")
        }
    }
    return try command(client, "/api/v1/nodes/\(encoded(node))/forget", arguments)
}

private func finalize(_ arguments: Arguments) async throws -> Int32 {
    let text = try arguments.plain(1...1, "a version")[0]
    guard let version = Int(text), version > 0 else { throw UsageError("expected a version such as 1, got \(text)") }
    let client = try AdminClient(arguments)
    if !arguments.has("yes") {
        guard isatty(STDIN_FILENO) == 1 else { throw UsageError("it asks first, and nobody is there to answer: --yes") }
        guard Output.confirm("write version \(version) from now on? Older binaries will not start on this data") else {
            throw CommandFailure("nothing was done")
        }
    }
    return try command(client, "/api/v1/cluster/finalize", arguments, version: version)
}

private func command(
    _ client: AdminClient, _ path: String, _ arguments: Arguments, version: Int? = nil
) throws -> Int32 {
    let bytes = try client.ask("POST", path, body: JSONText.bytes(body(arguments, version: version)))
    let answer: DoneAnswer = try client.decode(bytes)
    Output.write(arguments.has("json") ? bytes : Array((answer.text + "\n" + silence(answer.silent)).utf8))
    return answer.done ? 0 : 1
}
