internal import Primitives

/// Puts together what the nodes say of themselves and of each other.
struct StatusMerge {
    /// The node that is asked comes first.
    let reports: [StatusAnswer]
    /// Alive, but silent to this question.
    let silent: [String]
    /// Seconds by which others' wall clocks are ahead of the first report's.
    let clockOffsets: [String: Double]

    init(_ own: StatusAnswer, others: [StatusAnswer] = [], silent: [String] = [], clockOffsets: [String: Double] = [:])
    {
        reports = [own] + others
        self.silent = silent
        self.clockOffsets = clockOffsets
    }

    var answer: StatusAnswer {
        var all = reports[0]
        all.silent = silent
        all.nodes = nodes()
        all.journals = JournalMerge(reports, alive: Set(all.nodes.filter(\.alive).map(\.name))).journals
        for index in all.nodes.indices { count(all.journals, for: &all.nodes[index]) }
        all.copies = copies(all)
        all.ready = reports.contains { $0.ready }
        all.queue = queue()
        all.recent5m = recent()
        all.takeovers = takeovers()
        all.upstreams = UpstreamMerge(reports).upstreams
        all.drainedNodes = Set(reports.flatMap(\.drainedNodes)).sorted()
        all.disabledUpstreams = Set(reports.flatMap(\.disabledUpstreams)).sorted()
        all.problems = ClusterProblems(all).problems + nodeProblems(isOne: all.nodes.count == 1)
        // The gravest first; the order is otherwise kept.
        all.problems =
            all.problems.filter { $0.severity != "warning" } + all.problems.filter { $0.severity == "warning" }
        all.warnings = all.problems.count { $0.severity == "warning" }
        all.verdict = verdict(all)
        all.summary = StatusSummary(all).text
        return all
    }

    // MARK: Nodes

    private func nodes() -> [StatusAnswer.NodeAnswer] {
        var byName: [String: StatusAnswer.NodeAnswer] = [:]
        let answered = Set(reports.map(\.from))
        for peer in reports.flatMap({ $0.peers ?? [] }) {
            var node = StatusAnswer.NodeAnswer(peer)
            if let known = byName[peer.name] {
                node = known.alive || !node.alive ? known : node
                node.alive = known.alive || peer.alive
                node.silentSeconds = [known.silentSeconds, peer.silentSeconds].compactMap { $0 }.min()
                node.provedDead = known.provedDead || peer.provedDead
            }
            // Who refuses connections is gone, though others have not missed a pulse yet.
            if node.provedDead, !answered.contains(peer.name) {
                node.alive = false
                node.state = "down"
            }
            // Not asked (a node's own view): what its gossip says.
            if node.alive, !silent.contains(peer.name) { node.state = peer.says["state"] ?? "serving" }
            byName[peer.name] = node
        }
        for report in reports {
            guard var node = report.nodes.first(where: { $0.name == report.from }) else { continue }
            node.clockOffsetSeconds = clockOffsets[report.from]
            // What its gossip carries it need not say again.
            if node.configuration.isEmpty { node.configuration = byName[report.from]?.configuration ?? "" }
            byName[report.from] = node
        }
        for name in byName.keys {
            byName[name]?.seenBy = reports.filter { report in
                report.from != name && report.peers?.contains { $0.name == name && $0.alive } ?? false
            }.map(\.from).sorted()
        }
        return byName.values.sorted { $0.name < $1.name }
    }

    private func count(_ journals: [StatusAnswer.JournalAnswer], for node: inout StatusAnswer.NodeAnswer) {
        let name = node.name
        node.journals = journals.count { $0.owner == name }
        let lags = journals.filter { $0.owner != nil && $0.owner != name }.flatMap(\.copies)
            .filter { $0.node == name && !$0.lost }.compactMap(\.lagBytes)
        node.copyLagBytes = lags.isEmpty ? node.alive ? 0 : nil : lags.reduce(0, +)
    }

    // MARK: Copies

    /// A live copy that is behind by no more than what is on its way counts as one.
    private static let onItsWay: UInt64 = 1 << 20

    private func copies(_ all: StatusAnswer) -> StatusAnswer.CopiesAnswer {
        var copies = reports[0].copies
        let live = Set(all.nodes.filter(\.alive).map(\.name))
        copies.nodes = all.nodes.count
        copies.liveNodes = live.count
        copies.needed = copies.wanted / 2 + 1
        copies.majority = live.count >= copies.needed
        copies.fewest = min(copies.wanted, live.count)
        copies.mayFail = copies.wanted == 1 ? 0 : min(live.count, copies.wanted) - copies.needed
        for journal in all.journals where journal.unfinished > 0 || journal.state == "open" {
            let good = journal.copies.count { copy in
                !copy.lost && live.contains(copy.node)
                    && (copy.acknowledged.map { $0 + StatusMerge.onItsWay >= journal.committed } ?? true)
            }
            copies.fewest = min(copies.fewest, good)
            copies.mayFail = min(copies.mayFail, good - (journal.copies.count / 2 + 1))
        }
        copies.mayFail = max(0, copies.mayFail)
        copies.lackingJournals = all.journals.count { $0.isLackingCopy }
        return copies
    }

    // MARK: Mail

