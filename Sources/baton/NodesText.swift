internal import Admin
internal import Primitives

/// Nodes for people.
enum NodesText {
    /// The table of `baton status`; a cluster of one has no others to be seen by.
    static func glance(_ nodes: [StatusAnswer.NodeAnswer]) -> [String] {
        let isOne = nodes.count == 1
        var heads: [(String, TextTable.Side)] = [
            ("NODE", .left), ("STATE", .left), ("VERSION", .left), ("UP", .left), ("IN/s", .right), ("OUT/s", .right),
            ("OWNS", .left),
        ]
        if !isOne { heads.append(("COPY LAG", .left)) }
        heads += [("SYNC p99", .left), ("DISK FREE", .left), isOne ? ("CLIENTS", .right) : ("SEEN BY", .left)]
        var table = TextTable(heads)
        for node in nodes {
            var cells = [
                node.name, state(node), node.version ?? "-", span(node.upSeconds),
                node.acceptedPerSecond.map(rate) ?? "-", node.sentPerSecond.map(rate) ?? "-",
                counted(node.journals, "journal"),
            ]
            if !isOne { cells.append(node.copyLagBytes.map { ByteCount(bytes: $0).description } ?? "-") }
            cells += [
                span(node.syncP99Seconds), percentage(free(node)),
                isOne ? node.clientConnections.map { grouped($0) } ?? "-" : names(node.seenBy),
            ]
            table.add(cells)
        }
        return table.lines
    }

    /// `baton nodes`: who is alive, as whom sees it, and who he is.
    static func table(_ answer: NodesAnswer) -> String {
        var table = TextTable([
            ("NODE", .left), ("STATE", .left), ("SEEN BY", .left), ("VERSION", .left), ("PROTOCOLS", .left),
            ("CLOCK", .right), ("CLIENTS", .right), ("ZONE", .left), ("ADDRESS", .left), ("DISK", .left),
        ])
        for node in answer.nodes {
            let clock = node.name == answer.from ? "0 ms" : node.clockOffsetSeconds.map(offset) ?? "-"
            table.add([
                node.name, state(node), answer.nodes.count == 1 ? "-" : names(node.seenBy), node.version ?? "-",
                node.protocols.isEmpty ? "-" : node.protocols, clock,
                node.clientConnections.map { grouped($0) } ?? "-", node.zone.isEmpty ? "-" : node.zone,
                node.address.isEmpty ? "-" : node.address, String(node.disk.suffix(4)),
            ])
        }
        return table.lines.joined(separator: "\n") + "\n"
    }

    static func state(_ node: StatusAnswer.NodeAnswer) -> String {
        guard node.state == "down" else { return node.state }
        return "DOWN" + (node.silentSeconds.map { " \(brief($0))" } ?? "")
    }

    static func free(_ node: StatusAnswer.NodeAnswer) -> Double? {
        guard let free = node.diskFreeBytes, let total = node.diskTotalBytes, total > 0 else { return nil }
        return Double(free) / Double(total)
    }

    private static func names(_ names: [String]) -> String { names.isEmpty ? "-" : names.joined(separator: " ") }

    private static func offset(_ seconds: Double) -> String { (seconds < 0 ? "-" : "+") + span(abs(seconds)) }
}

enum TakeoverText {
    /// Of all journals that came from one node.
    static func lines(_ from: String, _ takeovers: [StatusAnswer.TakeoverAnswer]) -> [String] {
        let shown = takeovers.prefix(3).map { "\($0.journal.suffix(4))/\($0.epoch)" }
        let more = takeovers.count > 3 ? " and \(grouped(takeovers.count - 3)) more" : ""
        let heirs = Set(takeovers.map(\.to)).sorted()
        let messages = takeovers.reduce(0) { $0 + $1.messages }
        let first = takeovers.compactMap(\.firstDeliverySeconds).min()
        var text = "\(shown.joined(separator: ", "))\(more), \(from) to \(listed(heirs)): "
        text += "\(counted(takeovers.count, "journal")), \(counted(messages, "message"))"
        if messages > 0 { text += ", none lost" }
        if let first { text += ", first delivery after \(span(first))" }
        let uncertain = takeovers.reduce(0) { $0 + $1.uncertain }
        var lines = folded(text, TextTable.width - 10)
        if uncertain > 0 {
            let were = uncertain == 1 ? "1 was" : "\(grouped(uncertain)) were"
            lines.append("\(were) in flight and may arrive twice: baton queue list --uncertain")
        }
        return lines.enumerated().map { ($0 == 0 ? "TAKEOVER  " : "          ") + $1 }
    }
}

/// Journals and leases for people.
enum JournalsText {
    static func leases(_ answer: LeasesAnswer) -> String {
        guard !answer.leases.isEmpty else { return "no journal is open\n" }
        var table = TextTable([
            ("JOURNAL", .left), ("EPOCH", .right), ("OWNER", .left), ("STATE", .left), ("LEASE", .left),
            ("MESSAGES", .right), ("MEMBERS", .left),
        ])
        for lease in answer.leases {
            table.add([
                String(lease.journal.suffix(4)), grouped(lease.epoch), lease.owner ?? "nobody", lease.state,
                lease.leaseSeconds.map { span($0) } ?? "-", grouped(lease.unfinished),
                lease.members.joined(separator: " "),
            ])
        }
        return table.lines.joined(separator: "\n") + "\n"
    }

    static func table(_ journals: [StatusAnswer.JournalAnswer], wanted: Int) -> String {
        guard !journals.isEmpty else { return "none\n" }
        var table = TextTable([
            ("JOURNAL", .left), ("EPOCH", .right), ("OWNER", .left), ("STATE", .left), ("SIZE", .right),
            ("MESSAGES", .right), ("COPIES", .left), ("WHERE", .left),
        ])
        for journal in journals {
            let live = journal.copies.count { $0.alive && !$0.lost }
            table.add([
                String(journal.id.suffix(4)), grouped(journal.epoch), journal.owner ?? "nobody", journal.state,
                ByteCount(bytes: journal.bytes).description, grouped(journal.unfinished),
                "\(live) of \(max(wanted, journal.copies.count))",
                journal.copies.map(place).joined(separator: " · "),
            ])
        }
        return table.lines.joined(separator: "\n") + "\n"
    }

    private static func place(_ copy: StatusAnswer.JournalAnswer.Copy) -> String {
        if copy.lost { return "\(copy.node) lost its disk" }
        let lag = copy.lagBytes.map { $0 > 0 ? " \(ByteCount(bytes: $0)) behind" : "" } ?? ""
        return copy.node + (copy.alive ? "" : " down") + lag
    }
}
