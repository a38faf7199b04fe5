package import Node
internal import Primitives

/// A decision about mail yet to come, as JSON. The keys are stable.
package struct RuleAnswer: Codable, Hashable, Sendable {
    /// What it is about: `user`, `from` or `toDomain`.
    package var mail: String
    package var value: String
    /// `reject`, `hold` or `redirect`.
    package var action: String
    package var upstream: String?
    package var by: String
    package var reason: String
    package var at: String
    /// Nil: without end.
    package var until: String?

    package init(_ rule: MailRule) {
        (mail, value) = rule.subject.named
        action = rule.action.word
        if case .redirect(let name) = rule.action { upstream = name }
        by = rule.by
        reason = rule.reason
        at = rule.at.rfc3339
        until = rule.until?.rfc3339
    }

    /// `mail of user shop`.
    package var subject: String {
        let words = MailRule.Subject(mail, value)?.words ?? "\(mail) \(value)"
        return "mail \(words)"
    }
}

extension MailRule.Subject {
    /// Nil for an unknown kind.
    package init?(_ mail: String, _ value: String) {
        switch mail {
        case "user": self = .user(value)
        case "from": self = .from(value)
        case "toDomain": self = .toDomain(value)
        default: return nil
        }
    }

    package var named: (mail: String, value: String) {
        switch self {
        case .user(let name): ("user", name)
        case .from(let sender): ("from", sender)
        case .toDomain(let domain): ("toDomain", domain)
        }
    }
}

/// `GET /api/v1/rules`.
package struct RulesAnswer: Codable, Hashable, Sendable {
    package var rules: [RuleAnswer]
}

/// `POST /api/v1/rules`, and with `mail`, `value` and `action` alone `POST /api/v1/rules/remove`.
package struct RuleRequest: Codable, Hashable, Sendable {
    package var mail: String
    package var value: String
    package var action: String
    package var upstream: String?
    /// A duration, date or time; nil: without end.
    package var until: String?
    package var by: String?
    package var reason: String?

    package init(mail: String, value: String, action: String) {
        self.mail = mail
        self.value = value
        self.action = action
    }
}
