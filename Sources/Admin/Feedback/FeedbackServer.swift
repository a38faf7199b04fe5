internal import EventLoop
internal import Feedback
internal import Glibc
package import Relay
internal import Routing
internal import Synchronization

/// The listener for what upstreams report (`feedback.listen`), and the line on which nodes ask each other whose a message is.
package final class FeedbackServer: Sendable {
    private let api: FeedbackAPI?
    private let server: Mutex<HTTPServer?>
    private let thread: WorkThread?

    /// Listens at once, where anything is configured. Call it once other nodes' questions are answered.
    package convenience init(
        _ configuration: Configuration, _ relay: RelayHandle, source: any NodeSource
    ) throws(AdminError) {
        try self.init(configuration, relay, source: source, fetch: nil)
    }

    /// - Parameter fetch: Nil asks the world.
    init(
        _ configuration: Configuration, _ relay: RelayHandle, source: any NodeSource, fetch: WebFetch?
    ) throws(AdminError) {
        guard let desk = relay.feedback else {
            api = nil
            thread = nil
            server = Mutex(nil)
            return
        }
        let peers = AdminAPI(source, scope: .peer)
        desk.connect(
            to: FeedbackDesk.PeerLine(
                askAll: { await peers.askAllOfFeedback($0) }, ask: { await peers.askOfFeedback($0, $1) }))
        guard let listen = configuration.feedback.listen else {
            api = nil
            thread = nil
            server = Mutex(nil)
            return
        }
        let thread = fetch == nil ? WorkThread("feedback-fetch") : nil
        let fetch = fetch ?? thread.map { WebFetch.curl(on: $0) } ?? WebFetch { _ in [] }
        let api = FeedbackAPI(desk, log: relay.log, proofs: try FeedbackServer.proofs(configuration), fetch: fetch)
        let options = try FeedbackServer.options(configuration)
        let listener = try HTTPListener.tcp(listen, name: "feedback.listen")
        self.api = api
        self.thread = thread
        server = Mutex(try HTTPServer(listener, api, options))
    }

    /// The real port; 0 without a listener.
    package var port: UInt16 { server.withLock { $0?.port ?? 0 } }

    /// Reads keys, secrets and the certificate again; throws, and keeps the old ones, when a new one can't be used.
    package func reload(_ configuration: Configuration) async throws(AdminError) {
        guard let api, let old = server.withLock({ $0 }) else { return }
        let proofs = try FeedbackServer.proofs(configuration)
        let options = try FeedbackServer.options(configuration)
        // The daemon keeps its certificate: another one takes its place on the same socket, and no connection is refused.
        guard let listener = old.listenerAgain else { throw AdminError(text: "feedback.listen: no descriptor is left") }
        let new = try HTTPServer(listener, api, options)
        api.replace(proofs)
        server.withLock { $0 = new }
        await old.stop()
    }

    package func stop() async {
        let last = server.withLock { server in
            defer { server = nil }
            return server
        }
        await last?.stop()
        thread?.stop()
    }

    private static func options(_ configuration: Configuration) throws(AdminError) -> HTTPServer.Options {
        var options = HTTPServer.Options()
        options.maximumBody = FeedbackAPI.maximumBody
        options.wantsHeaders = true
        if let certificate = configuration.feedback.certificateFile, let key = configuration.feedback.privateKeyFile {
            options.tls = (
                try text(of: certificate, "feedback.certificateFile"), try text(of: key, "feedback.privateKeyFile")
            )
        }
        return options
    }

    private static func proofs(_ configuration: Configuration) throws(AdminError) -> [String: FeedbackAPI.Proof] {
        var proofs: [String: FeedbackAPI.Proof] = [:]
        for upstream in configuration.upstreams {
            guard let feedback = upstream.feedback else { continue }
            var proof = FeedbackAPI.Proof(form: feedback.form, topics: Set(feedback.topics))
            let name = "upstream \(upstream.name): feedback"
            if let file = feedback.secretFile {
                do throws(SecretFile.Refusal) {
                    proof.secret = try SecretFile.read(file)
                } catch {
                    throw AdminError(text: "\(name).secretFile: \(error.text)")
                }
            }
            if let file = feedback.publicKeyFile {
                proof.key = PublicKey.publicKey(text: Array(try text(of: file, "\(name).publicKeyFile").utf8))
                guard proof.key != nil else {
                    throw AdminError(text: "\(name).publicKeyFile: \(file) holds no public key (PEM, or base64 of DER)")
                }
            }
            if let file = feedback.certificateFile {
                proof.key = PublicKey.certificate(pem: Array(try text(of: file, "\(name).certificateFile").utf8))
                guard proof.key != nil else {
                    throw AdminError(text: "\(name).certificateFile: \(file) holds no certificate (PEM)")
                }
            }
            proofs[upstream.name] = proof
        }
        return proofs
    }

    private static func text(of file: String, _ name: String) throws(AdminError) -> String {
        guard let bytes = SmallFile.read(file) else {
            throw AdminError(text: "\(name): \(file) cannot be read, or is larger than \(SmallFile.limit) bytes")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension AdminAPI {
    private static let feedbackPath = "/api/v1/feedback"

    private func feedbackQuestion(_ body: [UInt8]) -> AdminRequest {
        var request = AdminRequest(method: "POST", path: AdminAPI.feedbackPath)
        request.body = body
        return request
    }

    fileprivate func askAllOfFeedback(
        _ body: [UInt8]
    ) async -> (answers: [(node: String, body: [UInt8])], silent: [String]) {
        let all = await askPeers(feedbackQuestion(body), patience: PeerPatience.listing)
        let good = all.answers.filter { $0.response.status == 200 }
        let bad = all.answers.filter { $0.response.status != 200 }.map(\.node)
        return (good.map { ($0.node, $0.response.body) }, (all.silent + bad).sorted())
    }

    fileprivate func askOfFeedback(_ node: String, _ body: [UInt8]) async -> [UInt8]? {
        let response = await ask(node, feedbackQuestion(body), patience: PeerPatience.command)
        return response.flatMap { $0.status == 200 ? $0.body : nil }
    }

    /// Another node asks whose a message is, or hands over an event.
    func answerFeedback(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        guard case .peer = scope, let answer = await source.answerFeedback(request.body) else {
            throw BadRequest("nothing to post to at \(request.path)", status: 404)
        }
        return AdminResponse(contentType: "application/json", body: answer)
    }
}
