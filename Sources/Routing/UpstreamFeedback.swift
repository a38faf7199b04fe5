/// How an upstream reports afterwards what became of the mail that it took, as configured (`upstreams[].feedback`).
package struct UpstreamFeedback: Hashable, Sendable {
    /// Whose events: their form and their signatures.
    package enum Form: String, Hashable, Sendable, CaseIterable { case ses, sendgrid, mailgun, postmark, plain }

    package var form: Form
    /// Mailgun's signing key, Postmark's `user:password` or header value, the bearer secret of the plain form.
    package var secretFile: String?
    /// SendGrid's verification key: base64 of DER, or PEM.
    package var publicKeyFile: String?
    /// SNS topics that are taken, as ARNs; empty: the first that asks for a subscription is refused.
    package var topics: [String] = []
    /// A certificate instead of the one that SNS names, for a service that speaks like it in a network of one's own.
    package var certificateFile: String?

    package init(_ form: Form) { self.form = form }
}

extension Upstream {
    /// Whether anything ever says what became of mail after its 250; of the others nothing is known: `blind`.
    package var isConfirmed: Bool { feedback != nil || envelopeSender != nil }

    /// Whether its events also tell of success, so that its 250 is no sign of one. Bounces alone do not.
    package var confirmsDelivery: Bool { feedback != nil }
}
