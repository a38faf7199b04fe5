import Testing

@testable import Admin
@testable import baton

@Suite("baton check, wait and doctor")
struct CheckTests {
    private func results(_ status: StatusAnswer) -> [CheckResult] {
        Checks.names.map(Checks(status: status, limits: .init()).result)
    }

    @Test("all well: every check is ok, in all formats")
    func healthy() throws {
        let results = results(try Answers.decode(Answers.healthy))
        #expect(results.allSatisfy { $0.state == .ok })
        let nagios = CheckText.nagios(results)
        #expect(nagios.hasPrefix("BATON OK - all is well | process=3 ready=1 quorum=1 copies=3 queue_age=0.4 "))
        #expect(nagios.hasSuffix("\n") && nagios.split(separator: "\n").count == 1)
        #expect(CheckText.prometheus(results).contains("\nbaton_check_state{check=\"queue-age\"} 0\n"))
        for line in CheckText.text(results).split(separator: "\n") {
            #expect(line.hasPrefix("OK ") && line.count <= 100)
        }
    }

    @Test("a dead node is a warning of three checks, and nothing is critical: Baton handles it")
    func killed() throws {
        let results = results(try Answers.decode(Answers.killed))
        #expect(results.filter { $0.state == .warning }.map(\.name) == ["process", "ready", "quorum", "copies"])
        #expect(results.allSatisfy { $0.state < .critical })
        #expect(results[2].text == "2 of 3 nodes alive, 2 needed, 0 may fail")
        #expect(CheckText.nagios(results).hasPrefix("BATON WARNING - process: a runs 0.1.0 for 9d 03h; c DOWN 8s"))
    }

    @Test("what is critical")
    func critical() throws {
        var status: StatusAnswer = try Answers.decode(Answers.healthy)
        status.ready = false
        status.copies.majority = false
        status.copies.fewest = 1
        status.queue.oldestDueSeconds = 7200
        for index in status.upstreams.indices { status.upstreams[index].state = "down" }
        status.nodes[1].clockOffsetSeconds = -600
        status.nodes[1].certificateExpiry = "2026-11-25T12:04:31.123Z"
        status.nodes[2].diskFreeBytes = 1000
        let low =
            #"{"name":"disk-low","severity":"degraded","summary":"","effect":"","baton":"","you":"","nodes":["c"]}"#
        status.problems = [try Answers.decode(low)]
        let results = results(status)
        #expect(
            results.filter { $0.state == .critical }.map(\.name) == [
                "ready", "quorum", "copies", "queue-age", "upstreams", "disk", "clock", "certificates",
            ])
        #expect(results[6].text == "c takes no mail; the fullest, on c, has 1.0 % free")
        #expect(results[7].text == "b is 10m 00s behind b")
    }

    @Test("what wait waits for")
    func goals() throws {
        let (healthy, killed): (StatusAnswer, StatusAnswer) =
            (try Answers.decode(Answers.healthy), try Answers.decode(Answers.killed))
        #expect(WaitGoal.ready.missing(killed) == nil)
        #expect(WaitGoal.canLoseOne.missing(healthy) == nil)
        #expect(WaitGoal.canLoseOne.missing(killed) == "c is not there")
        #expect(WaitGoal.empty.missing(healthy) == "1,204 messages queued")
        #expect(WaitGoal.empty.missing(killed) == "1,204 messages queued")
        var rest = killed
        rest.queue.messages = 0
        #expect(WaitGoal.empty.missing(rest) == nil, "two of three have copies of all that the third had")
        let journal =
            #"{"id":"01JD8Z1KAAAAAAAAAAAAAA8V3K","epoch":13,"state":"replica","owner":"c","bytes":1,"committed":1,"#
            + #""unfinished":2,"whole":true,"copies":[]}"#
        rest.journals = [try Answers.decode(journal)]
        #expect(WaitGoal.empty.missing(rest) == "2 messages in journals whose owner does not answer")
        rest.journals[0].owner = nil
        #expect(WaitGoal.empty.missing(rest) == "2 messages in journals whose owner does not answer")
        rest.journals[0].owner = "a"
        #expect(WaitGoal.empty.missing(rest) == nil, "its owner counts them itself")
        rest.silent = ["b", "c"]
        #expect(WaitGoal.empty.missing(rest) == "b and c did not answer")
        var empty = healthy
        empty.queue.messages = 0
        #expect(WaitGoal.empty.missing(empty) == nil)
        empty.copies.mayFail = 0
        #expect(WaitGoal.canLoseOne.missing(empty) == "every message on 3 disks of 3, 0 nodes may fail")
    }

    @Test("the doctor's lines are in columns, and long ones are folded")
    func doctor() throws {
        let long = String(repeating: "word ", count: 40)
        let answer = ExaminationAnswer(
            lines: [.init("a", .pass, "sync", "fast"), .init("b", .fail, "upstream", long)], silent: [])
        let text = DoctorText.text(answer)
        #expect(text.hasPrefix("PASS  a  sync      fast\nFAIL  b  upstream  word"))
        #expect(text.hasSuffix("2 checks: 1 failed, 0 warnings\n"))
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    }
}

