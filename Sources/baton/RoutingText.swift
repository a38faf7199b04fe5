internal import Admin

enum RoutingText {
    static func explanation(_ answer: ExplainAnswer) -> String {
        let route = answer.route == "none" ? "no route matches, so any upstream" : answer.route
        let next = answer.next.map { "next: \($0)" } ?? "no upstream can take it now"
        var table = TextTable([
            ("UPSTREAM", .left), ("TIER", .right), ("WEIGHT", .right), ("HEALTH", .right), ("REPUTATION", .right),
            ("HEADROOM", .right), ("COST", .right), ("RESULT", .right), ("SHARE", .right), ("NOW", .left),
        ])
        for upstream in answer.upstreams {
            let probe = upstream.nextProbeSeconds.map { ", tried again in \(span($0))" } ?? ""
            let now = upstream.obstacle.map { $0 + probe } ?? (upstream.name == answer.next ? "next" : "")
            table.add([
                upstream.name, "\(upstream.tier + 1)", figure(upstream.configured), figure(upstream.health),
                figure(upstream.reputation), figure(upstream.headroom), figure(upstream.cost), figure(upstream.weight),
                upstream.obstacle == nil ? percentage(upstream.share) : "-", now,
            ])
        }
        let head = "\(printable(answer.to)) · \(route) · provider \(printable(answer.provider)) · \(next)"
        return ([cut(head, TextTable.width), ""] + table.lines).joined(separator: "\n") + "\n"
    }

    /// What `upstreams show` says of trust and limits, line by line.
    static func trust(_ answer: TrustAnswer) -> [String] {
        var lines: [String] = []
        for provider in answer.providers {
            var state = provider.state
            if let percent = provider.returningPercent { state += " at \(percent) %" }
            if let since = provider.sinceSeconds, provider.state != "open" { state += " for \(span(since))" }
            if let probe = provider.nextProbeSeconds { state += ", tried again in \(span(probe))" }
            let counts = "\(figure(provider.good.rounded())) good, \(figure(provider.refused.rounded())) refused lately"
            lines.append(
                cut("at \(printable(provider.name))  trust \(provider.trust), \(state) · \(counts)", TextTable.width))
            if provider.resultsInBlock > 0 {
                let told =
                    provider.refusedInBlockByFeedback > 0
                    ? " (\(grouped(provider.refusedInBlockByFeedback)) told by its feedback)" : ""
                lines.append(
                    "             \(grouped(provider.refusedInBlock)) of \(grouped(provider.resultsInBlock)) results refused\(told)"
                )
            }
            if !provider.lastReply.isEmpty {
                lines += folded("  it says    \(printable(provider.lastReply))", TextTable.width)
            }
        }
        for limit in answer.limits {
            lines.append("limit        \(limit.name): \(figure(limit.used)) of \(figure(limit.limit))")
        }
        if answer.spentThisMonth > 0 {
            lines.append("spent        \(figure(answer.spentToday)) today, \(figure(answer.spentThisMonth)) this month")
        }
        return lines
    }

    /// Three significant digits at most: `70`, `0.35`, `24.5`, `1.2e-09`.
    static func figure(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 1e15 { return grouped(Int(value)) }
        let size = abs(value)
        if size >= 100 { return grouped(Int(value.rounded())) }
        if size < 0.001 { return size < 1e-6 ? "0" : "<0.001" }
        let scale: Double = size >= 10 ? 10 : size >= 1 ? 100 : 1000
        let text = "\((value * scale).rounded() / scale)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
