internal import Node
internal import Primitives
internal import Routing
internal import SMTP

/// Where a message would go, and why: the asked node's own answer, for all nodes route by the sum of what they know.
package struct ExplainAnswer: Codable, Hashable, Sendable {
    package struct Upstream: Codable, Hashable, Sendable {
        package var name: String
        /// 0 for the route's upstreams, then its fallback tiers.
        package var tier: Int
        /// The configured weight.
        package var configured: Double
        /// 0 to 1 each.
        package var health: Double
        package var reputation: Double
        package var headroom: Double
        package var cost: Double
        /// All of them multiplied.
        package var weight: Double
        /// 0 to 1.
        package var share: Double
        /// Why it is not chosen now; nil when it may be.
        package var obstacle: String?
        package var nextProbeSeconds: Double?
    }

    package var from: String
    package var to: String
    /// `routes[0]`, `delivery.bounces` or `none`.
    package var route: String
    package var provider: String
    /// Who would get the next such message.
    package var next: String?
    package var upstreams: [Upstream]
    package var node: String
}

/// How far an upstream is trusted, as the asked node sees it.
package struct TrustAnswer: Codable, Hashable, Sendable {
    package struct Provider: Codable, Hashable, Sendable {
        package var name: String
        /// 0 to 100.
        package var trust: Int
        /// `open`, `blocked` or `returning`.
        package var state: String
        package var returningPercent: Int?
        package var sinceSeconds: Double?
        /// Results of the whole cluster, decayed.
        package var good: Double
        package var refused: Double
        package var refusedByFeedback: Double
        /// Since the block began, not decayed.
        package var refusedInBlock: Int
        package var resultsInBlock: Int
        package var refusedInBlockByFeedback: Int
        package var nextProbeSeconds: Double?
        package var lastReply: String
    }

    package struct Limit: Codable, Hashable, Sendable {
        package var name: String
        package var limit: Double
        package var used: Double
    }

    package var name: String
    package var trust: Int
    /// Nobody tells what becomes of its mail after its 250.
    package var blind: Bool
    package var providers: [Provider]
    package var limits: [Limit]
    package var spentToday: Double
    package var spentThisMonth: Double
    package var node: String
}

extension AdminAPI {
    func explain(_ request: AdminRequest) async throws(BadRequest) -> ExplainAnswer {
        let (subject, from) = try AdminAPI.subject(request.query)
        let found = await source.explain(subject)
        let route =
            switch found.matched {
            case .configured(let number): "routes[\(number)]"
            case .bounces: "delivery.bounces"
            case .none: "none"
            }
        return ExplainAnswer(
            from: from, to: subject.recipient.description, route: route, provider: found.provider, next: found.next,
            upstreams: found.upstreams.map { ExplainAnswer.Upstream($0, at: found.now) },
            node: await source.facts().name)
    }

    /// The message that a query describes, and its sender as it is told back.
    private static func subject(
        _ query: [(name: String, value: String)]
    ) throws(BadRequest) -> (subject: RouteSubject, from: String) {
        func address(_ text: String, _ name: String) throws(BadRequest) -> Address {
            guard let address = try? Address(path: text.utf8) else {
                throw BadRequest("\(name): expected a mail address such as x@gmail.com, got \(text)")
            }
            return address
        }
        var recipient: Address?
        var facts = RouteFacts()
        // Somebody; the null sender has routes and upstreams of its own, and is asked for by <>.
        var sender: Address? = Address(parsed: Array("anyone@invalid".utf8))
        var from = "anyone"
        for (name, value) in query {
            switch name {
            case "to": recipient = try address(value, name)
            case "from":
                sender = value == "<>" ? nil : try address(value, name)
                from = value
            case "user": facts.user = value
            case "client":
                guard ClientRange(client: value) != nil else {
                    throw BadRequest("client: expected an address such as 10.0.3.9, got \(value)")
                }
                facts.client = value
            case "size":
                guard let size = ByteCount(text: value) else {
                    throw BadRequest("size: expected a size such as 5MiB, got \(value)")
                }
                facts.size = size.bytes
            case "header":
                guard let colon = value.firstIndex(of: ":"), colon > value.startIndex else {
                    throw BadRequest("header: expected a field such as X-Campaign: news, got \(value)")
                }
                let text = value[value.index(after: colon)...].drop { $0 == " " }
                facts.headerFields.append(Array("\(value[..<colon].lowercased()):\(text)".utf8))
            case "scope": break
            default: throw BadRequest("unknown parameter \(name)")
            }
        }
        guard let recipient else { throw BadRequest("to: missing: expected a mail address such as x@gmail.com") }
        return (RouteSubject(sender: sender, recipient: recipient, facts: facts), from)
    }

    func trust(_ upstream: String, _ request: AdminRequest) async throws(BadRequest) -> TrustAnswer {
        let provider = request.value("at")
        guard let found = await source.trust(of: upstream, at: provider) else {
            if await source.trust(of: upstream, at: nil) == nil {
                throw BadRequest("no upstream is named \(upstream)", status: 404)
            }
            throw BadRequest("at: no mailbox provider is known as \(provider ?? "")", status: 404)
        }
        return TrustAnswer(found, node: await source.facts().name)
    }

    /// Answers how far the upstreams are trusted after it.
    func resetTrust(_ upstream: String?, _ request: AdminRequest) async throws(BadRequest) -> [TrustAnswer] {
        let provider = request.value("at")
        var names = [upstream].compactMap(\.self)
        if upstream == nil { names = await source.status().upstreams.map(\.name) }
        // What does not exist is refused before anything is forgotten.
        for name in names { _ = try await trust(name, request) }
        await source.resetTrust(of: upstream, at: provider)
        var answers: [TrustAnswer] = []
        for name in names { answers.append(try await trust(name, request)) }
        return answers
    }
}

extension ExplainAnswer.Upstream {
    init(_ upstream: RouteExplanation.Upstream, at now: Instant) {
        let why = upstream.why
        self.init(
            name: upstream.name, tier: why.tier, configured: why.configured, health: why.health,
            reputation: why.reputation, headroom: why.headroom, cost: why.cost, weight: why.weight, share: why.share,
            obstacle: why.obstacle?.rawValue, nextProbeSeconds: why.nextProbe.map { max(0, ($0 - now).inSeconds) })
    }
}

extension TrustAnswer {
    init(_ found: UpstreamTrust, node: String) {
        self.init(
            name: found.name, trust: found.trust, blind: !found.hasFeedback,
            providers: found.providers.map { Provider($0, at: found.now) },
            limits: found.limits.map { Limit(name: $0.name, limit: $0.limit, used: $0.used) },
            spentToday: found.spent.day, spentThisMonth: found.spent.month, node: node)
    }
}

extension TrustAnswer.Provider {
    init(_ provider: UpstreamTrust.Provider, at now: Instant) {
        let trust = provider.trust
        var state = "open"
        var percent: Int?
        switch trust.state {
        case .open: break
        case .blocked: state = "blocked"
        case .returning(let part): (state, percent) = ("returning", part)
        }
        self.init(
            name: provider.name, trust: trust.trust, state: state, returningPercent: percent,
            sinceSeconds: trust.since.map { max(0, (now - $0).inSeconds) }, good: trust.good, refused: trust.refused,
            refusedByFeedback: trust.refusedByFeedback, refusedInBlock: trust.refusedInBlock,
            resultsInBlock: trust.resultsInBlock, refusedInBlockByFeedback: trust.refusedInBlockByFeedback,
            nextProbeSeconds: trust.nextProbe.map { max(0, ($0 - now).inSeconds) }, lastReply: trust.lastReply)
    }
}
