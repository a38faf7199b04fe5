import Primitives
import Testing

@testable import Admin
@testable import Node

@Suite("Rules and suppressions by the API")
struct RuleAPITests {
    private let cluster = FixedCluster()
    private var api: AdminAPI { cluster.api("a") }

    @Test("a rule is written, listed, told by status as a problem, and taken back")
    func rule() async throws {
        let body = #"{"mail":"user","value":"shop","action":"reject","reason":"stolen","by":"ann","until":"7d"}"#
        let done: DoneAnswer = try await post("/api/v1/rules", body, api).decoded()
        #expect(done.text == "mail of user shop is refused from now on until 2026-12-01T12:04:31.123Z (450)")
        let rules: RulesAnswer = try await get("/api/v1/rules", api).decoded()
        let rule = try #require(rules.rules.first)
        #expect(rule.mail == "user" && rule.value == "shop" && rule.action == "reject" && rule.by == "ann")
        #expect(rule.at == "2026-11-24T12:04:31.123Z" && rule.until == "2026-12-01T12:04:31.123Z")
        let status: StatusAnswer = try await get("/api/v1/status", api).decoded()
        #expect(status.rules == rules.rules)
        let problem = try #require(status.problems.first { $0.name == "suspended" })
        #expect(
            problem.summary
                == "mail of user shop is refused by ann since 2026-11-24T12:04Z until 2026-12-01T12:04Z: stolen")
        #expect(problem.you == "take it back: baton queue resume --user shop")
        let removal = #"{"mail":"user","value":"shop","action":"reject"}"#
        #expect(await post("/api/v1/rules/remove", removal, api).status == 200)
        #expect(await post("/api/v1/rules/remove", removal, api).status == 404)
        #expect(try await get("/api/v1/rules", api).decoded(RulesAnswer.self).rules.isEmpty)
    }

    @Test(
        "addresses and domains are taken as people write them",
        arguments: [
            ("from", "Ann@Example.NET", "rule/suspend/from/ann@example.net"),
            ("from", "Example.net", "rule/suspend/from/@example.net"),
            ("from", "@example.net", "rule/suspend/from/@example.net"), ("from", "<>", "rule/suspend/from/<>"),
            ("toDomain", "@Example.net", "rule/suspend/to/example.net"), ("user", "Shop", "rule/suspend/user/Shop"),
        ])
    func spelling(mail: String, value: String, key: String) async {
        let body = "{\"mail\":\"\(mail)\",\"value\":\"\(value)\",\"action\":\"hold\"}"
        #expect(await post("/api/v1/rules", body, api).status == 200)
        #expect(cluster["a"].state.withLock { Array($0.written.keys) } == [key])
    }

    @Test(
        "what makes no sense is refused in words",
        arguments: [
            (#"{"mail":"user","value":"","action":"reject"}"#, "user: expected a name"),
            (#"{"mail":"planet","value":"x","action":"reject"}"#, "expected user, from or toDomain"),
            (#"{"mail":"from","value":"a b@c","action":"reject"}"#, "is no address"),
            (#"{"mail":"toDomain","value":"exa mple","action":"hold"}"#, "expected a domain"),
            (#"{"mail":"toDomain","value":"x.example","action":"drop"}"#, "expected reject, hold or redirect"),
            (#"{"mail":"user","value":"x","action":"redirect","upstream":"ses"}"#, "only a destination"),
            (#"{"mail":"user","value":"x","action":"hold","until":"2026-11-01"}"#, "in the future"),
            (#"{"mail":"user","value":"x","action":"hold","until":"soon"}"#, "a duration such as 7d"),
            (#"{"value":"x"}"#, "expected JSON such as"),
        ])
    func refused(body: String, text: String) async {
        let answer = await post("/api/v1/rules", body, api)
        #expect(answer.status == 400 && answer.text.contains(text), "\(answer.text)")
    }

    @Test("a destination is redirected to a known upstream, and messages too")
    func redirect() async throws {
        let body = #"{"mail":"toDomain","value":"x.example","action":"redirect","upstream":"own"}"#
        #expect(await post("/api/v1/rules", body, api).status == 200)
        let unknown = body.replacing("own", with: "moon")
        #expect(await post("/api/v1/rules", unknown, api).status == 404)
        let status: StatusAnswer = try await get("/api/v1/status", api).decoded()
        #expect(status.problems.contains { $0.name == "redirected" && $0.summary.contains("to x.example goes by own") })
        let all = await post("/api/v1/queue/actions", #"{"verb":"redirect","all":true}"#, api)
        #expect(all.status == 400 && all.text.contains("upstream: expected one of ses, own"))
    }

    @Test("of many rules status tells the first ten, and how many more there are")
    func many() async throws {
        for number in 0..<12 {
            _ = await post(
                "/api/v1/rules", "{\"mail\":\"user\",\"value\":\"u\(number)\",\"action\":\"reject\"}", api)
        }
        let status: StatusAnswer = try await get("/api/v1/status", api).decoded()
        #expect(status.problems.count { $0.name == "suspended" } == 11)
        #expect(status.problems.contains { $0.summary == "2 more rules for mail to come" })
    }

    @Test("suppressions are added, found by address and by domain, listed in pages, removed")
    func suppressions() async throws {
        let body = """
            {"by":"ann","reason":"unsubscribed","suppressions":[{"address":"Ann@Example.net"},{"address":"@example.org"},
            {"address":"no address"},{"address":"bob@example.net","reason":"asked","until":"90d","cause":"complaint"}]}
            """
        let change: SuppressionsChange = try await post("/api/v1/suppressions", body, api).decoded()
        #expect(change.added == 3 && change.changed == 0)
        #expect(change.refused.map(\.index) == [2])
        let found: SuppressionAnswer = try await get("/api/v1/suppressions/ann@EXAMPLE.net", api).decoded()
        #expect(found.address == "Ann@Example.net" && found.reason == "unsubscribed" && found.by == "ann")
        let domain: SuppressionAnswer = try await get("/api/v1/suppressions/x@example.org", api).decoded()
        #expect(domain.address == "@example.org")
        #expect(await get("/api/v1/suppressions/x@example.com", api).status == 404)
        let first: SuppressionsAnswer = try await get("/api/v1/suppressions", api, query: [("limit", "2")]).decoded()
        #expect(first.matched == 3 && first.suppressions.map(\.address) == ["@example.org", "Ann@Example.net"])
        let rest: SuppressionsAnswer = try await get(
            "/api/v1/suppressions", api, query: [("after", try #require(first.next))]
        ).decoded()
        #expect(rest.suppressions.map(\.address) == ["bob@example.net"] && rest.next == nil)
        #expect(rest.suppressions[0].until == "2027-02-22T12:04:31.123Z")
        let complaints: SuppressionsAnswer = try await get(
            "/api/v1/suppressions", api, query: [("cause", "complaint"), ("match", "@example.net")]
        ).decoded()
        #expect(complaints.matched == 1)
        let removal = #"{"suppressions":[{"address":"ann@example.NET"},{"address":"nobody@example.net"}]}"#
        let removed: SuppressionsChange = try await post("/api/v1/suppressions/remove", removal, api).decoded()
        #expect(removed.removed == 1 && removed.refused.map(\.address) == ["nobody@example.net"])
        #expect(await get("/api/v1/suppressions/ann@example.net", api).status == 404)
    }

    @Test("an entry twice in one list is one; too long a list and a record's refusal are said")
    func lists() async throws {
        let twice = #"{"suppressions":[{"address":"a@b"},{"address":"A@b"}]}"#
        #expect(try await post("/api/v1/suppressions", twice, api).decoded(SuppressionsChange.self).added == 1)
        let many = (0..<10_001).map { "{\"address\":\"u\($0)@b\"}" }.joined(separator: ",")
        #expect(await post("/api/v1/suppressions", "{\"suppressions\":[\(many)]}", api).status == 413)
        cluster["a"].state.withLock { $0.recorded = .refused("the cluster's records are full") }
        let full = await post("/api/v1/suppressions", twice, api)
        #expect(full.status == 409 && full.text.contains("records are full"))
    }

    @Test(
        "ends are durations, dates and times",
        arguments: [
            ("2h", "2026-11-24T14:04:31.123Z"), ("2026-12-01", "2026-12-01T00:00:00.000Z"),
            ("2026-12-01T12:30Z", "2026-12-01T12:30:00.000Z"), ("2026-12-01T12:30:05Z", "2026-12-01T12:30:05.000Z"),
            ("2026-12-01T12:30:05.250Z", "2026-12-01T12:30:05.250Z"),
        ])
    func ends(text: String, end: String) { #expect(TimeText.end(text, from: FixedSource.time)?.rfc3339 == end) }

    @Test("ends that are over, or no time, are none", arguments: ["0s", "2026-11-24", "tomorrow", "2026-13-01", ""])
    func noEnds(text: String) { #expect(TimeText.end(text, from: FixedSource.time) == nil) }
}
