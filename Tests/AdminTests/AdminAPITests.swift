@testable import Node
import Primitives
import Testing

@testable import Admin

@Suite("Admin API")
struct AdminAPITests {
    let source = FixedSource(messages: [
        FixedSource.message(1), FixedSource.message(2, to: "bob@gmail.com"), FixedSource.message(3, state: .held),
    ])
    var api: AdminAPI { AdminAPI(source, scope: .local) }

    @Test("the status has stable keys, and the same state gives the same bytes")
    func status() async throws {
        let answer = await get("/api/v1/status", api)
        #expect(answer.status == 200)
        #expect(answer.contentType == "application/json")
        #expect(await get("/api/v1/status", api).body == answer.body)
        for key in [
            "\"verdict\":\"healthy\"", "\"ready\":true", "\"time\":\"2026-11-24T12:04:31.123Z\"", "\"from\":\"a\"",
            "\"nodes\":[",
            "\"queue\":{", "\"recent5m\":{", "\"upstreams\":[", "\"problems\":[]", "\"waitingForUpstream\":0",
            "\"oldestDueSeconds\":0.4",
        ] {
            #expect(answer.text.contains(key), "\(key) is missing")
        }
    }

    @Test("a problem degrades the verdict; a warning is only counted")
    func verdicts() throws {
        func summary(_ change: (inout NodeStatus) -> Void) -> String {
            var status = FixedSource.healthy
            change(&status)
            return StatusMerge(StatusAnswer(status, NodeFacts(name: "a", cluster: "mail", upFor: .zero))).answer.summary
        }
        func problem(_ severity: Problem.Severity) -> Problem {
            Problem(name: "x", severity: severity, summary: "", effect: "", baton: "", you: "")
        }
        #expect(summary { _ in } == "healthy: accepting and delivering · every message on 1 disk · 0 nodes may fail")
        #expect(summary { $0.problems = [problem(.warning)] }.hasPrefix("healthy, 1 warning: accepting and delivering"))
        #expect(summary { $0.problems = [problem(.degraded)] }.hasPrefix("degraded: accepting and delivering"))
        #expect(summary { $0.isReady = false }.hasPrefix("degraded: not accepting, delivering"))
        #expect(summary { $0.upstreams = [] }.hasPrefix("healthy: accepting, not delivering"))
        #expect(summary { $0.state = .draining }.hasPrefix("draining: "))
    }

    @Test("readiness is 200, 404 while draining, 503 otherwise with the problems in words")
    func readiness() async {
        let health = AdminAPI(source, scope: .health)
        #expect(await get("/healthz", health).status == 200)
        #expect(await get("/readyz", health).status == 200)
        source.state.withLock { $0.status.state = .draining }
        #expect(await get("/readyz", health).status == 404)
        source.state.withLock {
            $0.status.state = .serving
            $0.status.isReady = false
            $0.status.problems = [
                Problem(
                    name: "disk-low", severity: .degraded, summary: "1 % free", effect: "e", baton: "b", you: "df -h")
            ]
        }
        let answer = await get("/readyz", health)
        #expect(answer.status == 503)
        #expect(answer.text == "not ready\ndisk-low  1 % free\n  effect  e\n  baton   b\n  you     df -h\n")
    }

