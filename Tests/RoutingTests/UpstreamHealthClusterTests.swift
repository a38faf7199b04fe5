import Primitives
import Routing
import SMTP
import Testing

/// Nodes that see one upstream, each on its own, and tell each other by a gossip that is late and lossy.
private struct HealthCluster {
    var now = Instant(nanoseconds: 3_000_000_000_000)
    let names: [String]
    var nodes: [UpstreamHealth]
    /// Whether the upstream answers, and who can't reach it.
    var isUp = true
    var cutOff: Set<Int> = []
    var dead: Set<Int> = []
    /// How often each node has mail for it.
    var interval = Duration.milliseconds(200)
    var probes: [Instant] = []
    /// When each node's mail was answered last.
    var answered: [Instant?]
    private var nextMail: [Instant]
    private var gossip: [(arrives: Instant, from: Int, to: Int, version: Int, value: [UInt8])] = []
    private var published: [(version: Int, value: [UInt8])?]
    private var heard: [[Int]]
    private var random: SeededRandom
    private var ticks = 0

    init(_ count: Int, seed: UInt64) {
        names = (0..<count).map { "node-\($0)" }
        nodes = names.map { UpstreamHealth(maximumConnections: 20, me: $0) }
        answered = names.map { _ in nil }
        random = SeededRandom(seed: seed)
        published = names.map { _ in nil }
        heard = names.map { _ in Array(repeating: 0, count: count) }
        nextMail = []
        for _ in names { nextMail.append(now + .milliseconds(Int64(random.next() % 1000))) }
        for node in nodes.indices { nodes[node].nodes(alive: names) }
    }

    mutating func run(_ duration: Duration) {
        let end = now + duration
        while now < end {
            now = now + .milliseconds(10)
            ticks += 1
            for message in gossip where message.arrives <= now && message.version > heard[message.to][message.from] {
                heard[message.to][message.from] = message.version
                nodes[message.to].absorb(from: names[message.from], value: message.value, at: now)
            }
            gossip.removeAll { [now] in $0.arrives <= now }
            for node in nodes.indices where !dead.contains(node) { act(node) }
            if ticks.isMultiple(of: 25) { pulse() }
        }
    }

    private mutating func act(_ node: Int) {
        let reached = isUp && !cutOff.contains(node)
        if case .down(_, let probe) = nodes[node].condition {
            guard probe <= now else { return }
            nodes[node].beganProbe(at: now)
            probes.append(now)
            if reached {
                _ = nodes[node].connected(at: now)
            } else {
                _ = nodes[node].failed("connection refused", stage: .connect, spread: 0.5, at: now)
            }
        } else if nextMail[node] <= now {
            nextMail[node] = now + interval * (0.5 + random.fraction())
            if reached {
                _ = nodes[node].answered(at: now)
                answered[node] = now
            } else {
                _ = nodes[node].failed("connection refused", stage: .connect, spread: 0.5, at: now)
            }
        }
    }

    private mutating func pulse() {
        for node in nodes.indices where !dead.contains(node) {
            if let value = nodes[node].publish(at: now) { published[node] = (ticks, value) }
        }
        for from in nodes.indices where !dead.contains(from) {
            for to in nodes.indices where to != from && !random.chance(0.1) {
                guard let record = published[from] else { continue }
                let arrives = now + .milliseconds(Int64(random.next() % 250))
                gossip.append((arrives, from, to, record.version, record.value))
            }
        }
    }

    /// The most probes within any second since then.
    func mostProbesInASecond(since: Instant) -> Int {
        let all = probes.filter { $0 > since }
        return all.map { first in all.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
    }

    var isDownEverywhere: Bool { nodes.allSatisfy { $0.condition != .up } }
}

@Suite("Health of an upstream, by simulated clusters")
struct UpstreamHealthClusterTests {
    private static let sizes = [1, 3, 10]

