package import Primitives
package import SMTP

/// One upstream SMTP server, or several of one name tried in order, as configured.
package struct Upstream: Hashable, Sendable {
    package enum TLSMode: String, Hashable, Sendable, CaseIterable {
        case off, opportunistic, required, verify
    }

    package var name: String
    /// `host:port`, tried in order.
    package var addresses: [String]
    package var tls: TLSMode = .opportunistic
    package var implicitTLS = false
    /// The name that a certificate is checked against; the address's host when nil.
    package var serverName: String?
    package var caFile: String?
    /// The name given with EHLO; the relay's hostname when nil.
    package var helo: String?
    /// Local addresses to connect from, in rotation.
    package var sourceAddresses: [String] = []
    /// Relative share, 0 and up; 0 gets mail only when no other is usable.
    package var weight = 1.0
    package var maximumConnections = 20
    package var maximumMessagesPerConnection = 100
    package var idleTimeout = Duration.seconds(5)
    package var pipelining = true
    /// Recipients in one transaction.
    package var maximumRecipients = 100
    package var maximumMessageSize: ByteCount?
    /// Whether it takes mail with the null reverse-path.
    package var nullSender = true
    package var timeouts = ClientTimeouts()
    /// At most so much of each, in the whole cluster; several may name different periods.
    package var rates: [Rate] = []
    /// Upstreams of one account share its limits: of each period the lowest of theirs. Nil for one of its own.
    package var account: String?
    package var price: Price?
    /// In the price's currency, by days and months of UTC; over it nothing more goes this way.
    package var budgetPerDay: Double?
    package var budgetPerMonth: Double?
    package var warmup: WarmUp?
    /// Limits of the pair of this upstream and one mailbox provider, by its name; `*` for each that is not named.
    package var perProvider: [String: ProviderLimits] = [:]
    /// Its events; nil when it sends none.
    package var feedback: UpstreamFeedback?
    /// What stands for the sender in MAIL, with `{id}` in its local part; nil leaves the message's own.
    package var envelopeSender: String?

    package init(name: String, addresses: [String]) {
        self.name = name
        self.addresses = addresses
    }
}
