import Node
import Primitives
import Routing
import Testing

@testable import Relay

@Suite("Configuration of routes, limits and costs")
struct ConfigurationRoutingTests {
    private func file(upstream: String = "", routes: String = "", rest: String = "") -> String {
        """
        {
          node: { name: "a" }, smtp: { hostname: "relay.example.net", listeners: [{ address: "0.0.0.0:2525" }], relayFrom: ["::1"] },
          upstreams: [{ name: "own", address: ["10.0.1.5:25"], \(upstream) }, { name: "two", address: ["h:25"] },
            { name: "three", address: ["h:25"] }],
          \(routes.isEmpty ? "" : "routes: [\(routes)],")
          \(rest)
        }
        """
    }

    private func read(_ text: String) throws -> Configuration {
        let reading = Configuration.read(Array(text.utf8))
        #expect(reading.errors.map(\.description) == [])
        return try #require(reading.configuration)
    }

    private func problems(_ text: String) -> [String] {
        let reading = Configuration.read(Array(text.utf8))
        return (reading.errors + reading.warnings).map(\.description)
    }

    @Test("an upstream's limits, account, price, budget and warm-up plan")
    func upstream() throws {
        let configuration = try read(
            file(
                upstream: #"""
                    rate: ["50/s", "100000/d", "10 messages/s"], account: "aws-1", price: "0.10/1000",
                    budget: { day: 5, month: 100 }, warmup: { from: "200/d", to: "100000/d", over: "30d", since: "2026-12-01" },
                    perProvider: { google: { rate: "20/s", maximumConnections: 5 }, "*": { rate: ["1/s", "9/m"] } },
                    """#))
        let own = configuration.upstreams[0]
        #expect(own.rates.map(\.perSecond) == [50, 100_000 / 86_400, 10])
        #expect(own.rates.map(\.counted) == [.recipients, .recipients, .messages])
        #expect(own.account == "aws-1")
        #expect(own.price == Price(each: 0.0001))
        #expect(own.budgetPerDay == 5)
        #expect(own.budgetPerMonth == 100)
        #expect(own.warmup?.from.count == 200)
        #expect(own.warmup?.over == .days(30))
        #expect(own.warmup?.since == WallTime(milliseconds: 1_796_083_200_000))
        #expect(own.perProvider["google"]?.maximumConnections == 5)
        #expect(own.perProvider["*"]?.rates.count == 2)
        #expect(configuration.upstreams[1].rates.isEmpty)
    }

    @Test("a route's keys")
    func route() throws {
        let configuration = try read(
            file(
                routes: #"""
                    { client: ["10.0.3.0/24", "::1"], header: { "X-Campaign": ["news*", "promo"], "X-Tier": "gold" },
                      size: { over: "5MiB", upTo: "9MiB" }, priority: ["low", "high"], upstreams: ["own"],
                      fallback: [["two"], ["three"]], retry: ["1h", "2h"], lifetime: "1d" },
                    { senderDomain: ["a.example"], upstreams: "own", fallback: ["two", "three"] }, { upstreams: ["own"] }
                    """#))
        let route = configuration.routes[0]
        #expect(route.clients.map(\.description) == ["10.0.3.0/24", "::1"])
        #expect(route.headers.map(\.name) == ["x-campaign", "x-tier"])
        #expect(route.headers[0].patterns == [Glob("news*"), Glob("promo")])
        #expect(route.sizeOver == .mebibytes(5) && route.sizeUpTo == .mebibytes(9))
        #expect(route.priorities == [.low, .high])
        #expect(route.fallback == [["two"], ["three"]])
        #expect(route.retry == [.hours(1), .hours(2)])
        #expect(route.lifetime == .days(1))
        #expect(configuration.routes[1].fallback == [["two", "three"]])
    }

    @Test("routing, suppressions and their defaults")
    func routing() throws {
        let plain = try read(file())
        #expect(plain.routing == RoutingSettings())
        #expect(plain.suppressions.check == .rcpt && plain.suppressions.hardBounces)
        let configuration = try read(
            file(
                rest: #"""
                    routing: { halfLife: "30m", exponent: 1.5, exploration: 0, costPreference: 0 },
                    suppressions: { check: "routing", hardBounces: false, expiry: "30d" },
                    """#))
        let node = configuration.nodeConfiguration(replica: ReplicaID(node: "a", disk: DiskID(.zero)), seed: 1)
        #expect(node.routing.halfLife == .minutes(30))
        #expect(node.routing.exponent == 1.5)
        #expect(node.routing.exploration == 0)
        #expect(node.suppressions.check == .routing)
        #expect(node.suppressions.expiry == .days(30))
    }

    static let wrong: [(upstream: String, routes: String, rest: String, message: String)] = [
        (#"rate: "fast""#, "", "", "upstreams[0].rate: line 3: expected a rate such as \"50/s\""),
        (#"rate: ["1/s", "2/s"]"#, "", "", "rate[1]: line 3: \"2/s\" is a second rate of the same period"),
        (#"rate: "0/s""#, "", "", "expected a rate such as"),
        (#"price: "$5""#, "", "", "upstreams[0].price: line 3: the price `$5` has no `/`"),
        (#"budget: { day: 5 }"#, "", "", "upstreams[0].budget: line 3: nothing counts against it without a price"),
        (#"price: "1/1000", budget: {}"#, "", "", "budget: line 3: expected { day: 5 }"),
        (#"warmup: { from: "200/d", to: "100/d", over: "30d" }"#, "", "", "warmup.to: line 3: is less than from"),
        (#"warmup: { from: "200/s", to: "1000/d", over: "30d" }"#, "", "", "from: line 3: expected a day's rate"),
        (#"warmup: { from: "200/d" }"#, "", "", "warmup.over: line 3: missing"),
        (
            #"warmup: { from: "2/d", to: "9/d", over: "3d", since: "2026-02-29" }"#, "", "",
            "since: line 3: expected a day such as \"2026-12-01\", got \"2026-02-29\""
        ),
        (#"perProvider: { "Google!": { rate: "1/s" } }"#, "", "", "expected a provider's name such as \"google\""),
        (#"perProvider: { google: {} }"#, "", "", "perProvider.google: line 3: expected { rate"),
        (#"perProvider: { google: { rates: "1/s" } }"#, "", "", "rates: line 3: unknown key; did you mean rate?"),
        ("", #"{ client: "10.0.0.0/33", upstreams: ["own"] }"#, "", "client: line 5: expected an address or range"),
        ("", #"{ header: { "X Y": "a" }, upstreams: ["own"] }"#, "", "expected the name of a header field"),
        ("", #"{ header: {}, upstreams: ["own"] }"#, "", "header: line 5: expected a field and a pattern"),
        ("", #"{ header: "X", upstreams: ["own"] }"#, "", "header: line 5: expected an object"),
        ("", #"{ size: { over: "9MiB", upTo: "5MiB" }, upstreams: ["own"] }"#, "", "no message is over 9.0 MiB"),
        ("", #"{ size: {}, upstreams: ["own"] }"#, "", "size: line 5: expected { over"),
        ("", #"{ priority: "urgent", upstreams: ["own"] }"#, "", "priority: line 5: expected \"low\""),
        (
            "", #"{ upstreams: ["own"], fallback: [["two"], "three"] }"#, "",
            "fallback[1]: line 5: expected a list of names"
        ),
        (
            "", #"{ upstreams: ["own"], fallback: [["tow"]] }"#, "",
            "fallback[0][0]: line 5: no upstream is named \"tow\""
        ),
        ("", #"{ upstreams: ["own"], fallback: ["own"] }"#, "", "\"own\" stands in the route twice"),
        ("", #"{ user: "shop", upstreams: ["own"] }"#, "", "user: line 5: no client can log in in this version"),
        ("", #"{ sender: "<>", upstreams: ["own"] }"#, "", "what matches none takes any upstream"),
        ("", "", "routing: { exploration: 0.5 }", "routing.exploration: line 6: expected a number from 0.0 to 0.2"),
        ("", "", #"suppressions: { check: "data" }"#, "suppressions.check: line 6: expected one of \"rcpt\""),
        ("", "", #"delivery: { replyRules: 7 }"#, "delivery.replyRules: line 6: expected a file's path"),
    ]

    @Test("what is wrong is said, with its place and what was expected", arguments: wrong)
    func problem(upstream: String, routes: String, rest: String, message: String) {
        let found = problems(file(upstream: upstream, routes: routes, rest: rest))
        #expect(found.contains { $0.contains(message) }, "\(found)")
    }

    @Test("more routes that look into messages than there are marks for are refused")
    func tooMany() {
        let one = #"{ size: { over: "1MiB" }, upstreams: ["own"] },"#
        let found = problems(file(routes: String(repeating: one, count: 65)))
        #expect(
            found.contains { $0.contains("expected at most 64 routes with user, client, header, size or priority") })
    }

    @Test(
        "days", arguments: [("1970-01-01", 0), ("2000-03-01", 11_017), ("2026-12-01", 20_788), ("2100-03-01", 47_541)])
    func days(text: String, number: Int64) {
        #expect(WallTime(day: text) == WallTime(milliseconds: number * 86_400_000))
    }

    @Test(
        "what is no day",
        arguments: ["2026-13-01", "2026-00-01", "2026-01-32", "2100-02-29", "26-01-01", "2026-1-1", ""])
    func noDay(text: String) { #expect(WallTime(day: text) == nil) }
}