    @Test("a dead upstream gets one probe a second from the whole cluster, and traffic within 5 s", arguments: sizes)
    func death(count: Int) {
        for seed in 1...3 as ClosedRange<UInt64> {
            var cluster = HealthCluster(count, seed: seed)
            cluster.run(.seconds(20))
            cluster.isUp = false
            let died = cluster.now
            cluster.run(.minutes(3))
            #expect(cluster.isDownEverywhere)
            #expect(cluster.mostProbesInASecond(since: died + .seconds(3)) <= 1)
            #expect(cluster.mostProbesInASecond(since: died) <= 2, "not yet known to be others' too")
            let perMinute = cluster.probes.count { $0 > cluster.now + .minutes(-1) }
            #expect(perMinute >= 24, "but it is probed: \(perMinute)")
            cluster.isUp = true
            let returned = cluster.now
            cluster.run(.seconds(5))
            for node in 0..<count { #expect((cluster.answered[node] ?? died) > returned, "node \(node)") }
        }
    }

    @Test("a node of the ring that died costs a turn, no more")
    func deathOfOne() {
        var cluster = HealthCluster(3, seed: 4)
        cluster.run(.seconds(20))
        cluster.isUp = false
        cluster.run(.minutes(2))
        cluster.dead = [1]
        cluster.run(.seconds(5))
        cluster.isUp = true
        let returned = cluster.now
        cluster.run(.seconds(5))
        for node in [0, 2] { #expect((cluster.answered[node] ?? cluster.now) > returned) }
        #expect(cluster.answered.compactMap { $0 }.allSatisfy { $0 > returned + .minutes(-4) })
    }

    @Test("what one node alone can't reach is its own fault, and closes no other's circuit")
    func ownFault() {
        var cluster = HealthCluster(3, seed: 5)
        cluster.run(.seconds(20))
        cluster.cutOff = [2]
        cluster.run(.seconds(10))
        #expect(cluster.nodes[2].isOwnFault(at: cluster.now))
        #expect(cluster.nodes[2].problem(at: cluster.now) == .unreachableHere(working: ["node-0", "node-1"]))
        #expect(cluster.nodes[0].isUsable && cluster.nodes[1].isUsable)
        #expect(cluster.nodes[0].problem(at: cluster.now) == nil && !cluster.nodes[0].isOwnFault(at: cluster.now))
        #expect(cluster.nodes[0].peers().filter(\.isDown).map(\.node) == ["node-2"])
        cluster.run(.minutes(2))
        #expect(cluster.nodes[2].isOwnFault(at: cluster.now), "as long as it lasts")
        #expect(cluster.mostProbesInASecond(since: cluster.now + .minutes(-2)) <= 1)
        cluster.cutOff = []
        let returned = cluster.now
        cluster.run(.seconds(3))
        #expect(cluster.nodes[2].isUsable && (cluster.answered[2] ?? returned) > returned)
    }

    @Test("an upstream that is dead for all is nobody's own fault")
    func everyonesFault() {
        var cluster = HealthCluster(3, seed: 6)
        cluster.run(.seconds(20))
        cluster.isUp = false
        for _ in 0..<60 {
            cluster.run(.seconds(1))
            for node in cluster.nodes { #expect(!node.isOwnFault(at: cluster.now)) }
        }
        #expect(cluster.nodes[0].problem(at: cluster.now) == .unreachable)
    }

    @Test("garbage from a peer is passed over")
    func garbage() {
        let now = Instant(nanoseconds: 3_000_000_000_000)
        var source = UpstreamHealth(maximumConnections: 20, me: "b")
        _ = source.failed("no route to host", stage: .connect, spread: 0, at: now)
        guard let value = source.publish(at: now) else {
            Issue.record("nothing to tell")
            return
        }
        var random = SeededRandom(seed: 11)
        for round in 0..<20_000 {
            var health = UpstreamHealth(maximumConnections: 20, me: "a")
            _ = health.failed("no", spread: 0, at: now)
            var bytes =
                round.isMultiple(of: 2)
                ? value : (0..<Int(random.next() % 40)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if !bytes.isEmpty {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(0.3) { bytes.removeLast(Int(random.next() % UInt64(bytes.count + 1))) }
            health.absorb(from: "b", value: bytes, at: now)
            #expect(health.condition != .up)
        }
        var health = UpstreamHealth(maximumConnections: 20, me: "a")
        health.absorb(from: "b", value: value, at: now)
        #expect(health.peers().map(\.reason) == ["no route to host"])
    }
}
