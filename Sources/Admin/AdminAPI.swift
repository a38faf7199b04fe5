internal import FoundationEssentials
internal import Node
internal import Primitives
internal import Synchronization

/// Answers requests: what each path means. Knows nothing of sockets (`HTTPServer` carries it).
package struct AdminAPI: Sendable {
    /// Who may ask what.
    package enum Scope: Sendable {
        /// The Unix socket: whoever may open it may do all.
        case local
        /// TCP: all, with the token; the page, health and metrics without.
        case remote(token: Token)
        /// Only `/healthz`, `/readyz` and `/metrics`.
        case health
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

    private func route(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        switch request.path {
        case "/healthz": return .text("ok\n")
        case "/readyz": return await readiness()
        case "/metrics":
            let text = await Metrics.render(source.status(), source.facts())
            return AdminResponse(contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(text.utf8))
        default: break
        }
        let isAllowed: Bool
        switch scope {
        case .health: throw BadRequest("only /healthz, /readyz and /metrics are here", status: 404)
        case .local: isAllowed = true
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
        case ("status", 1): return await .json(StatusAnswer(source.status(), source.facts()))
        case ("queue", 1): return try await list(request)
        case ("queue", 2) where parts[1] == "summary": return try await summary(request)
        case ("queue", 2):
            let (message, now) = try await find(parts[1])
            return .json(MessageAnswer(message, at: now))
        case ("queue", 3) where parts[2] == "raw":
            let (message, _) = try await find(parts[1])
            // Whole in memory: one person's question, bounded by smtp.maximumMessageSize.
            guard let content = await source.content(of: message) else {
                throw BadRequest("the content of \(message.id) cannot be read now", status: 503)
            }
            return AdminResponse(contentType: "message/rfc822", body: content)
        case ("trace", 2): return try await trace(parts[1])
        case ("upstreams", 1):
            return await .json(UpstreamsAnswer(upstreams: source.status().upstreams.map(UpstreamAnswer.init)))
        case ("upstreams", 2):
            guard let found = await source.status().upstreams.first(where: { $0.name == parts[1] }) else {
                throw BadRequest("no upstream is named \(parts[1])", status: 404)
            }
            return .json(UpstreamAnswer(found))
        default: throw BadRequest("nothing is at \(request.path)", status: 404)
        }
    }

    private func post(_ parts: [String], _ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        switch (parts.first, parts.count) {
        case ("queue", 2) where parts[1] == "actions": return try await act(request)
        case ("upstreams", 3) where parts[2] == "enable" || parts[2] == "disable":
            guard await source.enableUpstream(parts[1], parts[2] == "enable") else {
                throw BadRequest("no upstream is named \(parts[1])", status: 404)
            }
            return await .json(UpstreamsAnswer(upstreams: source.status().upstreams.map(UpstreamAnswer.init)))
        default: throw BadRequest("nothing to post to at \(request.path)", status: 404)
        }
    }

    // MARK: Answers

    /// For balancers: 200 only while mail may come, 404 while draining (HAProxy takes it for 'no new sessions'), else 503.
    private func readiness() async -> AdminResponse {
        let status = await source.status()
        var text = status.state == .draining ? "draining\n" : status.isReady ? "ready\n" : "not ready\n"
        for problem in status.problems {
            text += "\(problem.name)  \(problem.summary)\n  effect  \(problem.effect)\n"
            text += "  baton   \(problem.baton)\n  you     \(problem.you)\n"
        }
        let code = status.state == .draining ? 404 : status.isReady ? 200 : 503
        return .text(text, status: code)
    }

    private func list(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        let ids = request.query.filter { $0.name == "id" }.map(\.value)
        let filter = try ActionRequest.Filter(query: request.query).queueFilter(ids: ids)
        let (messages, matched) = await source.list(filter, limit: limit(request, otherwise: 100))
        let now = await source.status().time
        return .json(QueueListAnswer(matched: matched, messages: messages.map { MessageAnswer($0, at: now) }))
    }

    private func summary(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        let by = request.value("by") ?? "to"
        guard let key = QueueSummaryAnswer.Key(rawValue: by) else {
            let names = QueueSummaryAnswer.Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw BadRequest("by: expected one of \(names), got \(by)")
        }
        let filter = try ActionRequest.Filter(query: request.query).queueFilter(ids: [])
        let (messages, matched) = await source.list(filter, limit: AdminAPI.maximumActed)
        let now = await source.status().time
        return .json(QueueSummaryAnswer(messages, by: key, matched: matched, at: now))
    }

    private func trace(_ prefix: String) async throws(BadRequest) -> AdminResponse {
        // A finished message is in no listing: only its whole id finds it.
        let whole = ULID(text: prefix).map(MessageID.init)
        let message: MessageStatus?
        if let whole { message = await source.message(whole) } else { message = try await find(prefix).0 }
        guard let id = whole ?? message?.id, var answer = await source.trace(id) else {
            throw BadRequest(
                "nothing is known of \(prefix): not in the queue, and no longer in the history", status: 404)
        }
        let now = await source.status().time
        answer.message = message.map { MessageAnswer($0, at: now) }
        return .json(answer)
    }

    /// The one unfinished message that an id or its beginning names.
    func find(_ prefix: String) async throws(BadRequest) -> (MessageStatus, WallTime) {
        guard let range = ULID.range(prefix: prefix) else {
            throw BadRequest("\(prefix) is not the beginning of a message id")
        }
        // A whole id needs no look at the whole queue.
        if range.lowerBound == range.upperBound {
            guard let message = await source.message(MessageID(range.lowerBound)) else {
                throw BadRequest("no unfinished message has the id \(prefix)", status: 404)
            }
            return (message, await source.status().time)
        }
        var filter = QueueFilter()
        filter.ids = [range]
        let (messages, matched) = await source.list(filter, limit: 2)
        guard let message = messages.first else {
            throw BadRequest("no unfinished message has the id \(prefix)", status: 404)
        }
        guard matched == 1 else { throw BadRequest("\(prefix) begins \(matched) ids: give more of it", status: 409) }
        return (message, await source.status().time)
    }

    private func limit(_ request: AdminRequest, otherwise: Int) -> Int {
        min(max(1, request.value("limit").flatMap { Int($0) } ?? otherwise), AdminAPI.maximumListed)
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
