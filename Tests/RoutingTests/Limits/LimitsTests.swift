import Primitives
import Testing

@testable import Routing

@Suite("Limits of one node")
struct LimitsTests {
    private static let start = Instant(nanoseconds: 5_000_000_000_000)
    private static let google = ProviderID(number: 7)

    private static func now(_ after: Duration = .zero) -> Now {
        Now(instant: start + after, wall: LimitsSimulation.noon + after)
    }

    /// Every bucket is full: used once, a minute ago.
    private static func warm(_ limits: inout Limits, _ providers: ProviderID...) {
        for provider in [.other] + providers {
            _ = limits.take(upstream: 0, provider: provider, recipients: 1, at: start + .seconds(-60))
        }
    }

    /// How many of one recipient go at once.
    private static func burst(
        _ limits: inout Limits, _ provider: ProviderID = .other, recipients: Int = 1, at now: Instant = start
    ) -> Int {
        var count = 0
        while count < 10_000, limits.take(upstream: 0, provider: provider, recipients: recipients, at: now) == .granted
        {
            count += 1
        }
        return count
    }

    @Test("without a limit everything goes, and there is all headroom")
    func unlimited() {
        var limits = Limits(upstreams: [LimitsClusterTests.upstream()], me: "a")
        #expect(Self.burst(&limits) == 10_000)
        #expect(limits.headroom(upstream: 0, provider: .other, at: Self.start) == 1)
        #expect(limits.connections(upstream: 0, at: Self.start) == 20)
        #expect(limits.used(upstream: 0, at: Self.start).map(\.name) == ["connections"])
        #expect(limits.publish(at: Self.now()).isEmpty)
    }

    @Test("a single node has the whole limit at once; recipients or messages count as the rate says")
    func counted() {
        var recipients = Limits(upstreams: [LimitsClusterTests.upstream(rates: ["40/s"])], me: "a")
        Self.warm(&recipients)
        #expect(Self.burst(&recipients, recipients: 10) == 1)
        var messages = Limits(upstreams: [LimitsClusterTests.upstream(rates: ["40 messages/s"])], me: "a")
        Self.warm(&messages)
        #expect(Self.burst(&messages, recipients: 10) == 10)
        // The answer says when: then it goes.
        guard case .wait(let until) = messages.take(upstream: 0, provider: .other, recipients: 1, at: Self.start) else {
            Issue.record("granted above the limit")
            return
        }
        #expect(until > Self.start && until <= Self.start + .milliseconds(40))
        #expect(messages.take(upstream: 0, provider: .other, recipients: 1, at: until) == .granted)
    }

    @Test("what was given back can be taken again")
    func giveBack() {
        var limits = Limits(upstreams: [LimitsClusterTests.upstream(rates: ["40/s"])], me: "a")
        Self.warm(&limits)
        let all = Self.burst(&limits)
        limits.giveBack(upstream: 0, provider: .other, recipients: 1, at: Self.start)
        #expect(all > 0)
        #expect(Self.burst(&limits) == 1)
    }

    @Test("all limits or none: what the pair refuses is not taken from the upstream")
    func allOrNothing() {
        var upstream = LimitsClusterTests.upstream(rates: ["400/s"])
        upstream.perProvider = ["google": ProviderLimits(rates: [Rate(text: "4/s")].compactMap { $0 })]
        var limits = Limits(upstreams: [upstream], me: "a", providers: ["google": Self.google])
        Self.warm(&limits, Self.google)
        #expect(Self.burst(&limits, Self.google) == 1)
        for _ in 0..<1000 { _ = limits.take(upstream: 0, provider: Self.google, recipients: 1, at: Self.start) }
        #expect(Self.burst(&limits) == 99)
        #expect(limits.used(upstream: 0, at: Self.start).map(\.name).contains("recipients/s@google"))
    }

    @Test("`*` holds for each provider by itself, a name for itself")
    func eachProvider() {
        var upstream = LimitsClusterTests.upstream()
        upstream.perProvider = [
            "*": ProviderLimits(rates: [Rate(text: "4/s")].compactMap { $0 }),
            "google": ProviderLimits(rates: [Rate(text: "40/s")].compactMap { $0 }),
        ]
        var limits = Limits(upstreams: [upstream], me: "a", providers: ["google": Self.google])
        Self.warm(&limits, Self.google, ProviderID(number: 8), ProviderID(number: 9))
        #expect(Self.burst(&limits, Self.google) == 10)
        #expect(Self.burst(&limits, ProviderID(number: 8)) == 1)
        #expect(Self.burst(&limits, ProviderID(number: 9)) == 1)
        #expect(Self.burst(&limits, .other) == 1)
        // Numbers that no provider has share the long tail's.
        #expect(Self.burst(&limits, ProviderID(number: 60_000)) == 0)
    }

