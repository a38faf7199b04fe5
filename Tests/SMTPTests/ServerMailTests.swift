import SMTP
import Testing

@Suite("MAIL and RCPT")
struct ServerMailTests {
    @Test(
        "MAIL's arguments (RFC 5321 §4.1.1.2, RFC 1870, RFC 6152, RFC 6531)",
        arguments: [
            ("<>", "250 2.1.0"), ("<> SIZE=10 BODY=8BITMIME", "250 2.1.0"), (" <a@b>", "250 2.1.0"),
            ("<a@b> SIZE=1000000", "250 2.1.0"), ("<a@b> SIZE=0", "250 2.1.0"),
            ("<a@b> SIZE=1000001", "552 5.3.4"), ("<a@b> SIZE=99999999999999999999", "552 5.3.4"),
            ("<a@b> SIZE=999999999999999999999", "501 5.5.4"), ("<a@b> SIZE=", "501 5.5.4"),
            ("<a@b> SIZE", "501 5.5.4"),
            ("<a@b> SIZE=-1", "501 5.5.4"), ("<a@b> SIZE=1 SIZE=2", "501 5.5.4"),
            ("<a@b> BODY=7BIT", "250 2.1.0"), ("<a@b> body=8bitmime", "250 2.1.0"),
            ("<a@b> BODY=BINARYMIME", "501 5.5.4"),
            ("<a@b> BODY", "501 5.5.4"), ("<a@b> BODY=7BIT BODY=7BIT", "501 5.5.4"),
            ("<a@b> SMTPUTF8", "250 2.1.0"), ("<a@b> SMTPUTF8=1", "501 5.5.4"),
            ("<a@b> SMTPUTF8 SMTPUTF8", "501 5.5.4"),
            // RFC 5321 §4.1.1.11: 555 for parameters that are not recognised
            ("<a@b> RET=HDRS", "555 5.5.4"), ("<a@b> AUTH=<>", "555 5.5.4"), ("<a@b> X", "555 5.5.4"),
            ("<a@b>SIZE=1", "501 5.5.4"), ("<a@b> =1", "501 5.5.4"), ("<a@b> SIZE=1=2", "501 5.5.4"),
            ("<a@b", "501 5.1.7"), ("a@b", "501 5.1.7"), ("<a>", "501 5.1.7"), ("<a..b@c>", "501 5.1.7"),
            ("", "501 5.1.7"),
            ("<postmaster>", "501 5.1.7"),
            ("<jürgen@b>", "553 5.6.7"), ("<jürgen@b> SMTPUTF8", "250 2.1.0"), ("<a@bücher.example>", "553 5.6.7"),
            ("<a@bücher.example> SIZE=1 SMTPUTF8 BODY=8BITMIME", "250 2.1.0"),
        ])
    func mail(argument: String, reply: String) {
        var dialogue = ServerDialogue.greeted()
        #expect(dialogue.say("MAIL FROM:" + argument) == reply)
    }

    @Test(
        "what is not FROM: or TO: is a syntax error that shows the right form",
        arguments: ["", " FROM<a@b>", " TO:<a@b>", " <a@b>"])
    func keyword(argument: String) {
        var dialogue = ServerDialogue.greeted()
        #expect(dialogue.say("MAIL" + argument) == "501 5.5.4")
        #expect(dialogue.lastText == "501 5.5.4 Write MAIL FROM:<address>\r\n")
        dialogue.say("MAIL FROM:<a@b>")
        #expect(dialogue.say("RCPT" + argument.replacing("TO:", with: "FROM:")) == "501 5.5.4")
        #expect(dialogue.lastText == "501 5.5.4 Write RCPT TO:<address>\r\n")
    }

    @Test(
        "RCPT's arguments (RFC 5321 §4.1.1.3)",
        arguments: [
            ("<c@d>", "250 2.1.5"), (" <c@d>", "250 2.1.5"), ("<@x,@y:c@d>", "250 2.1.5"),
            ("<Postmaster>", "250 2.1.5"),
            ("<>", "501 5.1.3"), ("<c>", "501 5.1.3"), ("c@d", "501 5.1.3"), ("<c@d> NOTIFY=NEVER", "555 5.5.4"),
            ("<c@d>x", "501 5.5.4"), ("<\u{fc}@d>", "553 5.6.7"),
        ])
    func rcpt(argument: String, reply: String) {
        var dialogue = ServerDialogue.greeted()
        dialogue.say("MAIL FROM:<a@b>")
        #expect(dialogue.say("RCPT TO:" + argument) == reply)
    }

