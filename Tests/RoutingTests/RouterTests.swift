import Primitives
import Routing
import SMTP
import Testing

@Suite("Choice of upstream")
struct RouterTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func router(_ weights: [Double], change: (inout [Upstream], inout [Route]) -> Void = { _, _ in }) -> Router
    {
        var upstreams = weights.enumerated().map { index, weight in
            var upstream = Upstream(name: "u\(index)", addresses: ["u\(index):25"])
            upstream.weight = weight
            return upstream
        }
        var routes = [Route(upstreams: upstreams.map(\.name))]
        change(&upstreams, &routes)
        return Router(upstreams: upstreams, routes: routes, bounceUpstreams: [])
    }

    private func choices(_ router: inout Router, _ count: Int, excluding: Router.Mask = 0, null: Bool = false) -> [Int]
    {
        (0..<count).map { _ in
            if case .upstream(let index) = choose(&router, excluding, null: null) {
                index
            } else {
                -1
            }
        }
    }

    private func choose(_ router: inout Router, _ excluding: Router.Mask, null: Bool = false) -> Router.Choice {
        var random = SeededRandom(seed: 1)
        return router.choose(
            route: 0, provider: .other, excluding: excluding, isNullSender: null, random: &random, at: now)
    }

    private func hasUsable(_ router: Router, _ excluding: Router.Mask) -> Bool {
        router.hasUsable(route: 0, provider: .other, excluding: excluding, isNullSender: false, at: now)
    }

    private func address(_ text: String) -> Address { Address(parsed: Array(text.utf8)) }

    @Test(
        "shares are exact over every run of the weights' sum",
        arguments: [[1.0, 1.0], [70, 30], [5, 1, 1], [3, 2, 1], [1, 10]])
    func shares(weights: [Double]) {
        var router = router(weights)
        let total = Int(weights.reduce(0, +))
        for _ in 0..<5 {
            let run = choices(&router, total)
            for (index, weight) in weights.enumerated() {
                #expect(run.count { $0 == index } == Int(weight))
            }
        }
    }

    @Test("equal turns are not bunched")
    func smooth() {
        var router = router([5, 1, 1])
        #expect(choices(&router, 7) == [0, 0, 1, 0, 2, 0, 0])
    }

    @Test("an upstream of weight 0 gets mail only when no other is usable")
    func weightZero() {
        var router = router([0, 1])
        #expect(choices(&router, 1000).allSatisfy { $0 == 1 })
        _ = router.health[1].failed("gone", spread: 0, at: now)
        #expect(choices(&router, 3) == [0, 0, 0])
    }

    @Test("the fallback counts only while none of the others is usable")
    func fallback() {
        var router = router([1, 1, 1]) { _, routes in
            routes[0].upstreams = ["u0", "u1"]
            routes[0].fallback = [["u2"]]
        }
        #expect(choices(&router, 10).allSatisfy { $0 != 2 })
        _ = router.health[0].failed("gone", spread: 0, at: now)
        #expect(choices(&router, 4) == [1, 1, 1, 1])
        _ = router.health[1].failed("gone", spread: 0, at: now)
        #expect(choices(&router, 4) == [2, 2, 2, 2])
        _ = router.health[0].connected()
        #expect(choices(&router, 2) == [0, 0])
    }

    @Test("one that was excluded is not chosen; all excluded is not the same as none usable")
    func exclusion() {
        var router = router([1, 1])
        #expect(choices(&router, 3, excluding: 0b01) == [1, 1, 1])
        #expect(choose(&router, 0b11) == .exhausted)
        #expect(!hasUsable(router, 0b11))
        _ = router.health[1].failed("gone", spread: 0, at: now)
        #expect(choose(&router, 0b01) == .noneUsable)
        #expect(!hasUsable(router, 0b01))
        #expect(hasUsable(router, 0b10))
    }

    @Test("one that is switched off is not usable, and may come back")
    func disabled() {
        var router = router([1])
        router.health[0].isDisabled = true
        #expect(choose(&router, 0) == .noneUsable)
    }

    @Test("null senders take only those that take them")
    func nullSender() {
        var router = router([1, 1]) { upstreams, _ in upstreams[0].nullSender = false }
        #expect(choices(&router, 3, null: true) == [1, 1, 1])
        #expect(choices(&router, 2).contains(0))
        #expect(choose(&router, 0b10, null: true) == .exhausted)
        #expect(router.mask(route: 0, isNullSender: true) == 0b10)
    }

    @Test("shares stay exact among the others when one is down, and it does not catch up afterwards")
    func afterOutage() {
        var router = router([1, 1, 2])
        _ = router.health[2].failed("gone", spread: 0, at: now)
        let during = choices(&router, 100)
        #expect(during.count { $0 == 0 } == 50)
        _ = router.health[2].connected()
        let after = choices(&router, 100)
        #expect(abs(after.count { $0 == 2 } - 50) <= 1)
    }

    // MARK: Routes

    @Test("the first route that matches sender and recipient counts; without one any upstream takes it")
    func routes() {
        var bySender = Route(upstreams: ["u0"])
        bySender.senders = ["news@a.example"]
        var bySenderDomain = Route(upstreams: ["u0"])
        bySenderDomain.senderDomains = ["*.lists.example"]
        var byRecipient = Route(upstreams: ["u1"])
        byRecipient.recipientDomains = ["gmail.com", "*.gmail.com"]
        let upstreams = ["u0", "u1"].map { Upstream(name: $0, addresses: []) }
        let router = Router(
            upstreams: upstreams, routes: [bySender, bySenderDomain, byRecipient], bounceUpstreams: ["u1"])
        let cases: [(String?, String, Int)] = [
            (nil, "x@gmail.com", 0),
            ("News@A.example", "x@gmail.com", 1),
            ("x@sub.lists.example", "x@gmail.com", 2),
            ("x@lists.example", "x@GMail.com", 3),
            ("x@a.example", "x@mail.gmail.com", 3),
            ("x@a.example", "x@notgmail.com", 4),
            ("x@a.example", "postmaster", 4),
        ]
        for (sender, recipient, route) in cases {
            #expect(router.route(sender: sender.map(address), recipient: address(recipient)) == route, "\(recipient)")
        }
        #expect(router.mask(route: 0, isNullSender: false) == 0b10, "bounces have their own upstreams")
        #expect(router.mask(route: 4, isNullSender: false) == 0b11)
    }

    @Test("the wanted share is the weight's part of its route")
    func wantedShare() {
        let router = router([70, 30])
        #expect(abs(router.wantedShare(0) - 0.7) < 1e-9)
    }
}

