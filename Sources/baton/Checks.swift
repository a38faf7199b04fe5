internal import Admin
internal import FoundationEssentials
internal import Primitives

/// One thing that a monitor asks about.
struct CheckResult: Codable, Hashable, Sendable {
    enum State: String, Codable, Comparable, Sendable {
        case ok, warning, critical

        var rank: Int { self == .ok ? 0 : self == .warning ? 1 : 2 }
        static func < (a: State, b: State) -> Bool { a.rank < b.rank }
    }

    var name: String
    var state: State
    var text: String
    /// For monitors that draw.
    var value: Double?
}

/// `baton check`, from a status.
struct Checks {
    struct Limits: Sendable {
        var queueWarning = 300.0
        var queueCritical = 1800.0
    }

    static let names = [
        "process", "ready", "quorum", "copies", "queue-age", "upstreams", "disk", "clock", "certificates",
    ]

    let status: StatusAnswer
    let limits: Limits

    func result(_ name: String) -> CheckResult {
        let (state, text, value): (CheckResult.State, String, Double?) =
            switch name {
            case "process": process
            case "ready": ready
            case "quorum": quorum
            case "copies": copies
            case "queue-age": queueAge
            case "upstreams": upstreams
            case "disk": disk
            case "clock": clock
            default: certificates
            }
        return CheckResult(name: name, state: state, text: text, value: value)
    }

    private typealias Finding = (CheckResult.State, String, Double?)

    private var process: Finding {
        let own = status.nodes.first { $0.name == status.from }
        let gone = status.nodes.filter { !$0.alive || $0.state == "no answer" }
        let up = "\(status.from) runs \(own?.version ?? "?") for \(span(own?.upSeconds))"
        let count = Double(status.nodes.count - gone.count)
        guard gone.isEmpty else {
            return (.warning, "\(up); \(listed(gone.map { "\($0.name) \(NodesText.state($0))" }))", count)
        }
        return (.ok, status.nodes.count == 1 ? up : "\(up); all \(status.nodes.count) nodes answer", count)
    }

    private var ready: Finding {
        let serving = status.nodes.filter { $0.state == "serving" }
        let words = "\(serving.count) of \(status.nodes.count) nodes serve"
        guard status.ready else { return (.critical, "no mail is accepted; \(words)", 0) }
        return (serving.count == status.nodes.count ? .ok : .warning, "mail is accepted; \(words)", 1)
    }

    private var quorum: Finding {
        let copies = status.copies
        let words =
            "\(copies.liveNodes) of \(max(copies.nodes, copies.wanted)) nodes alive, \(copies.needed) needed, "
            + "\(copies.mayFail) may fail"
        guard copies.majority else { return (.critical, words, 0) }
        return (copies.mayFail == 0 && copies.wanted > 1 ? .warning : .ok, words, Double(copies.mayFail))
    }

    private var copies: Finding {
        let copies = status.copies
        var words = "every message on \(copies.fewest) of \(copies.wanted) disks"
        if copies.lackingJournals > 0 { words += "; \(counted(copies.lackingJournals, "journal")) lost a copy" }
        if copies.fewest < copies.needed { return (.critical, words, Double(copies.fewest)) }
        return (copies.fewest < copies.wanted ? .warning : .ok, words, Double(copies.fewest))
    }

    private var queueAge: Finding {
        let age = status.queue.oldestDueSeconds ?? 0
        let words = "\(counted(status.queue.messages, "message")), the longest due for \(span(age))"
        return (age > limits.queueCritical ? .critical : age > limits.queueWarning ? .warning : .ok, words, age)
    }

    private var upstreams: Finding {
        let up = status.upstreams.filter { ["up", "ramping"].contains($0.state) }
        let others = status.upstreams.filter { !["up", "ramping"].contains($0.state) }
        var words = "\(up.count) of \(status.upstreams.count) up"
        if !others.isEmpty { words += "; \(listed(others.map { "\($0.name) \($0.state)" }))" }
        let isPartly = others.contains { $0.state == "partial" }
        let state: CheckResult.State = up.isEmpty && !isPartly ? .critical : others.isEmpty ? .ok : .warning
        return (state, words, Double(up.count))
    }

