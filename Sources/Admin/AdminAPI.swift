internal import Node
internal import Primitives
internal import Synchronization

/// Answers requests: what each path means. Knows nothing of sockets (`HTTPServer` carries it).
///
/// Any node answers for the whole cluster: it asks the others the same (`PeerQuestion`), puts the answers together, and
/// names those that were silent. `scope=local` asks for one node's own knowledge.
package struct AdminAPI: Sendable {
    /// Who may ask what.
    package enum Scope: Sendable {
        /// The Unix socket: whoever may open it may do all.
        case local
        /// TCP: all, with the token; the page, health and metrics without.
        case remote(token: Token)
        /// Only `/healthz`, `/readyz` and `/metrics`.
        case health
        /// Another node of the cluster, for its own people: this node's own knowledge.
        case peer
    }

    /// One page of a listing at most.
    static let maximumListed = 10_000
    /// One bulk action at most; the rest is told as `remaining`.
    static let maximumActed = 100_000

    let source: any NodeSource
    let scope: Scope

    package init(_ source: any NodeSource, scope: Scope) {
        self.source = source
        self.scope = scope
    }

    package func answer(_ request: AdminRequest) async -> AdminResponse {
        do throws(BadRequest) {
            return try await route(request)
        } catch {
            return .error(error.status, error.text)
        }
    }

    func isLocal(_ request: AdminRequest) -> Bool {
        if case .peer = scope { return true }
        return request.isLocal
    }

    private func route(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        switch request.path {
        case "/healthz": return .text("ok\n")
        case "/readyz": return await readiness()
        case "/metrics":
            let (status, facts) = await (source.status(), source.facts())
            let view = AdminAPI.ownView(status, facts)
            let text = await Metrics.render(status, facts, view, clocks: clockOffsets(status, facts))
            return AdminResponse(contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(text.utf8))
        default: break
        }
        let isAllowed: Bool
        switch scope {
        case .health: throw BadRequest("only /healthz, /readyz and /metrics are here", status: 404)
        case .local, .peer: isAllowed = true
        case .remote(let token): isAllowed = request.bearer.map(token.matches) ?? false
        }
        // The page itself holds no data: it asks for the token and sends it with each question.
        if request.path == "/" {
            return AdminResponse(contentType: "text/html; charset=utf-8", body: Array(Dashboard.page.utf8))
        }
        guard request.path.hasPrefix("/api/v1/") else { throw BadRequest("nothing is at \(request.path)", status: 404) }
        guard isAllowed else {
            throw BadRequest("expected Authorization: Bearer and the token of admin.tokenFile", status: 401)
        }
        let parts = request.path.dropFirst("/api/v1/".count).split(separator: "/").map(String.init)
        switch request.method {
        case "GET": return try await get(parts, request)
        case "POST": return try await post(parts, request)
        default: throw BadRequest("expected GET or POST, got \(request.method)", status: 405)
        }
    }

    private func get(_ parts: [String], _ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        switch (parts.first, parts.count) {
        case ("time", 1): return await .text(source.time().rfc3339 + "\n")
        case ("status", 1): return await .json(status(request))
        case ("nodes", 1): return await .json(NodesAnswer(status(request)))
        case ("nodes", 3) where parts[2] == "drain": return .json(try await drainCheck(parts[1], request))
        case ("leases", 1): return await .json(LeasesAnswer(status(request)))
        case ("journals", 1): return await .json(JournalsAnswer(status(request)))
        case ("upstreams", 1): return await .json(upstreams(request))
        case ("upstreams", 2) where parts[1] == "explain": return .json(try await explain(request))
        case ("upstreams", 3) where parts[2] == "trust": return .json(try await trust(parts[1], request))
        case ("upstreams", 2):
            guard let found = await upstreams(request).upstreams.first(where: { $0.name == parts[1] }) else {
                throw BadRequest("no upstream is named \(parts[1])", status: 404)
            }
            return .json(found)
        case ("events", 1): return .json(try await events(request))
        case ("rules", 1): return await .json(rules())
        case ("suppressions", 1): return .json(try await suppressions(request))
        case ("suppressions", 2): return .json(try await suppression(parts[1]))
        case ("examination", 1): return await .json(examination(request))
        case ("trace", 2): return .json(try await trace(parts[1], request))
        case ("queue", 1): return .json(try await list(request))
        case ("queue", 2) where parts[1] == "summary": return .json(try await summary(request))
        case ("queue", 2): return .json(try await find(parts[1], request))
        case ("queue", 3) where parts[2] == "raw": return try await raw(parts[1], request)
        default: throw BadRequest("nothing is at \(request.path)", status: 404)
        }
    }

    private func post(_ parts: [String], _ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        switch (parts.first, parts.count) {
        case ("queue", 2) where parts[1] == "actions": return .json(try await act(request))
        case ("rules", 1): return .json(try await setRule(request))
        case ("rules", 2) where parts[1] == "remove": return .json(try await removeRule(request))
        case ("suppressions", 1): return .json(try await addSuppressions(request))
        case ("suppressions", 2) where parts[1] == "remove": return .json(try await removeSuppressions(request))
        case ("upstreams", 3) where parts[2] == "enable" || parts[2] == "disable":
            return .json(try await switchUpstream(parts[1], isOn: parts[2] == "enable", request))
        case ("upstreams", 2) where parts[1] == "reset": return .json(try await resetTrust(nil, request))
        case ("upstreams", 3) where parts[2] == "reset": return .json(try await resetTrust(parts[1], request))
        case ("nodes", 3) where parts[2] == "drain": return .json(try await drain(parts[1], request))
        case ("nodes", 3) where parts[2] == "resume": return .json(try await resume(parts[1], request))
        case ("nodes", 3) where parts[2] == "forget": return .json(try await forget(parts[1], request))
        case ("feedback", 1): return try await answerFeedback(request)
        case ("cluster", 2) where parts[1] == "finalize": return .json(try await finalize(request))
        default: throw BadRequest("nothing to post to at \(request.path)", status: 404)
        }
    }

    /// For balancers: 200 only while mail may come, 404 while draining (HAProxy takes it for 'no new sessions'), else 503.
    /// It is asked twice a second by each balancer, and asks nobody.
    private func readiness() async -> AdminResponse {
        let status = await source.status()
        let isDraining = status.state == .draining || status.state == .drained
        var text = isDraining ? "draining\n" : status.isReady ? "ready\n" : "not ready\n"
        for problem in await AdminAPI.ownView(status, source.facts()).problems {
            text += "\(problem.name)  \(problem.summary)\n  effect  \(problem.effect)\n"
            text += "  baton   \(problem.baton)\n  you     \(problem.you)\n"
        }
        return .text(text, status: isDraining ? 404 : status.isReady ? 200 : 503)
    }
}

/// The admin token; compared in constant time, so that its bytes cannot be guessed one by one.
///
/// A reload replaces it for the connections that are open, too.
package final class Token: Sendable {
    private let secret: Mutex<[UInt8]>

    package init(_ bytes: [UInt8]) { secret = Mutex(bytes) }

    package func replace(by bytes: [UInt8]) { secret.withLock { $0 = bytes } }

    func matches(_ given: [UInt8]) -> Bool {
        let bytes = secret.withLock { $0 }
        guard !bytes.isEmpty else { return false }
        var difference = UInt(bitPattern: bytes.count ^ given.count)
        for (index, byte) in given.enumerated() { difference |= UInt(byte ^ bytes[index % bytes.count]) }
        return difference == 0
    }
}
