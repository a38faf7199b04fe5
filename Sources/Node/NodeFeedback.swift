package import Primitives
internal import Routing
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
    mutating func feedbackCame(_ event: FeedbackEvent, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let upstream = router.upstreams.firstIndex(where: { $0.name == event.upstream }) else { return }
        let domain = event.recipient.domainKey
        if let host = event.remoteHost { router.providers.learn(domain: domain, mxHost: host) }
        let provider = router.providers.provider(of: domain)
        switch event.kind {
        case .delivered:
            router.reputation.record(
                .good, upstream: upstream, provider: provider, reply: "", fromFeedback: true, at: now.instant)
        case .deferred, .bounced:
            let text = String(decoding: event.text, as: UTF8.self)
            let found = router.classifier.classify(
                code: event.code, enhanced: event.enhanced?.description ?? "", text: text,
                provider: router.providers.name(provider), stage: nil)
            if event.kind == .bounced, found.replyClass == .badRecipient {
                let reply = Reply(event.code ?? 550, event.enhanced, text: event.text)
                hardBounced(event.recipient, reply, upstream: event.upstream, now, &effects)
            }
            // How fast an upstream that queues speaks to the provider is its own matter: throttled there, it is slow for us too.
            guard found.against == .upstream || found.against == .pace else { return }
            let codes = [event.code.map { "\($0)" }, event.enhanced?.description].compactMap { $0 }
            router.reputation.record(
                .refused, upstream: upstream, provider: provider, reply: (codes + [text]).joined(separator: " "),
                fromFeedback: true, at: now.instant)
        case .complained:
            // It speaks of the message and its sender: another upstream is no cure.
            let words = event.text.isEmpty ? "" : ": " + String(decoding: event.text, as: UTF8.self)
            suppress(
                event.recipient, cause: .complaint, reason: "its recipient complained\(words)",
                upstream: event.upstream,
                now, &effects)
        }
    }
}
