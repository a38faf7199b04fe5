/// What MAIL and RCPT said (RFC 5321 §2.3.1).
package struct Envelope: Hashable, Sendable {
    package enum Body: UInt8, Hashable, Sendable { case sevenBit, eightBit }

    /// Nil is the null reverse-path, `<>`.
    package var reversePath: Address?
    package var recipients: [Address]
    package var body: Body
    /// MAIL had the SMTPUTF8 parameter (RFC 6531 §3.4).
    package var smtputf8: Bool
    /// MAIL's SIZE parameter (RFC 1870), in bytes; nil when not given.
    package var declaredSize: UInt64?

    package init(
        reversePath: Address?, recipients: [Address] = [], body: Body = .sevenBit, smtputf8: Bool = false,
        declaredSize: UInt64? = nil
    ) {
        self.reversePath = reversePath
        self.recipients = recipients
        self.body = body
        self.smtputf8 = smtputf8
        self.declaredSize = declaredSize
    }
}
