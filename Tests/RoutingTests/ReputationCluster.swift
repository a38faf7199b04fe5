import Primitives
import Routing
import Testing

/// Three nodes that route to three upstreams by reputation alone and tell each other by a gossip that is late and lossy.
///
/// A message goes to the upstream whose turn it is by smooth weighted choice; a refused one goes on to the next. An upstream
/// may block a provider, in its replies or, where it answers 250 to all, in the feedback some seconds later.
struct ReputationCluster {
    enum Answers: Equatable {
        case inReplies
        /// 250 to all, and the refusals later; deliveries too, or not.
        case later(confirming: Bool)
    }

    struct Departure {
        var time: Instant
        var node: Int
        var provider: Int
        var upstream: Int
    }

    private struct Node {
        var isAlive = true
        var reputation: Reputation
        var credits: [[Double]]
        /// By provider, when the next message comes.
        var next: [Instant]
    }

    private struct Gossip {
        var arrives: Instant
        var from: Int
        var to: Int
        var key: String
        var version: Int
        var value: [UInt8]
    }

    static let providers = ["other", "google", "microsoft", "yahoo", "gmx", "t-online"]
    static let google = 1
    let upstreams = ["ses", "own", "third"]
    let names = ["a", "b", "c"]

    var now = Instant(nanoseconds: 5_000_000_000_000)
    var answers: [Answers] = [.inReplies, .inReplies, .inReplies]
    /// By upstream: the providers that refuse it.
    var blocked: [Set<Int>] = [[], [], []]
    /// Messages a second on each node, by provider.
    var rates: [Double]
    /// What is refused without a block.
    var noise = 0.002
    var loss = 0.2
    private(set) var departures: [Departure] = []
    private(set) var events: [(time: Instant, node: Int, event: ReputationEvent)] = []
    private var nodes: [Node] = []
    private var gossip: [Gossip] = []
    private var published: [[String: (version: Int, value: [UInt8])]]
    private var heard: [[[String: Int]]]
    private var results:
        [(time: Instant, node: Int, upstream: Int, provider: Int, evidence: Reputation.Evidence, isLate: Bool)] = []
    private var random: SeededRandom
    private var lastPulse: Instant
    private var versions = 0
    private(set) var publishedBytes = 0

    init(seed: UInt64, rates: [Double] = [1, 2, 1.5, 0.7, 0.5, 0.3]) {
        self.rates = rates
        random = SeededRandom(seed: seed)
        lastPulse = now
        published = names.map { _ in [:] }
        heard = names.map { _ in [[:], [:], [:]] }
        for node in names.indices { start(node) }
    }

    // MARK: Nodes

    mutating func kill(_ node: Int) {
        nodes[node].isAlive = false
        results.removeAll { $0.node == node }
        gossip.removeAll { $0.to == node }
    }

    /// A new process knows nothing, and its own records are gone.
    mutating func start(_ node: Int) {
        var fresh = Node(
            reputation: Reputation(upstreams: upstreams, me: names[node]),
            credits: rates.map { _ in upstreams.map { _ in 0 } }, next: rates.map { _ in now })
        for provider in rates.indices { fresh.next[provider] = now + .seconds(random.fraction() / rates[provider]) }
        if node < nodes.count { nodes[node] = fresh } else { nodes.append(fresh) }
        heard[node] = [[:], [:], [:]]
        published[node] = [:]
    }

    func reputation(_ node: Int) -> Reputation {
        precondition(nodes[node].isAlive)
        return nodes[node].reputation
    }

    mutating func change(_ node: Int, _ body: (inout Reputation) -> Void) {
        guard nodes[node].isAlive else { return }
        body(&nodes[node].reputation)
    }

    // MARK: Time

    mutating func run(_ duration: Duration) {
        let end = now + duration
        while now < end {
            now = now + .milliseconds(50)
            deliverGossip()
            deliverResults()
            for node in nodes.indices where nodes[node].isAlive { send(from: node) }
            if now - lastPulse >= .milliseconds(250) {
                lastPulse = now
                pulse()
            }
        }
    }

    private mutating func send(from node: Int) {
        for provider in rates.indices {
            while nodes[node].next[provider] <= now {
                let next = nodes[node].next[provider]
                nodes[node].next[provider] = next + .seconds((0.5 + random.fraction()) / rates[provider])
                send(from: node, to: provider)
            }
        }
    }

