import Testing

@testable import SMTP

@Suite("The client interrupted")
struct ClientInterruptionTests {
    static let one = ClientScripts.one
    static let three = ClientScripts.three
    static let second = ClientScripts.second
    static let oneDone = ClientScripts.oneDone

    static let table: [(String, String)] = [
        (
            "permission before the content is sent",
            one + """
                > mayFinish 1
                > contentSent 1
                = dot 1
                S: 250 ok
                = finished 1
                =   delivered at final dot: 250 ok

                """
        ),
        (
            "all recipients refused but DATA answered 354 (RFC 2920 §3.1): a lone dot at once, no permission needed",
            one.prefixLines(2) + """
                S: 250 ok|450 4.2.1 busy|354 go
                C: .
                S: 554 5.5.1 no valid recipients
                = finished 1
                =   deferred at RCPT: 450 4.2.1 busy

                """ + second
        ),
        (
            "421 to the dot is an answer; the connection goes",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 421 4.3.2 shutting down
                = finished 1 unusable
                =   deferred at final dot: 421 4.3.2 shutting down
                = close

                """
        ),
        (
            "the connection lost after the dot",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                > ended reset by peer
                = finished 1 unusable
                =   unanswered at final dot: connection lost: reset by peer
                = close

                """
        ),
        (
            "no answer to the dot in time",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                > timedOut
                = finished 1 unusable
                =   unanswered at final dot: no answer in time
                = close

                """
        ),
        (
            "nonsense in answer to the dot",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 2.0.0 ok
                = finished 1 unusable
                =   unanswered at final dot: protocol error: not an SMTP reply: '2.0.0 ok'
                = close

                """
        ),
        (
            "354 in answer to the dot",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                S: 354 more
                = finished 1 unusable
                =   unanswered at final dot: protocol error: '354 more' to the final dot
                = close

                """
        ),
        (
            "the connection lost before the dot, with permission and the content sent but not both",
            one + """
                > contentSent 1
                > ended reset by peer
                = finished 1 unusable
                =   not sent at content: connection lost: reset by peer
                = close
                > mayFinish 1

                """
        ),
        (
            "no permission: the connection is dropped without the dot",
            one + """
                > contentSent 1
                > mayNotFinish 1
                = finished 1 unusable
                =   not sent at content: stopped before the final dot
                = close

                """
        ),
        (
            "taken back before DATA is answered",
            one.prefixLines(2) + """
                S: 250 ok
                > mayNotFinish 1
                = finished 1 unusable
                =   not sent at RCPT: stopped before the final dot
                = close

                """
        ),
        (
            "taken back after the dot: too late",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1
                > mayNotFinish 1
                S: 250 ok
                = finished 1
                =   delivered at final dot: 250 ok

                """
        ),
        (
            "permission for another transaction is none for this",
            one + """
                > contentSent 1
                > mayFinish 2
                > contentSent 2
                > ended reset
                = finished 1 unusable
                =   not sent at content: connection lost: reset
                = close

                """
        ),
        (
            "421 to RCPT: refused recipients keep their reply, the others were not sent to",
            three + """
                S: 250 ok|550 5.1.1 no|250 ok|421 4.3.2 shutting down
                = finished 1 unusable
                =   failed at RCPT: 550 5.1.1 no
                =   not sent at RCPT: the upstream closes the connection: 421 4.3.2 shutting down
                =   not sent at RCPT: the upstream closes the connection: 421 4.3.2 shutting down
                = close

                """
        ),
        (
            "421 amid the content",
            one + """
                S: 421 4.4.2 too slow
                = finished 1 unusable
                =   not sent at content: the upstream closes the connection: 421 4.4.2 too slow
                = close
                > contentSent 1

                """
        ),
        (
            "a refusal amid the content is an answer",
            one + """
                S: 552 5.3.4 too big
                = finished 1 unusable
                =   failed at content: 552 5.3.4 too big
                = close

                """
        ),
        (
            "250 amid the content delivers nothing",
            one + """
                S: 250 ok
                = finished 1 unusable
                =   not sent at content: protocol error: unexpected reply: 250 ok
                = close

                """
        ),
        (
            "354 to MAIL",
            one.prefixLines(2) + """
                S: 354 what?
                = finished 1 unusable
                =   not sent at MAIL: protocol error: unexpected reply: 354 what?
                = close

                """
        ),
        (
            "250 to DATA",
            one.prefixLines(2) + """
                S: 250 ok|250 ok|250 ok
                = finished 1 unusable
                =   not sent at DATA: protocol error: unexpected reply: 250 ok
                = close

                """
        ),
        (
            "421 to a new connection's first MAIL is an attempt",
            one.prefixLines(2) + """
                S: 421 busy
                = finished 1 unusable
                =   not sent at MAIL: the upstream closes the connection: 421 busy
                = close

                """
        ),
        (
            "a reused connection that ends before MAIL is answered is no attempt",
            one + oneDone + second + """
                > ended closed by peer
                = finished 2 unusable stale
                =   not sent at MAIL: connection lost: closed by peer
                = close

                """
        ),
        (
            "nor is one that says 421",
            one + oneDone + second + """
                S: 421 4.4.2 idle
                = finished 2 unusable stale
                =   not sent at MAIL: the upstream closes the connection: 421 4.4.2 idle
                = close

                """
        ),
        (
            "a reused connection that ends after MAIL is answered is one",
            one + oneDone + second + """
                S: 250 ok
                > ended reset
                = finished 2 unusable
                =   not sent at RCPT: connection lost: reset
                = close

                """
        ),
        (
            "a reused connection that had ended is no attempt either",
            one + oneDone + """
                > ended reset
                = close
                > begin 2 a@x.example c@y.example
                = finished 2 unusable stale
                =   not sent at MAIL: connection lost: it has ended

                """
        ),
    ]

    @Test("before the dot nothing is sent, after it the answer is missing", arguments: table)
    func dialogue(name: String, script: String) throws {
        let whole = ClientScripts.pipelinedPrelude + script
        #expect(try ClientTranscript.play(whole) == whole, "\(name)")
    }
}
