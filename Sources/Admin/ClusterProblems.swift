internal import Node
internal import Primitives

/// What is wrong with the cluster as a whole, from a status that is already put together. What is wrong with one node it
/// says itself (`Node/NodeQueries.swift`).
struct ClusterProblems {
    /// Beyond it, mail is stamped and scheduled visibly wrong; ownership does not rest on wall clocks.
    static let clockTolerance = 5.0

    private let status: StatusAnswer
    private let down: [StatusAnswer.NodeAnswer]
    private let live: [StatusAnswer.NodeAnswer]

    init(_ status: StatusAnswer) {
        self.status = status
        down = status.nodes.filter { !$0.alive }
        live = status.nodes.filter(\.alive)
    }

    var problems: [ProblemAnswer] {
        let availability = [tooFew, noMajority].compactMap { $0 } + down.map(nodeDown) + [ownerless].compactMap { $0 }
        let connectivity = [silent, partition, clock].compactMap { $0 }
        let copies = [lacking, singleCopies].compactMap { $0 }
        let people = status.drainedNodes.map(drained) + status.disabledUpstreams.map(upstreamOff)
        return availability + connectivity + copies + people + RuleProblems(status.rules ?? []).problems
            + [versions, configurations].compactMap { $0 }
    }

    private func problem(
        _ name: String, _ severity: Problem.Severity, _ summary: String, effect: String, baton: String, you: String,
        nodes: [String]
    ) -> ProblemAnswer {
        ProblemAnswer(
            Problem(name: name, severity: severity, summary: summary, effect: effect, baton: baton, you: you),
            nodes: nodes)
    }

    // MARK: Availability

    private var tooFew: ProblemAnswer? {
        let copies = status.copies
        guard copies.nodes < copies.wanted else { return nil }
        return problem(
            "too-few-nodes", .degraded, "\(copies.nodes) of \(copies.wanted) nodes are known",
            effect: status.ready
                ? "mail goes on in the journals that are open; no new one can be opened when they are full (451)"
                : "no mail is accepted (451) until this node has met \(copies.wanted - copies.nodes) more",
            baton: "tries the addresses of cluster.peers all the time, and opens journals once it has met enough",
            you: "start the other nodes; they run already: baton doctor", nodes: [status.from])
    }

    private var noMajority: ProblemAnswer? {
        let copies = status.copies
        guard !copies.majority, copies.nodes >= copies.wanted else { return nil }
        let names = down.map(\.name)
        return problem(
            "no-majority", .degraded,
            "\(copies.liveNodes) of \(copies.nodes) nodes answer, \(copies.needed) are needed",
            effect: "no mail is accepted (451) and none is delivered; nothing that was accepted is lost",
            baton: "keeps what it holds, tries the others all the time, and goes on by itself when one is back",
            you: "start \(list(names, "or")): systemctl start baton  ·  they run already: baton doctor", nodes: names)
    }

    private func nodeDown(_ node: StatusAnswer.NodeAnswer) -> ProblemAnswer {
        let name = node.name
        var why: [String] = []
        if let silent = node.silentSeconds, let time = WallTime(rfc3339: status.time) {
            let last = (time + .milliseconds(-Int64(silent * 1000))).rfc3339
            why.append("last word \(last.dropFirst(11).prefix(8))Z")
        }
        if node.provedDead { why.append("its port refuses connections") }
        let since =
            node.silentSeconds.map { "has been silent for \(Duration.seconds($0).short)" } ?? "was not heard yet"
        let copies = status.copies
        let effect: String
        if copies.wanted == 1 {
            effect = "what it accepted waits on its disk (cluster.replicas is 1)"
        } else if !copies.majority {
            effect = "too few are left: see no-majority"
        } else {
            let lacking = copies.fewest < copies.wanted ? "\(copies.fewest) copies instead of \(copies.wanted); " : ""
            let others = live.map(\.name)
            effect =
                lacking
                + (copies.mayFail > 0
                    ? "\(copies.mayFail) more may fail"
                    : "losing \(others.count > 3 ? "one more" : list(others, "or")) too stops acceptance (451) until one is back")
        }
        let heirs = Set(status.takeovers.filter { $0.from == name }.map(\.to)).sorted()
        let moved = heirs.isEmpty ? "" : "moved \(name)'s leases to \(list(heirs, "and")); "
        return problem(
            "node-down", .degraded, "\(name) \(since)\(why.isEmpty ? "" : " (\(why.joined(separator: "; ")))")",
            effect: effect, baton: "\(moved)\(name) catches up by itself when it returns",
            you: "restart it: systemctl start baton (on \(name))  ·  gone for good: baton node forget \(name)",
            nodes: [name])
    }

