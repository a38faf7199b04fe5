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
        let blocks = [[verdict], nodes, queue + [recent], upstreams, problems]
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

    private var nodes: [String] {
        var table = TextTable([
            ("NODE", .left), ("STATE", .left), ("VERSION", .left), ("UP", .left), ("IN/s", .right), ("OUT/s", .right),
            ("OWNS", .left), ("SYNC p99", .left), ("DISK FREE", .left), ("CLIENTS", .right),
        ])
        for node in status.nodes {
            let free = node.diskTotalBytes > 0 ? Double(node.diskFreeBytes) / Double(node.diskTotalBytes) : nil
            table.add([
                node.name, node.state, node.version, span(node.upSeconds), rate(node.acceptedPerSecond),
                rate(node.sentPerSecond), counted(node.journals, "journal"), span(node.syncP99Seconds),
                percentage(free),
                grouped(node.clientConnections),
            ])
        }
        return heading(table.lines)
    }

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

    private var upstreams: [String] { heading(UpstreamText.table(status.upstreams)) }

    private var problems: [String] {
        guard !status.problems.isEmpty else { return ["PROBLEMS  none"] }
        var lines = [Output.tinted("PROBLEMS  \(status.problems.count)", .heading, colour: colour)]
        for problem in status.problems {
            let tone: Output.Tone = problem.severity == "degraded" ? .bad : .warning
            let head = Output.tinted(problem.name, tone, colour: colour)
            let summary = folded(problem.summary, TextTable.width - problem.name.count - 3)
            lines.append(" \(head)  \(summary.first ?? "")")
            lines += summary.dropFirst().map { "   \($0)" }
            for (label, text) in [("effect", problem.effect), ("baton ", problem.baton), ("you   ", problem.you)] {
                for (index, part) in folded(text, TextTable.width - 12).enumerated() {
                    lines.append("   \(index == 0 ? label : "      ")   \(part)")
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

enum UpstreamText {
    static func table(_ upstreams: [UpstreamAnswer]) -> [String] {
        var table = TextTable([
            ("UPSTREAM", .left), ("STATE", .left), ("SHARE", .right), ("WANTED", .right), ("OUT/s", .right),
            ("CONNS", .right), ("4xx", .right), ("5xx", .right), ("p50", .right), ("READY", .right),
        ])
        for upstream in upstreams {
            let hasResults = upstream.share != nil
            table.add([
                upstream.name, upstream.state, percentage(upstream.share), percentage(upstream.wantedShare),
                rate(upstream.sentPerSecond), "\(upstream.connections)/\(upstream.maximumConnections)",
                percentage(hasResults ? upstream.transientShare : nil),
                percentage(hasResults ? upstream.permanentShare : nil), span(upstream.medianSeconds),
                grouped(upstream.ready),
            ])
        }
        return table.lines
    }

    static func details(_ upstream: UpstreamAnswer) -> String {
        var lines = table([upstream])
        lines.append("")
        lines.append(
            "since start  \(grouped(upstream.sent)) sent · \(grouped(upstream.deferred)) deferred · \(grouped(upstream.failed)) failed"
        )
        if let down = upstream.downSeconds {
            let next = upstream.nextProbeSeconds.map { ", tried again in \(span($0))" } ?? ""
            lines.append("down         for \(span(down))\(next)")
        }
        if let failure = upstream.failure { lines += folded("failure      \(printable(failure))", TextTable.width) }
        if upstream.state == "disabled" {
            lines.append("disabled     by hand; back with: baton upstreams enable \(upstream.name)")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// Whole numbers from ten up, a digit after the point below.
func rate(_ value: Double) -> String {
    if value > 0, value < 9.95 {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
    return grouped(Int(value.rounded()))
}

func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(grouped(count)) \(count == 1 ? one : many ?? one + "s")"
}

/// Parts with ` · ` between them, in lines that fit.
func wrapped(_ parts: [String], lead: String, indent: String) -> [String] {
    var lines = [lead]
    for (index, part) in parts.enumerated() {
        let separator = index == 0 ? "" : " · "
        if let last = lines.last, last.count + separator.count + part.count <= TextTable.width {
            lines[lines.count - 1] += separator + part
        } else {
            lines.append(indent + part)
        }
    }
    return lines
}

/// Breaks a text at spaces into lines of at most so many characters.
func folded(_ text: String, _ width: Int) -> [String] {
    var lines = [""]
    for word in printable(text).split(separator: " ", omittingEmptySubsequences: false) {
        let last = lines[lines.count - 1]
        if last.isEmpty {
            lines[lines.count - 1] = String(word)
        } else if last.count + 1 + word.count <= width {
            lines[lines.count - 1] += " " + word
        } else {
            lines.append(String(word))
        }
    }
    return lines
}
