import Cluster
@testable import Node
import Primitives
import Relay
import Routing
import SMTP
import Synchronization

@testable import Admin

/// A node that always says the same, and remembers what it was told.
final class FixedSource: NodeSource {
    struct State {
        var status = FixedSource.healthy
        var facts: NodeFacts
        var messages: [MessageStatus] = []
        var commands: [Command] = []
        var records: [String: [UInt8]] = [:]
        var recorded: RecordOutcome = .done
        var written: [String: ClusterRecord] = [:]
        var forgotten: [String] = []
        var events: [EventsAnswer.Event] = []
        var resets: [String] = []
        /// The other nodes; who is missing here does not answer.
        var peers: [String: FixedSource] = [:]
        var asked = 0
    }

    let name: String
    let state: Mutex<State>

    init(_ name: String = "a", messages: [MessageStatus] = []) {
        self.name = name
        var facts = NodeFacts(name: name, cluster: "mail", upFor: .hours(219))
        facts.syncTime.record(.milliseconds(2))
        facts.refusals[.init(code: 550, reason: "relaying \"denied\"")] = 3
        facts.disk = FixedSource.replica(name).disk.description
        state = Mutex(State(facts: facts, messages: messages))
    }

    func status() async -> NodeStatus { state.withLock { $0.status } }

    func time() async -> WallTime { state.withLock { $0.status.time } }

    func facts() async -> NodeFacts { state.withLock { $0.facts } }

    func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int) {
        let all = state.withLock { $0.messages }.filter { message in
            (filter.ids.isEmpty || filter.ids.contains { $0.contains(message.id.ulid) })
                && (filter.to.map { to in message.recipients.contains { $0.address.contains(to) } } ?? true)
                && (filter.state.map { $0 == message.state } ?? true)
        }
        return (Array(all.prefix(limit)), all.count)
    }

    func message(_ id: MessageID) async -> MessageStatus? { state.withLock { $0.messages }.first { $0.id == id } }

    func content(of message: MessageStatus) async -> [UInt8]? { Array("Subject: \(name)\r\n\r\n.dot\r\n".utf8) }

    func perform(_ command: Command) async -> CommandAnswer {
        state.withLock {
            $0.commands.append(command)
            return $0.messages.contains { $0.id == command.message } ? .done : .notFound
        }
    }

    /// Two upstreams of 70 and 30; mail over 5 MiB takes the second one only.
    func explain(_ subject: RouteSubject) async -> RouteExplanation {
        let router = FixedSource.router
        let route = router.route(for: subject)
        let now = Instant(nanoseconds: 0)
        return RouteExplanation(
            matched: .configured(route), provider: "other",
            upstreams: router.explain(route: route, provider: .other, isNullSender: subject.sender == nil, at: now).map
            {
                RouteExplanation.Upstream(name: router.upstreams[$0.upstream].name, why: $0)
            }, next: route == 1 ? "ses" : "own", now: now)
    }

    func trust(of upstream: String, at provider: String?) async -> UpstreamTrust? {
        guard ["ses", "own"].contains(upstream), provider == nil || provider == "google" else { return nil }
        var trust = Trust()
        if upstream == "ses", !state.withLock({ $0.resets.contains("ses at google") }) {
            trust.state = .blocked
            trust.trust = 0
            trust.nextProbe = Instant(nanoseconds: 24_000_000_000)
            trust.lastReply = "421 4.7.28 unusual rate"
        }
        return UpstreamTrust(
            name: upstream, trust: 71, hasFeedback: false,
            providers: [UpstreamTrust.Provider(name: "google", trust: trust)],
            limits: [LimitUse(name: "recipients/s", limit: 500, used: 444)], spent: Cost.Spent(day: 1.5, month: 20),
            now: Instant(nanoseconds: 0))
    }

    func resetTrust(of upstream: String?, at provider: String?) async {
        state.withLock { $0.resets.append("\(upstream ?? "all") at \(provider ?? "all")") }
    }

    func trace(_ id: MessageID) async -> TraceAnswer? {
        guard let message = await message(id) else { return nil }
        return TraceAnswer(
            id: id.description, accepted: message.accepted.rfc3339, sender: message.sender,
            recipients: ["ann@example.net"],
            bytes: 4096, messageId: "", delivered: 0, finished: false, takeovers: 0, uncertain: false, message: nil,
            events: [.init(time: message.accepted.rfc3339, node: "a", text: "accepted from 10.0.0.9", mark: nil)],
            knownBy: [], silent: [])
    }

    // MARK: The cluster

    func ask(_ peer: ReplicaID, _ what: [UInt8], patience: Duration) async -> [UInt8]? {
        let other = state.withLock {
            $0.asked += 1
            return $0.peers[peer.node]
        }
        guard let other else { return nil }
        return await AdminAPI(other, scope: .local).answer(peer: what)
    }

    func answerPeers(with answer: @escaping @Sendable ([UInt8]) async -> [UInt8]) async {}

    func record(_ key: String, _ value: [UInt8]?) async -> RecordOutcome {
        state.withLock {
            if $0.recorded == .done { $0.records[key] = value }
            return $0.recorded
        }
    }

    func write(_ writes: [RecordWrite], by: String) async -> RecordOutcome {
        state.withLock { state in
            guard state.recorded == .done else { return state.recorded }
            for write in writes {
                let version = RecordVersion(wall: FixedSource.time, node: FixedSource.replica(name))
                let record = ClusterRecord(key: write.key, value: write.value, version: version, expiry: write.expiry)
                state.written[write.key] = write.value.isEmpty ? nil : record
            }
            state.status.rules = state.written.values.compactMap { MailRule($0) }.sorted { $0.key < $1.key }
            return .done
        }
    }

    func records(prefix: String) async -> [ClusterRecord] {
        state.withLock { $0.written.values.filter { $0.key.hasPrefix(prefix) } }
    }

    func forget(_ node: String) async -> RecordOutcome {
        state.withLock {
            $0.forgotten.append(node)
            return $0.recorded
        }
    }

    func events(after sequence: UInt64) async -> [EventsAnswer.Event] {
        state.withLock { $0.events.filter { $0.sequence > sequence } }
    }

    func examine() async -> [ExaminationAnswer.Line] { [.init(name, .pass, "sync", "4 KiB: median 1 ms")] }
}

