internal import Admin
internal import FoundationEssentials
internal import Glibc

private let subjects = [
    OptionSpec("user", "NAME", "mail of who authenticated so"),
    OptionSpec("from", "SENDER", "mail from an address, a domain, or '<>' for bounces"),
    OptionSpec("to-domain", "DOMAIN", "mail to a domain"),
]

let ruleOptions = [
    OptionSpec("to-domain", "DOMAIN", "all mail to a domain, also what is yet to come, until it is taken back"),
    OptionSpec("until", "7d", "with --to-domain: ends by itself (a duration, a date, or 2026-12-01T12:00Z)"),
]

let ruleCommands = [
    CommandSpec(
        ["queue", "suspend"], "refuses or holds mail yet to come, as of a compromised account",
        options: subjects + [
            OptionSpec("reject", nil, "refuses it (the default): 550, with --until 450"),
            OptionSpec("hold", nil, "accepts it and holds it for a person"),
            OptionSpec("until", "7d", "ends by itself (a duration, a date, or 2026-12-01T12:00Z)"),
            OptionSpec("reason", "TEXT", "stands in status and in the log; clients do not hear it"),
            OptionSpec("list", nil, "lists all rules, as it does without options"),
            OptionSpec("dry-run", nil, "prints what would be done, and stops"),
            OptionSpec("yes", nil, "does not ask"),
        ] + AdminClient.options,
        examples: [
            "baton queue suspend --user shop --reason 'stolen password'",
            "baton queue suspend --from ann@example.com --hold --until 2d --reason 'look at it first'",
        ],
        details: """
            A rule of the whole cluster, through restarts, shown in status. Refused at MAIL (with --to-domain at RCPT): for good
            (550 5.7.1), or, when the rule ends by itself, for now (450 4.7.1). With --hold each message is accepted and held
            before its first try; a message that a person releases goes. What is queued already is not touched: baton queue
            hold --user NAME. Prints the count of those and three samples, and asks.
            JSON: without options rules[{mail, value, action, upstream, by, reason, at, until}], else done, text, silent[].
            """,
        run: suspend),
    CommandSpec(
        ["queue", "resume"], "takes a suspension back", options: subjects + AdminClient.options,
        examples: ["baton queue resume --user shop"],
        details: """
            What was held meanwhile stays held: baton queue release --user NAME. Exit 1 when there is no such rule.
            JSON: done, text, silent[].
            """,
        run: resume),
]

/// Who asks, for the log.
let invoker = Output.environment("SUDO_USER") ?? Output.environment("USER") ?? "admin"

private func subject(_ arguments: Arguments) throws -> (mail: String, value: String)? {
    let names = [("user", "user"), ("from", "from"), ("to-domain", "toDomain")]
    let given = names.compactMap { option, mail in arguments.text(option).map { (mail: mail, value: $0) } }
    guard given.count <= 1 else { throw UsageError("one of --user, --from and --to-domain at a time") }
    return given.first
}

/// The filter of what is queued of it.
private func filter(_ mail: String, _ value: String) -> ActionRequest.Filter {
    var filter = ActionRequest.Filter()
    switch mail {
    case "user": filter.user = value
    case "from": filter.from = value.contains("@") || value == "<>" ? value : "@" + value
    default: filter.to = value.hasPrefix("@") ? value : "@" + value
    }
    return filter
}

private func suspend(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "options only")
    let client = try AdminClient(arguments)
    guard let (mail, value) = try subject(arguments), !arguments.has("list") else {
        for option in ["reject", "hold", "until", "reason"] where arguments.has(option) {
            throw UsageError("--\(option): expected --user, --from or --to-domain with it")
        }
        let bytes = try client.ask("GET", "/api/v1/rules")
        if arguments.has("json") {
            Output.write(bytes)
        } else {
            Output.write(RuleText.list(try client.decode(bytes)))
        }
        return 0
    }
    guard !arguments.has("hold") || !arguments.has("reject") else {
        throw UsageError("--hold and --reject contradict each other")
    }
    guard let reason = arguments.text("reason"), !reason.isEmpty else {
        throw UsageError("--reason: expected why, for whoever finds it")
    }
    var rule = RuleRequest(mail: mail, value: value, action: arguments.has("hold") ? "hold" : "reject")
    rule.until = arguments.text("until")
    rule.reason = reason
    return try set(rule, "suspend", client, arguments, note: "stay queued as they are")
}

private func resume(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "options only")
    guard let (mail, value) = try subject(arguments) else {
        throw UsageError("expected --user, --from or --to-domain")
    }
    return try remove(RuleRequest(mail: mail, value: value, action: "reject"), try AdminClient(arguments), arguments)
}