@Suite("Tables of the cluster")
struct ClusterTextTests {
    @Test("nodes: as whom sees it, and who that is")
    func nodes() throws {
        let status: StatusAnswer = try Answers.decode(Answers.killed)
        let text = NodesText.table(
            NodesAnswer(time: status.time, from: "a", nodes: status.nodes, silent: status.silent))
        #expect(
            text == """
                NODE  STATE    SEEN BY  VERSION  PROTOCOLS  CLOCK  CLIENTS  ZONE   ADDRESS        DISK
                a     serving  b        0.1.0    1-1         0 ms       51  eu-1a  10.0.0.1:7400  AAAA
                b     serving  a        0.1.0    1-1        +2 ms       51  eu-1a  10.0.0.1:7400  AAAA
                c     DOWN 8s  -        0.1.0    1-1            -        -  -      10.0.0.3:7400  01JD

                """)
    }

    @Test("journals and leases: owner, epoch, copies and their lag")
    func journals() throws {
        let journal: StatusAnswer.JournalAnswer = try Answers.decode(
            """
            {"id":"01JD8Z1KAAAAAAAAAAAAAA8V3K","epoch":13,"state":"sealed","owner":"a","leaseSeconds":1.8,"bytes":52428800,
            "committed":52428800,"unfinished":1388,"whole":true,"copies":[
            {"node":"a","disk":"1","acknowledged":52428800,"lagBytes":0,"alive":true,"lost":false},
            {"node":"b","disk":"2","acknowledged":52424704,"lagBytes":4096,"alive":true,"lost":false},
            {"node":"c","disk":"3","alive":false,"lost":true}]}
            """)
        #expect(
            JournalsText.table([journal], wanted: 3) == """
                JOURNAL  EPOCH  OWNER  STATE     SIZE  MESSAGES  COPIES  WHERE
                8V3K        13  a      sealed  50 MiB     1,388  2 of 3  a · b 4.0 KiB behind · c lost its disk

                """)
        let lease: LeasesAnswer = try Answers.decode(
            """
            {"time":"","from":"a","silent":[],"leases":[{"journal":"01JD8Z1KAAAAAAAAAAAAAA8V3K","epoch":13,"owner":"a",
            "state":"sealed","leaseSeconds":1.8,"members":["a","b","c"],"unfinished":1388},
            {"journal":"01JD8Z1KAAAAAAAAAAAAAA8V41","epoch":2,"state":"replica","members":["a"],"unfinished":0}]}
            """)
        #expect(
            JournalsText.leases(lease) == """
                JOURNAL  EPOCH  OWNER   STATE    LEASE  MESSAGES  MEMBERS
                8V3K        13  a       sealed   1.8 s     1,388  a b c
                8V41         2  nobody  replica  -             0  a

                """)
    }

    @Test("a drain says whether it is safe, why not, and what is under way")
    func drain() throws {
        var check: DrainCheckAnswer = try Answers.decode(
            """
            {"node":"b","state":"serving","safe":true,"reasons":[],"drained":false,"liveNodesAfter":2,"needed":2,
            "journals":3,"messages":61,"clients":12}
            """)
        #expect(
            DrainText.check(check) == """
                safe: b can be drained, 2 nodes go on, 2 needed
                under way: b is serving · owns 3 journals, 61 messages · 12 clients

                """)
        check.safe = false
        check.reasons = ["1 of 3 nodes would be left, 2 are needed"]
        #expect(DrainText.check(check).hasPrefix("not safe to drain b\n  1 of 3 nodes would be left, 2 are needed\n"))
    }

    @Test("events are lines with the time, the node and what happened")
    func events() {
        let event = EventsAnswer.Event(
            sequence: 1, time: "2026-11-24T12:06:56.118Z", node: "b", name: "takeover", text: "took over journal 8V3K")
        #expect(
            EventText.text([event])
                == "2026-11-24 12:06:56.118Z  b     takeover       took over journal 8V3K\n")
    }

    @Test("short spans", arguments: [(0.4, "0s"), (8.2, "8s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
    func spans(_ seconds: Double, _ text: String) { #expect(brief(seconds) == text) }
}
