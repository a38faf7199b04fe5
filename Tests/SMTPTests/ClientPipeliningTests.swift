import Testing

@testable import SMTP

@Suite("The client's next transaction")
struct ClientPipeliningTests {
    static let one = ClientScripts.one
    static let three = ClientScripts.three
    static let second = ClientScripts.second
    static let oneDone = ClientScripts.oneDone

    static let table: [(String, String)] = [
        (
            "the next one travels behind a lone dot, too",
            one.prefixLines(2) + """
                > begin 2 a@x.example c@y.example
                S: 250 ok|450 4.2.1 busy|354 go
                C: .|MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA
                S: 554 5.5.1 no valid recipients|250 ok
                = finished 1
                =   deferred at RCPT: 450 4.2.1 busy
                S: 250 ok|354 go
                = content 2

                """
        ),
        (
            "the next transaction's commands travel behind the dot (RFC 2920 §3.1)",
            one + """
                > begin 2 a@x.example c@y.example
                > contentSent 1
                > mayFinish 1
                = dot 1
                C: MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA
                > mayFinish 2
                S: 250 2.0.0 one|250 ok|250 ok|354 go
                = finished 1
                =   delivered at final dot: 250 2.0.0 one
                = content 2
                > contentSent 2
                = dot 2
                S: 250 2.0.0 two
                = finished 2
                =   delivered at final dot: 250 2.0.0 two

                """
        ),
        (
            "begun after the dot, they are written at once",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1

                """ + second + """
                    S: 550 5.7.1 spam
                    = finished 1
                    =   failed at final dot: 550 5.7.1 spam
                    S: 250 ok|250 ok|354 go
                    = content 2

                    """
        ),
        (
            "the connection lost behind the dot: one unanswered, the next no attempt",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1

                """ + second + """
                    > ended reset
                    = finished 1 unusable
                    =   unanswered at final dot: connection lost: reset
                    = finished 2 unusable stale
                    =   not sent at MAIL: connection lost: it ended with the transaction before
                    = close

                    """
        ),
        (
            "a next one that waits when DATA is refused gets RSET first",
            one.prefixLines(2) + """
                > begin 2 a@x.example c@y.example
                S: 250 ok|250 ok|451 later
                = finished 1
                =   deferred at DATA: 451 later
                C: RSET|MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA

                """
        ),
        (
            "a next one taken back while it waits goes alone",
            one + """
                > begin 2 a@x.example c@y.example
                > mayNotFinish 2
                = finished 2
                =   not sent at MAIL: stopped before the final dot

                """ + oneDone
        ),
        (
            "a next one taken back behind the dot drops the connection in its turn",
            one + """
                > contentSent 1
                > mayFinish 1
                = dot 1

                """ + second + """
                    > mayNotFinish 2
                    S: 250 one
                    = finished 1
                    =   delivered at final dot: 250 one
                    = finished 2 unusable
                    =   not sent at MAIL: stopped before the final dot
                    = close

                    """
        ),
        (
            "QUIT waits for the transactions that began",
            one + """
                > begin 2 a@x.example c@y.example
                > quit
                > contentSent 1
                > mayFinish 1
                = dot 1
                C: MAIL FROM:<a@x.example> SIZE=1234|RCPT TO:<c@y.example>|DATA
                S: 250 one|550 no|503 no|503 no
                = finished 1
                =   delivered at final dot: 250 one
                = finished 2
                =   failed at MAIL: 550 no
                C: QUIT
                = close

                """
        ),
    ]

    @Test("travels behind the final dot", arguments: table)
    func dialogue(name: String, script: String) throws {
        let whole = ClientScripts.pipelinedPrelude + script
        #expect(try ClientTranscript.play(whole) == whole, "\(name)")
    }

    static let oneByOne: [(String, String)] = [
        (
            "each command waits for the reply to the one before",
            """
            > begin 1 a@x.example b@y.example,c@y.example
            C: MAIL FROM:<a@x.example>
            S: 250 ok
            C: RCPT TO:<b@y.example>
            S: 550 no
            C: RCPT TO:<c@y.example>
            S: 251 will forward
            C: DATA
            S: 354 go
            = content 1
            > begin 2 a@x.example d@y.example
            > contentSent 1
            > mayFinish 1
            = dot 1
            S: 250 2.0.0 queued
            = finished 1
            =   failed at RCPT: 550 no
            =   delivered at final dot: 250 2.0.0 queued
            C: MAIL FROM:<a@x.example>
            S: 451 later
            = finished 2
            =   deferred at MAIL: 451 later
            > begin 3 a@x.example d@y.example
            C: MAIL FROM:<a@x.example>

            """
        ),
        (
            "no DATA without a recipient, and RSET before the next",
            """
            > begin 1 a@x.example b@y.example
            C: MAIL FROM:<a@x.example>
            S: 250 ok
            C: RCPT TO:<b@y.example>
            S: 550 no
            = finished 1
            =   failed at RCPT: 550 no
            > begin 2 a@x.example c@y.example
            C: RSET
            S: 250 ok
            C: MAIL FROM:<a@x.example>

            """
        ),
        (
            "a refused RSET ends the connection",
            """
            > begin 1 a@x.example b@y.example
            C: MAIL FROM:<a@x.example>
            S: 250 ok
            C: RCPT TO:<b@y.example>
            S: 550 no
            = finished 1
            =   failed at RCPT: 550 no
            > begin 2 a@x.example c@y.example
            C: RSET
            S: 500 what
            = finished 2 unusable
            =   not sent at MAIL: protocol error: unexpected reply: 500 what
            = close

            """
        ),
        (
            "a reply too many breaks the connection",
            """
            > begin 1 a@x.example b@y.example
            C: MAIL FROM:<a@x.example>
            S: 451 later
            = finished 1
            =   deferred at MAIL: 451 later
            S: 250 ok
            = close

            """
        ),
        (
            "an 8-bit message is not sent without 8BITMIME",
            """
            > begin 1 a@x.example b@y.example 8bit
            = finished 1
            =   failed at MAIL: 554 5.6.3 The message is 8-bit and the next server doesn't offer 8BITMIME

            """
        ),
    ]

    @Test("without PIPELINING", arguments: oneByOne)
    func plain(name: String, script: String) throws {
        let whole = ClientScripts.plainPrelude + script
        #expect(try ClientTranscript.play(whole) == whole, "\(name)")
    }
}
