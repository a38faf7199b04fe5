import Admin
import FoundationEssentials
import Testing

@testable import baton

private let message = """
    {"id":"01JD9Q4X7M2TAAAAAAAAAAAAAA","journal":"01JD9Q4X7M2TAAAAAAAAAA8V3K","state":"waiting for upstream",
    "accepted":"2026-11-24T12:06:53.902Z","ageSeconds":75,"sender":"","bytes":4200,"messageId":"<8f1c@shop.example>",
    "attempts":2,"uncertain":true,"owner":"b","recipients":[
    {"address":"ann@gmail.com","state":"delivered","tries":1,"lastReply":"250 ok","upstream":"ses"},
    {"address":"bob@example.org","state":"retrying","tries":2,"due":"2026-11-24T12:11:53.902Z",
    "lastReply":"451 4.7.1 greylisted","upstream":"own"}]}
    """

private func decode<T: Decodable>(_ text: String) throws -> T {
    try JSONDecoder().decode(T.self, from: Data(text.utf8))
}

@Suite("What the queue commands say")
struct QueueTextTests {
    @Test("a listing shows the recipient that is still open, and what is beyond the limit")
    func list() throws {
        let text = QueueText.list(try decode("{\"matched\":3,\"messages\":[\(message)],\"silent\":[\"c\"]}"))
        #expect(
            text == """
                ID                             AGE     SIZE  TRIES  STATE               TO
                01JD9Q4X7M2TAAAAAAAAAAAAAA  1m 15s  4.1 KiB      2  waiting, uncertain  bob@example.org: 451 4.7.1…
                and 2 more: --limit N, or a filter
                not answered by: c

                """)
        #expect(QueueText.list(try decode("{\"matched\":0,\"messages\":[],\"silent\":[]}")) == "no message matches\n")
    }

    @Test("one message shows each recipient and its last reply")
    func show() throws {
        let text = QueueText.message(try decode(message))
        #expect(text.hasPrefix("01JD9Q4X7M2TAAAAAAAAAAAAAA  <> to 2 recipients · 4.1 KiB · <8f1c@shop.example>\n"))
        #expect(text.contains(" · journal 8V3K of b · 2 attempts\n"))
        #expect(text.contains("\nuncertain: "))
        #expect(text.contains("\nbob@example.org  retrying       2  own       12:11:53Z\n"))
        #expect(text.hasSuffix("\nbob@example.org: 451 4.7.1 greylisted\n"))
    }

    @Test("a bulk action shows the count and samples, then how each ended")
    func actions() throws {
        var answer: ActionAnswer = try decode(
            "{\"verb\":\"hold\",\"dryRun\":true,\"matched\":1204,\"samples\":[\(message)],\"outcomes\":{},"
                + "\"messages\":[],\"remaining\":0,\"silent\":[]}")
        #expect(
            QueueText.selection(answer) == """
                hold: 1,204 messages, such as
                  01JD9Q4X7M2TAAAAAAAAAAAAAA  1m 15s old, waiting, <> to ann@gmail.com +1

                """)
        answer.outcomes = ["done": 1200, "sent": 4]
        #expect(QueueText.outcomes(answer) == "hold: 1,200 done · 4 too late, already sent\n")
    }

    @Test("a trace has a column of times and marks at the right edge")
    func trace() throws {
        let text = TraceText.text(
            try decode(
                """
                {"id":"01JD","accepted":"2026-11-24T12:06:53.902Z","sender":"billing@shop.example",
                "recipients":["ann@gmail.com"],"bytes":4200,"messageId":"<8f1c@shop.example>","delivered":1,"finished":true,
                "takeovers":1,"uncertain":false,"events":[
                {"time":"2026-11-24T12:06:53.902Z","node":"c","text":"accepted from 10.0.0.9"},
                {"time":"2026-11-25T12:06:56.214Z","node":"b","text":"ann@gmail.com: 250 2.0.0 OK (93 ms)","mark":"delivered"}],
                "knownBy":["a","b"],"silent":["c"]}
                """))
        #expect(
            text == """
                01JD  billing@shop.example to ann@gmail.com · 4.1 KiB · <8f1c@shop.example>
                delivered 1 of 1 · last one 1d 00h after acceptance · survived 1 takeover · no duplicate possible

                TIME (UTC)    NODE  WHAT
                12:06:53.902  c     accepted from 10.0.0.9
                2026-11-25
                12:06:56.214  b     ann@gmail.com: 250 2.0.0 OK (93 ms)                                  [delivered]

                on the disks of a and b
                not answered by: c
                for programs: --json

                """)
    }
}