    @Test("a pair's connections are transactions under way")
    func transactions() {
        var upstream = LimitsClusterTests.upstream()
        upstream.perProvider = ["google": ProviderLimits(maximumConnections: 3)]
        var limits = Limits(upstreams: [upstream], me: "a", providers: ["google": Self.google])
        #expect(Self.burst(&limits, Self.google) == 3)
        #expect(limits.headroom(upstream: 0, provider: Self.google, at: Self.start) == 0)
        limits.finished(upstream: 0, provider: Self.google, at: Self.start)
        limits.giveBack(upstream: 0, provider: Self.google, recipients: 1, at: Self.start)
        #expect(Self.burst(&limits, Self.google) == 2)
    }

    @Test("connections of one account are shared between its upstreams, and none is left without")
    func accountConnections() {
        var upstreams = [
            LimitsClusterTests.upstream("one", connections: 4), LimitsClusterTests.upstream("two", connections: 4),
        ]
        for index in upstreams.indices { upstreams[index].account = "shared" }
        var limits = Limits(upstreams: upstreams, me: "a")
        #expect(limits.connections(upstream: 0, at: Self.start) == 4)
        limits.demand(upstream: 1, provider: .other, due: 1)
        _ = limits.publish(at: Self.now())
        #expect(limits.connections(upstream: 0, at: Self.start) == 3)
        limits.connectionsChanged(upstream: 0, open: 3, at: Self.start)
        #expect(limits.connections(upstream: 1, at: Self.start) == 1)
    }

    @Test("headroom falls with use")
    func headroom() {
        var limits = Limits(upstreams: [LimitsClusterTests.upstream(rates: ["100/s"])], me: "a")
        var time = Self.start
        for _ in 0..<1000 {
            _ = limits.take(upstream: 0, provider: .other, recipients: 1, at: time)
            time = time + .milliseconds(20)
        }
        let half = limits.headroom(upstream: 0, provider: .other, at: time)
        #expect(half > 0.4 && half < 0.6, "\(half)")
        let use = limits.used(upstream: 0, at: time).first { $0.name == "recipients/s" }
        #expect(use?.limit == 100)
        #expect(abs((use?.used ?? 0) - 50) < 5)
    }

    @Test("garbage from others changes nothing and stops nothing", arguments: 0..<6 as Range<UInt64>)
    func garbage(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var upstream = LimitsClusterTests.upstream(rates: ["100/s", "1000/d"])
        upstream.perProvider = [
            "*": ProviderLimits(rates: [Rate(text: "9/s")].compactMap { $0 }, maximumConnections: 2)
        ]
        var limits = Limits(upstreams: [upstream], me: "a", start: 1)
        var honest = Limits(upstreams: [upstream], me: "b", start: 2)
        for one in ["a", "b"] {
            if one == "a" { limits.nodes(alive: ["a", "b"], known: 3, at: Self.start) }
            honest.nodes(alive: ["a", "b"], known: 3, at: Self.start)
        }
        for round in 0..<400 {
            let now = Self.now(.milliseconds(Int64(round) * 50))
            honest.demand(upstream: 0, provider: ProviderID(number: UInt16(round % 9)), due: round)
            var records = honest.publish(at: now)
            for record in limits.publish(at: now) {
                honest.absorb(from: "a", key: record.key, value: record.value, at: now)
            }
            records.append(("limits/pace", [1, 3, 0x73, 0x65, 0x73, 0, 0xff, 0xff, 0xff, 0xff, 0x7f, 1]))
            for var record in records {
                for _ in 0..<3 where !record.value.isEmpty {
                    let place = Int(random.next() % UInt64(record.value.count))
                    record.value[place] = UInt8(truncatingIfNeeded: random.next())
                }
                if random.chance(0.2) { record.value.removeLast(Int(random.next() % UInt64(record.value.count + 1))) }
                let from = random.chance(0.5) ? "b" : "x\(random.next() % 100)"
                limits.absorb(from: from, key: record.key, value: record.value, at: now)
                limits.recordChanged(key: "count/ses recipients-d/20788/\(from)", value: record.value, at: now)
                limits.recordChanged(
                    key: "count/\(random.next())/\(Int64(bitPattern: random.next()))/q", value: record.value, at: now)
                limits.recordChanged(key: "warmup/ses", value: record.value, at: now)
            }
            _ = limits.take(
                upstream: 0, provider: ProviderID(number: UInt16(truncatingIfNeeded: random.next())), recipients: 1,
                at: now.instant)
            _ = limits.recordsToWrite(at: now)
            _ = limits.used(upstream: 0, at: now.instant)
        }
        // Alone again it has everything.
        limits.nodes(alive: ["a"], known: 1, at: Self.start + .seconds(30))
        #expect(limits.connections(upstream: 0, at: Self.start + .seconds(30)) == 20)
    }

