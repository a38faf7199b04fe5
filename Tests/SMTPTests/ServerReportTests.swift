import SMTP
import Testing

/// Recipients of the domain to which reports come back.
struct ServerReportTests {
    private func session(relay: Bool) -> ServerSession {
        let policy = ServerPolicy(
            hostname: "relay.example", maximumMessageSize: 1_000_000, mayRelay: relay, reportDomain: "b.example.net")
        var session = ServerSession(policy: policy, client: ClientInfo(address: "192.0.2.1"))
        _ = say("EHLO mx.example.org", to: &session)
        _ = say("MAIL FROM:<>", to: &session)
        return session
    }

    /// Takes reports at `good`, in either case.
    private func say(_ line: String, to session: inout ServerSession) -> String {
        let action = Array(line.utf8).withUnsafeBytes {
            session.receive(
                line: $0, reportRefusal: { $0.description.lowercased().hasPrefix("good@") ? nil : .noSuchReportAddress }
            )
        }
        return ServerDialogue.code(action)
    }

    @Test("a stranger may send to an address that takes reports, and nowhere else", arguments: [false, true])
    func stranger(relay: Bool) {
        var session = session(relay: relay)
        #expect(say("RCPT TO:<bad@b.example.net>", to: &session) == "550 5.1.1")
        #expect(say("RCPT TO:<Good@B.example.NET>", to: &session) == "250 2.1.5")
        #expect(say("DATA", to: &session) == "354")
    }

    @Test("a report goes to one address alone, and other mail of strangers is refused as ever")
    func alone() {
        var stranger = session(relay: false)
        #expect(say("RCPT TO:<ann@example.com>", to: &stranger) == "550 5.7.1")
        #expect(say("RCPT TO:<x@sub.b.example.net>", to: &stranger) == "550 5.7.1")
        #expect(say("RCPT TO:<good@b.example.net>", to: &stranger) == "250 2.1.5")
        #expect(say("RCPT TO:<good@b.example.net>", to: &stranger) == "250 2.1.5")
        #expect(say("RCPT TO:<ann@example.com>", to: &stranger) == "452 4.5.3")
        var client = session(relay: true)
        #expect(say("RCPT TO:<ann@example.com>", to: &client) == "250 2.1.5")
        #expect(say("RCPT TO:<good@b.example.net>", to: &client) == "452 4.5.3")
        #expect(say("DATA", to: &client) == "354")
    }

    @Test("without such a domain its addresses are like any other")
    func none() {
        var dialogue = ServerDialogue.greeted(relay: false)
        dialogue.say("MAIL FROM:<>")
        #expect(dialogue.say("RCPT TO:<good@b.example.net>") == "550 5.7.1")
    }
}
