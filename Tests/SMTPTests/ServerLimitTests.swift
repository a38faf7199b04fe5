import SMTP
import Testing

@Suite("A session's limits and STARTTLS")
struct ServerLimitTests {
    private let tls = TLSInfo(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")

    @Test("the twentieth error closes with 421 4.7.0; an accepted message forgives")
    func errors() {
        var dialogue = ServerDialogue.greeted()
        for _ in 1..<20 { #expect(dialogue.say("XYZZY") == "500 5.5.1") }
        _ = dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        dialogue.session.messageEnded(Reply(250, 2, 0, 0, "Ok"))
        for _ in 1..<20 { #expect(dialogue.say("XYZZY") == "500 5.5.1") }
        #expect(dialogue.say("XYZZY") == "421 4.7.0!")
    }

    @Test("a refused message forgives nothing")
    func refusedMessage() {
        var dialogue = ServerDialogue.greeted()
        for _ in 1..<20 { dialogue.say("XYZZY") }
        _ = dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        dialogue.session.messageEnded(Reply(550, 5, 6, 11, "no"))
        #expect(dialogue.say("XYZZY") == "421 4.7.0!")
    }

    @Test(
        "every kind of command is bounded without a message", arguments: ["NOOP", "RSET", "EHLO x", "VRFY x", "HELP"])
    func idle(command: String) {
        var dialogue = ServerDialogue()
        for _ in 1..<100 { #expect(!dialogue.say(command).hasSuffix("!")) }
        #expect(dialogue.say(command) == "421 4.7.0!")
    }

    @Test("no endless dialogue is without a bound")
    func bounded() {
        let dialogues = [
            ["MAIL FROM:<a@b>", "RSET"], ["MAIL FROM:<a@b> SIZE=99999999"], ["MAIL FROM:<a@b>", "DATA"],
            ["MAIL FROM:<a@b>", "RCPT TO:<c>"], ["RCPT TO:<c@d>"], ["MAIL FROM:<a@b>", "MAIL FROM:<a@b>"], ["DATA"],
        ]
        for lines in dialogues {
            var dialogue = ServerDialogue.greeted(recipients: 10)
            var count = 0
            while count < 1000, !dialogue.say(lines[count % lines.count]).hasSuffix("!") { count += 1 }
            #expect(count < 1000, "\(lines)")
        }
        var refused = ServerDialogue.greeted()
        var count = 0
        while count < 1000, !refused.say("MAIL FROM:<a@b>", refusal: Reply(451, 4, 3, 2, "no")).hasSuffix("!") {
            count += 1
        }
        #expect(count < 1000)
    }

    @Test("after the last message of a session MAIL gets 421")
    func messages() {
        var dialogue = ServerDialogue(messages: 1)
        _ = dialogue.say(all: "EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        dialogue.session.messageEnded(Reply(250, 2, 0, 0, "Ok"))
        #expect(dialogue.say("MAIL FROM:<a@b>") == "421 4.5.3!")
    }

    @Test("STARTTLS forgets what was said before it, and isn't offered again (RFC 3207 §4.2)")
    func startTLS() {
        var dialogue = ServerDialogue(startTLS: true)
        #expect(
            dialogue.say(all: "STARTTLS", "EHLO x", "STARTTLS x", "STARTTLS") == [
                "503 5.5.1", "250", "501 5.5.4", "220 2.0.0",
            ])
        #expect(dialogue.last == .startTLS(Reply(220, 2, 0, 0, "Ready to start TLS")))
        dialogue.session.tlsStarted(tls)
        #expect(dialogue.session.hello == nil)
        #expect(dialogue.session.client.tls == tls)
        #expect(dialogue.say("MAIL FROM:<a@b>") == "503 5.5.1")
        dialogue.say("EHLO x")
        #expect(!dialogue.lastText.contains("STARTTLS"))
        #expect(dialogue.say(all: "STARTTLS", "MAIL FROM:<a@b>") == ["503 5.5.1", "250 2.1.0"])
    }

    @Test("STARTTLS isn't taken within a transaction")
    func startTLSInTransaction() {
        var dialogue = ServerDialogue(startTLS: true)
        #expect(dialogue.say(all: "EHLO x", "MAIL FROM:<a@b>", "STARTTLS", "RCPT TO:<c@d>").last == "250 2.1.5")
    }

    @Test("where TLS is required, all but EHLO, STARTTLS, NOOP and QUIT get 530 (RFC 3207 §4)")
    func requiresTLS() {
        var dialogue = ServerDialogue(startTLS: true, requiresTLS: true)
        #expect(
            dialogue.say(
                all: "HELO x", "EHLO x", "NOOP", "MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "VRFY x", "STARTTLS") == [
                    "530 5.7.0", "250", "250 2.0.0", "530 5.7.0", "530 5.7.0", "530 5.7.0", "530 5.7.0", "220 2.0.0",
                ])
        dialogue.session.tlsStarted(tls)
        #expect(dialogue.say(all: "EHLO x", "MAIL FROM:<a@b>") == ["250", "250 2.1.0"])
    }

    @Test("no sequence of random lines crashes a session or opens a transaction without EHLO and MAIL")
    func random() {
        var random = SplitMix(state: 7)
        let words = [
            "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "RSET", "EHLO x", "HELO", "STARTTLS", "NOOP",
            "MAIL FROM:<\u{fc}@b> SMTPUTF8",
            "RCPT TO:<\"", "MAIL FROM:", "RCPT", "\0", "MAIL FROM:<a@b> SIZE=", "QUIT ",
        ]
        for _ in 0..<2000 {
            var dialogue = ServerDialogue(startTLS: true)
            var hasMail = false
            var greeted = false
            for _ in 0..<30 {
                let line = words[Int(random.next() % UInt64(words.count))]
                let code = dialogue.say(line)
                if line.hasPrefix("EHLO"), code == "250" {
                    greeted = true
                    hasMail = false
                }
                if line.hasPrefix("MAIL"), code == "250 2.1.0" {
                    #expect(greeted)
                    hasMail = true
                }
                if line == "RSET" { hasMail = false }
                if code == "354" {
                    #expect(hasMail)
                    hasMail = false
                    dialogue.session.messageEnded(Reply(250, 2, 0, 0, "Ok"))
                }
                if code == "220 2.0.0" {
                    dialogue.session.tlsStarted(tls)
                    greeted = false
                }
                if code.hasSuffix("!") { break }
            }
        }
    }
}

/// Chance that the seed repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
