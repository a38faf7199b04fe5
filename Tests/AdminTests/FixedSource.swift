@testable import Node
import Primitives
import SMTP
import Synchronization

@testable import Admin

/// A node that always says the same, and remembers what it was told.
final class FixedSource: NodeSource {
    struct State {
        var status = FixedSource.healthy
        var messages: [MessageStatus] = []
        var commands: [Command] = []
        var enabled: [String: Bool] = [:]
    }

    let state: Mutex<State>

    init(messages: [MessageStatus] = []) { state = Mutex(State(messages: messages)) }

    static let time = WallTime(milliseconds: 1_795_521_871_123)  // 2026-11-24T12:04:31.123Z

    static var healthy: NodeStatus {
        var counters = NodeCounters()
        counters.accepted = 1204
        counters.results[.init(upstream: "ses", status: "sent")] = 1100
        counters.acceptTime.record(.milliseconds(4))
        counters.timeToSend.record(.milliseconds(88))
        var queue = NodeStatus.Queue()
        queue.messages = 1204
        queue.bytes = .mebibytes(10)
        queue.due = 61
        queue.sending = 118
        queue.retrying = 1019
        queue.held = 6
        queue.oldestDue = .milliseconds(400)
        return NodeStatus(
            state: .serving, isReady: true, time: time, queue: queue, recent: NodeStatus.Recent(),
            upstreams: [upstream("ses", .up), upstream("own", .up)], journals: [], diskFree: .gibibytes(70),
            diskTotal: .gibibytes(100), problems: [], counters: counters)
    }

    static func upstream(
        _ name: String, _ state: NodeStatus.UpstreamStatus.State
    ) -> NodeStatus.UpstreamStatus {
        NodeStatus.UpstreamStatus(
            name: name, state: state, connections: 20, maximumConnections: 40, share: 0.7, wantedShare: 0.7,
            sentPerSecond: 444, transientShare: 0.002, permanentShare: 0, median: .milliseconds(88), ready: 0,
            failure: nil,
            downFor: nil, nextProbe: nil, sent: 1100, deferred: 3, failed: 1)
    }

    static func message(
        _ number: UInt64, to address: String = "ann@example.net", state: MessageStatus.State = .retrying
    )
        -> MessageStatus
    {
        MessageStatus(
            id: MessageID(ULID(high: UInt64(time.milliseconds - 60_000) << 16 | number, low: number)),
            journal: JournalID(.zero), state: state, accepted: WallTime(milliseconds: time.milliseconds - 60_000),
            sender: "billing@shop.example",
            recipients: [
                .init(
                    address: address, state: state.rawValue, tries: 2, due: nil, lastReply: "451 4.7.1 greylisted",
                    upstream: "ses")
            ], size: ByteCount(bytes: 4096), messageIDField: "<8f1c@shop.example>", attempts: 2, isUncertain: false,
            due: nil, content: ContentReference(journal: JournalID(.zero), frame: nil, frameOffset: 0, runs: []))
    }

    func status() async -> NodeStatus { state.withLock { $0.status } }

    func facts() async -> NodeFacts {
        var facts = NodeFacts(name: "a", cluster: "mail", upFor: .hours(219))
        facts.syncTime.record(.milliseconds(2))
        facts.refusals[.init(code: 550, reason: "relaying \"denied\"")] = 3
        return facts
    }

    func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int) {
        let all = state.withLock { $0.messages }.filter { message in
            (filter.ids.isEmpty || filter.ids.contains { $0.contains(message.id.ulid) })
                && (filter.to.map { to in message.recipients.contains { $0.address.contains(to) } } ?? true)
                && (filter.state.map { $0 == message.state } ?? true)
        }
        return (Array(all.prefix(limit)), all.count)
    }

    func message(_ id: MessageID) async -> MessageStatus? { state.withLock { $0.messages }.first { $0.id == id } }

    func content(of message: MessageStatus) async -> [UInt8]? { Array("Subject: x\r\n\r\n.dot\r\n".utf8) }

    func perform(_ command: Command) async -> CommandAnswer {
        state.withLock {
            $0.commands.append(command)
            return $0.messages.contains { $0.id == command.message } ? .done : .notFound
        }
    }

    func enableUpstream(_ name: String, _ enabled: Bool) async -> Bool {
        state.withLock {
            guard $0.status.upstreams.contains(where: { $0.name == name }) else { return false }
            $0.enabled[name] = enabled
            return true
        }
    }

    func trace(_ id: MessageID) async -> TraceAnswer? {
        guard let message = await message(id) else { return nil }
        return TraceAnswer(
            id: id.description, accepted: message.accepted.rfc3339, sender: message.sender,
            recipients: ["ann@example.net"],
            bytes: 4096, messageId: "", delivered: 0, finished: false, takeovers: 0, uncertain: false, message: nil,
            events: [.init(time: message.accepted.rfc3339, node: "a", text: "accepted from 10.0.0.9", mark: nil)])
    }
}
