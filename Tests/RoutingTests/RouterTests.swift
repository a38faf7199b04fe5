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
        _ = router.health[0].connected(at: now)
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
        _ = router.health[2].connected(at: now)
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