    private mutating func send(from node: Int, to provider: Int) {
        var tried: Set<Int> = []
        while tried.count < upstreams.count {
            let upstream = choose(node, provider, tried)
            if tried.isEmpty {
                departures.append(Departure(time: now, node: node, provider: provider, upstream: upstream))
            }
            tried.insert(upstream)
            let isRefused = blocked[upstream].contains(provider) || random.chance(noise)
            let soon = now + .milliseconds(Int64(50 + random.next() % 300))
            switch answers[upstream] {
            case .inReplies:
                results.append((soon, node, upstream, provider, isRefused ? .refused : .good, false))
                if !isRefused { return }
            case .later(let confirming):
                results.append((soon, node, upstream, provider, .good, false))
                // Whichever node the event reaches.
                let living = nodes.indices.filter { nodes[$0].isAlive }
                let to = living[Int(random.next() % UInt64(living.count))]
                let late = soon + .milliseconds(Int64(1000 + random.next() % 9000))
                if isRefused || confirming {
                    results.append((late, to, upstream, provider, isRefused ? .refused : .good, true))
                }
                return
            }
        }
    }

    private mutating func choose(_ node: Int, _ provider: Int, _ tried: Set<Int>) -> Int {
        let id = ProviderID(number: UInt16(provider))
        var best: Int?
        var total = 0.0
        for upstream in upstreams.indices where !tried.contains(upstream) {
            if tried.isEmpty, nodes[node].reputation.takeProbe(upstream: upstream, provider: id, at: now) {
                return upstream
            }
            let weight = nodes[node].reputation.factor(upstream: upstream, provider: id, at: now)
            if weight == 0 { continue }
            total += weight
            nodes[node].credits[provider][upstream] += weight
            if best.map({ nodes[node].credits[provider][upstream] > nodes[node].credits[provider][$0] }) ?? true {
                best = upstream
            }
        }
        guard let best else { return upstreams.indices.first { !tried.contains($0) } ?? 0 }
        nodes[node].credits[provider][best] -= total
        return best
    }

    private mutating func deliverResults() {
        let due = results.filter { $0.time <= now }
        results.removeAll { $0.time <= now }
        for result in due {
            change(result.node) {
                $0.record(
                    result.evidence, upstream: result.upstream,
                    provider: ProviderID(number: UInt16(result.provider)),
                    reply: result.evidence == .refused ? "421 4.7.28 unusual rate" : "", fromFeedback: result.isLate,
                    at: result.time)
            }
        }
    }

    // MARK: Gossip

    private mutating func pulse() {
        for node in nodes.indices where nodes[node].isAlive {
            for (key, value) in nodes[node].reputation.publish(
                at: now, name: { ReputationCluster.providers[Int($0.number)] })
            {
                versions += 1
                published[node][key] = (versions, value)
                publishedBytes += value.count
                #expect(value.count <= 8192)
            }
            for event in nodes[node].reputation.events() { events.append((now, node, event)) }
        }
        for from in nodes.indices where nodes[from].isAlive {
            for to in nodes.indices where to != from && nodes[to].isAlive && !random.chance(loss) {
                let arrives = now + .milliseconds(Int64(random.next() % 500))
                // Everything that the other has not acknowledged, of oneself and of those who may be dead.
                for origin in nodes.indices where origin != to {
                    guard origin == from || !nodes[origin].isAlive else { continue }
                    for (key, record) in published[origin].sorted(by: { $0.key < $1.key })
                    where record.version > heard[to][origin][key] ?? 0 {
                        gossip.append(
                            Gossip(
                                arrives: arrives, from: origin, to: to, key: key, version: record.version,
                                value: record.value))
                    }
                }
            }
        }
    }

    private mutating func deliverGossip() {
        let due = gossip.filter { $0.arrives <= now }
        gossip.removeAll { $0.arrives <= now }
        for message in due where message.version > heard[message.to][message.from][message.key] ?? 0 {
            heard[message.to][message.from][message.key] = message.version
            let from = names[message.from]
            change(message.to) {
                $0.absorb(from: from, key: message.key, value: message.value, at: message.arrives) {
                    name in
                    ReputationCluster.providers.firstIndex(of: name).map { ProviderID(number: UInt16($0)) }
                }
            }
        }
    }

    // MARK: Judging

    /// What part of a provider's mail left by an upstream, on one node or on all, since then.
    func share(of upstream: Int, at provider: Int, node: Int? = nil, since: Instant) -> Double {
        let all = departures.reversed().prefix { $0.time > since }.filter {
            $0.provider == provider && (node == nil || $0.node == node)
        }
        return all.isEmpty ? 0 : Double(all.count { $0.upstream == upstream }) / Double(all.count)
    }

    /// How many messages of the other providers left elsewhere than they would have with equal shares, as a part of all.
    func moved(besides provider: Int, since: Instant) -> Double {
        let all = departures.reversed().prefix { $0.time > since }.filter { $0.provider != provider }
        let even = Double(all.count) / Double(upstreams.count)
        let moved = upstreams.indices.reduce(0.0) { sum, upstream in
            sum + abs(Double(all.count { $0.upstream == upstream }) - even) / 2
        }
        return moved / Double(all.count)
    }
}
