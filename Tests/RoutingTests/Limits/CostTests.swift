import Primitives
import Testing

@testable import Routing

@Suite("Cost")
struct CostTests {
    private static func upstream(_ name: String, _ price: String?, day: Double? = nil, month: Double? = nil) throws
        -> Upstream
    {
        var upstream = Upstream(name: name, addresses: ["h:25"])
        upstream.price = try price.map { text throws(PriceError) in try Price(text: text) }
        upstream.budgetPerDay = day
        upstream.budgetPerMonth = month
        return upstream
    }

    private static let noon = Now(instant: Instant(nanoseconds: 0), wall: LimitsSimulation.noon)

    @Test("a price is an amount for so many recipients, or messages")
    func prices() throws {
        #expect(try Price(text: "0.10/1000") == Price(each: 0.0001))
        #expect(try Price(text: " 1 / 1_000 messages") == Price(each: 0.001, counted: .messages))
        #expect(try Price(text: "0/1") == Price(each: 0))
    }

    @Test(
        "a bad price says what is wrong",
        arguments: [
            ("0.10", "has no `/`"), ("$0.10/1000", "no plain amount"), ("0,10/1000", "no plain amount"),
            ("0.10/0", "above 0"), ("0.10/", "above 0"), ("0.10/1000 mails", "counts `mails`"), ("a/b/c", "has no `/`"),
        ])
    func badPrices(_ text: String, _ words: String) {
        #expect { try Price(text: text) } throws: { "\($0)".contains(words) && "\($0)".contains("0.10/1000") }
    }

    @Test("half the price is twice the weight; the preference is its power")
    func preference() throws {
        let upstreams = [try Self.upstream("a", "0.10/1000"), try Self.upstream("b", "0.20/1000")]
        #expect(Cost(upstreams: upstreams, me: "n").factor(upstream: 0) == 1)
        #expect(Cost(upstreams: upstreams, me: "n").factor(upstream: 1) == 0.5)
        #expect(Cost(upstreams: upstreams, me: "n", preference: 2).factor(upstream: 1) == 0.25)
        #expect(Cost(upstreams: upstreams, me: "n", preference: 0).factor(upstream: 1) == 1)
        let free = upstreams + [try Self.upstream("c", nil)]
        #expect(Cost(upstreams: free, me: "n").factor(upstream: 2) == 1)
        #expect(Cost(upstreams: free, me: "n").factor(upstream: 0) == 0.25)
        let plain = [try Self.upstream("a", nil), try Self.upstream("b", nil)]
        #expect(Cost(upstreams: plain, me: "n").factor(upstream: 1) == 1)
    }

    @Test("a spent budget is a factor of 0, counted over all nodes and restarts, until the day or month ends")
    func budgets() throws {
        let upstreams = [try Self.upstream("ses/eu", "1/1000", day: 1, month: 1.5)]
        var one = Cost(upstreams: upstreams, me: "one")
        var two = Cost(upstreams: upstreams, me: "two")
        var store: [String: [UInt8]] = [:]
        one.sent(upstream: 0, recipients: 600, at: Self.noon)
        for record in one.recordsToWrite(at: Self.noon) {
            store[record.key] = record.value
            one.recordChanged(key: record.key, value: record.value, at: Self.noon)
            two.recordChanged(key: record.key, value: record.value, at: Self.noon)
        }
        #expect(store.keys.sorted() == ["spent/ses/eu/2026-12-01/one", "spent/ses/eu/2026-12/one"])
        #expect(one.spent(upstream: 0) == Cost.Spent(day: 0.6, month: 0.6))
        two.sent(upstream: 0, recipients: 399, at: Self.noon)
        #expect(two.factor(upstream: 0) == 1)
        two.sent(upstream: 0, recipients: 1, at: Self.noon)
        #expect(two.factor(upstream: 0) == 0)
        #expect(two.overBudget(upstream: 0) == .day)
        for record in two.recordsToWrite(at: Self.noon) { store[record.key] = record.value }

        // A new process of one begins with what it spent; the next day is a new one, in the same month.
        one = Cost(upstreams: upstreams, me: "one")
        for (key, value) in store.sorted(by: { $0.key < $1.key }) {
            one.recordChanged(key: key, value: value, at: Self.noon)
        }
        #expect(one.spent(upstream: 0) == Cost.Spent(day: 1, month: 1))
        #expect(one.overBudget(upstream: 0) == .day)
        let tomorrow = Now(instant: Instant(nanoseconds: 0) + .days(1), wall: Self.noon.wall + .days(1))
        _ = one.recordsToWrite(at: tomorrow)
        #expect(one.overBudget(upstream: 0) == nil)
        one.sent(upstream: 0, recipients: 500, at: tomorrow)
        #expect(one.overBudget(upstream: 0) == .month)
        let january = Now(instant: Instant(nanoseconds: 0) + .days(31), wall: Self.noon.wall + .days(31))
        _ = one.recordsToWrite(at: january)
        #expect(one.overBudget(upstream: 0) == nil)
        #expect(one.spent(upstream: 0) == Cost.Spent())
    }

    @Test("records are written every five seconds at most, and only what changed")
    func writes() throws {
        var cost = Cost(upstreams: [try Self.upstream("a", "1/1000"), try Self.upstream("b", "1/1000")], me: "n")
        cost.sent(upstream: 0, recipients: 1, at: Self.noon)
        #expect(cost.recordsToWrite(at: Self.noon).map(\.key) == ["spent/a/2026-12-01/n", "spent/a/2026-12/n"])
        cost.sent(upstream: 1, recipients: 1, at: Self.noon)
        #expect(cost.recordsToWrite(at: Self.noon).isEmpty)
        let later = Now(instant: Self.noon.instant + .seconds(5), wall: Self.noon.wall + .seconds(5))
        #expect(cost.recordsToWrite(at: later).map(\.key) == ["spent/b/2026-12-01/n", "spent/b/2026-12/n"])
    }

    @Test("garbage in records changes nothing")
    func garbage() throws {
        var cost = Cost(upstreams: [try Self.upstream("a", "1/1000")], me: "n")
        for (key, value) in [
            ("spent/a/2026-12-01/x", [0xff, 0xff] as [UInt8]), ("spent/", [1]), ("spent/a/2026-12-01", [1]),
            ("spent/b/2026-12-01/x", [1]), ("spent/a/1999-01-01/x", [1]), ("", []),
        ] { cost.recordChanged(key: key, value: value, at: Self.noon) }
        #expect(cost.spent(upstream: 0) == Cost.Spent())
        cost.recordChanged(
            key: "spent/a/2026-12-01/x", value: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], at: Self.noon
        )
        #expect(cost.spent(upstream: 0).day > 1e9)
    }
}
