package import Primitives
package import SMTP

/// What an upstream or a mailbox provider said of a message after the 250, matched and not heard before.
package struct FeedbackEvent: Hashable, Sendable {
    package var kind: FeedbackKind
    /// Nil when no node knows it any more.
    package var message: MessageID?
    /// By its name.
    package var upstream: String
    package var recipient: Address
    /// Of the mailbox provider's reply; nil when only words came.
    package var code: Int?
    package var enhanced: EnhancedCode?
    package var text: [UInt8]
    /// The host that spoke, which tells whose domain it is; nil when nobody said.
    package var remoteHost: String?

    package init(
        _ kind: FeedbackKind, of message: MessageID?, upstream: String, recipient: Address, code: Int? = nil,
        enhanced: EnhancedCode? = nil, text: [UInt8] = [], remoteHost: String? = nil
    ) {
        self.kind = kind
        self.message = message
        self.upstream = upstream
        self.recipient = recipient
        self.code = code
        self.enhanced = enhanced
        self.text = text
        self.remoteHost = remoteHost
    }
}

extension Node {
    /// Learns from what was said after the 250; the message itself is finished, and nothing is sent again.
    mutating func feedbackCame(_ event: FeedbackEvent, _ now: Now, _ effects: inout [NodeEffect]) {}
}