    private var ownerless: ProblemAnswer? {
        let journals = status.journals.filter { $0.owner == nil && $0.unfinished > 0 && $0.copies.count > 1 }
        // Without a majority that is so for all of them, and said already.
        guard status.copies.majority, !journals.isEmpty else { return nil }
        let messages = journals.reduce(0) { $0 + $1.unfinished }
        return problem(
            "journal-ownerless", .degraded, "\(journals.count) of \(status.journals.count) journals have no owner now",
            effect: "their \(messages) messages wait",
            baton: "claims them as soon as a majority of their copies answers, usually within seconds",
            you: "it stays so: baton journals names the copies that are missing; start their nodes", nodes: [])
    }

    // MARK: Connectivity

    private var silent: ProblemAnswer? {
        let names = live.map(\.name).filter(status.silent.contains)
        guard !names.isEmpty else { return nil }
        return problem(
            "no-answer", .warning,
            "\(list(names, "and")) \(names.count == 1 ? "is" : "are") alive but did not answer in time",
            effect: "what \(names.count == 1 ? "it owns" : "they own") is missing in these figures",
            baton: "goes on; mail is not touched by it",
            you: "ask again; it stays so: baton doctor", nodes: names)
    }

    /// Pairs of nodes that do not hear each other while both are alive to somebody.
    private var partition: ProblemAnswer? {
        let answered = Set(status.nodes.filter { $0.upSeconds != nil }.map(\.name))
        var cuts: [String] = []
        for node in live where answered.contains(node.name) {
            let blind = answered.subtracting(node.seenBy).subtracting([node.name]).sorted()
            if !blind.isEmpty, answered.count > 1 { cuts.append("\(list(blind, "and")) cannot hear \(node.name)") }
        }
        guard !cuts.isEmpty else { return nil }
        return problem(
            "partition", .warning, cuts.joined(separator: "; "),
            effect: "journals may change hands, and commit with fewer copies",
            baton: "delivers nothing twice because of it: who cannot prove its lease stops",
            you: "look at the network between them: baton doctor", nodes: [])
    }

    private var clock: ProblemAnswer? {
        let off = live.filter { abs($0.clockOffsetSeconds ?? 0) > ClusterProblems.clockTolerance }
        guard !off.isEmpty else { return nil }
        let words = off.map { node in
            let offset = node.clockOffsetSeconds ?? 0
            return
                "\(node.name) is \(Duration.seconds(abs(offset)).short) \(offset > 0 ? "ahead of" : "behind") \(status.from)"
        }
        return problem(
            "clock", .warning, words.joined(separator: ", "),
            effect: "times in mail, logs and traces are wrong, and retries come early or late after a takeover",
            baton: "leases do not rest on it: nothing is lost or sent twice",
            you: "see which clock is wrong: timedatectl (on each node)", nodes: off.map(\.name))
    }

    // MARK: Copies

    private var lacking: ProblemAnswer? {
        let journals = status.journals.filter(\.isLackingCopy)
        guard !journals.isEmpty else { return nil }
        let lost = Set(journals.flatMap(\.copies).filter(\.lost).map(\.node)).sorted()
        let messages = journals.reduce(0) { $0 + $1.unfinished }
        let fewest = journals.map { journal in journal.copies.count { !$0.lost } }.min() ?? 0
        return problem(
            "copy-lacking", .warning,
            "\(count(journals.count, "journal")) lost the copy on a former disk of \(list(lost, "and"))",
            effect:
                "\(count(messages, "message")) in them \(messages == 1 ? "has" : "have") \(count(fewest, "copy", "copies"))",
            baton: "gives new mail all its copies; retires the old journals as their messages finish",
            you: "see them: baton journals --lacking", nodes: lost)
    }