    private func queue() -> StatusAnswer.QueueAnswer {
        var sum = reports[0].queue
        for queue in reports.dropFirst().map(\.queue) {
            sum.messages += queue.messages
            sum.bytes += queue.bytes
            sum.due += queue.due
            sum.sending += queue.sending
            sum.retrying += queue.retrying
            sum.waitingForUpstream += queue.waitingForUpstream
            sum.held += queue.held
            sum.uncertain += queue.uncertain
            sum.oldestDueSeconds = [sum.oldestDueSeconds, queue.oldestDueSeconds].compactMap { $0 }.max()
            if queue.oldest?.ageSeconds ?? -1 > sum.oldest?.ageSeconds ?? -1 { sum.oldest = queue.oldest }
        }
        sum.leaveOut(toldAgain)
        return sum
    }

    /// Messages of journals that nobody owns now: each holder of a copy tells of them.
    private var toldAgain: Int {
        var tellers: [String: [Int]] = [:]
        for report in reports {
            for journal in report.journals where journal.owner == nil || journal.owner == report.from {
                tellers[journal.id, default: []].append(journal.unfinished)
            }
        }
        return tellers.values.reduce(0) { $0 + $1.reduce(0, +) - ($1.max() ?? 0) }
    }

    private func recent() -> StatusAnswer.RecentAnswer {
        var sum = reports[0].recent5m
        for recent in reports.dropFirst().map(\.recent5m) {
            sum.accepted += recent.accepted
            sum.delivered += recent.delivered
            sum.deferred += recent.deferred
            sum.bounced += recent.bounced
            sum.uncertain += recent.uncertain
        }
        return sum
    }

    private func takeovers() -> [StatusAnswer.TakeoverAnswer] {
        var seen: Set<String> = []
        return reports.flatMap(\.takeovers).sorted { ($0.time, $0.journal) < ($1.time, $1.journal) }
            .filter { seen.insert("\($0.journal)/\($0.epoch)").inserted }
    }

    // MARK: The verdict

    /// What nodes say of themselves.
    private func nodeProblems(isOne: Bool) -> [ProblemAnswer] {
        var problems: [ProblemAnswer] = []
        for problem in reports.flatMap(\.problems) {
            if let key = problem.sharedKey, let index = problems.firstIndex(where: { $0.sharedKey == key }) {
                problems[index].nodes += problem.nodes
                problems[index].effect = StatusMerge.sum(problems[index].effect, problem.effect)
                if problem.severity == "degraded" { problems[index].severity = problem.severity }
            } else {
                problems.append(problem)
            }
        }
        guard !isOne else { return problems }
        for index in problems.indices where problems[index].nodes.count < reports.count {
            problems[index].summary = "on \(problems[index].nodes.joined(separator: ", ")): " + problems[index].summary
        }
        return problems
    }

    /// `20 messages wait for it`, of two nodes: the sum. Where one speaks of a number and the other does not, the number counts.
    private static func sum(_ a: String, _ b: String) -> String {
        func parts(_ text: String) -> (Int, Substring)? {
            let digits = text.prefix { $0.isNumber }
            return Int(digits).map { ($0, text.dropFirst(digits.count)) }
        }
        switch (parts(a), parts(b)) {
        case (let first?, let second?) where first.1 == second.1: return "\(first.0 + second.0)\(first.1)"
        case (nil, .some): return b
        default: return a
        }
    }

    private func verdict(_ all: StatusAnswer) -> StatusAnswer.Verdict {
        let isOne = all.nodes.count == 1
        if isOne, reports[0].verdict != .healthy { return reports[0].verdict }
        if all.problems.contains(where: { $0.severity == "degraded" }) { return .degraded }
        if all.ready { return .healthy }
        return reports.allSatisfy { $0.verdict == .starting } ? .starting : .degraded
    }
}

extension StatusAnswer.QueueAnswer {
    /// Messages that another node counts. They wait for an owner, whatever else: most were due.
    mutating func leaveOut(_ count: Int) {
        messages -= min(count, messages)
        var rest = count
        for part in [\StatusAnswer.QueueAnswer.due, \.retrying, \.waitingForUpstream, \.held] {
            let less = min(rest, self[keyPath: part])
            self[keyPath: part] -= less
            rest -= less
        }
    }
}

/// The first line of `baton status` without its time.
struct StatusSummary {
    let status: StatusAnswer

    init(_ status: StatusAnswer) { self.status = status }

    var text: String {
        let isWarned = status.verdict == .healthy && status.warnings > 0
        let count = isWarned ? ", \(status.warnings) warning\(status.warnings == 1 ? "" : "s")" : ""
        return "\(status.verdict.rawValue)\(count): \(doing) · \(tolerance(isWarned))"
    }

    private var doing: String {
        let delivers =
            status.copies.majority && status.upstreams.contains { ["up", "ramping", "partial"].contains($0.state) }
        return switch (status.ready, delivers) {
        case (true, true): "accepting and delivering"
        case (true, false): "accepting, not delivering"
        case (false, true): "not accepting, delivering"
        case (false, false): "neither accepting nor delivering"
        }
    }

    private func tolerance(_ isWarned: Bool) -> String {
        let copies = status.copies
        if copies.nodes < copies.wanted, !status.ready { return "\(copies.nodes) of \(copies.wanted) nodes known" }
        guard copies.majority else {
            return "\(copies.liveNodes) of \(copies.nodes) nodes alive, \(copies.needed) needed"
        }
        let disks = "\(copies.fewest) disk\(copies.fewest == 1 ? "" : "s")"
        let nodes = "\(copies.mayFail) node\(copies.mayFail == 1 ? "" : "s")"
        return "\(isWarned ? "all" : "every message") on \(disks) · \(nodes) may fail"
    }
}
