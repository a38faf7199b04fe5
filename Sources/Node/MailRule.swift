package import Cluster
package import Primitives
internal import SMTP

/// What people decided about mail yet to come: a cluster record `rule/…`.
package struct MailRule: Hashable, Sendable {
    /// Whose mail it is about. Addresses and domains are in lower case.
    package enum Subject: Hashable, Sendable {
        /// Who authenticated.
        case user(String)
        /// The sender: `ann@example.net`, `@example.net` for a whole domain, `<>` for bounces.
        case from(String)
        /// The recipients' domain.
        case toDomain(String)
    }

    package enum Action: Hashable, Sendable {
        /// At MAIL, or at RCPT for a destination.
        case reject
        /// Accepted, and held before its first try; for a destination before any try.
        case hold
        /// In place of the route, at each try.
        case redirect(upstream: String)
    }

    package static let prefix = "rule/"
    /// Of the whole cluster: looked through by people.
    package static let maximumCount = 1000

    package var subject: Subject
    package var action: Action
    package var by: String
    package var reason: String
    package var at: WallTime
    /// Nil: without end.
    package var until: WallTime?

    package init(
        _ subject: Subject, _ action: Action, by: String, reason: String, at: WallTime, until: WallTime? = nil
    ) {
        self.subject = subject
        self.action = action
        self.by = by
        self.reason = reason
        self.at = at
        self.until = until
    }

    /// One rule of each kind for each subject: a suspension, and for a destination a redirection.
    package var key: String {
        if case .redirect = action { return MailRule.redirection + subject.key }
        return MailRule.suspension + subject.key
    }

    private static let suspension = "rule/suspend/"
    private static let redirection = "rule/redirect/"

    package static func key(suspending subject: Subject) -> String { suspension + subject.key }
    package static func key(redirecting subject: Subject) -> String { redirection + subject.key }

    /// Nil for a record that this version does not understand.
    package init?(_ record: ClusterRecord) {
        guard let texts = RecordTexts(record.value) else { return nil }
        let isRedirection = record.key.hasPrefix(MailRule.redirection)
        guard isRedirection || record.key.hasPrefix(MailRule.suspension) else { return nil }
        let prefix = isRedirection ? MailRule.redirection : MailRule.suspension
        guard let subject = Subject(key: record.key.dropFirst(prefix.count)) else { return nil }
        switch texts[.action] {
        case "reject" where !isRedirection: action = .reject
        case "hold" where !isRedirection: action = .hold
        case "redirect" where isRedirection && !texts[.upstream].isEmpty:
            action = .redirect(upstream: texts[.upstream])
        default: return nil
        }
        self.subject = subject
        by = texts[.by]
        reason = texts[.reason]
        at = texts.at
        until = record.expiry
    }

    package var write: RecordWrite {
        var texts = RecordTexts()
        texts[.action] = action.word
        if case .redirect(let upstream) = action { texts[.upstream] = upstream }
        texts[.by] = String(by.prefix(64))
        texts[.reason] = String(reason.prefix(400))
        texts.at = at
        return RecordWrite(key: key, value: texts.bytes, expiry: until)
    }

    package func isInForce(at now: WallTime) -> Bool { until.map { now < $0 } ?? true }

    /// What a client hears: for a while when the rule ends by itself, else for good. Why is not told: whoever took over an
    /// account need not know what is known.
    var refusal: Reply {
        let what = "Mail \(subject.words) is suspended here"
        if let until {
            return Reply(450, 4, 7, 1, "\(what) until \(until.rfc3339); ask the administrator".printableASCII(400))
        }
        return Reply(550, 5, 7, 1, "\(what); ask the administrator".printableASCII(400))
    }
}

extension MailRule.Action {
    package var word: String {
        switch self {
        case .reject: "reject"
        case .hold: "hold"
        case .redirect: "redirect"
        }
    }
}

extension MailRule.Subject {
    init?(key: Substring) {
        let parts = key.split(separator: "/", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        let value = String(parts[1])
        switch parts[0] {
        case "user": self = .user(value)
        case "from": self = .from(value)
        case "to": self = .toDomain(value)
        default: return nil
        }
    }

    var key: String {
        switch self {
        case .user(let name): "user/" + name
        case .from(let sender): "from/" + sender
        case .toDomain(let domain): "to/" + domain
        }
    }

    /// `of user shop`, `from ann@example.net`, `to example.org`.
    package var words: String {
        switch self {
        case .user(let name): "of user \(name)"
        case .from(let sender): "from \(sender.hasPrefix("@") ? String(sender.dropFirst()) : sender)"
        case .toDomain(let domain): "to \(domain)"
        }
    }
}

/// Those in force, found by what they are about.
struct MailRules: Sendable {
    /// By key.
    private(set) var all: [String: MailRule] = [:]
    private var suspensions: [MailRule.Subject: MailRule] = [:]
    private var redirections: [MailRule.Subject: MailRule] = [:]
    /// The first to end by itself.
    private(set) var nextEnd: WallTime?

    init() {}

    init(_ rules: [MailRule]) {
        for rule in rules {
            all[rule.key] = rule
            if case .redirect = rule.action {
                redirections[rule.subject] = rule
            } else {
                suspensions[rule.subject] = rule
            }
            if let until = rule.until { nextEnd = nextEnd.map { min($0, until) } ?? until }
        }
    }

    var isEmpty: Bool { all.isEmpty }

    private func suspension(_ subject: MailRule.Subject, at now: WallTime) -> MailRule? {
        suspensions[subject].flatMap { $0.isInForce(at: now) ? $0 : nil }
    }

    /// The gravest of those about who sends.
    func suspension(user: String, sender: Address?, at now: WallTime) -> MailRule? {
        guard !suspensions.isEmpty else { return nil }
        var found: [MailRule?] = []
        if !user.isEmpty { found.append(suspension(.user(user), at: now)) }
        if let sender {
            found.append(suspension(.from(sender.description.lowercased()), at: now))
            found.append(suspension(.from("@" + sender.domainKey), at: now))
        } else {
            found.append(suspension(.from("<>"), at: now))
        }
        let all = found.compactMap { $0 }
        return all.first { $0.action == .reject } ?? all.first
    }

    func suspension(to recipient: Address, at now: WallTime) -> MailRule? {
        suspensions.isEmpty ? nil : suspension(.toDomain(recipient.domainKey), at: now)
    }

    /// Whom its mail goes by in place of its route.
    func redirection(to recipient: Address, at now: WallTime) -> String? {
        guard !redirections.isEmpty, let rule = redirections[.toDomain(recipient.domainKey)], rule.isInForce(at: now),
            case .redirect(let upstream) = rule.action
        else { return nil }
        return upstream
    }

    func refusal(user: String, sender: Address?, at now: WallTime) -> Reply? {
        guard let rule = suspension(user: user, sender: sender, at: now), rule.action == .reject else { return nil }
        return rule.refusal
    }

    func refusal(to recipient: Address, at now: WallTime) -> Reply? {
        guard let rule = suspension(to: recipient, at: now), rule.action == .reject else { return nil }
        return rule.refusal
    }
}
