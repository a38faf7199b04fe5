import Testing

@testable import SMTP

@Suite("What a reply means")
struct ReplyTests {
    static func reply(_ line: String) -> Reply {
        ReplyParserTests.parse(Array((line + "\r\n").utf8)).replies[0]
    }

    @Test(
        "lack of rights at MAIL speaks of the upstream",
        arguments: [
            "530 5.7.0 Authentication required", "530 Must issue a STARTTLS command first", "535 5.7.8 Bad credentials",
            "534 too weak", "538 encryption required", "550 5.7.0 suspended", "554 5.7.8 no", "550 5.7.11 TLS needed",
            "550 Relaying denied", "550 you must AUTHENTICATE first", "553 5.7.1 account suspended",
        ])
    func rights(line: String) {
        #expect(Self.reply(line).speaksOfUpstream(at: .mail))
    }

    @Test(
        "other refusals speak of the message",
        arguments: [
            ("550 5.1.8 sender domain does not resolve", Stage.mail), ("552 5.3.4 too big", .mail),
            ("250 relay ok", .mail),
            ("550 5.1.1 no such user", .rcpt), ("554 5.7.1 Relay access denied", .rcpt), ("554 5.7.1 spam", .finalDot),
            ("550 5.7.0 policy", .finalDot), ("451 relay", .data),
        ])
    func message(line: String, stage: Stage) {
        #expect(!Self.reply(line).speaksOfUpstream(at: stage))
    }

    @Test("any refusal before MAIL speaks of the upstream", arguments: [Stage.connect, .greeting, .ehlo, .startTLS])
    func beforeMail(stage: Stage) {
        #expect(Self.reply("554 5.7.1 blocked").speaksOfUpstream(at: stage))
        #expect(Self.reply("421 busy").speaksOfUpstream(at: stage))
    }

    @Test(
        "too many recipients is told from a full mailbox",
        arguments: [
            ("452 4.5.3 many", true), ("552 5.5.3 many", true), ("452 many", true), ("552 many", true),
            ("451 4.5.3 many", true), ("452 4.2.2 full", false), ("552 5.2.2 full", false), ("450 many", false),
        ])
    func tooMany(line: String, isSo: Bool) {
        #expect(Self.reply(line).saysTooManyRecipients == isSo)
    }
}
