internal import Admin

enum UpstreamText {
    static func table(_ upstreams: [UpstreamAnswer]) -> [String] {
        let isPriced = upstreams.contains { $0.spentToday != nil }
        var columns: [(String, TextTable.Side)] = [
            ("UPSTREAM", .left), ("STATE", .left), ("SHARE", .right), ("WANTED", .right), ("OUT/s", .right),
            ("LIMIT", .right), ("CONNS", .right), ("4xx", .right), ("5xx", .right), ("p50", .right), ("TRUST", .right),
            ("LOWEST AT", .left),
        ]
        if isPriced { columns.append(("SPENT", .right)) }
        var table = TextTable(columns)
        for upstream in upstreams {
            let hasResults = upstream.share != nil
            var row = [
                upstream.name, word(for: upstream), percentage(upstream.share), percentage(upstream.wantedShare),
                rate(upstream.sentPerSecond), limit(upstream),
                "\(upstream.connections)/\(upstream.maximumConnections)",
                percentage(hasResults ? upstream.transientShare : nil),
                percentage(hasResults ? upstream.permanentShare : nil), span(upstream.medianSeconds),
                upstream.blind && upstream.trust == 100 ? "blind" : "\(upstream.trust)",
                upstream.lowestAt.map { "\($0.provider) \($0.trust)" } ?? "-",
            ]
            if isPriced { row.append(upstream.spentToday.map(money) ?? "-") }
            table.add(row)
        }
        return table.lines
    }

    /// The limit in messages or recipients that is nearest to being used up.
    private static func limit(_ upstream: UpstreamAnswer) -> String {
        let rates = upstream.limits.filter { $0.name.contains("/") && !$0.name.contains("@") && $0.limit > 0 }
        guard let tightest = rates.max(by: { $0.used / $0.limit < $1.used / $1.limit }) else { return "-" }
        let unit = tightest.name.split(separator: "/").last.map(String.init) ?? ""
        return "\(amount(tightest.limit))/\(unit)"
    }

    private static func amount(_ value: Double) -> String {
        value == value.rounded() ? grouped(Int(value)) : String(Double(Int(value * 100)) / 100)
    }

    private static func money(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
    }

    private static func word(for upstream: UpstreamAnswer) -> String {
        upstream.downAt.isEmpty || upstream.state != "partial"
            ? upstream.state : "down at \(upstream.downAt.joined(separator: " "))"
    }

    static func details(_ upstream: UpstreamAnswer) -> String {
        var lines = table([upstream])
        lines.append("")
        lines.append(
            "since start  \(grouped(upstream.sent)) sent · \(grouped(upstream.deferred)) deferred · \(grouped(upstream.failed)) failed"
        )
        lines.append("ready        \(grouped(upstream.ready)) messages in line for it")
        if let today = upstream.spentToday {
            let month = upstream.spentThisMonth.map { " · \(money($0)) this month" } ?? ""
            lines.append("spent        \(money(today)) today\(month)")
        }
        if let connect = upstream.connectSeconds, let greeting = upstream.greetingSeconds {
            let failed = percentage(upstream.failedConnections ?? 0)
            lines.append(
                "connections  \(span(connect)) to connect, \(span(greeting)) to greet; \(failed) of them failed")
        }
        if let expiry = upstream.certificateExpiry { lines.append("certificate  until \(expiry)") }
        if upstream.blind {
            lines.append("trust        blind: nothing tells what becomes of its mail after its 250 (feedback)")
        }
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
