import Node
import Testing

@testable import Admin

@Suite("The health listener")
struct HealthTests {
    private func answer(_ method: String, _ path: String, _ source: FixedSource = FixedSource()) async -> AdminResponse
    {
        await HealthAPI(source).answer(AdminRequest(method: method, path: path))
    }

    @Test("health, readiness and metrics need no token")
    func known() async {
        #expect(await answer("GET", "/healthz").status == 200)
        #expect(await answer("GET", "/readyz").status == 200)
        let metrics = await answer("GET", "/metrics")
        #expect(metrics.status == 200 && metrics.contentType.hasPrefix("text/plain; version=0.0.4"))
    }

    @Test("readiness is 404 while the node drains, and 503 with the problem's name while it cannot take mail")
    func readiness() async {
        let source = FixedSource()
        source.state.withLock { $0.status.state = .draining }
        let drained = await answer("GET", "/readyz", source)
        #expect(drained.status == 404 && String(decoding: drained.body, as: UTF8.self).hasPrefix("draining\n"))
        source.state.withLock {
            $0.status.state = .serving
            $0.status.isReady = false
            $0.status.problems = [
                Problem(name: "disk-low", severity: .degraded, summary: "s", effect: "e", baton: "b", you: "y")
            ]
        }
        let refused = await answer("GET", "/readyz", source)
        #expect(refused.status == 503 && String(decoding: refused.body, as: UTF8.self).contains("disk-low"))
    }

    @Test(
        "everything else is a 404 that tells nothing",
        arguments: [
            ("GET", "/"), ("GET", "/api/v1/status"), ("POST", "/api/v1/queue/actions"), ("POST", "/healthz"),
            ("GET", "/healthz/"), ("GET", "/../healthz"), ("DELETE", "/metrics"), ("GET", ""),
        ])
    func rest(_ method: String, _ path: String) async {
        let response = await answer(method, path)
        #expect(response.status == 404 && response.body.isEmpty)
    }
}
