import Admin
import FoundationEssentials
import Testing

@testable import baton

@Suite("What baton status says")
struct StatusTextTests {
    @Test("a cluster of one: the verdict with the time at the right edge, tables, and no advice")
    func alone() throws {
        let text = StatusText(try Answers.decode(Answers.alone), colour: false).text
        #expect(
            text == """
                healthy: accepting and delivering · every message on 1 disk · 0 nodes may fail      12:04:31Z from a

                NODE  STATE    VERSION  UP      IN/s  OUT/s  OWNS        SYNC p99  DISK FREE  CLIENTS
                a     serving  0.1.0    9d 03h   212    209  3 journals  2 ms      71 %            51

                QUEUE  1,204 messages, 9.8 MiB: 61 due · 118 sending · 1,019 waiting to retry · 6 held
                       oldest due 400 ms · oldest 3h 12m (01JD8Z1KAAAAAAAAAAAAAAAAAA, 9 tries, ann@example.net: 45…)
                5 MIN  accepted 190,502 · delivered 189,871 · deferred 603 · bounced 28 · uncertain 0

                UPSTREAM  STATE  SHARE  WANTED  OUT/s  LIMIT  CONNS    4xx    5xx     p50  TRUST  LOWEST AT
                ses       up      70 %    70 %    444  500/s  40/40  0.2 %  0.0 %   88 ms     98  orange.fr 91
                own       up      30 %    30 %    190      -  22/60  0.4 %  0.1 %  140 ms     95  t-online.de 84

                PROBLEMS  none

                """)
    }

    @Test("three nodes, all well")
    func healthy() throws {
        let text = StatusText(try Answers.decode(Answers.healthy), colour: false).text
        #expect(
            text.hasPrefix(
                """
                healthy: accepting and delivering · every message on 3 disks · 1 node may fail      12:04:31Z from b

                NODE  STATE    VERSION  UP      IN/s  OUT/s  OWNS        COPY LAG  SYNC p99  DISK FREE  SEEN BY
                a     serving  0.1.0    9d 03h   212    209  3 journals  0 B       2 ms      71 %       b c
                b     serving  0.1.0    9d 03h   212    209  3 journals  0 B       2 ms      71 %       a c
                c     serving  0.1.0    9d 03h   212    209  3 journals  4.0 KiB   2 ms      71 %       a b

                QUEUE  1,204 messages
                """))
        #expect(text.hasSuffix("\nPROBLEMS  none\n"))
        #expect(!text.contains("TAKEOVER"))
    }

    @Test("a node was killed: down since when, who took over what, and what to do; calm upstreams are one line")
    func killed() throws {
        let text = StatusText(try Answers.decode(Answers.killed), colour: false).text
        for part in [
            "degraded: accepting and delivering · every message on 2 disks · 0 nodes may fail    12:04:31Z from a\n",
            "c     DOWN 8s  0.1.0    -          -      -  0 journals  41 MiB    -         -          -\n",
            """
            TAKEOVER  8V3K/13, 8V41/13, c to a and b: 2 journals, 1,388 messages, none lost, first delivery
                      after 210 ms
                      3 were in flight and may arrive twice: baton queue list --uncertain

            UPSTREAM  ses up 70 % · own up 30 %

            PROBLEMS  1
             node-down  c has been silent for 8.2 s (last word 12:04:23Z; its port refuses connections)
               effect   2 copies instead of 3; losing a or b too stops acceptance (451) until one is back
               baton    moved c's leases to a and b; c catches up by itself when it returns
               you      restart it: systemctl start baton (on c)  ·  gone for good: baton node forget c

            """,
        ] {
            #expect(text.contains(part), "lacks \(part)\nin \(text)")
        }
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }

    @Test("an upstream that is down for some says where")
    func partial() throws {
        var status: StatusAnswer = try Answers.decode(Answers.healthy)
        status.upstreams[0].state = "partial"
        status.upstreams[0].downAt = ["b", "c"]
        #expect(StatusText(status, colour: false).text.contains("\nses       down at b c  "))
    }

    @Test("a problem has its three lines, and nothing is wider than 100 columns")
    func problem() throws {
        var status: StatusAnswer = try Answers.decode(Answers.alone)
        status.verdict = .degraded
        let long = String(repeating: "the upstream said many words ", count: 20)
        let problem =
            #"{"name":"upstream-down","severity":"degraded","summary":"\#(long)","effect":"e","baton":"b","you":"y","nodes":[]}"#
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
        var status: StatusAnswer = try Answers.decode(Answers.alone)
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
