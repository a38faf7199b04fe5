internal import Admin
internal import Primitives

/// `baton status` for people (outputs.md): healthy output is short and gives no advice, bad news says what to do.
struct StatusText {
    let status: StatusAnswer
    let colour: Bool

    init(_ status: StatusAnswer, colour: Bool = Output.hasColour) {
        self.status = status
        self.colour = colour
    }

    var text: String {
        let blocks = [[verdict], nodes, queue + [recent], takeovers, upstreams, problems]
        return blocks.filter { !$0.isEmpty }.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    /// The time at the right edge, so that the eye finds it when the screen changes.
    private var verdict: String {
        let right = "\(status.time.dropFirst(11).prefix(8))Z from \(status.from)"
        let room = TextTable.width - right.count - 2
        let left = cut(status.summary, room)
        let padding = String(repeating: " ", count: max(2, room + 2 - left.count))
        let tone: Output.Tone =
            switch status.verdict {
            case .healthy: status.warnings > 0 ? .warning : .good
            case .degraded: .bad
            case .starting, .draining: .warning
            }
        return Output.tinted(left, tone, colour: colour) + padding + right
    }

    private var nodes: [String] { heading(NodesText.glance(status.nodes)) }

    private var queue: [String] {
        let queue = status.queue
        guard queue.messages > 0 else { return ["QUEUE  empty"] }
        var parts = [
            "\(grouped(queue.due)) due", "\(grouped(queue.sending)) sending",
            "\(grouped(queue.retrying)) waiting to retry",
        ]
        if queue.waitingForUpstream > 0 { parts.append("\(grouped(queue.waitingForUpstream)) waiting for upstream") }
        if queue.held > 0 { parts.append("\(grouped(queue.held)) held") }
        if queue.uncertain > 0 { parts.append("\(grouped(queue.uncertain)) uncertain") }
        let lead = "QUEUE  \(counted(queue.messages, "message")), \(ByteCount(bytes: queue.bytes)): "
        var lines = wrapped(parts, lead: lead, indent: "       ")
        var ages: [String] = []
        if let due = queue.oldestDueSeconds { ages.append("oldest due \(span(due))") }
        if let oldest = queue.oldest {
            var why = "\(oldest.id), \(counted(oldest.tries, "try", "tries")), \(oldest.to)"
            if !oldest.lastReply.isEmpty { why += ": \(oldest.lastReply)" }
            let head = (ages + ["oldest \(span(oldest.ageSeconds)) ("]).joined(separator: " · ")
            // Cut inside the brackets.
            lines.append("       " + head + cut(printable(why), TextTable.width - 8 - head.count) + ")")
        } else if !ages.isEmpty {
            lines.append("       " + ages.joined(separator: " · "))
        }
        return lines
    }

    private var recent: String {
        let recent = status.recent5m
        return "5 MIN  accepted \(grouped(recent.accepted)) · delivered \(grouped(recent.delivered)) · "
            + "deferred \(grouped(recent.deferred)) · bounced \(grouped(recent.bounced)) · uncertain \(grouped(recent.uncertain))"
    }

    /// What came from dead nodes in the last quarter of an hour, a paragraph for each of them.
    private var takeovers: [String] {
        let now = WallTime(rfc3339: status.time)
        let recent = status.takeovers.filter { takeover in
            guard let now, let time = WallTime(rfc3339: takeover.time) else { return true }
            return now - time < .minutes(15)
        }
        var order: [String] = []
        for takeover in recent where !order.contains(takeover.from) { order.append(takeover.from) }
        return order.flatMap { from in TakeoverText.lines(from, recent.filter { $0.from == from }) }
    }

    /// One line when all is well with them and something else is not: the eye belongs there.
    private var upstreams: [String] {
        let isCalm = status.upstreams.allSatisfy { $0.state == "up" || $0.state == "disabled" }
        guard isCalm, !takeovers.isEmpty else { return heading(UpstreamText.table(status.upstreams)) }
        let parts = status.upstreams.map { upstream in
            "\(upstream.name) \(upstream.state)\(upstream.share.map { " \(percentage($0))" } ?? "")"
        }
        return wrapped(parts, lead: "UPSTREAM  ", indent: "          ")
    }

    private var problems: [String] {
        guard !status.problems.isEmpty else { return ["PROBLEMS  none"] }
        var lines = [Output.tinted("PROBLEMS  \(status.problems.count)", .heading, colour: colour)]
        for problem in status.problems {
            let tone: Output.Tone = problem.severity == "degraded" ? .bad : .warning
            let head = Output.tinted(problem.name, tone, colour: colour)
            let summary = folded(problem.summary, TextTable.width - problem.name.count - 3)
            lines.append(" \(head)  \(summary.first ?? "")")
            lines += summary.dropFirst().map { "   \($0)" }
            let parts = [
                ("it says", problem.says ?? ""), ("effect ", problem.effect), ("baton  ", problem.baton),
                ("you    ", problem.you),
            ]
            for (label, text) in parts where !text.isEmpty {
                for (index, part) in folded(text, TextTable.width - 12).enumerated() {
                    lines.append("   \(index == 0 ? label : "       ")  \(printable(part))")
                }
            }
        }
        return lines
    }

    private func heading(_ lines: [String]) -> [String] {
        guard let first = lines.first else { return [] }
        return [Output.tinted(first, .heading, colour: colour)] + lines.dropFirst()
    }
}
