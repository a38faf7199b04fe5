import Primitives
import Routing
import Testing

@Suite("Reputation, by simulated clusters")
struct ReputationClusterTests {
    private static let google = ReputationCluster.google
    private static let seeds: [UInt64] = [1, 2, 3]

    /// ≥ 95 % of its mail goes by the others on each node, others' mail stays.
    private func expectGone(_ cluster: ReputationCluster, since: Instant, nodes: [Int] = [0, 1, 2]) {
        for node in nodes {
            #expect(cluster.share(of: 0, at: Self.google, node: node, since: since) <= 0.05, "node \(node)")
        }
        #expect(cluster.moved(besides: Self.google, since: since) <= 0.01)
    }

    private func expectBack(_ cluster: ReputationCluster, since: Instant) {
        let share = cluster.share(of: 0, at: Self.google, since: since)
        #expect(share >= 0.8 / 3 && share <= 1.2 / 3, "\(share)")
    }

    @Test("a block moves that provider's mail within 60 s on all nodes, and its end brings it back", arguments: seeds)
    func block(seed: UInt64) {
        var cluster = ReputationCluster(seed: seed)
        cluster.run(.minutes(10))
        #expect(abs(cluster.share(of: 0, at: Self.google, since: cluster.now + .minutes(-5)) - 1 / 3.0) < 0.02)
        cluster.blocked[0] = [Self.google]
        cluster.run(.seconds(60))
        let judged = cluster.now
        cluster.run(.minutes(10))
        expectGone(cluster, since: judged)
        let probes = cluster.departures.filter {
            $0.time > judged && $0.provider == Self.google && $0.upstream == 0
        }
        #expect((8...11).contains(probes.count), "one message a minute for the whole cluster: \(probes.count)")
        #expect(Set(probes.map(\.node)).count == 3, "in turns")
        cluster.blocked[0] = []
        cluster.run(.minutes(10))
        let returned = cluster.now
        cluster.run(.minutes(5))
        expectBack(cluster, since: returned)
        for node in 0..<3 {
            let changes = cluster.events.filter { $0.node == node && $0.event.upstream == 0 }.map(\.event.change)
            #expect(changes.first == .blocked(reply: "421 4.7.28 unusual rate") && changes.last == .unblocked)
            #expect(changes.count { if case .blocked = $0 { true } else { false } } == 1, "\(changes)")
        }
    }

    @Test("a provider with a message each few seconds is noticed too, and comes back", arguments: [1, 2] as [UInt64])
    func quiet(seed: UInt64) {
        var cluster = ReputationCluster(seed: seed, rates: [0.2, 0.2, 0.2, 0.1, 0.1, 0.1])
        cluster.run(.minutes(30))
        cluster.blocked[0] = [Self.google]
        cluster.run(.minutes(2))
        let judged = cluster.now
        cluster.run(.minutes(20))
        expectGone(cluster, since: judged)
        cluster.blocked[0] = []
        cluster.run(.minutes(15))
        let returned = cluster.now
        cluster.run(.minutes(15))
        expectBack(cluster, since: returned)
    }

    @Test("a node that is killed and comes back in the middle goes by what its peers know", arguments: seeds)
    func killed(seed: UInt64) {
        var cluster = ReputationCluster(seed: seed)
        cluster.run(.minutes(5))
        cluster.blocked[0] = [Self.google]
        cluster.run(.seconds(20))
        cluster.kill(2)
        cluster.run(.seconds(40))
        let judged = cluster.now
        cluster.run(.minutes(2))
        expectGone(cluster, since: judged, nodes: [0, 1])
        cluster.start(2)
        cluster.run(.seconds(3))
        let restarted = cluster.now
        cluster.run(.minutes(5))
        expectGone(cluster, since: restarted)
        cluster.kill(0)
        cluster.blocked[0] = []
        cluster.run(.minutes(1))
        cluster.start(0)
        cluster.run(.minutes(9))
        let returned = cluster.now
        cluster.run(.minutes(5))
        expectBack(cluster, since: returned)
    }

    @Test("refusals that only feedback tells move the mail too", arguments: [1, 2] as [UInt64], [true, false])
    func feedback(seed: UInt64, confirming: Bool) {
        var cluster = ReputationCluster(seed: seed)
        cluster.answers[0] = .later(confirming: confirming)
        cluster.run(.minutes(10))
        cluster.blocked[0] = [Self.google]
        cluster.run(.seconds(65))
        let judged = cluster.now
        cluster.run(.minutes(10))
        expectGone(cluster, since: judged)
        #expect(cluster.reputation(1).hasFeedback(upstream: 0, at: cluster.now))
        #expect(!cluster.reputation(1).hasFeedback(upstream: 1, at: cluster.now))
        let trust = cluster.reputation(2).trust(
            upstream: 0, provider: ProviderID(number: UInt16(Self.google)), at: cluster.now)
        #expect(trust.state == .blocked && trust.trust == 0)
        #expect(trust.refusedInBlock > 10 && trust.refusedInBlockByFeedback == trust.refusedInBlock)
        cluster.blocked[0] = []
        cluster.run(.minutes(10))
        let returned = cluster.now
        cluster.run(.minutes(5))
        expectBack(cluster, since: returned)
    }

    @Test("the first feedback ever is a block's: hours of 250s do not mask it")
    func firstFeedback() {
        var cluster = ReputationCluster(seed: 9)
        cluster.noise = 0
        cluster.answers[0] = .later(confirming: false)
        cluster.run(.hours(1))
        #expect(!cluster.reputation(0).hasFeedback(upstream: 0, at: cluster.now))
        cluster.blocked[0] = [Self.google]
        cluster.run(.seconds(65))
        let judged = cluster.now
        cluster.run(.minutes(3))
        expectGone(cluster, since: judged)
    }

    @Test("providers that refuse a tenth of everything, from all alike, block nobody", arguments: [1, 2] as [UInt64])
    func noisy(seed: UInt64) {
        var cluster = ReputationCluster(seed: seed)
        cluster.noise = 0.1
        cluster.run(.minutes(40))
        #expect(cluster.events.count == 0)
        for provider in 0..<6 {
            #expect(abs(cluster.share(of: 0, at: provider, since: cluster.now + .minutes(-30)) - 1 / 3.0) < 0.04)
        }
    }

    @Test("a person's word ends a block on all nodes")
    func reset() {
        var cluster = ReputationCluster(seed: 4)
        cluster.run(.minutes(5))
        cluster.blocked[0] = [Self.google]
        cluster.run(.minutes(3))
        cluster.blocked[0] = []
        let now = cluster.now
        cluster.change(1) { $0.reset(upstream: 0, provider: ProviderID(number: UInt16(Self.google)), at: now) }
        cluster.run(.seconds(3))
        let judged = cluster.now
        cluster.run(.minutes(3))
        for node in 0..<3 {
            #expect(cluster.share(of: 0, at: Self.google, node: node, since: judged) > 0.3)
        }
    }

    @Test("gossip is a few hundred bytes a second, also during a block")
    func traffic() {
        var cluster = ReputationCluster(seed: 5)
        cluster.run(.minutes(5))
        cluster.blocked[0] = [Self.google]
        cluster.run(.minutes(5))
        #expect(cluster.publishedBytes < 600 * 3 * 300, "\(cluster.publishedBytes)")
    }
}