// MARK: - What they say

extension FixedSource {
    static var router: Router {
        var ses = Upstream(name: "ses", addresses: [])
        ses.weight = 70
        var own = Upstream(name: "own", addresses: [])
        own.weight = 30
        var large = Route(upstreams: ["own"])
        large.sizeOver = .mebibytes(5)
        return Router(
            upstreams: [ses, own], routes: [large, Route(upstreams: ["ses", "own"])], bounceUpstreams: [])
    }

    static let time = WallTime(milliseconds: 1_795_521_871_123)  // 2026-11-24T12:04:31.123Z

    static func replica(_ node: String, disk: UInt64 = 1) -> ReplicaID {
        ReplicaID(node: node, disk: DiskID(ULID(high: disk, low: UInt64(node.utf8.first ?? 0))))
    }

    static var healthy: NodeStatus {
        var counters = NodeCounters()
        counters.accepted = 1204
        counters.results[.init(upstream: "ses", status: "sent", provider: "google", replyClass: "")] = 1100
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
            upstreams: [upstream("ses", .up), upstream("own", .up)], trust: [],
            destinations: [
                NodeStatus.DestinationStatus(
                    domain: "example.net", state: .closed, parked: 2, failures: 9, since: time,
                    nextProbe: .seconds(40), lastReply: "451 4.4.1 no answer")
            ], destinationsDeferred: 1, parked: 2, journals: [], peers: [], takeovers: [],
            drainedNodes: [], disabledUpstreams: [], replicas: 1, diskFree: .gibibytes(70), diskTotal: .gibibytes(100),
            problems: [], counters: counters)
    }

    static func upstream(
        _ name: String, _ state: NodeStatus.UpstreamStatus.State
    ) -> NodeStatus.UpstreamStatus {
        var status = NodeStatus.UpstreamStatus(
            name: name, state: state, connections: 20, maximumConnections: 40, wantedShare: 0.7)
        status.share = 0.7
        status.sentPerSecond = 444
        status.transientShare = 0.002
        status.median = .milliseconds(88)
        status.sent = 1100
        status.deferred = 3
        status.failed = 1
        return status
    }

    static func message(
        _ number: UInt64, to address: String = "ann@example.net", state: MessageStatus.State = .retrying,
        journal: UInt64 = 0
    )
        -> MessageStatus
    {
        let journal = JournalID(ULID(high: 0, low: journal))
        return MessageStatus(
            id: MessageID(ULID(high: UInt64(time.milliseconds - 60_000) << 16 | number, low: number)),
            journal: journal, state: state, accepted: WallTime(milliseconds: time.milliseconds - 60_000),
            sender: "billing@shop.example",
            recipients: [
                .init(
                    address: address, state: state.rawValue, tries: 2, due: nil, lastReply: "451 4.7.1 greylisted",
                    upstream: "ses")
            ], size: ByteCount(bytes: 4096), messageIDField: "<8f1c@shop.example>", attempts: 2, isUncertain: false,
            due: nil, content: ContentReference(journal: journal, frame: nil, frameOffset: 0, runs: []))
    }

    /// A journal with a copy on each of the nodes; `role` is that of whoever tells.
    static func journal(
        _ number: UInt64, _ role: NodeStatus.JournalStatus.Role, owner: ReplicaID?, on members: [ReplicaID],
        unfinished: Int = 1, live: [String] = ["a", "b", "c"], behind: [String: UInt64] = [:]
    ) -> NodeStatus.JournalStatus {
        NodeStatus.JournalStatus(
            id: JournalID(ULID(high: 0, low: number)), role: role, isSealed: false, epoch: 12, owner: owner,
            leaseLeft: .seconds(2), bytes: .mebibytes(50), committed: ByteCount.mebibytes(50).bytes,
            unfinished: unfinished,
            copies: members.map { member in
                let whole = ByteCount.mebibytes(50).bytes
                return .init(
                    replica: member, acknowledged: role == .owner ? whole - (behind[member.node] ?? 0) : nil,
                    isAlive: live.contains(member.node))
            }, isWhole: true)
    }

    static func peer(
        _ replica: ReplicaID, silentFor: Duration = .milliseconds(100), isProvedDead: Bool = false
    ) -> NodeStatus.PeerStatus {
        let isAlive = silentFor < .seconds(2)
        return NodeStatus.PeerStatus(
            replica: replica, isAlive: isAlive, isConnected: isAlive, silentFor: silentFor, isProvedDead: isProvedDead,
            says: ["state": Array("serving".utf8), "version": Array(BatonVersion.current.utf8)], isForgotten: false)
    }
}

