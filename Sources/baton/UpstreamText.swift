internal import Admin

enum UpstreamText {
    static func table(_ upstreams: [UpstreamAnswer]) -> [String] {
        var table = TextTable([
            ("UPSTREAM", .left), ("STATE", .left), ("SHARE", .right), ("WANTED", .right), ("OUT/s", .right),
            ("CONNS", .right), ("4xx", .right), ("5xx", .right), ("p50", .right), ("READY", .right),
        ])
        for upstream in upstreams {
            let hasResults = upstream.share != nil
            table.add([
                upstream.name, word(for: upstream), percentage(upstream.share), percentage(upstream.wantedShare),
                rate(upstream.sentPerSecond), "\(upstream.connections)/\(upstream.maximumConnections)",
                percentage(hasResults ? upstream.transientShare : nil),
                percentage(hasResults ? upstream.permanentShare : nil), span(upstream.medianSeconds),
                grouped(upstream.ready),
            ])
        }
        return table.lines
    }

    private static func word(for upstream: UpstreamAnswer) -> String {
        upstream.state == "partial" ? "down at \(upstream.downAt.joined(separator: " "))" : upstream.state
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
