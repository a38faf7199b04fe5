import Primitives
import Routing
import SMTP
import Testing

@testable import Node

@Suite("Feedback")
struct FeedbackTests {
    private func event(
        _ kind: FeedbackKind, to recipient: String, _ code: Int? = nil, _ enhanced: EnhancedCode? = nil,
        _ text: String = "", host: String? = nil
    ) -> FeedbackEvent {
        FeedbackEvent(
            kind, of: MessageID(ULID(high: 1, low: 1)), upstream: "ses",
            recipient: Address(parsed: Array(recipient.utf8)),
            code: code, enhanced: enhanced, text: Array(text.utf8), remoteHost: host)
    }

    /// 0 to 100.
    private func trust(_ probe: NodeProbe, _ domain: String) -> Int {
        let provider = probe.node.router.providers.provider(of: domain)
        return probe.node.router.reputation.trust(upstream: 0, provider: provider, at: probe.now.instant).trust
    }

    private let blocked = "Our system has detected an unusual rate of unsolicited mail originating from your IP address"

    @Test("a provider's blocks, told by events alone, cost the upstream its trust there, and nowhere else")
    func blocks() {
        let probe = NodeProbe("ses", "own").started()
        for number in 0..<40 {
            probe.feed(.feedback(event(.deferred, to: "r\(number)@gmail.com", 421, EnhancedCode(4, 7, 28), blocked)))
            probe.feed(.feedback(event(.delivered, to: "r\(number)@example.org", 250)))
        }
        #expect(trust(probe, "gmail.com") < 20)
        #expect(trust(probe, "example.org") > 80)
        #expect(probe.refusal(to: "r1@gmail.com") == nil)
    }

    @Test("a bad recipient is suppressed and says nothing against the upstream; so does a complaint")
    func recipients() {
        let probe = NodeProbe("ses", "own").started()
        for number in 0..<40 {
            probe.feed(
                .feedback(event(.bounced, to: "r\(number)@gmail.com", 550, EnhancedCode(5, 1, 1), "no such user")))
        }
        probe.feed(.feedback(event(.complained, to: "angry@gmail.com", nil, nil, "abuse")))
        #expect(trust(probe, "gmail.com") > 80)
        #expect(probe.refusal(to: "r7@gmail.com")?.code == 550)
        #expect(probe.refusal(to: "angry@gmail.com")?.code == 550)
        #expect(probe.refusal(to: "other@gmail.com") == nil)
        #expect(probe.transactions.isEmpty)
    }

    @Test("the host that spoke tells whose mailboxes a domain's are")
    func learns() {
        let probe = NodeProbe("ses", "own").started()
        let event = event(.delivered, to: "ann@shop.example", 250, host: "aspmx.l.google.com")
        probe.feed(.feedback(event))
        let name = probe.node.router.providers.name(probe.node.router.providers.provider(of: "shop.example"))
        #expect(name == "google")
    }

    @Test("of an upstream that is no longer configured nothing is learnt")
    func unknown() {
        let probe = NodeProbe("own").started()
        probe.feed(.feedback(event(.complained, to: "ann@example.org")))
        #expect(probe.refusal(to: "ann@example.org") == nil)
    }
}
