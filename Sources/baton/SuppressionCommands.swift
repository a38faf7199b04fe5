internal import Admin
internal import FoundationEssentials
internal import Glibc

private let filters = [
    OptionSpec("match", "TEXT", "the address contains it; @example.net for a domain"),
    OptionSpec("cause", "CAUSE", "hand, bounce or complaint"),
    OptionSpec("older-than", "60d", "on the list for longer"),
]

private let columns = "address,cause,reason,by,upstream,at,until"

let suppressionCommands = [
    CommandSpec(
        ["suppressions", "list"], "addresses that get no mail, why, until when", arguments: "[ADDRESS]",
        options: filters + [
            OptionSpec("limit", "100", "so many at most (10000)"), OptionSpec("count", nil, "only how many"),
        ] + AdminClient.options,
        examples: ["baton suppressions list --match @example.net", "baton suppressions list ann@example.net"],
        details: """
            With ADDRESS: whether mail to it is suppressed, by itself or by its domain; exit 1 when not.
            JSON: matched, suppressions[{address, cause, reason, by, upstream, at, until}], next.
            """,
        run: list),
    CommandSpec(
        ["suppressions", "add"], "puts addresses on the list", arguments: "ADDRESS…",
        options: [
            OptionSpec("reason", "TEXT", "clients and senders hear it"),
            OptionSpec("until", "90d", "ends by itself (a duration, a date, or 2026-12-01T12:00Z)"),
        ] + AdminClient.options,
        examples: [
            "baton suppressions add ann@example.net --reason unsubscribed", "baton suppressions add @example.org",
        ],
        details: """
            @example.net is a whole domain, without its subdomains. Case does not matter. Without --until there is no end.
            JSON: dryRun, added, changed, removed, refused[{index, address, text}].
            """,
        run: add),
    CommandSpec(
        ["suppressions", "remove"], "takes addresses off the list", arguments: "[ADDRESS…]",
        options: filters + [
            OptionSpec("dry-run", nil, "prints what would be done, and stops"), OptionSpec("yes", nil, "does not ask"),
        ] + AdminClient.options,
        examples: [
            "baton suppressions remove ann@example.net", "baton suppressions remove --cause bounce --older-than 60d",
        ],
        details: """
            With filters it prints the count and three samples, and asks. Exit 1 when one is not on the list.
            JSON: dryRun, added, changed, removed, refused[{index, address, text}].
            """,
        run: remove),
    CommandSpec(
        ["suppressions", "import"], "reads a list: CSV with a header row, or one address a line", arguments: "FILE",
        options: [
            OptionSpec("reason", "TEXT", "for lines without one"),
            OptionSpec("until", "90d", "for lines without one; without end otherwise"),
            OptionSpec("dry-run", nil, "prints what would be done, and stops"), OptionSpec("yes", nil, "does not ask"),
        ] + AdminClient.options,
        examples: [
            "baton suppressions import list.csv --reason 'old system'", "baton suppressions import - --yes < list",
        ],
        details: """
            Columns: \(columns); only address is needed, in any order. - is standard input. Prints the count
            and three samples, and asks. Bad lines are told by number and left out, and the exit is 1; the rest is imported. What is
            there already is replaced. JSON: dryRun, added, changed, removed, refused[{line, address, text}].
            """,
        run: importList),
    CommandSpec(
        ["suppressions", "export"], "writes the list as CSV", arguments: "[FILE]",
        options: filters + AdminClient.options,
        examples: ["baton suppressions export list.csv"],
        details: "The same columns as import reads. With --json: one array, as list has it.", run: export),
]

// MARK: Looking

private func query(_ arguments: Arguments) throws -> [(String, String)] {
    var query: [(String, String)] = []
    for (option, name) in [("match", "match"), ("cause", "cause"), ("older-than", "olderThan")] {
        if let value = arguments.text(option) { query.append((name, value)) }
    }
    _ = try arguments.duration("older-than")
    return query
}

private func path(_ query: [(String, String)]) -> String {
    "/api/v1/suppressions" + (query.isEmpty ? "" : "?" + query.map { "\($0)=\(encoded($1))" }.joined(separator: "&"))
}