    @Test("records stay small enough for gossip with every pair of many upstreams in use")
    func bounds() {
        let upstreams = (0..<30).map { index in
            var upstream = LimitsClusterTests.upstream("upstream-\(index)", rates: ["100/s"])
            upstream.perProvider = ["*": ProviderLimits(rates: [Rate(text: "9/s")].compactMap { $0 })]
            return upstream
        }
        var limits = Limits(upstreams: upstreams, me: "a", start: 1)
        var other = Limits(upstreams: upstreams, me: "b", start: 2)
        for round in 0..<40 {
            let now = Self.now(.milliseconds(Int64(round) * 250))
            limits.nodes(alive: ["a", "b"], known: 3, at: now.instant)
            other.nodes(alive: ["a", "b"], known: 3, at: now.instant)
            for upstream in 0..<30 {
                for provider in 0..<UInt16(50) {
                    limits.demand(upstream: upstream, provider: ProviderID(number: provider), due: 5)
                }
            }
            for record in other.publish(at: now) {
                limits.absorb(from: "b", key: record.key, value: record.value, at: now)
            }
            for record in limits.publish(at: now) {
                #expect(record.value.count <= 24 << 10, "\(record.key): \(record.value.count)")
                other.absorb(from: "a", key: record.key, value: record.value, at: now)
            }
        }
        #expect(limits.lender != nil)
        #expect(other.standing == .following)
    }
}

@Suite("Apportionment")
struct ApportionmentTests {
    @Test("parts are in proportion and never exceed the whole", arguments: 0..<50 as Range<UInt64>)
    func proportional(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let whole = Int(random.next() % 2000)
        let weights = (0..<Int(1 + random.next() % 8)).map { _ in random.chance(0.3) ? 0 : random.fraction() * 100 }
        let parts = Apportionment.proportional(whole, weights)
        let sum = weights.reduce(0, +)
        #expect(parts.reduce(0, +) == (sum > 0 ? whole : 0))
        for (part, weight) in zip(parts, weights) where sum > 0 {
            #expect(abs(Double(part) - Double(whole) * weight / sum) <= 1)
        }
        let divided = Apportionment.divided(whole, wants: weights)
        #expect(divided.reduce(0, +) <= whole)
        #expect(divided.allSatisfy { $0 >= 0 })
    }

    @Test("who wants little has a tenth of an equal part, who wants nothing a hundredth at most")
    func floors() {
        #expect(Apportionment.divided(1_000_000, wants: [1_000_000, 1, 0]) == [956_666, 33_334, 10_000])
        #expect(Apportionment.divided(900, wants: [0, 0, 0]) == [300, 300, 300])
    }

    @Test("connections: one each before more, as many as can be used, and the rest in equal parts")
    func connections() {
        #expect(Apportionment.connections(3, wants: [9, 9, 9, 9, 9], order: [4, 2, 0, 1, 3]) == [1, 0, 1, 0, 1])
        #expect(Apportionment.connections(20, wants: [100, 1, 0], order: [0, 1]) == [19, 1, 0])
        #expect(Apportionment.connections(20, wants: [2, 0], order: [0]) == [11, 9])
        #expect(Apportionment.connections(0, wants: [2, 1], order: [0, 1]) == [0, 0])
        #expect(Apportionment.connections(6, wants: [10, 10, 10], order: [0, 1, 2]) == [2, 2, 2])
    }

    @Test("turns are short enough that nobody waits five seconds, half a second a hand-over")
    func turns() {
        for (total, wanting) in [(1, 2), (1, 3), (2, 3), (3, 5), (1, 5), (4, 5)] {
            let turn = Lender.turn(of: total, among: wanting)
            let rounds = (wanting + total - 1) / total
            let wait = turn * (rounds - 1) + .milliseconds(500) * rounds
            #expect(wait <= .seconds(5), "\(total) among \(wanting): \(wait.short)")
        }
    }
}
