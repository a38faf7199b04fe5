import Primitives
import Testing

@testable import Routing

@Suite("Pace after 'too fast'")
struct LimitsPaceTests {
    /// The upstream says 'too fast' whenever it got more than so many in the last second.
    private static func simulation(_ most: Int, seed: UInt64) -> LimitsSimulation {
        var simulation = LimitsSimulation(
            nodes: 3, upstreams: [LimitsClusterTests.upstream(rates: ["200/s"])], seed: seed)
        simulation.isTooFast = { sent, now in
            var count = 0
            for one in sent.reversed() {
                guard now - one.at < .seconds(1) else { break }
                count += 1
            }
            return count > most
        }
        simulation.startAll()
        for name in simulation.names { simulation.endless[name] = [0] }
        return simulation
    }

    @Test("the whole cluster slows to what the upstream takes, and keeps near it", arguments: [1, 2, 3] as [UInt64])
    func converges(seed: UInt64) {
        var simulation = Self.simulation(60, seed: seed)
        simulation.run(.seconds(60))
        let late = simulation.count(from: .seconds(20), to: .seconds(60))
        #expect(late >= 40 * 25, "\(late)")
        #expect(late <= 40 * 66, "\(late)")
    }

    @Test("halved at once on every node, and back within two minutes")
    func recovers() {
        var simulation = Self.simulation(.max, seed: 4)
        simulation.run(.seconds(20))
        simulation.withLimits(of: "b") { limits, now in
            limits.rateLimited(upstream: 0, provider: nil, at: now.instant)
            // Several in one moment are one.
            limits.rateLimited(upstream: 0, provider: nil, at: now.instant + .milliseconds(100))
        }
        let slowed = simulation.time
        simulation.run(.seconds(120))
        let first = simulation.count(from: slowed + .seconds(1), to: slowed + .seconds(6))
        #expect(first >= 400 && first <= 700, "\(first) in 5 s")
        let last = simulation.count(from: slowed + .seconds(100), to: slowed + .seconds(120))
        #expect(last >= 3600, "\(last) in 20 s")
    }

    @Test("a pair's pace leaves other providers alone, and never falls below one in five seconds")
    func pair() {
        var limits = Limits(upstreams: [LimitsClusterTests.upstream()], me: "a")
        let google = ProviderID(number: 1)
        let start = Instant(nanoseconds: 1_000_000_000_000)
        for second in 0..<60 {
            let now = start + .seconds(Int64(second) * 2)
            _ = limits.take(upstream: 0, provider: google, recipients: 1, at: now)
            limits.rateLimited(upstream: 0, provider: google, at: now)
        }
        let now = start + .seconds(200)
        #expect(limits.take(upstream: 0, provider: google, recipients: 1, at: now) == .granted)
        guard case .wait(let until) = limits.take(upstream: 0, provider: google, recipients: 1, at: now) else {
            Issue.record("not slowed")
            return
        }
        #expect(until - now <= .seconds(11))
        for _ in 0..<1000 {
            #expect(limits.take(upstream: 0, provider: .other, recipients: 1, at: now) == .granted)
        }
    }
}