    private var singleCopies: ProblemAnswer? {
        let journals = status.journals.filter { $0.copies.count == 1 && $0.unfinished > 0 }
        guard status.copies.wanted > 1, !journals.isEmpty else { return nil }
        let messages = journals.reduce(0) { $0 + $1.unfinished }
        return problem(
            "single-copy", .warning,
            "\(count(journals.count, "journal")) of one copy, from before this was a cluster of several",
            effect: "losing that disk loses \(count(messages, "message"))",
            baton: "gives new mail all its copies; retires the old journals as their messages finish",
            you: "see them: baton journals --lacking", nodes: Set(journals.compactMap(\.owner)).sorted())
    }

    // MARK: What people did

    private func drained(_ name: String) -> ProblemAnswer {
        problem(
            "node-drained", .warning, "\(name) was drained by hand and takes no part",
            effect: "the others do its work; it keeps its copies", baton: "leaves it so, through restarts too",
            you: "when the work on it is done: baton resume \(name)", nodes: [name])
    }

    private func upstreamOff(_ name: String) -> ProblemAnswer {
        problem(
            "upstream-off", .warning, "\(name) is switched off by hand", effect: "its mail goes by others, or waits",
            baton: "leaves it so, on all nodes and through restarts", you: "baton upstreams enable \(name)", nodes: [])
    }

    private var versions: ProblemAnswer? {
        let versions = Set(live.compactMap(\.version))
        guard versions.count > 1 else { return nil }
        let words = versions.sorted().map { version in
            "\(version) on \(list(live.filter { $0.version == version }.map(\.name), "and"))"
        }
        return problem(
            "version-skew", .warning, "nodes run different versions: \(words.joined(separator: ", "))",
            effect: "nothing new is written that the older ones could not read",
            baton: "speaks what all understand",
            you: "finish the upgrade, one node at a time: baton drain --check says when", nodes: live.map(\.name))
    }

    private var configurations: ProblemAnswer? {
        let known = live.filter { !$0.configuration.isEmpty }
        guard Set(known.map(\.configuration)).count > 1 else { return nil }
        var groups: [String: [String]] = [:]
        for node in known { groups[node.configuration, default: []].append(node.name) }
        let words = groups.values.sorted { $0.count > $1.count }.map { list($0, "and") }
        return problem(
            "configuration-skew", .warning,
            "upstreams, routes or delivery differ: \(words.joined(separator: " have one, ")) another",
            effect: "a message's way depends on which node owns it",
            baton: "runs each node by its own file", you: "make the files alike, then SIGHUP: systemctl reload baton",
            nodes: known.map(\.name))
    }

    // MARK: Words

    private func count(_ number: Int, _ one: String, _ many: String? = nil) -> String {
        "\(number) \(number == 1 ? one : many ?? one + "s")"
    }

    /// `a, b and c`.
    private func list(_ names: [String], _ last: String) -> String {
        guard names.count > 1 else { return names.first ?? "the others" }
        return names.dropLast().joined(separator: ", ") + " \(last) " + names[names.count - 1]
    }
}

extension Problem {
    /// The transport hears somebody whom it may not speak to.
    static func refused(_ peer: NodeFacts.RefusedPeer) -> Problem {
        if peer.isNameTaken {
            return Problem(
                name: "node-name-taken", severity: .warning, summary: "\(peer.address): \(peer.reason)",
                effect: "one of the two nodes of that name takes no part",
                baton: "speaks to the one that it met first", you: "give the other one a node.name of its own")
        }
        return Problem(
            name: "peer-refused", severity: .warning, summary: "\(peer.address): \(peer.reason)",
            effect: "nothing of it is heard", baton: "speaks to nobody without the cluster's secret and name",
            you: "if it belongs to this cluster: compare cluster.name and the first line of cluster.secretFiles")
    }
}