/// `queue hold|release|redirect --to-domain`: a rule, and what it means for what is queued. Nil: no such option.
func actOnDestination(_ verb: String, _ arguments: Arguments) throws -> Int32? {
    guard let domain = arguments.text("to-domain") else {
        if arguments.has("until") { throw UsageError("--until: expected --to-domain with it") }
        if arguments.has("off") { throw UsageError("--off: expected --to-domain with it") }
        return nil
    }
    let others = ["to", "from", "user", "message-id", "state", "older-than", "uncertain", "all"]
    if let other = others.first(where: { arguments.has($0) }) ?? arguments.plain.first {
        throw UsageError("--to-domain stands alone, without \(other)")
    }
    let client = try AdminClient(arguments)
    var rule = RuleRequest(mail: "toDomain", value: domain, action: verb == "release" ? "hold" : verb)
    rule.until = arguments.text("until")
    rule.reason = arguments.text("reason") ?? ""
    switch verb {
    case "hold": return try set(rule, "hold", client, arguments, note: "are held at their next try at the latest")
    case "redirect":
        guard !arguments.has("off") else { return try remove(rule, client, arguments) }
        guard let upstream = arguments.text("upstream") else {
            throw UsageError("expected --upstream NAME, or --off to take it back")
        }
        rule.upstream = upstream
        return try set(rule, "redirect", client, arguments, note: "go that way from their next try on")
    case "release": return try release(rule, client, arguments)
    default: return nil
    }
}

/// The rule goes, and with it what it held.
private func release(_ rule: RuleRequest, _ client: AdminClient, _ arguments: Arguments) throws -> Int32 {
    var action = ActionRequest(verb: "release")
    action.filter = filter(rule.mail, rule.value)
    action.filter?.state = "held"
    action.by = invoker
    action.reason = rule.reason
    guard try mayGoOn("release", action, client, arguments, note: "are released") else {
        return arguments.has("dry-run") ? 0 : 1
    }
    // A message that is released while the rule stands would not be held again; one that comes in between would.
    var removal = rule
    removal.by = invoker
    let removed: DoneAnswer = try client.post("/api/v1/rules/remove", removal)
    let answer: ActionAnswer = try client.post("/api/v1/queue/actions", action)
    if arguments.has("json") {
        Output.write(try JSONText.bytes(answer))
    } else {
        Output.line(removed.text)
        if answer.matched > 0 { Output.write(QueueText.outcomes(answer)) }
    }
    return answer.outcomes.keys.allSatisfy { $0 == "done" } ? 0 : 1
}

private func set(
    _ rule: RuleRequest, _ verb: String, _ client: AdminClient, _ arguments: Arguments, note: String
) throws -> Int32 {
    var queued = ActionRequest(verb: "retry")
    queued.filter = filter(rule.mail, rule.value)
    guard try mayGoOn(verb, queued, client, arguments, note: note) else { return arguments.has("dry-run") ? 0 : 1 }
    var rule = rule
    rule.by = invoker
    let bytes = try client.ask("POST", "/api/v1/rules", body: try JSONText.bytes(rule))
    let answer: DoneAnswer = try client.decode(bytes)
    if arguments.has("json") { Output.write(bytes) } else { Output.line(answer.text) }
    return 0
}

private func remove(_ rule: RuleRequest, _ client: AdminClient, _ arguments: Arguments) throws -> Int32 {
    var rule = rule
    rule.by = invoker
    let bytes = try client.ask("POST", "/api/v1/rules/remove", body: try JSONText.bytes(rule))
    let answer: DoneAnswer = try client.decode(bytes)
    if arguments.has("json") { Output.write(bytes) } else { Output.line(answer.text) }
    return 0
}

/// Prints how many queued messages it is about, with three samples, and asks.
private func mayGoOn(
    _ verb: String, _ queued: ActionRequest, _ client: AdminClient, _ arguments: Arguments, note: String
) throws -> Bool {
    if arguments.has("yes"), !arguments.has("dry-run") { return true }
    if !arguments.has("dry-run"), isatty(STDIN_FILENO) != 1 {
        throw UsageError("it asks first, and nobody is there to answer: --yes, or --dry-run to see what it means")
    }
    var question = queued
    question.dryRun = true
    let answer: ActionAnswer = try client.post("/api/v1/queue/actions", question)
    if arguments.has("dry-run"), arguments.has("json") {
        Output.write(try JSONText.bytes(answer))
        return false
    }
    let text = RuleText.queued(answer, note)
    if arguments.has("dry-run") {
        Output.write(text)
        return false
    }
    Output.error(text + "")
    guard Output.confirm("\(verb)?") else {
        Output.error("nothing was done")
        return false
    }
    return true
}

enum RuleText {
    static func list(_ answer: RulesAnswer) -> String {
        guard !answer.rules.isEmpty else { return "no mail is suspended, held or redirected\n" }
        var table = TextTable([
            ("MAIL", .left), ("ACTION", .left), ("SINCE", .left), ("UNTIL", .left), ("BY", .left), ("REASON", .left),
        ])
        for rule in answer.rules {
            table.add([
                rule.subject.replacing("mail ", with: "", maxReplacements: 1),
                rule.action + (rule.upstream.map { " to \($0)" } ?? ""), "\(rule.at.prefix(16))Z",
                rule.until.map { "\($0.prefix(16))Z" } ?? "-", rule.by, rule.reason.isEmpty ? "-" : rule.reason,
            ])
        }
        return table.lines.joined(separator: "\n") + "\n"
    }

    static func queued(_ answer: ActionAnswer, _ note: String) -> String {
        guard answer.matched > 0 else { return "queued now: no message\n" }
        let samples = QueueText.selection(answer).split(separator: "\n").dropFirst().map { "\($0)\n" }.joined()
        return "queued now: \(counted(answer.matched, "message")), which \(note), such as\n" + samples
    }
}
