internal import FoundationEssentials
internal import Node
internal import Primitives
internal import Relay

/// What people do to nodes, upstreams and the cluster: records that every node keeps, so that they outlive restarts
/// (`queue.md`, 'Cluster records').
extension AdminAPI {
    // MARK: Nodes

    /// Whether the others can do without this node, and what it has under way.
    func drainCheck(_ node: String, _ request: AdminRequest) async throws(BadRequest) -> DrainCheckAnswer {
        let status = await status(request)
        guard let found = status.nodes.first(where: { $0.name == node }) else { throw AdminAPI.unknown(node, status) }
        return DrainCheckAnswer(found, status)
    }

    func drain(_ node: String, _ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        let status = await status(request)
        guard let found = status.nodes.first(where: { $0.name == node }) else { throw AdminAPI.unknown(node, status) }
        guard !status.drainedNodes.contains(node) else {
            return DoneAnswer(done: true, text: "\(node) is \(found.state), as asked before", silent: [])
        }
        try await record("drain/\(node)", value(request, status))
        return DoneAnswer(done: true, text: "\(node) hands over its work", silent: [])
    }

    func resume(_ node: String, _ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        let status = await status(request)
        // A node that is unknown here, or down, may be resumed all the same: the record is what counts.
        guard status.drainedNodes.contains(node) else {
            guard status.nodes.contains(where: { $0.name == node }) else { throw AdminAPI.unknown(node, status) }
            return DoneAnswer(done: true, text: "\(node) is not drained", silent: [])
        }
        try await record("drain/\(node)", nil)
        return DoneAnswer(done: true, text: "\(node) takes part again", silent: [])
    }

    /// A node that is gone for good: nobody waits for it any more. One that lives would come back at once.
    func forget(_ node: String, _ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        let status = await status(request)
        guard let found = status.nodes.first(where: { $0.name == node }) else { throw AdminAPI.unknown(node, status) }
        guard !found.alive else {
            throw BadRequest(
                "\(node) is alive; drain and stop it first: baton drain \(node), systemctl stop baton (on \(node))",
                status: 409)
        }
        let only = status.journals.filter { journal in
            journal.unfinished > 0 && journal.copies.allSatisfy { $0.node == node || $0.lost }
        }
        try AdminAPI.check(await source.forget(node))
        let lost = only.isEmpty ? "" : "; \(only.count) journals were on its disk alone"
        return DoneAnswer(done: true, text: "\(node) is forgotten\(lost)", silent: status.silent.filter { $0 != node })
    }

    // MARK: The cluster

    /// From now on frames and messages of this version may be written. There is no way back for older binaries, so every
    /// member must have announced it.
    func finalize(_ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        guard let version = body(request).version, version > 0 else {
            throw BadRequest("expected {\"version\": NUMBER}")
        }
        let status = await status(request)
        for node in status.nodes {
            let highest = node.protocols.split(separator: "-").last.flatMap { Int($0) } ?? 0
            guard highest >= version else {
                let speaks = node.protocols.isEmpty ? "has not said what it speaks" : "speaks \(node.protocols)"
                throw BadRequest(
                    "\(node.name) \(speaks): upgrade it first, or forget it: baton node forget \(node.name)",
                    status: 409)
            }
        }
        try await record("cluster/version", Array(String(version).utf8))
        return DoneAnswer(done: true, text: "the cluster writes version \(version) from now on", silent: [])
    }

    func switchUpstream(
        _ name: String, isOn: Bool, _ request: AdminRequest
    ) async throws(BadRequest) -> UpstreamsAnswer {
        let status = await status(request)
        guard status.upstreams.contains(where: { $0.name == name }) else {
            throw BadRequest("no upstream is named \(name)", status: 404)
        }
        try await record("upstream/\(name)/off", isOn ? nil : value(request, status))
        return await upstreams(request)
    }

    // MARK: Records

    private func record(_ key: String, _ value: [UInt8]?) async throws(BadRequest) {
        try AdminAPI.check(await source.record(key, value))
    }

    static func check(_ outcome: RecordOutcome) throws(BadRequest) {
        switch outcome {
        case .done: break
        case .refused(let reason): throw BadRequest(reason, status: 409)
        case .unanswered:
            throw BadRequest(
                "a majority of the nodes must know it, and too few answered; it comes into force when they do (baton status)",
                status: 503)
        }
    }

    private func body(_ request: AdminRequest) -> CommandBody {
        // Nothing in it is needed: an empty body is a command without a reason.
        (try? JSONDecoder().decode(CommandBody.self, from: Data(request.body))) ?? CommandBody()
    }

    /// Who did it, when and why, for whoever finds it in force.
    private func value(_ request: AdminRequest, _ status: StatusAnswer) -> [UInt8] {
        let body = body(request)
        let words = ["by": body.by ?? "admin", "at": status.time, "reason": body.reason ?? ""]
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array((try? encoder.encode(words)) ?? Data("{}".utf8))
    }

    static func unknown(_ node: String, _ status: StatusAnswer) -> BadRequest {
        BadRequest(
            "no node is named \(node); known: \(status.nodes.map(\.name).joined(separator: ", "))", status: 404)
    }
}

extension DrainCheckAnswer {
    init(_ found: StatusAnswer.NodeAnswer, _ status: StatusAnswer) {
        let name = found.name
        let owned = status.journals.filter { $0.owner == name }
        let liveAfter = status.nodes.count { $0.alive && $0.name != name }
        let serving = status.nodes.count { $0.state == "serving" && $0.name != name }
        var reasons: [String] = []
        if serving == 0 { reasons.append("no other node is serving: nobody would take mail") }
        if liveAfter < status.copies.needed, status.copies.wanted > 1 {
            reasons.append(
                "\(liveAfter) of \(status.copies.nodes) nodes would be left, \(status.copies.needed) are needed")
        }
        let live = Set(status.nodes.filter { $0.alive && $0.name != name }.map(\.name))
        let short = status.journals.filter { journal in
            let left = journal.copies.count { !$0.lost && live.contains($0.node) }
            return journal.copies.contains { $0.node == name } && journal.unfinished > 0
                && left < journal.copies.count / 2 + 1
        }
        if !short.isEmpty {
            let messages = short.reduce(0) { $0 + $1.unfinished }
            reasons.append(
                "\(messages) messages would wait: \(short.count) journals have no majority of copies without \(name)")
        }
        self.init(
            node: name, state: found.state, safe: reasons.isEmpty, reasons: reasons,
            drained: status.drainedNodes.contains(name), liveNodesAfter: liveAfter, needed: status.copies.needed,
            journals: owned.count, messages: owned.reduce(0) { $0 + $1.unfinished },
            clients: found.clientConnections ?? 0)
    }
}
