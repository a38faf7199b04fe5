import Primitives
import Routing
import Testing

@Suite("Reputation")
struct ReputationTests {
    private let start = Instant(nanoseconds: 1_000_000_000_000)
    private let google = ProviderID(number: 7)
    private let other = ProviderID.other

    private func record(
        _ reputation: inout Reputation, _ evidence: Reputation.Evidence, _ count: Int = 1, upstream: Int = 0,
        feedback: Bool = false, at: Instant
    ) {
        for _ in 0..<count {
            reputation.record(
                evidence, upstream: upstream, provider: google, reply: evidence == .refused ? "554 listed" : "",
                fromFeedback: feedback, at: at)
        }
    }

    private func factor(_ reputation: Reputation, upstream: Int = 0, at: Instant) -> Double {
        reputation.factor(upstream: upstream, provider: google, at: at)
    }

    private func takeProbe(_ reputation: inout Reputation, at: Instant) -> Bool {
        reputation.takeProbe(upstream: 0, provider: google, at: at)
    }

    private func names(_ id: ProviderID) -> String { "p\(id.number)" }

    private func numbers(_ name: String) -> ProviderID? {
        name.hasPrefix("p") ? UInt16(name.dropFirst()).map { ProviderID(number: $0) } : nil
    }

    /// Everything that one has to tell reaches the other.
    private func tell(_ from: inout Reputation, _ name: String, _ to: inout Reputation, at: Instant) {
        for (key, value) in from.publish(at: at, name: names) {
            to.absorb(from: name, key: key, value: value, at: at, provider: numbers)
        }
    }

    // MARK: Posterior

    @Test("the factor is the posterior's mean to the power of γ, and 1 without evidence against it")
    func posterior() {
        var reputation = Reputation(upstreams: ["u0", "u1"])
        #expect(factor(reputation, at: start) == 1)
        record(&reputation, .good, 100, at: start)
        #expect(factor(reputation, at: start) == 1)
        record(&reputation, .refused, 20, at: start)
        #expect(abs(factor(reputation, at: start) - (120.0 / 140) * (120.0 / 140)) < 1e-9)
        #expect(factor(reputation, upstream: 1, at: start) == 1)
        #expect(reputation.factor(upstream: 0, provider: other, at: start) == 1)
        var settings = ReputationSettings()
        settings.exponent = 3
        var cubed = Reputation(upstreams: ["u0"], settings: settings)
        record(&cubed, .good, 100, at: start)
        record(&cubed, .refused, 20, at: start)
        #expect(abs(factor(cubed, at: start) - (120.0 / 140) * (120.0 / 140) * (120.0 / 140)) < 1e-9)
    }

