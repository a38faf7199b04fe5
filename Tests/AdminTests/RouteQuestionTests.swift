import Testing

@testable import Admin

@Suite("Why mail goes where it goes, and how far upstreams are trusted")
struct RouteQuestionTests {
    private let source = FixedSource()

    private func request(_ method: String, _ path: String, _ query: [(String, String)]) -> AdminRequest {
        var request = AdminRequest(method: method, path: path)
        request.query = query.map { (name: $0.0, value: $0.1) }
        return request
    }

    private func ask(_ method: String, _ path: String, _ query: [(String, String)] = []) async -> AdminResponse {
        await AdminAPI(source, scope: .local).answer(request(method, path, query))
    }

    @Test("explain tells the route, each factor and the share")
    func explain() async throws {
        let answer = await ask("GET", "/api/v1/upstreams/explain", [("to", "x@gmail.com")])
        let found = try answer.decoded(ExplainAnswer.self)
        #expect(found.route == "routes[1]")
        #expect(found.to == "x@gmail.com")
        #expect(found.next == "ses")
        #expect(found.node == "a")
        #expect(found.upstreams.map(\.name) == ["ses", "own"])
        #expect(found.upstreams.map(\.configured) == [70, 30])
        #expect(abs(found.upstreams[0].share - 0.7) < 1e-9)
        #expect(found.upstreams.allSatisfy { $0.health == 1 && $0.reputation == 1 && $0.cost == 1 && $0.headroom == 1 })
    }

    @Test("the message's other facts count")
    func facts() async throws {
        let answer = await ask(
            "GET", "/api/v1/upstreams/explain", [("to", "x@gmail.com"), ("size", "6MiB"), ("header", "X-A: b")])
        let found = try answer.decoded(ExplainAnswer.self)
        #expect(found.route == "routes[0]")
        #expect(found.upstreams.map(\.name) == ["own"])
    }

    @Test(
        "what cannot be asked is said",
        arguments: [
            ([], "to: missing"), ([("to", "x y")], "to: expected a mail address"),
            ([("to", "x@y.example"), ("size", "big")], "size: expected a size"),
            ([("to", "x@y.example"), ("client", "here")], "client: expected an address"),
            ([("to", "x@y.example"), ("header", "news")], "header: expected a field"),
            ([("to", "x@y.example"), ("colour", "red")], "unknown parameter colour"),
        ])
    func wrong(query: [(String, String)], text: String) async {
        let answer = await ask("GET", "/api/v1/upstreams/explain", query)
        #expect(answer.status == 400)
        #expect(String(decoding: answer.body, as: UTF8.self).contains(text))
    }

    @Test("trust tells the state of blocks, the next probe and what was said")
    func trust() async throws {
        let answer = await ask("GET", "/api/v1/upstreams/ses/trust", [("at", "google")])
        let found = try answer.decoded(TrustAnswer.self)
        let google = try #require(found.providers.first)
        #expect(google.state == "blocked")
        #expect(google.nextProbeSeconds == 24)
        #expect(google.lastReply == "421 4.7.28 unusual rate")
        #expect(found.blind)
        #expect(found.limits.map(\.used) == [444])
        #expect(found.spentThisMonth == 20)
        #expect(await ask("GET", "/api/v1/upstreams/sas/trust").status == 404)
        #expect(await ask("GET", "/api/v1/upstreams/ses/trust", [("at", "gogle")]).status == 404)
    }

    @Test("reset forgets at one provider or all; what does not exist is refused first")
    func reset() async throws {
        let answer = await ask("POST", "/api/v1/upstreams/ses/reset", [("at", "google")])
        #expect(try answer.decoded([TrustAnswer].self).first?.providers.first?.state == "open")
        #expect(await ask("POST", "/api/v1/upstreams/sas/reset").status == 404)
        #expect(await ask("POST", "/api/v1/upstreams/reset", [("at", "gogle")]).status == 404)
        #expect(await ask("POST", "/api/v1/upstreams/reset").status == 200)
        #expect(source.state.withLock { $0.resets } == ["ses at google", "all at all"])
    }
}
