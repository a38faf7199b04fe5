import Primitives
import Routing
import SMTP
import Testing

@Suite("Which route a message takes")
struct RouteTests {
    private func router(_ change: (inout Route) -> Void) -> Router {
        var special = Route(upstreams: ["u1"])
        change(&special)
        let upstreams = ["u0", "u1"].map { Upstream(name: $0, addresses: []) }
        return Router(upstreams: upstreams, routes: [special, Route(upstreams: ["u0"])], bounceUpstreams: [])
    }

    private func takes(_ router: Router, _ facts: RouteFacts) -> Bool {
        let to = Address(parsed: Array("x@example.com".utf8))
        return router.route(for: RouteSubject(sender: nil, recipient: to, facts: facts)) == 0
    }

    private func fields(_ lines: String...) -> RouteFacts { RouteFacts(headerFields: lines.map { Array($0.utf8) }) }

    @Test("by who logged in, by name or pattern; nobody is no user")
    func user() {
        let router = router { $0.users = [Glob("shop"), Glob("news-*")] }
        #expect(takes(router, RouteFacts(user: "shop")))
        #expect(takes(router, RouteFacts(user: "news-7")))
        #expect(!takes(router, RouteFacts(user: "shop2")))
        #expect(!takes(self.router { $0.users = [Glob("*")] }, RouteFacts()))
    }

    @Test(
        "by the client's address, with a port or without; IPv4 also in its IPv6 form",
        arguments: [
            ("10.0.3.9:51422", true), ("10.0.3.9", true), ("[::ffff:10.0.3.9]:25", true), ("10.0.4.9:1", false),
            ("[2001:db8::7]:25", true), ("[2001:db9::7]:25", false), ("[fe80::1%eth0]:25", false), ("unix", false),
            ("local", false), ("", false), ("[", false),
        ])
    func client(address: String, expected: Bool) throws {
        let ranges = try [#require(ClientRange("10.0.3.0/24")), #require(ClientRange("2001:db8::/32"))]
        #expect(takes(router { $0.clients = ranges }, RouteFacts(client: address)) == expected)
    }

    @Test("a range that is none is refused", arguments: ["10.0.0.0/33", "10.0.0", "x", "::/129", "10.0.0.0/", ""])
    func badRange(text: String) { #expect(ClientRange(text) == nil) }

    @Test("one address and everything are ranges too")
    func edges() throws {
        let all = try #require(ClientRange("0.0.0.0/0"))
        #expect(takes(router { $0.clients = [all] }, RouteFacts(client: "203.0.113.9:1")))
        #expect(!takes(router { $0.clients = [all] }, RouteFacts(client: "[2001:db8::7]:25")))
        let every = try #require(ClientRange("::/0"))
        #expect(takes(router { $0.clients = [every] }, RouteFacts(client: "203.0.113.9:1")))
        let one = try #require(ClientRange("10.0.3.9"))
        #expect(takes(router { $0.clients = [one] }, RouteFacts(client: "10.0.3.9:1")))
        #expect(!takes(router { $0.clients = [one] }, RouteFacts(client: "10.0.3.8:1")))
    }

    @Test("by header fields: all of them, each by one of its patterns")
    func header() {
        let router = router {
            $0.headers = [
                Route.Header(name: "X-Campaign", patterns: [Glob("news*"), Glob("?promo")]),
                Route.Header(name: "X-Tier", patterns: [Glob("gold")]),
            ]
        }
        #expect(takes(router, fields("x-campaign:News-7", "x-tier:GOLD")))
        #expect(takes(router, fields("x-tier:gold", "x-campaign:other", "x-campaign:1promo")))
        #expect(!takes(router, fields("x-campaign:news")))
        #expect(!takes(router, fields("x-campaign:news", "x-tier:golden")))
        #expect(!takes(router, fields("x-campaign-x:news", "x-tier:gold")))
    }

    @Test(
        "patterns",
        arguments: [
            ("*", "", true), ("*", "x", true), ("", "", true), ("", "x", false), ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false), ("*.example.com", "a.Example.com", true), ("a?c", "abc", true),
            ("a?c", "ac", false), ("a**c", "ac", true), ("[", "[", true), ("@", "`", false), ("*a", "aaab", false),
        ])
    func glob(pattern: String, text: String, expected: Bool) {
        #expect(Glob(pattern).matches(text.utf8) == expected)
    }

    @Test("by size: over one, up to another")
    func size() {
        let large = router { $0.sizeOver = .mebibytes(5) }
        #expect(!takes(large, RouteFacts(size: 5 << 20)))
        #expect(takes(large, RouteFacts(size: 5 << 20 + 1)))
        let small = router { $0.sizeUpTo = 1000 }
        #expect(takes(small, RouteFacts(size: 1000)))
        #expect(!takes(small, RouteFacts(size: 1001)))
    }

    @Test(
        "by priority, as senders state it",
        arguments: [
            (["x-priority:1 (Highest)"], Route.Priority.high), (["x-priority:5"], .low), (["x-priority:3"], .normal),
            (["priority:urgent"], .high), (["priority:non-urgent"], .low), (["importance:High"], .high),
            (["importance:low"], .low), ([], .normal), (["x-priority:?", "importance:high"], .high),
            (["importance:high", "x-priority:4"], .low), (["x-priority:", "priority:soon"], .normal),
        ])
    func priority(lines: [String], expected: Route.Priority) {
        let facts = RouteFacts(headerFields: lines.map { Array($0.utf8) })
        #expect(facts.priority == expected)
        #expect(takes(router { $0.priorities = [expected] }, facts))
        let others = Route.Priority.allCases.filter { $0 != expected }
        #expect(!takes(router { $0.priorities = others }, facts))
    }

    @Test("what is asked of message and recipient must both hold")
    func both() {
        let router = router {
            $0.sizeOver = 10
            $0.recipientDomains = ["gmail.com"]
        }
        let marks = router.marks(for: RouteFacts(size: 11))
        let gmail = Address(parsed: Array("x@GMail.com".utf8))
        #expect(router.route(sender: nil, recipient: gmail, marks: marks) == 0)
        #expect(router.route(sender: nil, recipient: gmail, marks: router.marks(for: RouteFacts(size: 9))) == 1)
        #expect(!takes(router, RouteFacts(size: 11)))
    }

    @Test("only the fields that some route looks at are kept")
    func needed() {
        var route = Route(upstreams: ["u0"])
        #expect(Route.headerFields(of: [route]).isEmpty)
        route.headers = [Route.Header(name: "X-Campaign", patterns: [Glob("*")])]
        #expect(Route.headerFields(of: [route, route]) == ["x-campaign"])
        route.priorities = [.high]
        #expect(Route.headerFields(of: [route]) == ["importance", "priority", "x-campaign", "x-priority"])
    }

    @Test("marks of 64 routes are told apart")
    func marks() {
        let routes = (0..<64).map { number in
            var route = Route(upstreams: ["u0"])
            route.sizeOver = ByteCount(bytes: UInt64(100 - number))
            return route
        }
        let router = Router(
            upstreams: [Upstream(name: "u0", addresses: [])], routes: routes, bounceUpstreams: ["u0"])
        let to = Address(parsed: Array("x@example.com".utf8))
        for number in [0, 1, 31, 62, 63] {
            let marks = router.marks(for: RouteFacts(size: UInt64(101 - number)))
            let sender = Address(parsed: Array("a@example.com".utf8))
            #expect(
                router.route(sender: sender, recipient: to, marks: marks) == number + 1, "the bounces' own is first")
        }
    }
}
