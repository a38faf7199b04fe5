internal import Admin
internal import FoundationEssentials
internal import Glibc
internal import Primitives

let clusterCommands = [
    CommandSpec(
        ["nodes"], "who is alive, as whom sees it, and who that is", options: AdminClient.options,
        examples: ["baton nodes", "baton nodes --json | jq '.nodes[] | {name, state, seenBy}'"],
        details: """
            Exit 1 when a node is down or does not answer. CLOCK is against the node that is asked.
            JSON: time, from, silent[], nodes[{name, state, alive, version, upSeconds, acceptedPerSecond, sentPerSecond,
            journals, copyLagBytes, syncP99Seconds, diskFreeBytes, diskTotalBytes, clientConnections, seenBy[],
            silentSeconds, provedDead, clockOffsetSeconds, address, zone, disk, protocols, configuration}].
            """,
        run: nodes),
    CommandSpec(
        ["leases"], "who owns which journal, at which epoch, for how long", options: AdminClient.options,
        examples: ["baton leases"],
        details: """
            Exit 1 when a journal with messages has no owner. A lease is renewed eight times in its length.
            JSON: time, from, silent[], leases[{journal, epoch, owner, state, leaseSeconds, members[], unfinished}].
            """,
        run: leases),
    CommandSpec(
        ["journals"], "copies: where, how far behind, which journals lack one",
        options: [OptionSpec("lacking", nil, "only those with fewer live copies than wanted")] + AdminClient.options,
        examples: ["baton journals", "baton journals --lacking"],
        details: """
            Exit 1 when a journal has fewer live copies than cluster.replicas.
            JSON: time, from, wanted, silent[], journals[{id, epoch, state, owner, leaseSeconds, bytes, committed, unfinished,
            whole, copies[{node, disk, acknowledged, lagBytes, alive, lost}]}].
            """,
        run: journals),
    CommandSpec(
        ["events"], "what happened: joins, deaths, claims, takeovers, upstreams",
        options: [
            OptionSpec("follow", nil, "goes on, until interrupted"), OptionSpec("limit", "100", "so many at most"),
        ] + AdminClient.options,
        examples: ["baton events --limit 20", "baton events --follow"],
        details: """
            Each node keeps its latest in memory, and tells them as it saw them.
            JSON: events[{sequence, time, node, name, text}], cursor, silent[]; with --follow one event a line.
            """,
        run: events),
]

private func nodes(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/nodes")
    let answer: NodesAnswer = try client.decode(bytes)
    Output.write(arguments.has("json") ? bytes : Array(NodesText.table(answer).utf8))
    return answer.nodes.allSatisfy { $0.alive && $0.state != "no answer" } ? 0 : 1
}

private func leases(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/leases")
    let answer: LeasesAnswer = try client.decode(bytes)
    Output.write(
        arguments.has("json") ? bytes : Array((JournalsText.leases(answer) + silence(answer.silent)).utf8))
    return answer.leases.contains { $0.owner == nil && $0.unfinished > 0 } ? 1 : 0
}

private func journals(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let client = try AdminClient(arguments)
    var answer: JournalsAnswer = try client.get("/api/v1/journals")
    let wanted = answer.wanted
    let lacking = answer.journals.filter { journal in
        journal.copies.count { $0.alive && !$0.lost } < max(wanted, journal.copies.count)
    }
    if arguments.has("lacking") { answer.journals = lacking }
    if arguments.has("json") {
        Output.write(try JSONText.bytes(answer))
    } else {
        Output.write(JournalsText.table(answer.journals, wanted: wanted) + silence(answer.silent))
    }
    return lacking.isEmpty ? 0 : 1
}

private func events(_ arguments: Arguments) async throws -> Int32 {
    _ = try arguments.plain(0...0, "no arguments")
    let limit = try arguments.integer("limit", in: 1...10_000) ?? 100
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/events?limit=\(limit)")
    var answer: EventsAnswer = try client.decode(bytes)
    guard arguments.has("follow") else {
        if arguments.has("json") { Output.write(bytes) } else { tell(answer) }
        return 0
    }
    while true {
        if arguments.has("json") {
            for event in answer.events { Output.write(try JSONText.bytes(event)) }
        } else {
            Output.write(answer.events.map(EventText.line).joined())
        }
        usleep(500_000)
        do {
            let next: EventsAnswer = try client.get("/api/v1/events?after=\(encoded(answer.cursor))")
            answer = next
        } catch let failure as CommandFailure where failure.code == 3 {
            // A node that restarts is what people watch for; its events begin anew.
            Output.error(failure.text)
            answer.events = []
            sleep(1)
        }
    }
}

private func tell(_ answer: EventsAnswer) {
    Output.write(answer.events.isEmpty ? "nothing happened since the nodes began\n" : EventText.text(answer.events))
    Output.write(silence(answer.silent))
}

enum EventText {
    static func text(_ events: [EventsAnswer.Event]) -> String { events.map(line).joined() }

    /// `2026-11-24 12:06:56.118Z  b  takeover     …`
    static func line(_ event: EventsAnswer.Event) -> String {
        let stamp = event.time.replacing("T", with: " ")
        let left = "\(stamp)  \(padded(event.node, 4))  \(padded(event.name, 13))  "
        let parts = folded(event.text, max(20, TextTable.width - left.count))
        return parts.enumerated().map { index, part in
            printable((index == 0 ? left : String(repeating: " ", count: left.count)) + part) + "\n"
        }.joined()
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}

/// Answers that a command changed before it prints them.
enum JSONText {
    static func bytes(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [0x0a]
    }
}
