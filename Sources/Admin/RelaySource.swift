internal import EventLoop
package import Node
package import Primitives
package import Relay

/// The running node's answers, through its handle.
package struct RelaySource: NodeSource {
    private let relay: RelayHandle

    package init(_ relay: RelayHandle) { self.relay = relay }

    package func status() async -> NodeStatus {
        var status = await relay.status()
        // The node may be ready while no listener takes connections.
        if status.isReady { status.isReady = await relay.isReady() }
        if await relay.isDraining() { status.state = .draining }
        return status
    }

    package func facts() async -> NodeFacts {
        let configuration = relay.configuration
        let upFor = Clock.instant() - relay.began.instant
        var facts = NodeFacts(name: configuration.node.name, cluster: configuration.cluster.name, upFor: upFor)
        facts.syncTime = relay.syncTimes
        facts.clientConnections = await relay.smtpConnections()
        for (key, count) in await relay.refusals() {
            facts.refusals[NodeFacts.RefusalKey(code: key.code, reason: key.reason), default: 0] += count
        }
        return facts
    }

    package func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int) {
        await relay.list(filter, limit: limit)
    }

    package func message(_ id: MessageID) async -> MessageStatus? { await relay.message(id) }

    package func content(of message: MessageStatus) async -> [UInt8]? { await relay.readContent(message.id) }

    package func perform(_ command: Command) async -> CommandAnswer { await relay.command(command) }

    package func enableUpstream(_ name: String, _ enabled: Bool) async -> Bool {
        guard relay.configuration.upstreams.contains(where: { $0.name == name }) else { return false }
        await relay.enableUpstream(name, enabled)
        return true
    }

    package func trace(_ id: MessageID) async -> TraceAnswer? {
        await relay.trace(id).map { trace in
            TraceAnswer(
                id: trace.id.description, accepted: trace.accepted.rfc3339, sender: trace.sender,
                recipients: trace.recipients, bytes: trace.size.bytes, messageId: trace.messageIDField,
                delivered: trace.delivered, finished: trace.isFinished, takeovers: trace.takeovers,
                uncertain: trace.isUncertain, message: nil,
                events: trace.events.map {
                    TraceAnswer.Event(time: $0.time.rfc3339, node: $0.node, text: $0.what, mark: $0.mark?.rawValue)
                })
        }
    }
}
