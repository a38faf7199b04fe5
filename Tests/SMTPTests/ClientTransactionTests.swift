import Testing

@testable import SMTP

@Suite("What the client's replies decide")
struct ClientTransactionTests {
    static let one = ClientScripts.one
    static let three = ClientScripts.three
    static let second = ClientScripts.second
    static let oneDone = ClientScripts.oneDone

    static let table: [(String, String)] = [
        ("delivered", one + oneDone),
        (
            "a result for each recipient",
            three + """
                S: 250 ok|550 5.1.1 no such user|250 ok|451 4.7.1 greylisted|354 go
                = content 1
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 250 2.0.0 queued
                = finished 1
                =   failed at RCPT: 550 5.1.1 no such user
                =   delivered at final dot: 250 2.0.0 queued
                =   deferred at RCPT: 451 4.7.1 greylisted

                """
        ),
        (
            "MAIL refused for good: all recipients, once DATA is answered too",
            three + """
                S: 550 5.7.1 not you
                S: 503 5.5.1 MAIL first|503 5.5.1 MAIL first|503 5.5.1 MAIL first
                S: 503 5.5.1 RCPT first
                = finished 1
                =   failed at MAIL: 550 5.7.1 not you
                =   failed at MAIL: 550 5.7.1 not you
                =   failed at MAIL: 550 5.7.1 not you

                """ + second
        ),
        (
            "MAIL refused for now, and the connection lost before the rest is answered",
            one.prefixLines(2) + """
                S: 451 4.3.0 later
                > ended reset
                = finished 1 unusable
                =   deferred at MAIL: 451 4.3.0 later
                = close

                """
        ),
        (
            "MAIL refused, a recipient taken all the same: no dot, whatever it would end",
            one.prefixLines(2) + """
                S: 550 no|250 ok
                = finished 1 unusable
                =   failed at MAIL: 550 no
                = close

                """
        ),
        (
            "MAIL refused, 354 all the same: no dot",
            one.prefixLines(2) + """
                S: 550 no|503 no|354 go
                = finished 1 unusable
                =   failed at MAIL: 550 no
                = close

                """
        ),
        (
            "all recipients refused and DATA too (RFC 2920 §3.1): RSET with the next MAIL",
            one.prefixLines(2) + """
                S: 250 ok|550 5.1.1 no|554 5.5.1 no valid recipients
                = finished 1
                =   failed at RCPT: 550 5.1.1 no
                > begin 2 a@x.example c@y.example
                C: RSET|MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA
                S: 250 reset|250 ok|250 ok|354 go
                = content 2

                """
        ),
        (
            "the connection lost after a lone dot: the results stand",
            one.prefixLines(2) + """
                S: 250 ok|450 4.2.1 busy|354 go
                C: .
                > ended reset
                = finished 1 unusable
                =   deferred at RCPT: 450 4.2.1 busy
                = close

                """
        ),
        (
            "452 4.5.3 after an accepted recipient: another transaction (RFC 5321 §4.5.3.1.10)",
            three + """
                S: 250 ok|250 ok|452 4.5.3 too many|552 too many|354 go
                = content 1
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 250 2.0.0 queued
                = finished 1
                =   delivered at final dot: 250 2.0.0 queued
                =   not sent at RCPT: too many recipients for one transaction: 452 4.5.3 too many
                =   not sent at RCPT: too many recipients for one transaction: 552 too many

                """
        ),
        (
            "452 4.5.3 and 552 before any is accepted, and a full mailbox after one, are answers",
            three + """
                S: 250 ok|452 4.5.3 too many|250 ok|552 5.2.2 mailbox full|354 go
                = content 1
                > mayNotFinish 1
                = finished 1 unusable
                =   deferred at RCPT: 452 4.5.3 too many
                =   not sent at content: stopped before the final dot
                =   failed at RCPT: 552 5.2.2 mailbox full
                = close

                """
        ),
        (
            "DATA refused: all accepted recipients, and RSET before the next",
            three + """
                S: 250 ok|250 ok|550 5.1.1 no|250 ok|451 4.3.0 later
                = finished 1
                =   deferred at DATA: 451 4.3.0 later
                =   failed at RCPT: 550 5.1.1 no
                =   deferred at DATA: 451 4.3.0 later
                > begin 2 <> c@y.example
                C: RSET|MAIL FROM:<> SIZE=1234|RCPT TO:<c@y.example>|DATA

                """
        ),
        (
            "the dot refused for now",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 451 4.3.0 later
                = finished 1
                =   deferred at final dot: 451 4.3.0 later

                """ + second
        ),
        (
            "the dot refused for good",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 554 5.7.1 spam
                = finished 1
                =   failed at final dot: 554 5.7.1 spam

                """
        ),
        (
            "8BITMIME is said where the message needs it",
            """
            > begin 1 <> b@y.example 8bit
            C: MAIL FROM:<> SIZE=1234 BODY=8BITMIME|RCPT TO:<b@y.example>|DATA

            """
        ),
        (
            "a message that needs SMTPUTF8 is not sent without it, and the connection stays",
            """
            > begin 1 a@x.example b@y.example utf8
            = finished 1
            =   failed at MAIL: 554 5.6.7 The message needs SMTPUTF8 and the next server doesn't offer it
            > begin 2 a@x.example bü@y.example
            = finished 2
            =   failed at MAIL: 554 5.6.7 The message needs SMTPUTF8 and the next server doesn't offer it

            """ + one
        ),
    ]

