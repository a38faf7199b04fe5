internal import Admin
internal import EventLoop
internal import Glibc
internal import Primitives
internal import Relay

let checkCommands = [
    CommandSpec(
        ["check"], "for monitoring: is it well, and what is not", arguments: "[CHECK…]",
        options: [
            OptionSpec("format", "text", "text, nagios, json or prometheus"),
            OptionSpec("warning", "5m", "queue-age: the longest due for more than this is a warning"),
            OptionSpec("critical", "30m", "queue-age: and for more than this is critical"),
        ] + AdminClient.options,
        examples: ["baton check", "baton check quorum copies --format nagios"],
        details: """
            CHECK: \(Checks.names.joined(separator: ", ")); all of them unless named. Exit 0: fine, warnings included;
            1: something is critical; 3: no node answered. With --format nagios as its plugins do: 0 ok, 1 warning, 2 critical.
            JSON: state, checks[{name, state, text, value}].
            """,
        run: check),
    CommandSpec(
        ["wait"], "for scripts: waits until the cluster is as you need it",
        options: [
            OptionSpec("for", "ready", "ready, can-lose-one or empty"),
            OptionSpec("timeout", "60s", "how long at most"),
        ] + AdminClient.options,
        examples: ["baton wait --for can-lose-one --timeout 5m", "baton wait --for empty"],
        details: """
            ready: mail is accepted. can-lose-one: all nodes answer, and any one may fail. empty: no message is queued; a
            node that is down does not count while others have copies of all that it had. Exit 1: not in time; 3: no node answered at the end. JSON: reached, text, waitedSeconds.
            """,
        run: wait),
    CommandSpec(
        ["doctor"], "examines disks, clocks, peers both ways, limits and upstreams",
        options: AdminClient.options, examples: ["baton doctor"],
        details: """
            A line each: PASS, WARN or FAIL. Exit 1 when one fails. Takes some seconds; touches no mail.
            JSON: lines[{node, result, check, text}], silent[].
            """,
        run: doctor),
]

private func check(_ arguments: Arguments) async throws -> Int32 {
    let format = arguments.has("json") ? "json" : arguments.text("format") ?? "text"
    guard ["text", "nagios", "json", "prometheus"].contains(format) else {
        throw UsageError("--format: expected text, nagios, json or prometheus, got \(format)")
    }
    let names = arguments.plain.isEmpty ? Checks.names : arguments.plain
    for name in names where !Checks.names.contains(name) {
        let hint = nearest(name, of: Checks.names).map { "; did you mean \($0)?" } ?? ""
        throw UsageError("no check is named \(name)\(hint); known: \(Checks.names.joined(separator: ", "))")
    }
    var limits = Checks.Limits()
    if let warning = try arguments.duration("warning") { limits.queueWarning = warning.inSeconds }
    if let critical = try arguments.duration("critical") { limits.queueCritical = critical.inSeconds }
    let status: StatusAnswer
    do {
        status = try AdminClient(arguments).get("/api/v1/status")
    } catch let failure as CommandFailure where format == "nagios" && failure.code == 3 {
        Output.line("BATON CRITICAL - \(failure.text)")
        return 2
    }
    let checks = Checks(status: status, limits: limits)
    let results = names.map(checks.result)
    let worst = results.map(\.state).max() ?? .ok
    switch format {
    case "nagios": Output.write(CheckText.nagios(results))
    case "prometheus": Output.write(CheckText.prometheus(results))
    case "json": Output.write(try JSONText.bytes(CheckAnswer(state: worst, checks: results)))
    default: Output.write(CheckText.text(results))
    }
    return format == "nagios" ? Int32(worst.rank) : worst == .critical ? 1 : 0
}

private struct CheckAnswer: Codable {
    var state: CheckResult.State
    var checks: [CheckResult]
}

private struct WaitAnswer: Codable {
    var reached: Bool
    var text: String
    var waitedSeconds: Double
}

/// What `baton wait` waits for.
enum WaitGoal: String, CaseIterable {
    case ready
    case canLoseOne = "can-lose-one"
    case empty

