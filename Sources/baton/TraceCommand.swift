internal import Admin
internal import Primitives

let traceCommands = [
    CommandSpec(
        ["trace"], "one message's life, by time: accepted, tried where, replies", arguments: "ID",
        options: AdminClient.options, examples: ["baton trace 01JD9Q4X7M2TB3W1YFZK5S0ACD"],
        details: """
            Asks all nodes; NODE is who did it. Finished messages are found by their whole id, for 7 days. Unfinished ones by
            any unambiguous beginning.
            JSON: id, accepted, sender, recipients[], bytes, messageId, delivered, finished, takeovers, uncertain,
            feedback{delivered, deferred, bounced, complained} (recipients, once something was said after the 250), message{}
            (while unfinished), events[{time, node, text, mark}], knownBy[], silent[].
            """,
        run: trace)
]

private func trace(_ arguments: Arguments) async throws -> Int32 {
    let id = try arguments.plain(1...1, "one message id")[0]
    let client = try AdminClient(arguments)
    let bytes = try client.ask("GET", "/api/v1/trace/\(encoded(id))")
    if arguments.has("json") {
        Output.write(bytes)
    } else {
        Output.write(TraceText.text(try client.decode(bytes)))
    }
    return 0
}

enum TraceText {
    static func text(_ trace: TraceAnswer) -> String {
        var lines = folded(headline(trace), TextTable.width)
        lines += wrapped(verdict(trace), lead: "", indent: "")
        lines += ["", "TIME (UTC)    NODE  WHAT"]
        var day = trace.accepted.prefix(10)
        for event in trace.events {
            if event.time.prefix(10) != day {
                day = event.time.prefix(10)
                lines.append(String(day))
            }
            let node = event.node + String(repeating: " ", count: max(0, 4 - event.node.count))
            let mark = event.mark.map { "[\($0)]" } ?? ""
            let left = "\(event.time.dropFirst(11).dropLast())  \(node)  "
            let room = TextTable.width - left.count - (mark.isEmpty ? 0 : mark.count + 2)
            let what = folded(event.text, room)
            for (index, part) in what.enumerated() {
                let lead = index == 0 ? left : String(repeating: " ", count: left.count)
                let isLast = index == what.count - 1
                let gap = String(repeating: " ", count: max(0, room - part.count) + 2)
                lines.append(lead + part + (isLast && !mark.isEmpty ? gap + mark : ""))
            }
        }
        lines.append("")
        if trace.knownBy.count > 1 { lines.append("on the disks of \(listed(trace.knownBy))") }
        if !trace.silent.isEmpty { lines.append("not answered by: \(trace.silent.joined(separator: ", "))") }
        lines.append("for programs: --json")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func headline(_ trace: TraceAnswer) -> String {
        var text = "\(trace.id)  \(trace.sender.isEmpty ? "<>" : trace.sender) to "
        let shown = trace.recipients.prefix(3)
        text += shown.joined(separator: ", ")
        if trace.recipients.count > shown.count { text += " and \(trace.recipients.count - shown.count) more" }
        text += " · \(ByteCount(bytes: trace.bytes))"
        if !trace.messageId.isEmpty { text += " · \(trace.messageId)" }
        return text
    }

    private static func verdict(_ trace: TraceAnswer) -> [String] {
        var parts = ["delivered \(trace.delivered) of \(trace.recipients.count)"]
        // With all of them delivered there is nothing more to say of that.
        if trace.delivered < trace.recipients.count || !trace.finished {
            parts.append(trace.finished ? "finished" : trace.message?.state ?? "unfinished")
        }
        if let last = lastDelivery(trace) { parts.append("last one \(last) after acceptance") }
        if trace.takeovers > 0 { parts.append("survived \(counted(trace.takeovers, "takeover"))") }
        if let feedback = trace.feedback {
            if feedback.delivered > 0 { parts.append("\(feedback.delivered) confirmed") }
            if feedback.bounced > 0 { parts.append("\(feedback.bounced) bounced after 250") }
            if feedback.complained > 0 { parts.append("\(feedback.complained) complained") }
        }
        parts.append(trace.uncertain ? "may have been delivered twice" : "no duplicate possible")
        return parts
    }

    private static func lastDelivery(_ trace: TraceAnswer) -> String? {
        guard let time = trace.events.last(where: { $0.mark == "delivered" }).flatMap({ WallTime(rfc3339: $0.time) }),
            let accepted = WallTime(rfc3339: trace.accepted)
        else { return nil }
        return (time - accepted).short
    }
}