/// Three nodes that hear each other; each owns a journal with copies on all.
final class FixedCluster: Sendable {
    let nodes: [String: FixedSource]

    init(_ names: [String] = ["a", "b", "c"]) {
        var nodes: [String: FixedSource] = [:]
        let replicas = names.map { FixedSource.replica($0) }
        for name in names { nodes[name] = FixedSource(name) }
        for (index, name) in names.enumerated() {
            nodes[name]?.state.withLock { state in
                state.facts.replicas = 3
                state.peers = nodes.filter { $0.key != name }
                state.status.peers = replicas.filter { $0.node != name }.map { FixedSource.peer($0) }
                state.status.journals = replicas.enumerated().map { number, owner in
                    FixedSource.journal(UInt64(number), number == index ? .owner : .replica, owner: owner, on: replicas)
                }
                state.status.replicas = 3
                state.status.queue.messages = 1
            }
        }
        self.nodes = nodes
    }

    subscript(_ name: String) -> FixedSource { nodes[name] ?? FixedSource(name) }

    func api(_ name: String) -> AdminAPI { AdminAPI(self[name], scope: .local) }

    /// As if its process had been killed so long ago; its journal was claimed by a.
    func kill(_ name: String, silentFor: Duration = .seconds(8)) {
        let replicas = nodes.keys.sorted().map { FixedSource.replica($0) }
        let live = nodes.keys.filter { $0 != name }
        for (other, source) in nodes where other != name {
            source.state.withLock { state in
                state.peers[name] = nil
                for index in state.status.peers.indices where state.status.peers[index].replica.node == name {
                    state.status.peers[index] = FixedSource.peer(
                        FixedSource.replica(name), silentFor: silentFor, isProvedDead: true)
                }
                state.status.journals = replicas.enumerated().map { number, owner in
                    let heir = owner.node == name ? FixedSource.replica("a") : owner
                    return FixedSource.journal(
                        UInt64(number), heir.node == other ? .owner : .replica, owner: heir, on: replicas, live: live,
                        behind: [name: 41 << 20])
                }
            }
        }
    }
}