    @Test("the health listener gives nothing else")
    func healthOnly() async {
        let health = AdminAPI(source, scope: .health)
        #expect(await get("/metrics", health).status == 200)
        for path in ["/", "/api/v1/status", "/api/v1/queue"] { #expect(await get(path, health).status == 404) }
    }

    @Test("TCP wants the token for data, not for the page")
    func token() async {
        let remote = AdminAPI(source, scope: .remote(token: Token(Array("sesame".utf8))))
        #expect(await get("/", remote).status == 200)
        #expect(await get("/api/v1/status", remote).status == 401)
        var request = AdminRequest(method: "GET", path: "/api/v1/status")
        for (given, status) in [("sesame", 200), ("sesamE", 401), ("sesamesesame", 401), ("", 401), ("ses", 401)] {
            request.bearer = Array(given.utf8)
            #expect(await remote.answer(request).status == status)
        }
    }

    @Test("an empty token matches nothing")
    func emptyToken() { #expect(!Token([]).matches([])) }

    @Test("a listing is cut at its limit and says how many match")
    func list() async throws {
        let answer: QueueListAnswer = try await get("/api/v1/queue", api, query: [("limit", "2")]).decoded()
        #expect(answer.matched == 3)
        #expect(answer.messages.count == 2)
        #expect(answer.messages[0].ageSeconds == 60)
        let held: QueueListAnswer = try await get("/api/v1/queue", api, query: [("state", "held")]).decoded()
        #expect(held.matched == 1)
    }

    @Test(
        "a question that makes no sense is 400 and says why",
        arguments: [
            ("state", "sleeping", "state: expected one of due, sending, retrying, waiting, held, got sleeping"),
            ("olderThan", "soon", "olderThan: expected a duration such as 2h, got soon"),
            ("colour", "red", "unknown parameter colour"), ("id", "U!", "U! is not the beginning of a message id"),
        ])
    func badFilters(_ name: String, _ value: String, _ message: String) async throws {
        let answer = await get("/api/v1/queue", api, query: [(name, value)])
        #expect(answer.status == 400)
        #expect(try answer.decoded(ErrorAnswer.self).error == message)
    }

    @Test("a message is found by a beginning of its id, if only one has it")
    func prefixes() async throws {
        let id = FixedSource.message(2).id.description
        let found: MessageAnswer = try await get("/api/v1/queue/\(id.lowercased())", api).decoded()
        #expect(found.id == id)
        #expect(await get("/api/v1/queue/\(id.prefix(8))", api).status == 409)
        #expect(await get("/api/v1/queue/7ZZZ", api).status == 404)
        #expect(await get("/api/v1/queue/\(id)/raw", api).text.contains("\r\n.dot\r\n"))
        #expect(await get("/api/v1/trace/\(id)", api).status == 200)
        #expect(await get("/api/v1/trace/7ZZZZZZZZZZZZZZZZZZZZZZZZZ", api).status == 404)
    }

    @Test("a summary groups by what was asked for")
    func summary() async throws {
        let answer: QueueSummaryAnswer = try await get("/api/v1/queue/summary", api, query: [("by", "to")]).decoded()
        #expect(answer.rows.map(\.key) == ["example.net", "gmail.com"])
        #expect(answer.rows[0].messages == 2)
        let replies: QueueSummaryAnswer = try await get("/api/v1/queue/summary", api, query: [("by", "reply")])
            .decoded()
        #expect(replies.rows.map(\.key) == ["451 4.7.1"])
        let destinations: QueueSummaryAnswer = try await get(
            "/api/v1/queue/summary", api, query: [("by", "destination")]
        ).decoded()
        #expect(destinations.rows.map(\.key) == ["example.net", "gmail.com"])
        #expect(
            destinations.rows.map(\.state) == [
                "deferred, 2 parked, next try in 40.0 s: 451 4.4.1 no answer", nil,
            ])
        #expect(await get("/api/v1/queue/summary", api, query: [("by", "moon")]).status == 400)
    }

    @Test("a dry run counts and shows samples; the real one commands each message with who and why")
    func actions() async throws {
        let dry: ActionAnswer = try await post(
            "/api/v1/queue/actions", #"{"verb":"hold","filter":{"to":"example.net"},"dryRun":true}"#, api
        ).decoded()
        #expect(dry.matched == 2)
        #expect(dry.samples.count == 2)
        #expect(source.state.withLock { $0.commands.isEmpty })
        let real: ActionAnswer = try await post(
            "/api/v1/queue/actions", #"{"verb":"hold","all":true,"reason":"because","by":"ann"}"#, api
        ).decoded()
        #expect(real.outcomes == ["done": 3])
        let commands = source.state.withLock { $0.commands }
        #expect(Set(commands.map(\.message)).count == 3)
        #expect(commands.allSatisfy { $0.verb == .hold && $0.reason == "because" && $0.by == "ann" })
    }

    @Test(
        "an action without a selection, a known verb or an existing id does nothing",
        arguments: [
            (#"{"verb":"cancel"}"#, 400), (#"{"verb":"cancel","ids":[],"filter":{}}"#, 400),
            (#"{"verb":"burn","all":true}"#, 400), ("rubbish", 400), (#"{"verb":"cancel","ids":["7ZZZ"]}"#, 404),
            (#"{"verb":"cancel","filter":{"olderThan":"x"}}"#, 400),
        ])
    func badActions(_ body: String, _ status: Int) async {
        #expect(await post("/api/v1/queue/actions", body, api).status == status)
        #expect(source.state.withLock { $0.commands.isEmpty })
    }

    @Test("upstreams are switched by name")
    func upstreams() async {
        #expect(await post("/api/v1/upstreams/ses/disable", "", api).status == 200)
        #expect(source.state.withLock { $0.records.keys.sorted() } == ["upstream/ses/off"])
        #expect(await post("/api/v1/upstreams/ses/enable", "", api).status == 200)
        #expect(source.state.withLock { $0.records.isEmpty })
        #expect(await post("/api/v1/upstreams/moon/disable", "", api).status == 404)
        #expect(await get("/api/v1/upstreams/own", api).status == 200)
        #expect(await get("/api/v1/upstreams/moon", api).status == 404)
    }
}