    private var disk: Finding {
        let known = status.nodes.compactMap { node in NodesText.free(node).map { (node: node, free: $0) } }
        let fullest = known.min { $0.free < $1.free }
        guard let fullest else { return (.warning, "no node tells of its disk", nil) }
        let low = status.problems.filter { $0.name == "disk-low" || $0.name == "disk-broken" }.flatMap(\.nodes)
        let words = "the fullest, on \(fullest.node.name), has \(percentage(fullest.free)) free"
        guard low.isEmpty else { return (.critical, "\(listed(low)) takes no mail; \(words)", fullest.free) }
        return (fullest.free < 0.15 ? .warning : .ok, words, fullest.free)
    }

    private var clock: Finding {
        let offsets = status.nodes.compactMap { node in node.clockOffsetSeconds.map { (node: node.name, by: $0) } }
        guard let worst = offsets.max(by: { abs($0.by) < abs($1.by) }) else { return (.ok, "one clock", 0) }
        let words = "\(worst.node) is \(span(abs(worst.by))) \(worst.by < 0 ? "behind" : "ahead of") \(status.from)"
        return (abs(worst.by) > 5 ? .critical : abs(worst.by) > 1 ? .warning : .ok, words, worst.by)
    }

    private var certificates: Finding {
        guard let now = WallTime(rfc3339: status.time) else { return (.warning, "no time in the answer", nil) }
        let ends = status.nodes.compactMap { node in
            node.certificateExpiry.flatMap { WallTime(rfc3339: $0) }.map {
                (node: node.name, left: ($0 - now).inSeconds)
            }
        }
        guard let first = ends.min(by: { $0.left < $1.left }) else { return (.ok, "none is configured", nil) }
        guard first.left > 0 else { return (.critical, "that of \(first.node) has expired", first.left) }
        let words = "the first to expire, on \(first.node), does so in \(span(first.left))"
        return (first.left < 3 * 86400 ? .critical : first.left < 14 * 86400 ? .warning : .ok, words, first.left)
    }
}

/// The four formats of `baton check`.
enum CheckText {
    static func text(_ results: [CheckResult]) -> String {
        let width = results.map(\.name.count).max() ?? 0
        return results.map { result in
            let state = result.state.rawValue.uppercased()
            let tone: Output.Tone = result.state == .ok ? .good : result.state == .warning ? .warning : .bad
            let gap = String(repeating: " ", count: 8 - state.count + 2)
            let name = result.name + String(repeating: " ", count: width - result.name.count + 2)
            let lines = folded(result.text, TextTable.width - 10 - width - 2)
            let indent = "\n" + String(repeating: " ", count: 10 + width + 2)
            return Output.tinted(state, tone) + gap + name + lines.joined(separator: indent) + "\n"
        }.joined()
    }

    /// One line, the worst first, then the figures (Monitoring Plugins' guidelines, 'Plugin Output').
    static func nagios(_ results: [CheckResult]) -> String {
        let worst = results.map(\.state).max() ?? .ok
        let bad = results.filter { $0.state != .ok }.sorted { $0.state > $1.state }
        let words = bad.isEmpty ? "all is well" : bad.map { "\($0.name): \($0.text)" }.joined(separator: "; ")
        let figures = results.compactMap { result in
            result.value.map { "\(result.name.replacing("-", with: "_"))=\(number($0))" }
        }
        // A bar begins the figures.
        let line = printable(words.replacing("|", with: "/"))
        return "BATON \(worst.rawValue.uppercased()) - \(line) | \(figures.joined(separator: " "))\n"
    }

    static func prometheus(_ results: [CheckResult]) -> String {
        let name = "baton_check_state"
        let samples = results.map { "\(name){check=\"\($0.name)\"} \($0.state.rank)\n" }.joined()
        return "# HELP \(name) 0 fine, 1 warning, 2 critical.\n# TYPE \(name) gauge\n" + samples
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String((value * 1000).rounded() / 1000)
    }
}