    @Test("each recipient gets what the upstream said about it", arguments: table)
    func dialogue(name: String, script: String) throws {
        let whole = ClientScripts.pipelinedPrelude + script
        #expect(try ClientTranscript.play(whole) == whole, "\(name)")
    }

    @Test("PIPELINING can be switched off")
    func pipeliningOff() throws {
        let script =
            ClientScripts.pipelinedPrelude + """
                > begin 1 a@x.example b@y.example
                C: MAIL FROM:<a@x.example> SIZE=1234

                """
        #expect(try ClientTranscript.play(script, pipelining: false) == script)
    }

    @Test("SMTPUTF8 and BODY are said where they are offered")
    func parameters() throws {
        let script = """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250-SMTPUTF8|250 8BITMIME
            = ready 8BITMIME SMTPUTF8
            > begin 1 ä@x.example b@y.example 8bit
            C: MAIL FROM:<ä@x.example> BODY=8BITMIME SMTPUTF8

            """
        #expect(try ClientTranscript.play(script) == script)
    }

    @Test("an address cannot smuggle a command", arguments: ["b@y\r\nRSET", "b@y\n", "b\0@y", ""])
    func injection(address: String) throws {
        var transcript = ClientTranscript()
        for line in ClientScripts.pipelinedPrelude.split(separator: "\n") { try transcript.step(String(line)) }
        var actions: [ClientSession.Action] = []
        for (path, recipient) in [("a@x.example", address), (address, "b@y.example")] {
            actions = []
            transcript.session.handle(
                .begin(
                    TransactionRequest(
                        id: 1, reversePath: Address(parsed: Array(path.utf8)),
                        recipients: [Address(parsed: Array(recipient.utf8))], size: 1)), &actions)
            guard case .finished(let result) = actions.first, actions.count == 1 else {
                Issue.record("\(actions)")
                continue
            }
            #expect(result.recipients.first?.reply?.code == 553)
            #expect(result.connectionUsable)
        }
    }

    @Test("the accepted recipients are known when the content is asked for")
    func accepted() throws {
        var transcript = ClientTranscript()
        for line in (ClientScripts.pipelinedPrelude + Self.three).split(separator: "\n") {
            try transcript.step(String(line))
        }
        try transcript.step("S: 250 ok|250 ok|550 no|250 ok|354 go")
        #expect(transcript.session.acceptedRecipients == [0, 2])
    }
}
