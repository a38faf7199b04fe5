internal import Cluster
internal import FoundationEssentials
internal import Node
internal import Primitives
internal import SMTP

/// Rules for mail yet to come: who is suspended, which destinations are held or redirected. Every node has all of them.
extension AdminAPI {
    func rules() async -> RulesAnswer { RulesAnswer(rules: await source.status().rules.map(RuleAnswer.init)) }

    func setRule(_ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        let asked = try AdminAPI.rule(request)
        let status = await source.status()
        let subject = try AdminAPI.subject(asked)
        var action: MailRule.Action
        switch (asked.action, subject) {
        case ("reject", _): action = .reject
        case ("hold", _): action = .hold
        case ("redirect", .toDomain):
            guard let upstream = asked.upstream, !upstream.isEmpty else {
                throw BadRequest("upstream: expected the name of one")
            }
            let names = status.upstreams.map(\.name)
            guard names.contains(upstream) else {
                throw BadRequest(
                    "no upstream is named \(upstream); known: \(names.joined(separator: ", "))", status: 404)
            }
            action = .redirect(upstream: upstream)
        case ("redirect", _): throw BadRequest("redirect: only a destination can be redirected (toDomain)")
        default: throw BadRequest("action: expected reject, hold or redirect, got \(asked.action)")
        }
        let until = try AdminAPI.end(asked.until, from: status.time)
        let rule = MailRule(
            subject, action, by: asked.by ?? "admin", reason: asked.reason ?? "", at: status.time, until: until)
        guard rule.key.utf8.count <= ClusterRecords.maximumKey else { throw BadRequest("value: it is too long") }
        let isNew = !status.rules.contains { $0.key == rule.key }
        guard !isNew || status.rules.count < MailRule.maximumCount else {
            throw BadRequest("there are \(MailRule.maximumCount) rules already, the most there may be", status: 409)
        }
        try AdminAPI.check(await source.write([rule.write], by: rule.by))
        return DoneAnswer(done: true, text: AdminAPI.words(rule), silent: [])
    }

    func removeRule(_ request: AdminRequest) async throws(BadRequest) -> DoneAnswer {
        let asked = try AdminAPI.rule(request)
        let subject = try AdminAPI.subject(asked)
        let isRedirect = asked.action == "redirect"
        let key = isRedirect ? MailRule.key(redirecting: subject) : MailRule.key(suspending: subject)
        let what = "mail \(subject.words)"
        guard await source.status().rules.contains(where: { $0.key == key }) else {
            throw BadRequest("\(what) is not \(isRedirect ? "redirected" : "suspended or held")", status: 404)
        }
        try AdminAPI.check(await source.write([RecordWrite(key: key, value: nil)], by: asked.by ?? "admin"))
        return DoneAnswer(
            done: true, text: isRedirect ? "\(what) takes its route again" : "\(what) is taken again", silent: [])
    }

    private static func words(_ rule: MailRule) -> String {
        let what = "mail \(rule.subject.words)"
        let end = rule.until.map { " until \($0.rfc3339)" } ?? ", until it is taken back"
        switch rule.action {
        case .reject: return "\(what) is refused from now on\(end) (\(rule.until == nil ? "550" : "450"))"
        case .hold: return "\(what) is held from now on\(end)"
        case .redirect(let upstream): return "\(what) goes by \(upstream) from now on\(end)"
        }
    }

    private static func rule(_ request: AdminRequest) throws(BadRequest) -> RuleRequest {
        guard let asked = try? JSONDecoder().decode(RuleRequest.self, from: Data(request.body)) else {
            throw BadRequest(
                "expected JSON such as {\"mail\": \"user\", \"value\": \"shop\", \"action\": \"reject\", \"until\": \"7d\"}"
            )
        }
        return asked
    }

    /// What people write, in the one spelling that is looked up.
    private static func subject(_ asked: RuleRequest) throws(BadRequest) -> MailRule.Subject {
        let value = asked.value.lowercased()
        switch asked.mail {
        case "user":
            guard !asked.value.isEmpty else { throw BadRequest("user: expected a name") }
            return .user(asked.value)
        case "from":
            if value == "<>" { return .from(value) }
            let domain = value.hasPrefix("@") ? String(value.dropFirst()) : value
            if domain.contains("@") {
                return .from(try mailbox(value, "from"))
            }
            return .from("@" + (try self.domain(domain, "from")))
        case "toDomain":
            return .toDomain(try domain(value.hasPrefix("@") ? String(value.dropFirst()) : value, "toDomain"))
        default: throw BadRequest("mail: expected user, from or toDomain, got \(asked.mail)")
        }
    }

    static func mailbox(_ text: String, _ name: String) throws(BadRequest) -> String {
        guard let address = try? Address(path: text.utf8) else { throw BadRequest("\(name): \(text) is no address") }
        guard !address.domain.isEmpty else { throw BadRequest("\(name): \(text) has no domain") }
        return address.description
    }

    static func domain(_ text: String, _ name: String) throws(BadRequest) -> String {
        guard (try? Address(path: "x@\(text)".utf8)) != nil else {
            throw BadRequest("\(name): expected a domain such as example.net, got \(text.isEmpty ? "nothing" : text)")
        }
        return text
    }

    static func end(_ text: String?, from now: WallTime) throws(BadRequest) -> WallTime? {
        guard let text else { return nil }
        guard let end = TimeText.end(text, from: now) else {
            throw BadRequest("until: expected \(TimeText.expectation), in the future; got \(text)")
        }
        return end
    }
}
