import Primitives
import SMTP
import Testing

@testable import Routing

@Suite("Whose turn it is")
struct TurnsTests {
    private let now = Instant(nanoseconds: 1_000_000_000)
    private var random = SeededRandom(seed: 7)

    private func router(_ weights: [Double], _ change: (inout RoutingSettings) -> Void = { _ in }) -> Router {
        let upstreams = weights.enumerated().map { index, weight in
            var upstream = Upstream(name: "u\(index)", addresses: [])
            upstream.weight = weight
            return upstream
        }
        var settings = RoutingSettings()
        change(&settings)
        return Router(
            upstreams: upstreams, routes: [Route(upstreams: upstreams.map(\.name))], bounceUpstreams: [],
            settings: settings)
    }

    private mutating func choose(
        _ router: inout Router, provider: UInt16 = 0, idle: Router.Mask = 0, at time: Duration = .zero
    ) -> Int {
        let choice = router.choose(
            route: 0, provider: ProviderID(number: provider), excluding: 0, isNullSender: false, idle: idle,
            random: &random, at: now + time)
        guard case .upstream(let index) = choice else { return -1 }
        return index
    }

    @Test("each provider has its own turns, exact for each, however they are mixed")
    mutating func perProvider() {
        var router = router([70, 30])
        var counts: [UInt16: [Int]] = [1: [0, 0], 2: [0, 0]]
        for step in 0..<3000 {
            let provider: UInt16 = step.isMultiple(of: 3) ? 1 : 2
            let chosen = choose(&router, provider: provider)
            counts[provider]?[chosen] += 1
        }
        #expect(abs((counts[1]?[0] ?? 0) - 700) <= 1)
        #expect(abs((counts[2]?[0] ?? 0) - 1400) <= 1)
    }

    @Test("many providers with one message each share by weight too")
    mutating func longTail() {
        var router = router([70, 20, 10])
        var counts = [0, 0, 0]
        for provider in 1...500 { counts[choose(&router, provider: UInt16(provider))] += 1 }
        #expect((315...385).contains(counts[0]))
        #expect((70...130).contains(counts[1]))
        #expect((25...75).contains(counts[2]))
    }

    @Test("one with an idle connection is preferred, and never more than two messages ahead of its share")
    mutating func sticky() {
        var router = router([1, 1, 1, 1])
        var counts = [0, 0, 0, 0]
        var last = 0
        var reused = 0
        for step in 1...400 {
            let chosen = choose(&router, idle: 1 << Router.Mask(last))
            if chosen == last { reused += 1 }
            last = chosen
            counts[chosen] += 1
            #expect(counts.allSatisfy { abs(Double($0) - Double(step) / 4) <= 3.01 })
        }
        #expect(reused > 100, "without it, none would be")
    }

    @Test("pairs are forgotten beyond a bound, the longest unused first")
    mutating func bounded() {
        var turns = Turns(upstreamCount: 2)
        let candidates = [0, 1].map { Turns.Candidate(upstream: $0, share: 0.5) }
        var most = 0
        for step in 0..<20_000 {
            _ = turns.take(
                route: step % 3, provider: ProviderID(number: UInt16(step)), among: candidates, idle: 0,
                random: &random,
                at: now + .milliseconds(Int64(step)))
            most = max(most, turns.pairCount)
        }
        #expect(most == Turns.maximumPairs)
    }

    @Test("a million destinations leave the router's memory bounded")
    mutating func millionDestinations() {
        var router = router([70, 30])
        for number in 0..<1_000_000 {
            let provider = router.providers.provider(of: "host\(number).example")
            _ = router.choose(
                route: 0, provider: provider, excluding: 0, isNullSender: false, random: &random, at: now)
        }
        #expect(router.pairCount <= 512)
    }

    @Test("weight 0 gets no exploration")
    mutating func weightZero() {
        var router = router([0, 1]) { $0.exploration = 0.2 }
        for _ in 0..<1000 {
            let chosen = choose(&router)
            #expect(chosen == 1)
        }
    }
}