private func list(_ arguments: Arguments) async throws -> Int32 {
    let client = try AdminClient(arguments)
    let limit = try arguments.integer("limit", in: 1...10_000) ?? 100
    guard let address = try arguments.plain(0...1, "one address at most").first else {
        let shown = arguments.has("count") ? 1 : limit
        let bytes = try client.ask("GET", path(try query(arguments) + [("limit", String(shown))]))
        let answer: SuppressionsAnswer = try client.decode(bytes)
        if arguments.has("json") {
            Output.write(bytes)
        } else if arguments.has("count") {
            Output.line("\(answer.matched)")
        } else {
            Output.write(SuppressionText.list(answer))
        }
        return 0
    }
    let bytes = try client.ask("GET", "/api/v1/suppressions/\(encoded(address))")
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        let entry: SuppressionAnswer = try client.decode(bytes)
        Output.write(SuppressionText.list(SuppressionsAnswer(matched: 1, suppressions: [entry], next: nil)))
    }
    return 0
}

/// All that match, page by page.
private func all(_ client: AdminClient, _ query: [(String, String)]) throws -> [SuppressionAnswer] {
    var found: [SuppressionAnswer] = []
    var after: String?
    repeat {
        let items = query + [("limit", "10000")] + (after.map { [("after", $0)] } ?? [])
        let page: SuppressionsAnswer = try client.get(path(items))
        found += page.suppressions
        after = page.next
    } while after != nil
    return found
}

private func export(_ arguments: Arguments) async throws -> Int32 {
    let files = try arguments.plain(0...1, "one file at most")
    let client = try AdminClient(arguments)
    let found = try all(client, try query(arguments))
    var bytes: [UInt8] = []
    if arguments.has("json") {
        bytes = try JSONText.bytes(found)
    } else {
        bytes += Array("\(columns)\n".utf8)
        for entry in found { bytes += Array((SuppressionText.csv(entry) + "\n").utf8) }
    }
    guard let file = files.first, file != "-" else {
        Output.write(bytes)
        return 0
    }
    guard FileContent.write(bytes, to: file) else {
        throw CommandFailure("\(file): \(String(cString: strerror(errno)))")
    }
    Output.error("\(counted(found.count, "address", "addresses")) written to \(file)")
    return 0
}

// MARK: Changing

private func add(_ arguments: Arguments) async throws -> Int32 {
    let addresses = try arguments.plain(1...SuppressionText.batch, "addresses")
    var request = SuppressionsRequest(addresses.map { .init(address: $0) })
    request.reason = arguments.text("reason")
    request.until = arguments.text("until")
    request.by = invoker
    let client = try AdminClient(arguments)
    let change: SuppressionsChange = try client.post("/api/v1/suppressions", request)
    return try tell(change, arguments)
}

private func remove(_ arguments: Arguments) async throws -> Int32 {
    let client = try AdminClient(arguments)
    let query = try query(arguments)
    var addresses = arguments.plain
    guard addresses.isEmpty != query.isEmpty else {
        throw UsageError("expected addresses, or filters such as --match @example.net")
    }
    if !query.isEmpty {
        addresses = try all(client, query).map(\.address)
        guard try mayGoOn("remove", addresses, arguments) else { return arguments.has("dry-run") ? 0 : 1 }
    }
    return try inBatches(addresses.map { .init(address: $0) }, "/api/v1/suppressions/remove", client, arguments)
}

private func importList(_ arguments: Arguments) async throws -> Int32 {
    let file = try arguments.plain(1...1, "one file, or - for standard input")[0]
    guard let bytes = FileContent.read(file) else {
        throw CommandFailure("\(file): \(String(cString: strerror(errno)))")
    }
    let table: SuppressionList
    do throws(SuppressionList.Malformed) {
        table = try SuppressionList(bytes)
    } catch {
        throw CommandFailure("\(file): \(error.text)")
    }
    let client = try AdminClient(arguments)
    guard try mayGoOn("import", table.entries.map(\.entry.address), arguments) else {
        return arguments.has("dry-run") ? 0 : 1
    }
    return try inBatches(
        table.entries.map(\.entry), "/api/v1/suppressions", client, arguments, lines: table.entries.map(\.line),
        bad: table.bad)
}

/// Prints how many, with three samples, and asks.
private func mayGoOn(_ verb: String, _ addresses: [String], _ arguments: Arguments) throws -> Bool {
    let text =
        "\(verb): \(counted(addresses.count, "address", "addresses"))\(addresses.isEmpty ? "" : ", such as")\n"
        + addresses.prefix(3).map { "  \($0)\n" }.joined()
    if arguments.has("dry-run") {
        Output.write(text)
        return false
    }
    guard !addresses.isEmpty, !arguments.has("yes") else { return true }
    guard isatty(STDIN_FILENO) == 1 else {
        throw UsageError("it asks first, and nobody is there to answer: --yes, or --dry-run to see what it means")
    }
    Output.error(text + "")
    guard Output.confirm("\(verb) \(counted(addresses.count, "address", "addresses"))?") else {
        Output.error("nothing was done")
        return false
    }
    return true
}