    @Test("the envelope has what the commands said")
    func envelope() {
        var dialogue = ServerDialogue.greeted()
        _ = dialogue.say(
            all: "MAIL FROM:<@x:Jürgen@Bücher.example> SMTPUTF8 SIZE=123 BODY=8BITMIME", "RCPT TO:<é@d>",
            "RCPT TO:<postmaster>", "DATA")
        #expect(
            dialogue.lastEnvelope
                == Envelope(
                    reversePath: Address(parsed: Array("Jürgen@Bücher.example".utf8)),
                    recipients: [Address(parsed: Array("é@d".utf8)), Address(parsed: Array("postmaster".utf8))],
                    body: .eightBit, smtputf8: true, declaredSize: 123))
    }

    @Test(
        "the same recipient twice is one; its local part's case tells apart, its domain's doesn't (§2.4)",
        arguments: [3, 100])
    func duplicates(others: Int) {
        var dialogue = ServerDialogue.greeted()
        dialogue.say("MAIL FROM:<a@b>")
        for index in 0..<others { dialogue.say("RCPT TO:<r\(index)@d>") }
        for name in ["c@d.example", "C@d.example", "c@D.Example", "c@d.example", "r0@D", "r2@d"] {
            #expect(dialogue.say("RCPT TO:<\(name)>") == "250 2.1.5")
        }
        dialogue.say("DATA")
        #expect(dialogue.lastEnvelope?.recipients.count == others + 2)
    }

    @Test(
        "recipients beyond the limit get 452 4.5.3, many of them (§4.5.3.1.10); those before get the message",
        arguments: [3, 100])
    func tooManyRecipients(limit: Int) {
        var dialogue = ServerDialogue.greeted(recipients: limit)
        dialogue.say("MAIL FROM:<a@b>")
        for index in 0..<limit { #expect(dialogue.say("RCPT TO:<r\(index)@d>") == "250 2.1.5") }
        for _ in 0...limit { #expect(dialogue.say("RCPT TO:<more@d>") == "452 4.5.3") }
        #expect(dialogue.say("RCPT TO:<r0@d>") == "250 2.1.5")
        dialogue.say("DATA")
        #expect(dialogue.lastEnvelope?.recipients.count == limit)
    }

    @Test("a client that may not relay gets 550 5.7.1 for every recipient, postmaster too")
    func relayDenied() {
        var dialogue = ServerDialogue.greeted(relay: false)
        #expect(
            dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<postmaster>", "DATA") == [
                "250 2.1.0", "550 5.7.1", "550 5.7.1", "554 5.5.1",
            ])
    }

    @Test("what the node says against mail now is MAIL's answer, and what is pipelined behind it is no error")
    func refusedMail() {
        var dialogue = ServerDialogue.greeted()
        let full = Reply(452, 4, 3, 1, "disk full")
        #expect(dialogue.say("MAIL FROM:<a@b>", refusal: full) == "452 4.3.1")
        for _ in 0..<100 { #expect(dialogue.say("RCPT TO:<c@d>") == "503 5.5.1") }
        #expect(dialogue.say("DATA") == "503 5.5.1")
        #expect(dialogue.say(all: "MAIL FROM:<a@b>", "RCPT TO:<c@d>") == ["250 2.1.0", "250 2.1.5"])
        var other = ServerDialogue.greeted()
        #expect(other.say("MAIL FROM:<a", refusal: full) == "501 5.1.7")
        #expect(other.say("NOOP", refusal: full) == "250 2.0.0")
        #expect(other.say("MAIL FROM:<a@b>", refusal: Reply(421, 4, 3, 2, "draining")) == "421 4.3.2!")
    }

    @Test("a recipient that the node refuses is no error of the client's, and the others are taken")
    func recipientRefused() {
        var dialogue = ServerDialogue.greeted()
        #expect(dialogue.say("MAIL FROM:<a@b>") == "250 2.1.0")
        func say(_ line: String) -> String {
            let action = Array(line.utf8).withUnsafeBytes { bytes in
                dialogue.session.receive(
                    line: bytes,
                    recipientRefusal: { $0.domainKey == "no" ? Reply(550, 5, 1, 1, "on the list") : nil })
            }
            return ServerDialogue.code(action)
        }
        for number in 0..<100 { #expect(say("RCPT TO:<c\(number)@no>") == "550 5.1.1") }
        #expect(say("RCPT TO:<c@yes>") == "250 2.1.5")
        guard
            case .collectMessage(let envelope, _) = Array("DATA".utf8).withUnsafeBytes({ bytes in
                dialogue.session.receive(line: bytes)
            })
        else {
            Issue.record("no message is taken")
            return
        }
        #expect(envelope.recipients.map(\.description) == ["c@yes"])
    }

    @Test("the node is asked at MAIL only")
    func asksOnce() {
        var dialogue = ServerDialogue.greeted()
        var asked = 0
        func ask() -> Reply? {
            asked += 1
            return nil
        }
        for line in ["NOOP", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA"] {
            _ = Array(line.utf8).withUnsafeBytes { dialogue.session.receive(line: $0, mailRefusal: { _ in ask() }) }
        }
        #expect(asked == 1)
    }
}