    @Test("little evidence means little effect, and evidence halves each hour")
    func decay() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .refused, at: start)
        #expect(factor(reputation, at: start) > 0.9)
        record(&reputation, .good, 20, at: start)
        record(&reputation, .refused, 9, at: start)
        for (hours, good, refused) in [(0.0, 20.0, 10.0), (1, 10, 5), (3, 2.5, 1.25)] {
            let mean = (20 + good) / (20 + good + refused)
            #expect(abs(factor(reputation, at: start + .seconds(hours * 3600)) - mean * mean) < 1e-6, "\(hours) h")
        }
        #expect(factor(reputation, at: start + .days(3)) > 0.999999)
    }

    // MARK: Blocks

    @Test("refusals that outnumber the latest good ones block within the window, and only there")
    func block() {
        var reputation = Reputation(upstreams: ["u0", "u1"])
        var at = start
        for _ in 0..<600 {
            record(&reputation, .good, at: at)
            record(&reputation, .good, upstream: 1, at: at)
            at = at + .milliseconds(500)
        }
        var seconds = 0.0
        while factor(reputation, at: at) > 0, seconds < 120 {
            record(&reputation, .refused, at: at)
            at = at + .milliseconds(500)
            seconds += 0.5
        }
        #expect(seconds < 40, "\(seconds)")
        #expect(factor(reputation, upstream: 1, at: at) == 1)
        let trust = reputation.trust(upstream: 0, provider: google, at: at)
        #expect(trust.state == .blocked && trust.trust == 0 && trust.lastReply == "554 listed")
        #expect(trust.nextProbe.map { $0 > at + .seconds(55) && $0 <= at + .seconds(61) } == true)
        #expect(reputation.lowest(upstream: 0, at: at)?.provider == google)
        #expect(reputation.lowest(upstream: 0, at: at)?.trust == 0)
        let events = reputation.events()
        #expect(events == [ReputationEvent(upstream: 0, provider: google, change: .blocked(reply: "554 listed"))])
        let again = reputation.events()
        #expect(again.isEmpty)
    }

    @Test("a few refusals at the start of things block nobody; five without one good do")
    func few() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .refused, 4, at: start)
        #expect(factor(reputation, at: start) > 0)
        record(&reputation, .refused, at: start)
        #expect(factor(reputation, at: start) == 0)
    }

    @Test("a burst is noticed after some thirty refusals in a row, however many good ones were just before")
    func burst() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .good, 5000, at: start)
        record(&reputation, .refused, 29, at: start + .milliseconds(10))
        #expect(factor(reputation, at: start + .milliseconds(20)) > 0.9)
        record(&reputation, .refused, 3, at: start + .milliseconds(20))
        #expect(factor(reputation, at: start + .milliseconds(20)) == 0)
    }

    @Test("one probe a minute goes; two good ones bring it back by tenths, each after 20 good")
    func returning() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .refused, 50, at: start)
        _ = reputation.events()
        var at = start + .seconds(30)
        #expect(!takeProbe(&reputation, at: at))
        at = start + .seconds(61)
        #expect(takeProbe(&reputation, at: at))
        #expect(!takeProbe(&reputation, at: at))
        record(&reputation, .refused, at: at)
        #expect(!takeProbe(&reputation, at: at + .seconds(59)))
        at = at + .seconds(60)
        #expect(takeProbe(&reputation, at: at))
        record(&reputation, .good, at: at)
        #expect(factor(reputation, at: at) == 0)
        at = at + .seconds(5)
        #expect(takeProbe(&reputation, at: at), "sooner after a good one")
        record(&reputation, .good, at: at)
        #expect(abs(factor(reputation, at: at) - 0.1) < 1e-9, "what was before the return counts no more")
        for tenth in 2...9 {
            record(&reputation, .good, 19, at: at)
            #expect(abs(factor(reputation, at: at) - Double(tenth - 1) / 10) < 1e-9)
            record(&reputation, .good, at: at)
            #expect(abs(factor(reputation, at: at) - Double(tenth) / 10) < 1e-9)
        }
        record(&reputation, .good, 20, at: at)
        #expect(factor(reputation, at: at) == 1)
        #expect(reputation.trust(upstream: 0, provider: google, at: at).state == .open)
        let last = reputation.events().last?.change
        #expect(last == .unblocked)
        #expect(!takeProbe(&reputation, at: at + .hours(1)), "nothing to probe")
    }

    @Test("refusals while it returns block it again")
    func relapse() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .refused, 50, at: start)
        let at = start + .minutes(3)
        record(&reputation, .good, 2, at: at)
        #expect(factor(reputation, at: at) > 0)
        record(&reputation, .refused, 2, at: at)
        #expect(factor(reputation, at: at) > 0)
        record(&reputation, .refused, 5, at: at)
        #expect(factor(reputation, at: at) == 0)
        #expect(reputation.trust(upstream: 0, provider: google, at: at).since == at)
    }

    @Test("what was under way when the block began is no probe")
    func underWay() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .refused, 50, at: start)
        record(&reputation, .good, 10, at: start + .seconds(5))
        #expect(factor(reputation, at: start + .seconds(5)) == 0)
        #expect(reputation.trust(upstream: 0, provider: google, at: start + .seconds(5)).state == .blocked)
    }

    // MARK: Feedback

    @Test("250s of an upstream that tells later do not mask what it tells")
    func feedback() {
        for confirming in [false, true] {
            var reputation = Reputation(upstreams: ["u0"])
            var at = start
            for second in 0..<600 {
                record(&reputation, .good, at: at)
                if confirming, second > 10, second < 500 { record(&reputation, .good, feedback: true, at: at) }
                at = at + .seconds(1)
            }
            #expect(factor(reputation, at: at) == 1)
            #expect(reputation.hasFeedback(upstream: 0, at: at) == confirming)
            var seconds = 0
            while factor(reputation, at: at) > 0, seconds < 200 {
                record(&reputation, .good, at: at)
                record(&reputation, .refused, feedback: true, at: at)
                at = at + .seconds(1)
                seconds += 1
            }
            #expect(seconds <= 40, "confirming \(confirming): \(seconds)")
        }
    }

    @Test("of an upstream that tells bad news only, a minute of silence after a probe is good news")
    func silence() {
        var reputation = Reputation(upstreams: ["u0"])
        record(&reputation, .good, 100, at: start)
        record(&reputation, .refused, 50, feedback: true, at: start)
        #expect(factor(reputation, at: start) == 0)
        var at = start
        // While refusals follow the probes it stays.
        for _ in 0..<5 {
            at = at + .seconds(61)
            #expect(takeProbe(&reputation, at: at))
            record(&reputation, .good, at: at)
            record(&reputation, .refused, feedback: true, at: at + .seconds(30))
        }
        #expect(factor(reputation, at: at) == 0)
        var probes = 0
        while factor(reputation, at: at) == 0, probes < 10 {
            at = at + .seconds(1)
            if takeProbe(&reputation, at: at) {
                probes += 1
                record(&reputation, .good, at: at)
            }
        }
        #expect(probes == 3)
    }

    // MARK: Sharing

    @Test("every node goes by the sum of what all counted; a peer's evidence decays, and is replaced by its next word")
    func sum() {
        var a = Reputation(upstreams: ["u0", "u1"], me: "a")
        var b = Reputation(upstreams: ["u1", "u0"], me: "b")
        record(&b, .good, 30, upstream: 1, at: start)
        record(&b, .refused, 10, upstream: 1, at: start)
        record(&a, .good, 50, at: start)
        tell(&b, "b", &a, at: start)
        let expected = (20.0 + 80) / (20 + 80 + 10)
        #expect(abs(factor(a, at: start) - expected * expected) < 1e-6, "upstreams go by name")
        #expect(factor(a, upstream: 1, at: start) == 1)
        let later = start + .hours(1)
        let halved = (20.0 + 40) / (20 + 40 + 5)
        #expect(abs(factor(a, at: later) - halved * halved) < 1e-6)
        tell(&b, "b", &a, at: later)
        #expect(abs(factor(a, at: later) - halved * halved) < 1e-2, "the same, not twice")
        a.forget(node: "b")
        #expect(factor(a, at: later) == 1)
    }

    @Test("a record that is told twice is no news: its evidence keeps its age")
    func twice() {
        var a = Reputation(upstreams: ["u0"], me: "a")
        var b = Reputation(upstreams: ["u0"], me: "b")
        record(&b, .refused, 4, at: start)
        let records = b.publish(at: start, name: names)
        for hour in 0..<5 {
            for (key, value) in records {
                a.absorb(from: "b", key: key, value: value, at: start + .hours(Int64(hour)), provider: numbers)
            }
        }
        #expect(a.trust(upstream: 0, provider: google, at: start + .hours(4)).refused < 0.3)
    }

    @Test("a restarted node adopts its peers' blocks and numbers of their own making")
    func restart() {
        var a = Reputation(upstreams: ["u0"], me: "a")
        record(&a, .refused, 50, at: start)
        var b = Reputation(upstreams: ["u0"], me: "b")
        let at = start + .seconds(20)
        for (key, value) in a.publish(at: at, name: names) {
            b.absorb(from: "a", key: key, value: value, at: at) { _ in ProviderID(number: 99) }
        }
        let trust = b.trust(upstream: 0, provider: ProviderID(number: 99), at: at)
        #expect(trust.state == .blocked && trust.since == start && trust.lastReply == "554 listed")
        #expect(trust.refusedInBlock == 50 && trust.resultsInBlock == 50)
    }

    @Test("providers go by name between nodes that number them differently")
    func providerNames() {
        var mine = Providers()
        var theirs = Providers()
        for number in 0..<5 { _ = theirs.id(named: "new-\(number)") }
        var a = Reputation(upstreams: ["u0"], me: "a")
        var b = Reputation(upstreams: ["u0"], me: "b")
        let from = theirs.id(named: "provider-of-ours")
        for provider in [from, theirs.provider(of: "gmail.com")] {
            for _ in 0..<6 {
                a.record(.refused, upstream: 0, provider: provider, reply: "", fromFeedback: false, at: start)
            }
        }
        a.record(.good, upstream: 0, provider: .other, reply: "", fromFeedback: false, at: start)
        for (key, value) in a.publish(names: theirs, at: start) {
            b.absorb(from: "a", key: key, value: value, names: &mine, at: start)
        }
        let to = mine.id(named: "provider-of-ours")
        #expect(to != from && to != .other)
        #expect(b.factor(upstream: 0, provider: to, at: start) == 0)
        #expect(b.factor(upstream: 0, provider: mine.provider(of: "gmail.com"), at: start) == 0)
        #expect(b.factor(upstream: 0, provider: .other, at: start) == 1)
        #expect(b.trust(upstream: 0, provider: .other, at: start).good == 1)
    }

    @Test("restarting all nodes in turn forgets nothing")
    func rollingRestart() {
        var nodes = ["a", "b", "c"].map { Reputation(upstreams: ["u0"], me: $0) }
        var at = start
        func exchange() {
            for _ in 0..<3 {
                at = at + .seconds(15)
                for from in 0..<3 {
                    for (key, value) in nodes[from].publish(at: at, name: names) {
                        for to in 0..<3 where to != from {
                            nodes[to].absorb(
                                from: ["a", "b", "c"][from], key: key, value: value, at: at, provider: numbers)
                        }
                    }
                }
            }
        }
        for node in 0..<3 {
            record(&nodes[node], .good, 100, at: at)
            record(&nodes[node], .refused, 25, at: at)
        }
        exchange()
        let before = factor(nodes[0], at: at)
        #expect(before < 0.7)
        for node in 0..<2 {
            nodes[node] = Reputation(upstreams: ["u0"], me: ["a", "b", "c"][node])
            record(&nodes[node], .good, 2, at: at)
            exchange()
        }
        #expect(abs(factor(nodes[2], at: at) - before) < 0.01)
        #expect(factor(nodes[1], at: at) < 0.8, "what the third one knows and what was told since")
    }

    @Test("records come at once when something happens, each second at most, and seldom otherwise")
    func pace() {
        var reputation = Reputation(upstreams: ["u0", "u1"], me: "a")
        let first = reputation.publish(at: start, name: names)
        #expect(first.isEmpty, "nothing to tell")
        record(&reputation, .refused, 2, at: start)
        var times: [Int64] = []
        for tick in 0..<1200 {
            let at = start + .milliseconds(Int64(tick) * 250)
            if tick < 40 { record(&reputation, .refused, at: at) } else { record(&reputation, .good, at: at) }
            for (key, _) in reputation.publish(at: at, name: names) {
                #expect(key == "reputation/u0")
                times.append((at - start).milliseconds)
            }
        }
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 >= 1000 })
        #expect(times.count { $0 < 10_000 } >= 8)
        #expect(times.count { $0 >= 60_000 } >= 15, "ages are known")
    }

    @Test("a record stays within 8 KiB and carries the most active pairs")
    func bound() {
        var a = Reputation(upstreams: ["u0"], me: "a")
        for number in 0..<512 {
            for _ in 0..<(number == 300 ? 1 : 20) {
                a.record(
                    .good, upstream: 0, provider: ProviderID(number: UInt16(number)), reply: "", fromFeedback: false,
                    at: start)
            }
        }
        let blocked = ProviderID(number: 511)
        for _ in 0..<60 {
            a.record(
                .refused, upstream: 0, provider: blocked, reply: String(repeating: "é", count: 500),
                fromFeedback: false, at: start)
        }
        var b = Reputation(upstreams: ["u0"], me: "b")
        for (key, value) in a.publish(
            at: start, name: { "a-provider-with-a-rather-long-name-\($0.number)" })
        {
            #expect(value.count <= 8192 && value.count > 7000)
            b.absorb(from: "a", key: key, value: value, at: start) { name in
                name.split(separator: "-").last.flatMap { UInt16($0) }.map { ProviderID(number: $0) }
            }
        }
        #expect(b.trust(upstream: 0, provider: blocked, at: start).state == .blocked)
        #expect(b.trust(upstream: 0, provider: ProviderID(number: 300), at: start).good == 0)
    }

    @Test("garbage from a peer is passed over whole")
    func garbage() {
        var source = Reputation(upstreams: ["u0"], me: "b")
        record(&source, .refused, 50, at: start)
        record(&source, .good, 2, feedback: true, at: start + .seconds(20))
        let value = source.publish(at: start + .seconds(21), name: names)[0].value
        var random = SeededRandom(seed: 5)
        for round in 0..<20_000 {
            var bytes =
                round.isMultiple(of: 3)
                ? (0..<Int(random.next() % 60)).map { _ in UInt8.random(in: 0...255, using: &random) } : value
            for _ in 0..<Int(random.next() % 3 + 1) where !bytes.isEmpty {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(0.3) { bytes.removeLast(Int(random.next() % UInt64(bytes.count + 1))) }
            var reputation = Reputation(upstreams: ["u0"], me: "a")
            record(&reputation, .good, 10, at: start)
            let at = start + .seconds(22)
            reputation.absorb(from: "b", key: "reputation/u0", value: bytes, at: at, provider: numbers)
            record(&reputation, .refused, at: at)
            _ = reputation.takeProbe(upstream: 0, provider: google, at: at + .minutes(1))
            _ = reputation.publish(at: at + .minutes(1), name: names)
            let factor = factor(reputation, at: at + .minutes(1))
            #expect(factor >= 0 && factor <= 1)
        }
        var reputation = Reputation(upstreams: ["u0"], me: "a")
        for length in 0..<value.count {
            reputation.absorb(
                from: "b", key: "reputation/u0", value: Array(value[..<length]), at: start, provider: numbers)
        }
        reputation.absorb(from: "b", key: "reputation/nobody", value: value, at: start, provider: numbers)
        reputation.absorb(from: "b", key: "limits/u0", value: value, at: start, provider: numbers)
        #expect(reputation.trust(upstream: 0, provider: google, at: start).refused == 0)
        reputation.absorb(from: "b", key: "reputation/u0", value: value, at: start, provider: numbers)
        #expect(reputation.trust(upstream: 0, provider: google, at: start).state != .open)
    }

    // MARK: Bounds

    @Test("pairs that say nothing any more are given back, with all that peers told of them")
    func sweep() {
        var a = Reputation(upstreams: (0..<8).map { "u\($0)" }, me: "a")
        var b = Reputation(upstreams: (0..<8).map { "u\($0)" }, me: "b")
        var at = start
        for round in 0..<5 {
            for upstream in 0..<8 {
                for number in 0..<200 {
                    let provider = ProviderID(number: UInt16((round * 100 + number) % 512))
                    b.record(.good, upstream: upstream, provider: provider, reply: "", fromFeedback: false, at: at)
                    if number == round {
                        b.record(
                            .refused, upstream: upstream, provider: provider, reply: "554", fromFeedback: false, at: at)
                    }
                }
            }
            tell(&b, "b", &a, at: at)
            #expect(!a.notable(at: at).isEmpty)
            at = at + .days(2)
            _ = a.publish(at: at, name: names)
            _ = b.publish(at: at, name: names)
            at = at + .minutes(1)
        }
        #expect(a.notable(at: at).isEmpty && b.notable(at: at).isEmpty)
        for upstream in 0..<8 { #expect(a.lowest(upstream: upstream, at: at) == nil) }
    }

    @Test("numbers out of range are of the long tail, upstreams out of range nobody's")
    func range() {
        var reputation = Reputation(upstreams: ["u0"])
        for _ in 0..<50 {
            reputation.record(
                .refused, upstream: 0, provider: ProviderID(number: 65_535), reply: "", fromFeedback: false, at: start)
            reputation.record(.refused, upstream: 5, provider: other, reply: "", fromFeedback: true, at: start)
        }
        #expect(reputation.factor(upstream: 0, provider: other, at: start) == 0)
        #expect(reputation.trust(upstream: 5, provider: other, at: start) == Trust())
    }
}
