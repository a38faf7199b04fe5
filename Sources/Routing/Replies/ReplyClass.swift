/// What a reply of an upstream means, by its cause: it does not follow from 4xx or 5xx.
package enum ReplyClass: String, CaseIterable, Hashable, Sendable {
    /// A 2xx with a caveat.
    case acceptedWithWarning = "accepted-with-warning"
    /// The recipient exists but cannot take mail now: full, over quota, locked, busy.
    case mailboxUnavailable = "mailbox-unavailable-transient"
    /// First contact refused on purpose; the same message from the same address later is welcome.
    case greylisted
    /// Too much, too fast, too many connections, a quota of sending; busy with us.
    case rateLimited = "rate-limited"
    /// The sending address, network, host or its reputation is refused; another upstream may succeed.
    case policyBlock = "policy-block"
    /// Unknown, disabled, moved, or not allowed to receive from outside.
    case badRecipient = "bad-recipient"
    /// The recipient's domain or host does not exist or takes no mail.
    case badDomain = "bad-domain"
    /// Refused for this message: spam, virus, URL, attachment, headers, formatting.
    case content
    /// SPF, DKIM, DMARC, or the sender's address or domain refused.
    case senderAuthentication = "sender-authentication"
    /// A fault between us and the upstream: login, right to relay, account suspended.
    case relayDeniedOrAuthentication = "relay-denied-or-auth"
    /// Message too large, too many recipients in one transaction, too many headers or parts.
    case sizeOrLimits = "size-or-limits"
    /// Syntax, sequence, unsupported, bare LF, TLS required, too many errors.
    case protocolFault = "protocol"
    /// Their own trouble: disk, DNS, queue, time-outs, back end.
    case remoteFailure = "remote-failure"
    /// No cause named.
    case other
}

/// Whom a reply speaks against, which decides what follows from it.
package enum Against: String, CaseIterable, Hashable, Sendable {
    case recipient
    /// The recipient's domain.
    case domain
    case message
    /// The sender's address or domain.
    case sender
    /// The upstream's reputation or network.
    case upstream
    /// Our login there, or our right to relay.
    case access
    case pace
    /// Protocol, TLS.
    case connection
    /// The far side's own trouble.
    case destination
    case nothing
}

extension ReplyClass {
    /// What a class speaks against unless a rule says otherwise.
    package var usuallyAgainst: Against {
        switch self {
        case .acceptedWithWarning, .greylisted, .other: .nothing
        case .mailboxUnavailable, .badRecipient: .recipient
        case .rateLimited: .pace
        case .policyBlock: .upstream
        case .badDomain: .domain
        case .content, .sizeOrLimits: .message
        case .senderAuthentication: .sender
        case .relayDeniedOrAuthentication: .access
        case .protocolFault: .connection
        case .remoteFailure: .destination
        }
    }
}

/// What the classifier makes of one reply, and why.
package struct Classification: Hashable, Sendable {
    package var replyClass: ReplyClass
    package var against: Against
    /// The rule that said so: file and line, with its pattern; for people.
    package var rule: String

    package init(replyClass: ReplyClass, against: Against, rule: String) {
        self.replyClass = replyClass
        self.against = against
        self.rule = rule
    }
}
