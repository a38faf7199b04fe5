internal import EventLoop
internal import Feedback
internal import Relay
internal import Routing
internal import Primitives
internal import Synchronization

/// `POST /feedback/UPSTREAM`: what upstreams report of mail that they took. Nothing else is here, and nothing is told to
/// whoever has not proved to be one of them.
package final class FeedbackAPI: HTTPAnswering {
    /// How an upstream proves who it is, read from its files.
    struct Proof: Sendable {
        var form: UpstreamFeedback.Form
        var secret: [UInt8] = []
        var key: PublicKey?
        var topics: Set<String> = []
    }

    /// A request's body, in bytes.
    static let maximumBody = 1 << 20
    static let path = "/feedback/"

    private let desk: FeedbackDesk
    private let log: LogWriter
    private let fetch: WebFetch
    private let certificates: CertificateCache
    private let proofs: Mutex<[String: Proof]>
    private let refusals = Mutex(RefusedClients())

    init(_ desk: FeedbackDesk, log: LogWriter, proofs: [String: Proof], fetch: WebFetch) {
        self.desk = desk
        self.log = log
        self.fetch = fetch
        certificates = CertificateCache(fetch)
        self.proofs = Mutex(proofs)
    }

    func replace(_ new: [String: Proof]) { proofs.withLock { $0 = new } }

    package func answer(_ request: AdminRequest) async -> AdminResponse {
        guard request.path.hasPrefix(FeedbackAPI.path) else { return .text("", status: 404) }
        let upstream = String(request.path.dropFirst(FeedbackAPI.path.count))
        guard refusals.withLock({ $0.mayAsk(request.client, at: Clock.instant()) }) else {
            return .error(429, "too many refused requests from \(request.client); wait a minute")
        }
        guard let proof = proofs.withLock({ $0[upstream] }) else {
            return refuse(request, upstream, 404, "no upstream with feedback is called so")
        }
        guard request.method == "POST" else { return .error(405, "expected POST, got \(request.method)") }
        let given = EventRequest(headers: request.headers, body: request.body)
        switch proof.form {
        case .ses: return await answerSNS(request, upstream, proof)
        case .sendgrid:
            guard let key = proof.key else { return .error(500, "no key") }
            return await take(SendGridEvents.read(given, key: key), request, upstream)
        case .mailgun:
            return await take(MailgunEvents.read(given, secret: proof.secret, at: Clock.wall()), request, upstream)
        case .postmark: return await take(PostmarkEvents.read(given, secret: proof.secret), request, upstream)
        case .plain:
            let reading = PlainEvents.read(given, secret: proof.secret, tags: desk.tags, at: Clock.wall())
            return await take(reading, request, upstream)
        }
    }

    private struct Answer: Encodable {
        /// Outcomes that were not known before.
        var new: Int
        var known: Int
        /// About messages that this cluster did not send, or more than seven days ago.
        var unmatched: Int
        /// Of kinds that tell nothing of delivery.
        var ignored: Int
    }

    private func take(_ reading: EventsReading, _ request: AdminRequest, _ upstream: String) async -> AdminResponse {
        switch reading {
        case .forged(let why): return refuse(request, upstream, 403, why)
        case .malformed(let why): return refuse(request, upstream, 400, why)
        case .events(let events, let others):
            let taken = await desk.take(events, upstream: upstream, source: "event")
            if let reason = taken.tryAgain { return .error(503, "try again: \(reason)") }
            return .json(Answer(new: taken.new, known: taken.known, unmatched: taken.unmatched, ignored: others))
        }
    }

    /// A refusal is a line in the log, as long as they are few.
    private func refuse(_ request: AdminRequest, _ upstream: String, _ status: Int, _ why: String) -> AdminResponse {
        desk.count(status == 403 ? "forged" : "malformed", at: status == 404 ? "" : upstream)
        if refusals.withLock({ $0.refused(request.client, at: Clock.instant()) }) {
            log.log(
                "feedback-refused", .warning,
                [
                    .init("client", request.client), .init("upstream", String(upstream.prefix(64))),
                    .init("code", "\(status)"), .init("reason", why),
                ])
        }
        return .error(status, why)
    }

    // MARK: SNS

    private func answerSNS(_ request: AdminRequest, _ upstream: String, _ proof: Proof) async -> AdminResponse {
        guard let message = SNSMessage(request.body) else {
            return refuse(request, upstream, 403, "not a signed message of SNS")
        }
        guard proof.topics.contains(message.topic) else {
            return refuse(request, upstream, 403, "topic \(message.topic.prefix(128)) is not the one of feedback.topic")
        }
        var key = proof.key
        if key == nil {
            guard SNSMessage.isAmazon(message.certificateURL) else {
                return refuse(request, upstream, 403, "its certificate is not at https://sns.REGION.amazonaws.com/")
            }
            do throws(WebFetch.Failure) {
                key = PublicKey.certificate(pem: try await certificates.certificate(at: message.certificateURL))
            } catch {
                log.log("feedback-certificate", .error, [.init("upstream", upstream), .init("reason", error.text)])
                return .error(503, "try again: the certificate cannot be had now")
            }
        }
        guard let key, message.isSigned(by: key) else {
            return refuse(request, upstream, 403, "the signature is not good")
        }
        switch message.kind {
        case .notification: return await take(SESEvents.read(message), request, upstream)
        case .subscription: return await confirm(message, request, upstream)
        case .end:
            log.log("feedback-unsubscribed", .warning, [.init("upstream", upstream), .init("topic", message.topic)])
            return .text("")
        }
    }

    private func confirm(_ message: SNSMessage, _ request: AdminRequest, _ upstream: String) async -> AdminResponse {
        guard SNSMessage.isAmazon(message.subscribeURL) else {
            return refuse(request, upstream, 403, "SubscribeURL is not at https://sns.REGION.amazonaws.com/")
        }
        do throws(WebFetch.Failure) {
            _ = try await fetch.get(message.subscribeURL)
        } catch {
            log.log("feedback-subscription", .error, [.init("upstream", upstream), .init("reason", error.text)])
            return .error(503, "try again: the subscription cannot be confirmed now")
        }
        log.log("feedback-subscribed", .info, [.init("upstream", upstream), .init("topic", message.topic)])
        return .text("")
    }
}

/// Who was refused lately: whoever goes on being refused is not listened to for a while, and fills no log.
struct RefusedClients {
    /// In `window`, of one address.
    static let limit = 30
    /// In `window`, of all.
    static let lines = 60
    static let window = Duration.minutes(1)
    /// Addresses that are remembered.
    static let clients = 1000

    private var since = Instant(nanoseconds: .min)
    private var counts: [String: Int] = [:]
    private var logged = 0

    mutating func mayAsk(_ client: String, at now: Instant) -> Bool {
        begin(now)
        return counts[client, default: 0] < RefusedClients.limit
    }

    /// Whether it is worth a line.
    mutating func refused(_ client: String, at now: Instant) -> Bool {
        begin(now)
        if counts.count < RefusedClients.clients || counts[client] != nil { counts[client, default: 0] += 1 }
        logged += 1
        return logged <= RefusedClients.lines
    }

    private mutating func begin(_ now: Instant) {
        guard now - since >= RefusedClients.window else { return }
        since = now
        counts = [:]
        logged = 0
    }
}
