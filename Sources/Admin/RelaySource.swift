package import Cluster
internal import EventLoop
package import Node
package import Primitives
package import Relay
package import Routing

/// The running node's answers, through its handle.
package struct RelaySource: NodeSource {
    private let relay: RelayHandle

    package init(_ relay: RelayHandle) { self.relay = relay }

    package func status() async -> NodeStatus {
        var status = await relay.status()
        // The node may be ready while no listener takes connections.
        if status.isReady { status.isReady = await relay.isReady() }
        if status.state == .serving, await relay.isDraining() { status.state = .draining }
        return status
    }

    package func time() async -> WallTime { Clock.wall() }

    package func facts() async -> NodeFacts {
        let configuration = relay.configuration
        let upFor = Clock.instant() - relay.began.instant
        var facts = NodeFacts(name: configuration.node.name, cluster: configuration.cluster.name, upFor: upFor)
        facts.replicas = configuration.cluster.replicas
        facts.disk = relay.directory.replica.disk.description
        facts.zone = configuration.node.zone ?? ""
        facts.address = await relay.advertised() ?? ""
        facts.refusedPeers = await refusedPeers()
        facts.syncTime = relay.syncTimes
        facts.clientConnections = await relay.smtpConnections()
        facts.certificateExpiry = configuration.smtp.certificateFile.flatMap { CertificateExpiry.read($0) }
        facts.feedback = relay.feedback?.counts() ?? [:]
        for (key, count) in await relay.refusals() {
            facts.refusals[NodeFacts.RefusalKey(code: key.code, reason: key.reason), default: 0] += count
        }
        return facts
    }

    /// Those that are at it now: whoever goes on trying does so every few seconds. A node that came back with a new disk is
    /// looked for under its former one for a moment, and that is no problem.
    private func refusedPeers() async -> [NodeFacts.RefusedPeer] {
        let since = Clock.wall() + .seconds(-20)
        let refusals = await relay.peers().refusals.filter { refusal in
            refusal.last > since && !refusal.reason.contains(" has another disk now than the one ")
        }
        return refusals.map {
            NodeFacts.RefusedPeer(
                address: $0.about, reason: $0.reason, isNameTaken: $0.reason.hasPrefix("two nodes are called"))
        }
    }

    package func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int) {
        await relay.list(filter, limit: limit)
    }

    package func message(_ id: MessageID) async -> MessageStatus? { await relay.message(id) }

    package func content(of message: MessageStatus) async -> [UInt8]? { await relay.readContent(message.id) }

    package func perform(_ command: Command) async -> CommandAnswer { await relay.command(command) }

    package func explain(_ subject: RouteSubject) async -> RouteExplanation { await relay.explain(subject) }

    package func trust(of upstream: String, at provider: String?) async -> UpstreamTrust? {
        await relay.trust(of: upstream, at: provider)
    }

    package func resetTrust(of upstream: String?, at provider: String?) async {
        await relay.resetTrust(of: upstream, at: provider)
    }

    package func trace(_ id: MessageID) async -> TraceAnswer? {
        let outcomes = await relay.feedback?.outcomes(of: id) ?? []
        guard var answer = await ownTrace(id) ?? TraceAnswer(of: id, outcomes: outcomes) else { return nil }
        answer.add(outcomes, heardBy: relay.configuration.node.name)
        return answer
    }

    package func answerFeedback(_ question: [UInt8]) async -> [UInt8]? { await relay.feedback?.answer(peer: question) }

    private func ownTrace(_ id: MessageID) async -> TraceAnswer? {
        await relay.trace(id).map { trace in
            TraceAnswer(
                id: trace.id.description, accepted: trace.accepted.rfc3339, sender: trace.sender,
                recipients: trace.recipients, bytes: trace.size.bytes, messageId: trace.messageIDField,
                delivered: trace.delivered, finished: trace.isFinished, takeovers: trace.takeovers,
                uncertain: trace.isUncertain, message: nil,
                events: trace.events.map {
                    TraceAnswer.Event(time: $0.time.rfc3339, node: $0.node, text: $0.what, mark: $0.mark?.rawValue)
                }, knownBy: [], silent: [])
        }
    }

    // MARK: The cluster

    package func ask(_ peer: ReplicaID, _ what: [UInt8], patience: Duration) async -> [UInt8]? {
        await relay.ask(peer, what: what, patience: patience)
    }

    package func answerPeers(with answer: @escaping @Sendable ([UInt8]) async -> [UInt8]) async {
        await relay.answerPeers { what, _ in
            // It is called on the node's loop, where a long listing's JSON would hold up pulses. The task is waited for.
            await Task.detached { await answer(what) }.value
        }
    }

    package func record(_ key: String, _ value: [UInt8]?) async -> RecordOutcome {
        await relay.record(key: key, value: value)
    }

    package func write(_ records: [RecordWrite], by: String) async -> RecordOutcome {
        await relay.write(records, by: by)
    }

    package func records(prefix: String) async -> [ClusterRecord] { await relay.records(prefix: prefix) }

    package func forget(_ node: String) async -> RecordOutcome { await relay.forget(node) }

    package func events(after sequence: UInt64) async -> [EventsAnswer.Event] {
        relay.events.events(after: sequence).map { event in
            let fields = event.fields.map { (key: $0.key.description, value: $0.value) }
            return EventsAnswer.Event(
                sequence: event.sequence, time: event.time.rfc3339, node: event.node, name: event.name,
                text: EventWords(event.name, fields).text)
        }
    }

    package func examine() async -> [ExaminationAnswer.Line] {
        let node = relay.configuration.node.name
        let connections = await relay.peers().connections
        let peers = connections.map { peer in
            ExaminationAnswer.Line(
                node, peer.isReached && peer.isHeard ? .pass : .fail, "peer", PeerWords(peer, from: node).text)
        }
        let machine = MachineExamination(relay.configuration, syncTimes: relay.syncTimes, status: await status())
        return peers + (await machine.lines())
    }
}

/// What `baton doctor` says of one connection between nodes.
private struct PeerWords {
    private let peer: PeerStatus
    private let node: String

    init(_ peer: PeerStatus, from node: String) {
        self.peer = peer
        self.node = node
    }

    var text: String {
        let problem = peer.problem.map { ": \($0)" } ?? ""
        guard let name = peer.id?.node else { return "nobody has answered at \(peer.address)\(problem)" }
        return switch (peer.isReached, peer.isHeard) {
        case (true, true): "\(name) (\(peer.address)), both ways"
        case (true, false): "\(name) (\(peer.address)) is reached, but does not reach \(node): a firewall one way?"
        case (false, true): "\(name) reaches \(node), but is not reached at \(peer.address)\(problem)"
        case (false, false): "\(name) (\(peer.address)) is not connected\(problem)"
        }
    }
}
