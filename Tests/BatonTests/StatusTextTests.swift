import Admin
import FoundationEssentials
import Testing

@testable import baton

/// Status answers as a node gives them.
enum Answers {
    static let healthy = """
        {"verdict":"healthy","summary":"healthy: accepting and delivering · every message on 1 disk · 0 nodes may fail",
        "warnings":0,"ready":true,"time":"2026-11-24T12:04:31.123Z","from":"a","cluster":"mail",
        "nodes":[{"name":"a","state":"serving","version":"0.1.0","upSeconds":788520,"acceptedPerSecond":212.4,
        "sentPerSecond":209,"journals":3,"syncP99Seconds":0.0021,"diskFreeBytes":71000,"diskTotalBytes":100000,
        "clientConnections":51}],
        "queue":{"messages":1204,"bytes":10276045,"due":61,"sending":118,"retrying":1019,"waitingForUpstream":0,"held":6,
        "uncertain":0,"oldestDueSeconds":0.4,"oldest":{"id":"01JD8Z1KAAAAAAAAAAAAAAAAAA","ageSeconds":11520,"tries":9,
        "to":"ann@example.net","lastReply":"451 4.7.1 greylisted"}},
        "recent5m":{"accepted":190502,"delivered":189871,"deferred":603,"bounced":28,"uncertain":0},
        "upstreams":[{"name":"ses","state":"up","share":0.7,"wantedShare":0.7,"sentPerSecond":444,"connections":40,
        "maximumConnections":40,"transientShare":0.002,"permanentShare":0,"medianSeconds":0.088,"ready":0,"sent":1,
        "deferred":2,"failed":3}],"journals":[],"problems":[]}
        """

    static func decode(_ text: String) throws -> StatusAnswer {
        try JSONDecoder().decode(StatusAnswer.self, from: Data(text.utf8))
    }
}

@Suite("What baton status says")
struct StatusTextTests {
    @Test("all well: the verdict with the time at the right edge, tables, and no advice")
    func healthy() throws {
        let text = StatusText(try Answers.decode(Answers.healthy), colour: false).text
        #expect(
            text == """
                healthy: accepting and delivering · every message on 1 disk · 0 nodes may fail      12:04:31Z from a

                NODE  STATE    VERSION  UP      IN/s  OUT/s  OWNS        SYNC p99  DISK FREE  CLIENTS
                a     serving  0.1.0    9d 03h   212    209  3 journals  2 ms      71 %            51

                QUEUE  1,204 messages, 9.8 MiB: 61 due · 118 sending · 1,019 waiting to retry · 6 held
                       oldest due 400 ms · oldest 3h 12m (01JD8Z1KAAAAAAAAAAAAAAAAAA, 9 tries, ann@example.net: 45…)
                5 MIN  accepted 190,502 · delivered 189,871 · deferred 603 · bounced 28 · uncertain 0

                UPSTREAM  STATE  SHARE  WANTED  OUT/s  CONNS    4xx    5xx    p50  READY
                ses       up      70 %    70 %    444  40/40  0.2 %  0.0 %  88 ms      0

                PROBLEMS  none

                """)
    }

    @Test("a problem has its three lines, and nothing is wider than 100 columns")
    func problem() throws {
        var status = try Answers.decode(Answers.healthy)
        status.verdict = .degraded
        let long = String(repeating: "the upstream said many words ", count: 20)
        let problem =
            #"{"name":"upstream-down","severity":"degraded","summary":"\#(long)","effect":"e","baton":"b","you":"y"}"#
        status.problems = [try JSONDecoder().decode(ProblemAnswer.self, from: Data(problem.utf8))]
        status.queue.oldest?.lastReply = long
        status.queue.waitingForUpstream = 1_000_000
        status.queue.uncertain = 1_000_000
        let lines = StatusText(status, colour: false).text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= 100 })
        #expect(lines.contains("PROBLEMS  1"))
        #expect(lines.contains { $0.hasPrefix(" upstream-down  the upstream said") })
        #expect(lines.suffix(3) == ["   effect   e", "   baton    b", "   you      y"])
    }

    @Test("an empty queue is one word, and colour marks the verdict only when asked for")
    func emptyAndColour() throws {
        var status = try Answers.decode(Answers.healthy)
        status.queue.messages = 0
        status.queue.oldest = nil
        #expect(StatusText(status, colour: false).text.contains("\nQUEUE  empty\n"))
        #expect(!StatusText(status, colour: false).text.contains("\u{1b}"))
        #expect(StatusText(status, colour: true).text.hasPrefix("\u{1b}[32mhealthy"))
    }

    @Test("what a peer sent cannot move the cursor")
    func control() { #expect(printable("a\u{1b}[2Jb\u{9b}c\n") == "a\u{fffd}[2Jb\u{fffd}c\u{fffd}") }

    @Test(
        "numbers for people",
        arguments: [
            (grouped(0), "0"), (grouped(999), "999"), (grouped(1_000_000), "1,000,000"), (grouped(-1234), "-1,234"),
            (percentage(nil), "-"), (percentage(0), "0.0 %"), (percentage(0.0019), "0.2 %"), (percentage(0.7), "70 %"),
            (rate(0), "0"), (rate(0.24), "0.2"), (rate(444.4), "444"), (counted(1, "try", "tries"), "1 try"),
        ])
    func numbers(_ given: String, _ expected: String) { #expect(given == expected) }
}
