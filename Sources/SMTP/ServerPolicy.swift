/// What one session may do: decided by the shell from configuration and the client's address before the greeting.
package struct ServerPolicy: Hashable, Sendable {
    /// Our name in the greeting, the reply to EHLO and `Received`; ASCII.
    package var hostname: [UInt8]
    /// In bytes, as SIZE counts them (RFC 1870 §3).
    package var maximumMessageSize: UInt64
    /// Of one message. RFC 5321 §4.5.3.1.8 wants at least 100.
    package var maximumRecipients: Int
    package var maximumMessagesPerSession: Int
    package var offersStartTLS: Bool
    /// Nothing but EHLO, STARTTLS, NOOP and QUIT before TLS (RFC 3207 §4).
    package var requiresTLS: Bool
    /// Whether this client may send mail anywhere (`relayFrom`).
    package var mayRelay: Bool
    /// Where reports on our own mail come back to: taken from anyone, and nothing else goes there. In lower case; nil for none.
    package var reportDomain: String?
    /// So many errors of the client since its last message end the session.
    package var maximumErrors: Int
    /// So many commands that do nothing since its last message end the session.
    package var maximumIdleCommands: Int

    package init(
        hostname: String, maximumMessageSize: UInt64, maximumRecipients: Int = 1000,
        maximumMessagesPerSession: Int = .max, offersStartTLS: Bool = false, requiresTLS: Bool = false,
        mayRelay: Bool = false, reportDomain: String? = nil, maximumErrors: Int = 20, maximumIdleCommands: Int = 100
    ) {
        self.hostname = Array(hostname.utf8)
        self.maximumMessageSize = maximumMessageSize
        self.maximumRecipients = maximumRecipients
        self.maximumMessagesPerSession = maximumMessagesPerSession
        self.offersStartTLS = offersStartTLS
        self.requiresTLS = requiresTLS
        self.mayRelay = mayRelay
        self.reportDomain = reportDomain
        self.maximumErrors = maximumErrors
        self.maximumIdleCommands = maximumIdleCommands
    }
}

extension ServerPolicy {
    /// Whether reports are taken at this address, if anything is.
    package func isForReports(_ address: Address) -> Bool {
        guard let reportDomain else { return false }
        return address.domain.count == reportDomain.utf8.count && address.domainKey == reportDomain
    }

    /// Whether it is a report that comes with this envelope.
    package func isForReports(_ envelope: Envelope) -> Bool {
        envelope.recipients.first.map { isForReports($0) } ?? false
    }
}

/// What the shell knows of the client's connection.
package struct ClientInfo: Hashable, Sendable {
    /// `192.0.2.1` or `2001:db8::1`, without port and brackets.
    package var address: [UInt8]
    /// Nil without TLS.
    package var tls: TLSInfo?

    package init(address: String, tls: TLSInfo? = nil) {
        self.address = Array(address.utf8)
        self.tls = tls
    }

    package var isTLS: Bool { tls != nil }
}

/// What a handshake agreed on, in OpenSSL's words: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
package struct TLSInfo: Hashable, Sendable {
    package var version: [UInt8]
    package var cipher: [UInt8]

    package init(version: String, cipher: String) {
        self.version = Array(version.utf8)
        self.cipher = Array(cipher.utf8)
    }
}

/// The client's EHLO or HELO.
package struct ClientHello: Hashable, Sendable {
    /// A domain or an address literal, as the client gave it: printable ASCII.
    package var name: [UInt8]
    /// EHLO.
    package var isExtended: Bool
}
