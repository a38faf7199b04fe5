internal import Node
internal import Primitives

/// The cluster at a glance, and what is read off it.
extension AdminAPI {
    /// Of all nodes, within a second (outputs.md, rule 5). To another node: this one's own report, to be put together there.
    func status(_ request: AdminRequest) async -> StatusAnswer {
        let (status, facts) = await (source.status(), source.facts())
        let own = StatusAnswer(status, facts)
        if case .peer = scope { return own }
        guard !isLocal(request) else { return StatusMerge(own).answer }
        let question = AdminRequest(method: "GET", path: "/api/v1/status")
        let now = await source.time()
        let peers = await askPeers(question, Membership(status, me: facts.name).others, PeerPatience.glance)
        var answered = peers
        let reports = answered.decoded(as: StatusAnswer.self)
        var offsets: [String: Double] = [:]
        for (node, report) in reports {
            guard let time = WallTime(rfc3339: report.time) else { continue }
            // It read its clock somewhere between question and answer.
            let took = peers.answers.first { $0.node == node }?.took ?? .zero
            offsets[node] = (time - (now + took / 2)).inSeconds
        }
        var all = StatusMerge(
            own, others: reports.map(\.answer), silent: answered.silent, clockOffsets: offsets
        ).answer
        all.peers = nil
        return all
    }

    /// This node's own view, for the balancer and for metrics: nobody is asked.
    static func ownView(_ status: NodeStatus, _ facts: NodeFacts) -> StatusAnswer {
        StatusMerge(StatusAnswer(status, facts)).answer
    }

    /// By how much others' clocks are ahead; asked for with each scrape, and never waited for long.
    func clockOffsets(_ status: NodeStatus, _ facts: NodeFacts) async -> [String: Double] {
        guard !status.peers.isEmpty else { return [:] }
        let question = AdminRequest(method: "GET", path: "/api/v1/time")
        // The clock that the others' are held against is read now: what went before took its time.
        let now = await source.time()
        let peers = await askPeers(question, Membership(status, me: facts.name).others, .milliseconds(300))
        var offsets: [String: Double] = [:]
        for one in peers.answers where one.response.status == 200 {
            let text = String(decoding: one.response.body, as: UTF8.self).filter { $0 != "\n" }
            guard let time = WallTime(rfc3339: text) else { continue }
            offsets[one.node] = (time - (now + one.took / 2)).inSeconds
        }
        return offsets
    }

    func upstreams(_ request: AdminRequest) async -> UpstreamsAnswer {
        let status = await status(request)
        return UpstreamsAnswer(upstreams: status.upstreams, silent: status.silent)
    }

    /// What happened, by time; `after` is an earlier answer's cursor.
    func events(_ request: AdminRequest) async throws(BadRequest) -> EventsAnswer {
        let me = await source.facts().name
        let after = try AdminAPI.cursor(request.value("after") ?? "")
        let own = await source.events(after: after[me] ?? 0)
        var all = EventsAnswer(events: own, cursor: "", silent: [])
        if !isLocal(request) {
            var peers = await askPeers(request, patience: PeerPatience.glance)
            for (_, answer) in peers.decoded(as: EventsAnswer.self) { all.events += answer.events }
            all.silent = peers.silent
        }
        all.events.sort { ($0.time, $0.node, $0.sequence) < ($1.time, $1.node, $1.sequence) }
        var last = after
        for event in all.events { last[event.node] = max(last[event.node] ?? 0, event.sequence) }
        all.cursor = last.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
        let limit = limit(request, otherwise: AdminAPI.maximumListed)
        all.events = Array(all.events.suffix(limit))
        return all
    }

    /// `a=12,b=7`: how far each node's events were read.
    private static func cursor(_ text: String) throws(BadRequest) -> [String: UInt64] {
        var result: [String: UInt64] = [:]
        for part in text.split(separator: ",") {
            let words = part.split(separator: "=")
            guard words.count == 2, let number = UInt64(words[1]) else {
                throw BadRequest("after: expected the cursor of an earlier answer, got \(text)")
            }
            result[String(words[0])] = number
        }
        return result
    }
}

extension NodesAnswer {
    init(_ status: StatusAnswer) {
        self.init(time: status.time, from: status.from, nodes: status.nodes, silent: status.silent)
    }
}

extension LeasesAnswer {
    init(_ status: StatusAnswer) {
        let leases = status.journals.map { journal in
            Lease(
                journal: journal.id, epoch: journal.epoch, owner: journal.owner, state: journal.state,
                leaseSeconds: ["open", "sealed"].contains(journal.state) ? journal.leaseSeconds : nil,
                members: journal.copies.map(\.node), unfinished: journal.unfinished)
        }
        self.init(time: status.time, from: status.from, leases: leases, silent: status.silent)
    }
}

extension JournalsAnswer {
    init(_ status: StatusAnswer) {
        self.init(
            time: status.time, from: status.from, wanted: status.copies.wanted, journals: status.journals,
            silent: status.silent)
    }
}
