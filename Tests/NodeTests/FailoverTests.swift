import Journal
import Node
import Primitives
import Routing
import SMTP
import Testing

@Suite("Failover")
struct FailoverTests {
    @Test("a 554 greeting bounces nothing and opens the circuit")
    func greeting554() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.refuse("up", .greeting, Reply(554, 5, 3, 2, "go away"))
        #expect(probe.message(id)?.state == .waitingForUpstream)
        #expect(probe.problems == ["upstream-down"])
        #expect(probe.status.upstreams[0].state == .down)
        #expect(probe.outcomes.isEmpty)
        for _ in 0..<20 {
            probe.advance(.minutes(1))
            if !probe.wanted.isEmpty { try probe.refuse("up", .greeting, Reply(554, 5, 3, 2, "go away")) }
        }
        #expect(probe.problems == ["upstream-down"])
        #expect(probe.outcomes.isEmpty)
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
    }

    static let beforeMail: [(Stage, Int)] = [
        (.connect, 0), (.greeting, 421), (.greeting, 554), (.ehlo, 502), (.startTLS, 454), (.startTLS, 554),
    ]

    @Test("an upstream that fails before MAIL hands its mail to the next within the same try", arguments: beforeMail)
    func failsBeforeMail(stage: Stage, code: Int) throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.refuse("one", stage, code == 0 ? nil : Reply(code, nil, text: []))
        #expect(probe.wanted == ["two"])
        try probe.connect("two")
        probe.end(try probe.transaction(of: id), .delivered)
        #expect(probe.message(id) == nil)
        #expect(probe.attempts.map(\.upstream) == ["two"])
        #expect(probe.outcomes[0].results.map(\.tries) == [1])
    }

    @Test("MAIL refused with 4xx goes to the next upstream within the same try")
    func mail4xx() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .deferred(451, .mail))
        #expect(probe.outcomes[0].results.map(\.status) == [.notSent])
        #expect(probe.status.upstreams[0].state == .up, "it speaks of the message as well")
        try probe.connect("two")
        probe.end(try probe.transaction(of: id), .delivered)
        #expect(probe.message(id) == nil)
        #expect(probe.attempts.map(\.upstream) == ["one", "two"])
    }

    @Test("MAIL refused with 4xx by all is one failed try")
    func mail4xxEverywhere() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .deferred(451, .mail))
        try probe.connect("two")
        probe.end(try probe.transaction(), .deferred(452, .mail))
        #expect(probe.message(id)?.state == .retrying)
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
        #expect(probe.outcomes.last?.results.map(\.code) == [452])
    }

    @Test("a try that one upstream refused and whose others are down has failed; it does not wait")
    func refusedAndDown() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .deferred(451, .mail))
        try probe.refuse("two")
        #expect(probe.message(id)?.state == .retrying)
        #expect(probe.outcomes.last?.results.map(\.status) == [.deferred])
    }

    static let recipientRefusals: [(Told, String)] = [
        (.deferred(450), "retrying"), (.deferred(451, .data), "retrying"), (.deferred(452, .finalDot), "retrying"),
    ]

    @Test(
        "4xx to RCPT, DATA or the dot is the message's answer: no other upstream is asked", arguments: recipientRefusals
    )
    func noFailover(result: Told, state: String) throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), result)
        #expect(probe.wanted.isEmpty)
        #expect(probe.message(id)?.recipients.map(\.state) == [state])
    }

    @Test("a connection lost before the dot goes to the next upstream")
    func lostBeforeDot() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .notSent(.connectionLost("reset"), .rcpt), usable: false)
        try probe.connect("two")
        #expect(probe.upstream(of: try probe.transaction(of: id)) == "two")
        #expect(probe.message(id)?.isUncertain == false)
    }

    // MARK: What speaks of the upstream

    static let rights: [(Int, Stage, String)] = [
        (530, .mail, "authentication required"), (535, .mail, "no"), (550, .mail, "your account is suspended"),
        (530, .rcpt, "Must issue a STARTTLS command first"),
    ]

    @Test(
        "5xx for lack of rights speaks of the upstream: the message goes elsewhere, and nothing bounces",
        arguments: rights)
    func lackOfRights(code: Int, stage: Stage, text: String) throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .failed(code, stage, text))
        #expect(probe.problems == ["upstream-down"])
        #expect(probe.notices.isEmpty)
        try probe.connect("two")
        probe.end(try probe.transaction(of: id), .delivered)
        #expect(probe.message(id) == nil)
    }

    @Test("a suspended account that is the only way bounces nothing; its mail waits with its retry step")
    func suspendedOnly() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        for _ in 0..<5 {
            probe.end(try probe.transaction(of: id), .failed(550, .mail, "account suspended"))
            #expect(probe.message(id)?.state == .waitingForUpstream)
            probe.advance(.minutes(1))
            try probe.connect("up")
        }
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
        #expect(probe.notices.isEmpty)
    }

    @Test("5xx to MAIL that speaks of the sender bounces")
    func mail5xx() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .failed(553, .mail, "sender rejected"))
        #expect(probe.message(id) == nil)
        #expect(probe.results(id) == ["bounced"])
        #expect(probe.notices.count == 1)
    }

    // MARK: Unanswered

    @Test("an unanswered dot does not fail over: it is uncertain and tried again later")
    func unanswered() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .unanswered, usable: false)
        #expect(probe.wanted.isEmpty)
        #expect(probe.message(id)?.isUncertain == true)
        #expect(probe.message(id)?.state == .retrying)
        #expect(probe.results(id) == ["uncertain"])
        #expect(probe.outcomes[0].results.map(\.status) == [.unanswered])
    }

    @Test("an unanswered dot is held when uncertain mail is")
    func unansweredHeld() throws {
        let probe = NodeProbe("up") { $0.uncertain = .hold }.started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .unanswered, usable: false)
        #expect(probe.message(id)?.state == .held)
        #expect(probe.outcomes[0].results.map(\.isHeld) == [true])
        probe.advance(.days(5))
        #expect(probe.transactions.count == 1)
    }

    // MARK: Down and up again

    @Test("a message that waits for an upstream keeps its retry step, and goes when one returns")
    func keepsStep() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        probe.advance(.minutes(2))
        for _ in 0..<30 {
            if !probe.wanted.isEmpty { try probe.refuse("up") }
            probe.advance(.minutes(1))
        }
        #expect(probe.message(id)?.state == .waitingForUpstream)
        #expect(probe.message(id)?.recipients.map(\.state) == ["waiting for upstream"])
        #expect(probe.message(id)?.recipients.map(\.tries) == [2])
        try probe.connect("up")
        let due = probe.now.wall
        probe.end(try probe.transaction(of: id), .deferred(450))
        #expect(probe.message(id)?.recipients.map(\.tries) == [2])
        // The wait after the second try, not after the thirtieth.
        let wait = try #require(probe.message(id)?.due) - due
        #expect(wait >= .seconds(270) && wait <= .seconds(330))
    }

    @Test("the backlog goes oldest first and with a ramp when the upstream returns")
    func ramp() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].pipelining = false }.started()
        let ids = (0..<40).map { _ in probe.submit().id }
        #expect(probe.wanted.count == 20)
        while !probe.wanted.isEmpty { try probe.refuse("up") }
        #expect(ids.allSatisfy { probe.message($0)?.state == .waitingForUpstream })
        probe.advance(.seconds(2))
        #expect(probe.wanted == ["up"], "one probe at a time, soon after the first failure")
        try probe.connect("up")
        #expect(probe.wanted == ["up"], "two connections at first")
        #expect(probe.has { if case .upstreamUp("up") = $0 { true } else { false } })
        var most = 0
        while probe.runningCount > 0 || !probe.wanted.isEmpty {
            while !probe.wanted.isEmpty { try probe.connect("up") }
            most = max(most, probe.runningCount)
            for transaction in probe.runningTransactions { probe.end(transaction, .delivered) }
        }
        #expect(probe.transactions.map(\.transaction.message) == ids)
        #expect(most > 2 && most <= 20)
        #expect(ids.allSatisfy { probe.message($0) == nil })
    }

    @Test("twenty connections that fail at once are one failure: the first probe comes within two seconds")
    func oneFailure() throws {
        let probe = NodeProbe("up").started()
        for _ in 0..<20 { probe.submit() }
        for _ in 0..<20 { try probe.refuse("up") }
        let next = try #require(probe.status.upstreams[0].nextProbe)
        #expect(next <= .milliseconds(1200))
        var waits: [Duration] = []
        for _ in 0..<8 {
            probe.advance(.seconds(60))
            try probe.refuse("up")
            waits.append(try #require(probe.status.upstreams[0].nextProbe))
        }
        // A probe that fails late is followed by the next one at once, never by a heap of them.
        #expect(waits.allSatisfy { $0 <= .seconds(2) })
        probe.advance(.zero)
        try probe.refuse("up")
        #expect(probe.status.upstreams[0].nextProbe == .milliseconds(1750), "one that fails at once by its time")
    }

    @Test("an upstream is probed also while others carry all its mail, so that it gets its share back at once")
    func probeWithoutMail() throws {
        let probe = NodeProbe("one", "two").started()
        let (id, _) = probe.submit()
        try probe.refuse("one")
        try probe.connect("two")
        probe.end(try probe.transaction(of: id), .delivered)
        probe.advance(.milliseconds(1100))
        #expect(probe.wanted == ["one"])
        try probe.connect("one")
        #expect(probe.status.upstreams[0].state != .down)
        #expect(probe.runningCount == 0 && probe.wanted.isEmpty)
    }

    @Test("an upstream that says it wants no more connections keeps those it has")
    func wantsNoMore() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        probe.submit()
        try probe.connect("up")
        try probe.refuse("up", .greeting, Reply(421, 4, 7, 0, "too many connections"))
        #expect(probe.status.upstreams[0].state != .down)
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.runningCount == 1, "the second goes over the connection that works")
        #expect(probe.wanted.isEmpty)
    }

    @Test("an upstream that silently refuses while its connections hang is down: mail goes elsewhere")
    func hanging() throws {
        let probe = NodeProbe("one", "two") { $0.upstreams[1].weight = 0.001 }.started()
        probe.submit()
        try probe.connect("one")
        probe.advance(.seconds(1))
        let (id, _) = probe.submit()
        probe.advance(.seconds(10))
        try probe.refuse("one")
        #expect(probe.wanted == ["two"])
        try probe.connect("two")
        #expect(probe.upstream(of: try probe.transaction(of: id)) == "two")
    }

    @Test("an answer on an old connection ends an outage")
    func answerEndsOutage() throws {
        let probe = NodeProbe("up").started()
        let (first, _) = probe.submit()
        try probe.connect("up")
        probe.advance(.seconds(1))
        let (second, _) = probe.submit()
        probe.advance(.seconds(10))
        try probe.refuse("up")
        #expect(probe.message(second)?.state == .waitingForUpstream)
        probe.end(try probe.transaction(of: first), .delivered)
        #expect(try probe.transaction(of: second).attempt == 1)
        #expect(probe.problems.isEmpty)
    }

    @Test("an upstream switched off by hand gets nothing until it is switched on")
    func disabled() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(of: id), .delivered)
        probe.enable("up", false)
        #expect(probe.closed.count == 1)
        let (next, _) = probe.submit()
        #expect(probe.message(next)?.state == .waitingForUpstream)
        probe.advance(.hours(1))
        #expect(probe.wanted.isEmpty)
        #expect(probe.status.upstreams[0].state == .disabled)
        probe.enable("up", true)
        try probe.connect("up")
        #expect(probe.runningCount == 1)
    }

    @Test("while first tries wait retries get at most 70 % of the slots, and not nothing")
    func retryShare() throws {
        let probe = NodeProbe("up") {
            $0.upstreams[0].maximumConnections = 10
            $0.upstreams[0].pipelining = false
        }.started()
        let old = Set((0..<40).map { _ in probe.submit().id })
        while !probe.wanted.isEmpty { try probe.refuse("up") }
        probe.advance(.seconds(2))
        try probe.connect("up")
        for _ in 0..<40 { probe.submit() }
        var retriesTaken = 0
        for turn in 0..<50 {
            while !probe.wanted.isEmpty { try probe.connect("up") }
            let transaction = try probe.transaction()
            if old.contains(transaction.message) { retriesTaken += 1 }
            probe.end(transaction, .delivered)
            if turn >= 10 { #expect(Double(retriesTaken) <= 0.7 * Double(turn + 1) + 2) }
        }
        #expect(retriesTaken >= 20)
    }

    @Test(
        "null senders that no upstream of the route takes are tried by schedule, and dropped when their lifetime ends")
    func nullSender() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].nullSender = false }.started()
        let (id, _) = probe.submit(from: nil)
        #expect(probe.message(id)?.state == .retrying)
        probe.advance(.hours(30))
        #expect(probe.message(id) == nil)
        #expect(probe.results(id).last == "expired")
        #expect(probe.has { if case .bounceDropped(id, _) = $0 { true } else { false } })
    }
}
