import Cluster
import Foundation
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

/// One node's connections, with everything that they told. Confined to its loop.
final class TestPeers {
    static let secret = Array("the secret of the tests' cluster".utf8)

    let peers: Peers
    let id: ReplicaID
    private(set) var happened: [String] = []
    private(set) var received: [Message] = []
    private(set) var lines: [String] = []
    var live: [ReplicaID] = []

    init(
        _ name: String, disk: UInt64 = 1, on loop: Loop, cluster: String = "c", secrets: [[UInt8]] = [secret],
        seeds: [TestPeers] = [], incarnation: UInt64 = 10, previous: UInt64 = 0,
        _ change: (inout Peers.Settings) -> Void = { _ in }
    ) throws {
        id = ReplicaID(node: name, disk: DiskID(ULID(high: disk, low: UInt64(name.utf8.first ?? 0))))
        var settings = Peers.Settings(
            cluster: cluster, me: id, incarnation: incarnation, previousIncarnation: previous, listen: loopback,
            seeds: seeds.compactMap { HostPort(text: $0.address) }, lease: .seconds(30))
        change(&settings)
        let relay = Forward()
        peers = Peers(
            loop: loop, settings: settings, secrets: try ClusterSecrets(secrets, cluster: cluster),
            resolver: try Resolver(on: loop), seed: 1,
            report: { event, _, fields in
                relay.to?.lines.append("\(event) " + fields.map { "\($0.key)=\($0.value)" }.joined(separator: " "))
            },
            feed: { relay.to?.note($0) }, live: { relay.to?.live ?? [] }, address: { _ in nil })
        relay.to = self
        try peers.start()
    }

    private final class Forward { weak var to: TestPeers? }

    private func note(_ event: ClusterEvent) {
        switch event {
        case .greeted(let peer, let incarnation): happened.append("greeted \(peer) \(incarnation)")
        case .disconnected(let peer, let end): happened.append("disconnected \(peer) \(end)")
        case .knocked(let peer, let result): happened.append("knocked \(peer) \(result)")
        case .received(let message, _, _): received.append(message)
        default: Issue.record("the transport makes no \(event)")
        }
    }

    var address: String { peers.advertised }
    var target: SocketAddress { peers.boundAddress ?? loopback }
    func status(of other: TestPeers) -> PeerStatus? { peers.status.first { $0.id == other.id } }

    func meets(_ other: TestPeers) -> Bool {
        let status = status(of: other)
        return status?.isReached == true && status?.isHeard == true
    }

    /// The lines that are worth a person's attention.
    var complaints: [String] { lines.filter { !$0.hasPrefix("peer-connected") } }
}

extension TestPeers {
    func forgetLines() { lines = [] }
    func forgetEvents() { happened = [] }
}

/// A peer made by hand, which may say anything.
final class RawPeer {
    let connection: Connection
    private(set) var reader = WireReader()

    /// Connects, and shakes hands by the secret.
    init(_ target: TestPeers, on loop: Loop, cluster: String = "c") async throws {
        connection = try await Connection.connect(to: target.target, on: loop, deadline: soon())
        try await connection.startTLS(
            preshared: ClusterSecrets([TestPeers.secret], cluster: cluster).tls, as: .client, deadline: soon())
    }

    static func hello(to target: TestPeers, _ change: (inout Hello) -> Void = { _ in }) -> Hello {
        var hello = Hello(
            cluster: "c", from: ReplicaID(node: "raw", disk: DiskID(ULID(high: 7, low: 7))), toNode: target.id.node,
            toDisk: target.id.disk, incarnation: 5, previousIncarnation: 0, address: "127.0.0.1:1", protocols: 1...1,
            formats: 1...1, wall: Clock.wall())
        change(&hello)
        return hello
    }

    func greet(_ target: TestPeers, _ change: (inout Hello) -> Void = { _ in }) async throws -> Hello {
        connection.write(Wire.encode(Self.hello(to: target, change)))
        guard case .hello(let answer)? = try await next() else { throw TestFailure("no greeting") }
        return answer
    }

    /// Nil at the end.
    func next() async throws -> WireReader.Item? {
        while true {
            if let item = try reader.next() { return item }
            // A reset is an end like any other.
            guard let more = try? await connection.readMore(deadline: soon()), more else { return nil }
            connection.input.withUnreadBytes { reader.push($0) }
            connection.input.consumeAll()
        }
    }

    func untilEnd() async throws { while try await next() != nil {} }
}

let everyMessage: [Message] = {
    let a = ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2)))
    let journal = JournalID(ULID(high: 5, low: .max))
    let item = JournalEpoch(journal, 7)
    let digest = GossipDigest(node: a, incarnation: 9, version: 10)
    let offer = ClaimAnswers.Offer(journal: journal, epoch: 3, lastEpoch: 2, end: 1 << 40, isWhole: false)
    let request = ClaimRequest(
        sentAt: Instant(nanoseconds: 5), items: [.init(journal: journal, epoch: 4, lease: .seconds(2))])
    return [
        .pulse(Pulse(sentAt: Instant(nanoseconds: 1), digest: [digest], renewals: [item])),
        .pulseReply(
            PulseReply(
                sentAt: Instant(nanoseconds: 2), digest: [digest], deltas: [], renewed: [item],
                lost: [.init(journal: journal, epoch: 1, promised: 2)])),
        append(200),
        .durable(Durable(journal: journal, epoch: .max, end: .max)),
        .mismatch(Mismatch(journal: journal, epoch: 1, end: 2, hint: 3, hintEpoch: 4)),
        .fenced(Fenced(journal: journal, epoch: 1, promised: 2)),
        .buried(journal), .probe(request), .claim(request),
        .claimAnswers(ClaimAnswers(sentAt: Instant(nanoseconds: 3), items: [.would(offer), .buried(journal)])),
        .fetch(Fetch(journal: journal, epoch: 1, previousOffset: 2, previousEpoch: 3)),
        .fetched(
            Fetched(journal: journal, epoch: 1, offset: 2, lastEpoch: 3, end: 4, isWhole: true, bytes: [5, 6, 7])),
        .release([item, item]), .bury(journal, [a]),
        .lateOutcome(LateOutcome(journal: journal, epoch: 1, message: MessageID(.zero), recipient: 2, outcome: [3])),
        .ask(Ask(id: ULID(high: 1, low: 1), patience: .seconds(5), what: [1])),
        .answer(Answer(id: ULID(high: 1, low: 1), part: 2, hasMore: true, what: [])),
        .notHere,
    ]
}()

func append(_ count: Int) -> Message {
    .append(
        Append(
            journal: JournalID(ULID(high: 5, low: 5)), epoch: 7, lease: .milliseconds(500), previousOffset: 10,
            previousEpoch: 6, committed: 9, ownerEnd: 200, bytes: [UInt8](repeating: 0x61, count: count)))
}

let pulse = everyMessage[0]