@Suite("Health of an upstream")
struct UpstreamHealthTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func down(_ health: UpstreamHealth) -> (since: Instant, nextProbe: Instant)? {
        if case .down(let since, let probe) = health.condition { (since, probe) } else { nil }
    }

    @Test("probes wait twice as long after each failure, 30 s at most, with a fifth of jitter")
    func backOff() {
        var health = UpstreamHealth(maximumConnections: 20)
        var at = now
        var waits: [Double] = []
        for _ in 0..<8 {
            let wait = health.failed("no", spread: 0.5, at: at)
            waits.append(wait.inSeconds)
            at = at + wait
        }
        #expect(waits == [1, 2, 4, 8, 16, 30, 30, 30])
        var other = UpstreamHealth(maximumConnections: 20)
        #expect(other.failed("no", spread: 0, at: now) == .milliseconds(800))
        var third = UpstreamHealth(maximumConnections: 20)
        #expect(abs(third.failed("no", spread: 1, at: now).inSeconds - 1.2) < 1e-9)
    }

    @Test("failures before the next probe are of the same round")
    func sameRound() {
        var health = UpstreamHealth(maximumConnections: 20)
        let wait = health.failed("first", spread: 0.5, at: now)
        for _ in 0..<19 { #expect(health.failed("same", spread: 0.5, at: now) == wait) }
        #expect(health.failed("next", spread: 0.5, at: now + wait) == .seconds(2))
        #expect(health.lastFailure == "next")
    }

    @Test("a connection ends the outage, an answered transaction the row of failures")
    func connectionIsNoSuccess() {
        var health = UpstreamHealth(maximumConnections: 20)
        let first = health.failed("no", spread: 0.5, at: now)
        let ended = health.connected()
        #expect(ended && health.isUsable)
        let again = health.failed("no", spread: 0.5, at: now + first)
        #expect(again == .seconds(2), "it refuses MAIL each time: probes must not come every second")
        #expect(down(health)?.since == now, "one outage, seen from outside")
        _ = health.connected()
        let ends = health.answered(at: now + .seconds(9))
        #expect(!ends)
        #expect(health.failed("no", spread: 0.5, at: now + .seconds(10)) == .seconds(1))
        #expect(down(health)?.since == now + .seconds(10))
    }

    @Test("an answer ends an outage too")
    func answer() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.failed("no", spread: 0.5, at: now)
        let ends = health.answered(at: now)
        #expect(ends && health.isUsable)
        #expect(health.lastAnswer == now)
    }

    @Test("after an outage two connections are allowed, and one more with each answer")
    func ramp() {
        var health = UpstreamHealth(maximumConnections: 5)
        #expect(health.allowedConnections == 5)
        _ = health.failed("no", spread: 0.5, at: now)
        #expect(health.allowedConnections == 1)
        _ = health.connected()
        var allowed: [Int] = []
        for _ in 0..<5 {
            allowed.append(health.allowedConnections)
            _ = health.answered(at: now)
        }
        #expect(allowed == [2, 3, 4, 5, 5])
        #expect(!health.isRamping)
    }

    @Test("one that wants no more connections is left alone for a while, and asked again")
    func refusedMore() {
        var health = UpstreamHealth(maximumConnections: 20)
        health.refusedMore(than: 3, at: now)
        #expect(health.isUsable)
        #expect(health.allowedConnections == 3)
        #expect(health.mayOpen(at: now + .seconds(4)) == false)
        #expect(health.mayOpen(at: now + .seconds(5)) == true)
        #expect(health.holdOpeningUntil == nil, "it is no deadline any more")
        _ = health.answered(at: now + .seconds(6))
        #expect(health.allowedConnections == 4)
    }

    @Test("a person's probe comes at once and keeps the outage's beginning")
    func probeNow() {
        var health = UpstreamHealth(maximumConnections: 20)
        _ = health.failed("no", spread: 0.5, at: now)
        health.probeNow(at: now + .milliseconds(1))
        #expect(down(health)?.nextProbe == now + .milliseconds(1))
        #expect(down(health)?.since == now)
    }
}
