import SMTP
import Testing

@Suite("A session's commands (RFC 5321 §4.1)")
struct ServerSessionTests {
    @Test("a whole session, in the order of RFC 5321 appendix D.1")
    func whole() throws {
        var dialogue = ServerDialogue()
        #expect(String(decoding: wire(dialogue.session.greeting), as: UTF8.self) == "220 relay.example ESMTP Baton\r\n")
        #expect(
            dialogue.say(
                all: "EHLO client.example", "MAIL FROM:<smith@bar.example>", "RCPT TO:<jones@foo.example>",
                "RCPT TO:<green@foo.example>", "DATA") == ["250", "250 2.1.0", "250 2.1.5", "250 2.1.5", "354"])
        let envelope = try #require(dialogue.lastEnvelope)
        #expect(envelope.reversePath?.description == "smith@bar.example")
        #expect(envelope.recipients.map(\.description) == ["jones@foo.example", "green@foo.example"])
        #expect(envelope.body == .sevenBit && !envelope.smtputf8 && envelope.declaredSize == nil)
        #expect(!dialogue.session.isIdle)
        dialogue.session.messageEnded(Reply(250, 2, 0, 0, "Ok"))
        #expect(dialogue.session.isIdle)
        #expect(dialogue.session.messages == 1)
        #expect(dialogue.say(all: "MAIL FROM:<>", "RCPT TO:<a@b>", "DATA") == ["250 2.1.0", "250 2.1.5", "354"])
        #expect(dialogue.lastEnvelope?.reversePath == nil)
        dialogue.session.messageEnded(Reply(451, 4, 3, 2, "no"))
        #expect(dialogue.session.messages == 1)
        #expect(dialogue.say("QUIT") == "221 2.0.0!")
    }

    @Test("EHLO lists the extensions, without enhanced codes; HELO lists none")
    func ehlo() {
        var dialogue = ServerDialogue(size: 52_428_800, startTLS: true)
        dialogue.say("EHLO client.example")
        #expect(
            dialogue.lastText
                == "250-relay.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
                + "250-ENHANCEDSTATUSCODES\r\n250-STARTTLS\r\n250 HELP\r\n")
        #expect(dialogue.session.hello?.isExtended == true)
        dialogue.say("HELO client.example")
        #expect(dialogue.lastText == "250 relay.example\r\n")
        #expect(dialogue.session.hello?.isExtended == false)
    }

    @Test("a command has the same reply whatever its case is, and trailing white space is tolerated (§2.4, §4.1.1)")
    func caseAndSpace() {
        var dialogue = ServerDialogue()
        #expect(
            dialogue.say(
                all: "eHlO client.example  ", "mail from:<a@b> body=8bitmime \t", "rCpT tO:<c@d> ", "dAtA  ")
                == ["250", "250 2.1.0", "250 2.1.5", "354"])
        #expect(dialogue.lastEnvelope?.body == .eightBit)
    }

    @Test(
        "commands without a transaction, in any state",
        arguments: [
            ("NOOP", "250 2.0.0"), ("NOOP what ever", "250 2.0.0"), ("RSET", "250 2.0.0"), ("RSET x", "501 5.5.4"),
            ("HELP", "214 2.0.0"), ("HELP MAIL", "214 2.0.0"),
            // §3.5.3: 252 where the server can't or won't verify
            ("VRFY ann", "252 2.0.0"), ("VRFY", "501 5.5.4"), ("QUIT x", "501 5.5.4"), ("QUIT", "221 2.0.0!"),
            ("EXPN list", "502 5.5.1"), ("AUTH PLAIN x", "502 5.5.1"), ("BDAT 10 LAST", "502 5.5.1"),
            ("TURN", "502 5.5.1"),
            ("XYZZY", "500 5.5.1"), ("", "500 5.5.1"), (" NOOP", "500 5.5.1"), ("MAILX FROM:<a@b>", "500 5.5.1"),
            ("STARTTLS", "502 5.5.1"), ("EHLO", "501 5.5.4"), ("EHLO a b", "501 5.5.4"),
            ("HELO \u{fc}.example", "501 5.5.4"),
            ("EHLO [192.0.2.1]", "250"), ("EHLO my_pc", "250"),
        ])
    func simple(line: String, reply: String) {
        var fresh = ServerDialogue()
        #expect(fresh.say(line) == reply)
        var greeted = ServerDialogue.greeted()
        #expect(greeted.say(line) == reply)
    }

    @Test("a command out of its order is answered 503 (§4.1.4)")
    func order() {
        var dialogue = ServerDialogue()
        #expect(
            dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA") == ["503 5.5.1", "503 5.5.1", "503 5.5.1"])
        #expect(dialogue.say(all: "EHLO x", "RCPT TO:<a@b>", "DATA") == ["250", "503 5.5.1", "503 5.5.1"])
        // §3.3: 'A server … MUST return 503' to a nested MAIL, which changes nothing.
        #expect(
            dialogue.say(all: "MAIL FROM:<a@b>", "MAIL FROM:<c@d>", "RCPT TO:<e@f>", "DATA") == [
                "250 2.1.0", "503 5.5.1", "250 2.1.5", "354",
            ])
        #expect(dialogue.lastEnvelope?.reversePath?.description == "a@b")
    }

    @Test("DATA without one good recipient gets 554 (RFC 2920 §3.2), and the transaction goes on")
    func noRecipients() {
        var dialogue = ServerDialogue.greeted()
        #expect(
            dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<c>", "DATA", "RCPT TO:<c@d>", "DATA x", "DATA") == [
                "250 2.1.0", "501 5.1.3", "554 5.5.1", "250 2.1.5", "501 5.5.4", "354",
            ])
    }

    @Test(
        "RSET and EHLO drop the open transaction (§4.1.1.5, §4.1.4); a refused EHLO drops nothing",
        arguments: ["RSET", "EHLO x", "HELO x"])
    func reset(command: String) {
        var dialogue = ServerDialogue.greeted()
        #expect(
            dialogue.say(all: "MAIL FROM:<a@b>", "EHLO", "RCPT TO:<c@d>") == ["250 2.1.0", "501 5.5.4", "250 2.1.5"])
        dialogue.say(command)
        #expect(dialogue.say(all: "RCPT TO:<c@d>", "MAIL FROM:<e@f>") == ["503 5.5.1", "250 2.1.0"])
    }

    @Test(
        "NOOP, VRFY, HELP and unknown commands leave an open transaction alone (§4.1.4)",
        arguments: ["NOOP", "VRFY x", "HELP", "XYZZY"])
    func untouched(command: String) {
        var dialogue = ServerDialogue.greeted()
        _ = dialogue.say(all: "MAIL FROM:<a@b>", command, "RCPT TO:<c@d>", command, "DATA")
        #expect(dialogue.lastEnvelope?.recipients.count == 1)
    }

    @Test(
        "control characters make the whole line a syntax error",
        arguments: ["\r", "\n", "\0", "\u{7f}", "\u{1b}"])
    func control(character: String) {
        var dialogue = ServerDialogue.greeted()
        #expect(dialogue.say("MAIL FROM:<a@b>\(character)RCPT TO:<c@d>") == "500 5.5.2")
        #expect(dialogue.say("NOOP \(character)") == "500 5.5.2")
        #expect(dialogue.say("RCPT TO:<c@d>") == "503 5.5.1")
    }

    @Test("512 octets are the limit of a command line; those of MAIL and RCPT may be longer (§4.5.3.1.4)")
    func length() {
        var dialogue = ServerDialogue.greeted()
        let long = String(repeating: "x", count: 505)
        #expect(dialogue.say("NOOP " + long) == "250 2.0.0")
        #expect(dialogue.say("NOOP x" + long) == "500 5.5.2")
        let route = "@" + Array(repeating: "host.example", count: 50).joined(separator: ",@")
        #expect(dialogue.say("MAIL FROM:<\(route):a@b>") == "250 2.1.0")
        #expect(ServerDialogue.code(dialogue.session.refuse(.overlong)) == "500 5.5.2")
        #expect(ServerDialogue.code(dialogue.session.refuse(.bareLineFeed)) == "500 5.5.2!")
    }

    @Test("replies that RFC 2920 §3.2 lets wait may wait, others may not")
    func pipelining() {
        var dialogue = ServerDialogue.greeted()
        let expected: [(String, Bool)] = [
            ("MAIL FROM:<a@b>", true), ("RCPT TO:<c@d>", true), ("RCPT TO:<c@d>", true), ("RSET", true),
            ("NOOP", false),
            ("VRFY x", false), ("HELP", false), ("EHLO x", false), ("WHAT", false), ("DATA", false),
        ]
        for (line, mayWait) in expected {
            dialogue.say(line)
            guard case .reply(_, let answer) = dialogue.last else {
                Issue.record("no reply to \(line)")
                continue
            }
            #expect(answer == mayWait, "\(line)")
        }
    }

    @Test("a web browser is sent away", arguments: ["GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT a:25 HTTP/1.0"])
    func http(line: String) {
        var dialogue = ServerDialogue()
        #expect(dialogue.say(line) == "421 4.7.0!")
        var greeted = ServerDialogue.greeted()
        #expect(greeted.say(line) == "500 5.5.1")
    }
}
