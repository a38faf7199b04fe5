import Testing

@testable import SMTP

@Suite("The client session up to ready")
struct ClientSessionTests {
    static let beforeReady: [(String, ClientSession.TLS, String)] = [
        (
            "greeting, EHLO, ready", .off,
            """
            S: 220 mx.example ESMTP
            C: EHLO us.example
            S: 250-mx.example|250-PIPELINING|250-SIZE 1000|250-8BITMIME|250-STARTTLS|250-LIMITS RCPTMAX=5|250 smtputf8
            = ready PIPELINING 8BITMIME SMTPUTF8 STARTTLS SIZE 1000
            """
        ),
        (
            "SIZE 0 and SIZE alone are no limit (RFC 1870 §4)", .off,
            """
            S: 220 mx.example ESMTP
            C: EHLO us.example
            S: 250-mx.example|250-SIZE 0|250 ENHANCEDSTATUSCODES
            = ready ENHANCEDSTATUSCODES SIZE
            """
        ),
        (
            "the first line of EHLO's reply is a name, not an extension", .off,
            """
            S: 220 mx.example ESMTP
            C: EHLO us.example
            S: 250-PIPELINING|250 8BITMIME
            = ready 8BITMIME
            """
        ),
        (
            "HELO where EHLO is refused for good", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 502 5.5.1 what?
            C: HELO us.example
            S: 250 mx.example
            = ready
            """
        ),
        (
            "a temporary refusal of EHLO is the upstream's failure", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 451 4.3.0 later
            = failed EHLO: refuses EHLO: 451 4.3.0 later
            C: QUIT
            = close
            """
        ),
        (
            "refused HELO too", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 550 no
            C: HELO us.example
            S: 550 no again
            = failed EHLO: refuses EHLO and HELO: 550 no again
            C: QUIT
            = close
            """
        ),
        (
            "a greeting of 554 (RFC 5321 §3.1)", .off,
            """
            S: 554 5.7.1 no service for you
            = failed greeting: refuses the connection: 554 5.7.1 no service for you
            C: QUIT
            = close
            """
        ),
        (
            "a greeting of 421", .off,
            """
            S: 421 too busy
            = failed greeting: refuses the connection: 421 too busy
            C: QUIT
            = close
            """
        ),
        (
            "silence instead of a greeting", .off,
            """
            > timedOut
            = failed greeting: no answer in time
            = close
            """
        ),
        (
            "a connection that ends after EHLO", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            > ended reset by peer
            = failed EHLO: connection lost: reset by peer
            = close
            > ended again
            > timedOut
            """
        ),
        (
            "a web server", .off,
            """
            S: HTTP/1.1 400 Bad Request
            = failed greeting: protocol error: not an SMTP reply: 'HTTP/1.1 400 Bad Request'
            = close
            S: 220 mx.example
            """
        ),
        (
            "STARTTLS, and EHLO again", .opportunistic,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250-STARTTLS|250 PIPELINING
            C: STARTTLS
            S: 220 2.0.0 go
            = handshake
            > tlsStarted
            C: EHLO us.example
            S: 250-mx.example|250 SIZE 7
            = ready SIZE 7
            """
        ),
        (
            "what follows the reply to STARTTLS in the clear is thrown away (RFC 3207 §4.2)", .required,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250 STARTTLS
            C: STARTTLS
            S: 220 2.0.0 go|250-evil|250 PIPELINING|250
            = handshake
            S: 250 more evil
            > tlsStarted
            C: EHLO us.example
            S: 250 mx.example
            = ready
            """
        ),
        (
            "no STARTTLS offered: in the clear", .opportunistic,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250 mx.example
            = ready
            """
        ),
        (
            "no STARTTLS offered, but required", .required,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250 mx.example
            = failed STARTTLS: doesn't offer STARTTLS, which this upstream's configuration requires
            C: QUIT
            = close
            """
        ),
        (
            "STARTTLS refused: in the clear", .opportunistic,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250 STARTTLS
            C: STARTTLS
            S: 454 4.7.0 not now
            = ready STARTTLS
            """
        ),
        (
            "STARTTLS refused, but required", .required,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250 STARTTLS
            C: STARTTLS
            S: 454 4.7.0 not now
            = failed STARTTLS: refuses STARTTLS: 454 4.7.0 not now
            C: QUIT
            = close
            """
        ),
        (
            "a failed handshake", .opportunistic,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250 STARTTLS
            C: STARTTLS
            S: 220 go
            = handshake
            > ended certificate has expired
            = failed STARTTLS: connection lost: certificate has expired
            = close
            """
        ),
        (
            "after TLS a refused EHLO is no reason for HELO", .required,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250-mx.example|250 STARTTLS
            C: STARTTLS
            S: 220 go
            = handshake
            > tlsStarted
            C: EHLO us.example
            S: 554 no
            = failed EHLO: refuses EHLO: 554 no
            C: QUIT
            = close
            """
        ),
        (
            "421 while idle, and no transaction after it", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250 mx.example
            = ready
            S: 421 4.4.2 idle for too long
            = close
            > begin 1 a@x.example b@y.example
            = finished 1 unusable
            =   not sent at MAIL: connection lost: it has ended
            """
        ),
        (
            "QUIT when idle", .off,
            """
            S: 220 mx.example
            C: EHLO us.example
            S: 250 mx.example
            = ready
            > quit
            C: QUIT
            = close
            """
        ),
        (
            "QUIT before ready", .off,
            """
            > quit
            C: QUIT
            = close
            S: 220 mx.example
            """
        ),
    ]

    @Test("a connection becomes ready, or fails as the upstream's fault", arguments: beforeReady)
    func becomesReady(name: String, tls: ClientSession.TLS, script: String) throws {
        #expect(try ClientTranscript.play(script, tls: tls) == script + "\n", "\(name)")
    }

    @Test("each wait has the deadline of RFC 5321 §4.5.3.2, anew after each reply")
    func deadlines() throws {
        let script = """
            = wait greeting
            S: 220 mx.example
            C: EHLO us.example
            = wait command
            S: 250-mx.example|250 PIPELINING
            = ready PIPELINING
            = wait none
            > begin 1 a@x.example b@y.example
            C: MAIL FROM:<a@x.example>|RCPT TO:<b@y.example>|DATA
            = wait command
            S: 250 ok
            = wait command
            S: 250 ok|354 go
            = content 1
            = wait data
            > contentSent 1
            = wait none
            > mayFinish 1
            = dot 1
            = wait finalDot
            > begin 2 a@x.example c@y.example
            C: MAIL FROM:<a@x.example>|RCPT TO:<c@y.example>|DATA
            S: 250 2.0.0 ok
            = finished 1
            =   delivered at final dot: 250 2.0.0 ok
            = wait command
            S: 250 ok|250 ok
            = wait command
            > timedOut
            = finished 2 unusable
            =   not sent at DATA: no answer in time
            = close

            """
        #expect(try ClientTranscript.play(script, waits: true) == script)
        let limits = ClientTimeouts()
        #expect(limits.limit(.greeting) == .seconds(60))
        #expect(limits.limit(.command) == .seconds(120))
        #expect(limits.limit(.data) == .seconds(180))
        #expect(limits.limit(.finalDot) == .seconds(600))
        #expect(limits.limit(.none) == nil)
    }
}
