internal import Admin
internal import Primitives

/// The queue for people.
enum QueueText {
    static func list(_ answer: QueueListAnswer) -> String {
        guard answer.matched > 0 else { return "no message matches\n" + silence(answer.silent) }
        // Whole ids: those of one burst differ only at their end, and they are there to be pasted.
        var table = TextTable([
            ("ID", .left), ("AGE", .right), ("SIZE", .right), ("TRIES", .right), ("STATE", .left), ("TO", .left),
        ])
        for message in answer.messages {
            let open = message.recipients.filter {
                !["delivered", "failed", "cancelled", "expired"].contains($0.state)
            }
            let first = open.first ?? message.recipients.first
            let more = open.count > 1 ? " +\(open.count - 1)" : ""
            let reply = first.map { $0.lastReply.isEmpty ? "" : ": \($0.lastReply)" } ?? ""
            let mark = message.uncertain ? "uncertain" : ""
            table.add([
                message.id, span(message.ageSeconds), ByteCount(bytes: message.bytes).description,
                grouped(first?.tries ?? 0),
                [short(message.state), mark].filter { !$0.isEmpty }.joined(separator: ", "),
                (first?.address ?? "") + more + reply,
            ])
        }
        let rest = answer.matched - answer.messages.count
        let tail = rest > 0 ? "and \(grouped(rest)) more: --limit N, or a filter\n" : ""
        return table.lines.joined(separator: "\n") + "\n" + tail + silence(answer.silent)
    }

    static func message(_ message: MessageAnswer) -> String {
        var lines = [
            "\(message.id)  \(sender(message)) to \(counted(message.recipients.count, "recipient")) · "
                + "\(ByteCount(bytes: message.bytes))\(message.messageId.isEmpty ? "" : " · \(printable(message.messageId))")",
            "accepted \(message.accepted) (\(span(message.ageSeconds)) ago) · journal \(message.journal.suffix(4)) "
                + "of \(message.owner ?? "nobody now") · \(counted(message.attempts, "attempt"))",
        ]
        if message.uncertain {
            lines.append("uncertain: an attempt has no recorded outcome, it may have been delivered already")
        }
        lines.append("")
        var table = TextTable([
            ("RECIPIENT", .left), ("STATE", .left), ("TRIES", .right), ("UPSTREAM", .left), ("NEXT TRY", .left),
        ])
        for recipient in message.recipients {
            let due = recipient.due.map { "\($0.dropFirst(11).prefix(8))Z" } ?? "-"
            table.add([
                recipient.address, recipient.state, grouped(recipient.tries),
                recipient.upstream.isEmpty ? "-" : recipient.upstream, due,
            ])
        }
        lines += table.lines
        let replies = message.recipients.filter { !$0.lastReply.isEmpty }
        if !replies.isEmpty { lines.append("") }
        for recipient in replies {
            lines += folded("\(recipient.address): \(recipient.lastReply)", TextTable.width)
        }
        return lines.map { cut($0, TextTable.width) }.joined(separator: "\n") + "\n"
    }

    static func summary(_ answer: QueueSummaryAnswer, limit: Int) -> String {
        guard !answer.rows.isEmpty else { return "no message matches\n" + silence(answer.silent) }
        var table = TextTable([
            ("MESSAGES", .right), ("RECIPIENTS", .right), ("SIZE", .right), ("OLDEST", .right),
            (answer.by.uppercased(), .left),
        ])
        for row in answer.rows.prefix(limit) {
            table.add([
                grouped(row.messages), grouped(row.recipients), ByteCount(bytes: row.bytes).description,
                span(row.oldestSeconds), row.state.map { "\(row.key)  \($0)" } ?? row.key,
            ])
        }
        var text = table.lines.map { cut($0, TextTable.width) }.joined(separator: "\n") + "\n"
        if answer.rows.count > limit { text += "and \(grouped(answer.rows.count - limit)) more: --limit N\n" }
        if answer.counted < answer.matched {
            text += "of the \(grouped(answer.counted)) oldest of \(grouped(answer.matched)) messages\n"
        }
        return text + silence(answer.silent)
    }

    /// What a bulk action means: the count and three samples.
    static func selection(_ answer: ActionAnswer) -> String {
        var text = "\(answer.verb): \(counted(answer.matched, "message"))\(answer.matched > 0 ? ", such as" : "")\n"
        for sample in answer.samples {
            let to = sample.recipients.first.map { $0.address } ?? ""
            let more = sample.recipients.count > 1 ? " +\(sample.recipients.count - 1)" : ""
            let line =
                "  \(sample.id)  \(span(sample.ageSeconds)) old, \(short(sample.state)), \(sender(sample)) to \(to)\(more)"
            text += cut(printable(line), TextTable.width) + "\n"
        }
        return text + silence(answer.silent)
    }

    static func outcomes(_ answer: ActionAnswer) -> String {
        let words = [
            "done": "done", "sent": "too late, already sent", "unanswered": "too late, and the upstream did not answer",
            "notFound": "no longer there", "nothingToDo": "nothing to do", "tryAgain": "no owner now, try again",
            "noAnswer": "told to a node that did not answer: baton trace ID says what became of it",
        ]
        let parts = answer.outcomes.sorted { $0.key < $1.key }.map { "\(grouped($0.value)) \(words[$0.key] ?? $0.key)" }
        var text = "\(answer.verb): \(parts.isEmpty ? "no message matches" : parts.joined(separator: " · "))\n"
        if answer.remaining > 0 { text += "\(grouped(answer.remaining)) more match: run it again\n" }
        return text + silence(answer.silent)
    }

    static func sender(_ message: MessageAnswer) -> String { message.sender.isEmpty ? "<>" : message.sender }

    private static func short(_ state: String) -> String { state == "waiting for upstream" ? "waiting" : state }
}