private struct Told: Codable {
    struct Refused: Codable {
        var line: Int
        var address: String
        var text: String
    }

    var dryRun = false
    var added = 0
    var changed = 0
    var removed = 0
    var refused: [Refused] = []
}

/// Each batch is written at once and waits for a majority of the nodes; what came before one that failed stays.
private func inBatches(
    _ entries: [SuppressionsRequest.Entry], _ path: String, _ client: AdminClient, _ arguments: Arguments,
    lines: [Int]? = nil, bad: [SuppressionList.Bad] = []
) throws -> Int32 {
    var told = Told()
    told.refused = bad.map { Told.Refused(line: $0.line, address: $0.address, text: $0.text) }
    var begin = 0
    while begin < entries.count {
        let end = min(entries.count, begin + SuppressionText.batch)
        var request = SuppressionsRequest(Array(entries[begin..<end]))
        request.reason = arguments.text("reason")
        request.until = arguments.text("until")
        request.by = invoker
        do {
            let change: SuppressionsChange = try client.post(path, request)
            told.added += change.added
            told.changed += change.changed
            told.removed += change.removed
            for refused in change.refused {
                let line = lines.map { $0[begin + refused.index] } ?? begin + refused.index + 1
                told.refused.append(.init(line: line, address: refused.address, text: refused.text))
            }
        } catch let failure as CommandFailure where begin > 0 {
            let next = lines.map { "from line \($0[begin])" } ?? "after the first \(grouped(begin))"
            throw CommandFailure("\(failure.text); the list is done up to there: go on \(next)", code: failure.code)
        }
        begin = end
        if entries.count > SuppressionText.batch { Output.progress(end, of: entries.count) }
    }
    told.refused.sort { $0.line < $1.line }
    if arguments.has("json") {
        Output.write(try JSONText.bytes(told))
    } else {
        for refused in told.refused {
            let place = lines == nil ? "" : "line \(refused.line): "
            let name = refused.text.contains(refused.address) ? "" : "\(refused.address): "
            Output.error("\(place)\(name)\(refused.text)")
        }
        Output.line(SuppressionText.words(told.added, told.changed, told.removed, told.refused.count))
    }
    return told.refused.isEmpty ? 0 : 1
}

private func tell(_ change: SuppressionsChange, _ arguments: Arguments) throws -> Int32 {
    if arguments.has("json") {
        Output.write(try JSONText.bytes(change))
    } else {
        for refused in change.refused { Output.error(refused.text) }
        Output.line(
            SuppressionText.words(change.added, change.changed, change.removed, change.refused.count))
    }
    return change.refused.isEmpty ? 0 : 1
}

enum SuppressionText {
    /// Addresses in one request.
    static let batch = 5000

    static func list(_ answer: SuppressionsAnswer) -> String {
        guard !answer.suppressions.isEmpty else { return "no address matches\n" }
        var table = TextTable([
            ("ADDRESS", .left), ("CAUSE", .left), ("SINCE", .left), ("UNTIL", .left), ("BY", .left), ("REASON", .left),
        ])
        for entry in answer.suppressions {
            table.add([
                printable(entry.address), entry.cause, String(entry.at.prefix(10)),
                entry.until.map { String($0.prefix(10)) } ?? "-", entry.upstream ?? entry.by,
                entry.reason.isEmpty ? "-" : printable(entry.reason),
            ])
        }
        let rest = answer.matched - answer.suppressions.count
        return table.lines.joined(separator: "\n") + "\n"
            + (rest > 0 ? "and \(grouped(rest)) more: --limit N, a filter, or baton suppressions export\n" : "")
    }

    static func csv(_ entry: SuppressionAnswer) -> String {
        [
            entry.address, entry.cause, entry.reason, entry.by, entry.upstream ?? "", entry.at, entry.until ?? "",
        ].map(CSV.field).joined(separator: ",")
    }

    static func words(_ added: Int, _ changed: Int, _ removed: Int, _ refused: Int) -> String {
        let parts = [
            (added, "added"), (changed, "were there and replaced"), (removed, "removed"), (refused, "left out"),
        ]
        let said = parts.filter { $0.0 > 0 }.map { "\(grouped($0.0)) \($0.1)" }
        return said.isEmpty ? "nothing to do" : said.joined(separator: " · ")
    }
}