    /// Nil once it is reached, else what is missing.
    func missing(_ status: StatusAnswer) -> String? {
        switch self {
        case .ready: return status.ready ? nil : "no mail is accepted: \(status.summary)"
        case .canLoseOne:
            let copies = status.copies
            let absent = status.nodes.filter { !$0.alive || $0.state == "no answer" }.map(\.name)
            if !absent.isEmpty { return "\(listed(absent)) \(absent.count == 1 ? "is" : "are") not there" }
            if copies.mayFail > 0, status.ready { return nil }
            return
                "every message on \(counted(copies.fewest, "disk")) of \(copies.wanted), \(copies.mayFail) nodes may fail"
        case .empty:
            if status.queue.messages > 0 { return "\(counted(status.queue.messages, "message")) queued" }
            // Copies of what a silent node owns are on others: they know what is left in it, until one of them owns it.
            let left = status.journals.filter { journal in
                journal.state != "blind" && journal.owner.map { status.silent.contains($0) } ?? true
            }.reduce(0) { $0 + $1.unfinished }
            if left > 0 { return "\(counted(left, "message")) in journals whose owner does not answer" }
            // What was accepted is on a majority of its disks. So many as would make one may know what no other does.
            let most = status.copies.wanted - status.copies.needed
            return status.silent.count <= most ? nil : "\(listed(status.silent)) did not answer"
        }
    }
}

private func wait(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let name = arguments.text("for") ?? "ready"
    guard let goal = WaitGoal(rawValue: name) else {
        let names = WaitGoal.allCases.map(\.rawValue).joined(separator: ", ")
        throw UsageError("--for: expected one of \(names), got \(name)")
    }
    let client = try AdminClient(arguments)
    let began = Clock.instant()
    let end = began + (try arguments.duration("timeout") ?? .seconds(60))
    var last = ""
    while true {
        var text = ""
        var isSilent = false
        do {
            let status: StatusAnswer = try client.get("/api/v1/status")
            guard let missing = goal.missing(status) else {
                return try told(arguments, reached: true, "\(name): \(status.summary)", since: began)
            }
            text = missing
        } catch let failure as CommandFailure where failure.code == 3 {
            text = failure.text
            isSilent = true
        }
        guard Clock.instant() < end else {
            let code = try told(arguments, reached: false, "not \(name) in time: \(text)", since: began)
            return isSilent ? 3 : code
        }
        if text != last, isatty(STDERR_FILENO) == 1 { Output.error("waiting: \(text)") }
        last = text
        usleep(200_000)
    }
}

private func told(_ arguments: Arguments, reached: Bool, _ text: String, since: Instant) throws -> Int32 {
    if arguments.has("json") {
        let waited = (Clock.instant() - since).inSeconds
        Output.write(try JSONText.bytes(WaitAnswer(reached: reached, text: text, waitedSeconds: waited)))
    } else {
        Output.line(text)
    }
    return reached ? 0 : 1
}

private func doctor(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/examination")
    let answer: ExaminationAnswer = try client.decode(bytes)
    Output.write(arguments.has("json") ? bytes : Array(DoctorText.text(answer).utf8))
    return answer.lines.contains { $0.result == .fail } ? 1 : 0
}

enum DoctorText {
    static func text(_ answer: ExaminationAnswer) -> String {
        let nodes = answer.lines.map(\.node.count).max() ?? 1
        let checks = answer.lines.map(\.check.count).max() ?? 1
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(0, width - text.count))
        }
        var text = ""
        for line in answer.lines {
            let tone: Output.Tone = line.result == .pass ? .good : line.result == .warn ? .warning : .bad
            let lead = "  \(padded(line.node, nodes))  \(padded(line.check, checks))  "
            let parts = folded(line.text, TextTable.width - 4 - lead.count)
            let indent = "\n" + String(repeating: " ", count: 4 + lead.count)
            text +=
                Output.tinted(line.result.rawValue.uppercased(), tone) + lead + parts.joined(separator: indent) + "\n"
        }
        let failed = answer.lines.count { $0.result == .fail }
        let warned = answer.lines.count { $0.result == .warn }
        let count = counted(answer.lines.count, "check")
        return text + "\(count): \(failed == 0 ? "none failed" : "\(failed) failed"), \(counted(warned, "warning"))\n"
    }
}
