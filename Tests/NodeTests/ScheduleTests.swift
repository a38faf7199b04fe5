import Journal
import Node
import Primitives
import SMTP
import Testing

@Suite("Schedule")
struct ScheduleTests {
    /// Lets every try be deferred for so long; returns when each try ended.
    private func deferAll(_ probe: NodeProbe, _ id: MessageID, for duration: Duration) throws -> [WallTime] {
        var ends: [WallTime] = []
        let end = probe.now.wall + duration
        while probe.now.wall < end, probe.message(id) != nil {
            for upstream in probe.wanted { try probe.connect(upstream) }
            for transaction in probe.runningTransactions {
                if transaction.message == id {
                    ends.append(probe.now.wall)
                    probe.end(transaction, .deferred(450))
                } else {
                    probe.end(transaction, .delivered)
                }
            }
            probe.advance(.seconds(10))
        }
        return ends
    }

    @Test("the waits are those of the configuration, the last one repeats, each with a tenth of jitter")
    func waits() throws {
        let probe = NodeProbe("up") { $0.retry = [.minutes(1), .minutes(5), .minutes(30)] }.started()
        let (id, _) = probe.submit()
        let ends = try deferAll(probe, id, for: .hours(3))
        let waits = zip(ends.dropFirst(), ends).map { $0 - $1 }
        #expect(waits.count >= 5)
        for (wait, wanted) in zip(waits, [60.0, 300, 1800, 1800, 1800]) {
            #expect(wait.inSeconds >= wanted * 0.9 && wait.inSeconds <= wanted * 1.1 + 10)
        }
        #expect(Set(waits.dropFirst(2)).count > 1, "they don't march in step")
    }

    @Test("a message expires only after a try begun past its lifetime has failed")
    func expires() throws {
        let probe = NodeProbe("up") {
            $0.lifetime = .hours(2)
            $0.retry = [.minutes(50)]
        }.started()
        let (id, _) = probe.submit()
        let accepted = probe.now.wall
        let ends = try deferAll(probe, id, for: .hours(5))
        let last = try #require(ends.last)
        #expect(last - accepted >= .hours(2))
        #expect(ends.dropLast().allSatisfy { $0 - accepted < .hours(2) })
        #expect(probe.results(id).last == "expired")
        #expect(probe.notices.count == 1)
        #expect(probe.outcomes.flatMap(\.results).filter { $0.status == .expired }.map(\.code) == [450])
    }

    @Test("a message that waits for an upstream past its lifetime is given up, with a bounce that says so")
    func expiresWaiting() throws {
        let probe = NodeProbe("one", "two") {
            $0.lifetime = .hours(1)
            $0.bounces.upstreams = ["two"]
        }.started()
        probe.enable("two", false)
        let (id, _) = probe.submit()
        for minute in 0..<70 {
            if probe.wanted.contains("one") { try probe.refuse("one") }
            probe.advance(.minutes(1))
            if minute < 59 { #expect(probe.message(id)?.state == .waitingForUpstream) }
        }
        #expect(probe.results(id) == ["expired"])
        let bounce = try #require(probe.notices.first)
        guard case .inline(let content) = bounce.content else { return }
        #expect(String(decoding: content, as: UTF8.self).contains("one"))
    }

    @Test("an outage of hours bounces nothing while the lifetime lasts")
    func outage() throws {
        let probe = NodeProbe("up").started()
        var ids: [MessageID] = []
        for _ in 0..<180 {
            ids.append(probe.submit().id)
            while !probe.wanted.isEmpty { try probe.refuse("up") }
            probe.advance(.minutes(1))
        }
        #expect(probe.outcomes.isEmpty)
        #expect(ids.allSatisfy { probe.message($0)?.state == .waitingForUpstream })
        while ids.contains(where: { probe.message($0) != nil }) {
            while !probe.wanted.isEmpty { try probe.connect("up") }
            let running = probe.runningTransactions
            try #require(!running.isEmpty)
            for transaction in running { probe.end(transaction, .delivered) }
        }
        var order: [MessageID] = []
        for (_, transaction) in probe.transactions { order.append(transaction.message) }
        #expect(order == ids, "oldest first")
    }

    // MARK: Clocks

    @Test("nothing expires within ten minutes of a step of the wall clock", arguments: [Duration.days(3650), .days(4)])
    func clockStep(by step: Duration) throws {
        let probe = NodeProbe("up") { $0.retry = [.minutes(1)] }.started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        probe.stepWallClock(step)
        let since = probe.now.instant
        _ = try deferAll(probe, id, for: .minutes(9))
        #expect(probe.message(id)?.state != nil, "it is still there")
        #expect(probe.has { if case .clockStepped = $0 { true } else { false } })
        _ = try deferAll(probe, id, for: .minutes(5))
        #expect(probe.message(id) == nil)
        #expect(probe.now.instant - since > .minutes(10))
        #expect(probe.results(id).last == "expired")
    }

    @Test("the schedule does not care about the wall clock going back")
    func clockBack() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        probe.stepWallClock(.days(-3650))
        probe.advance(.seconds(70))
        try probe.connect("up")
        #expect(try probe.transaction(of: id).attempt == 2)
    }

    @Test("after a restart a due time is never further away than the longest wait, whatever the clock did")
    func dueAfterClockStep() throws {
        let before = NodeProbe("up") { $0.retry = [.minutes(5)] }.started()
        let (id, _) = before.submit()
        try before.connect("up")
        before.end(try before.transaction(), .deferred(450))
        before.stepWallClock(.days(-3650))
        let probe = try before.restarted()
        let due = try #require(probe.message(id)?.due)
        #expect(due - probe.now.wall <= .seconds(330))
        probe.advance(.seconds(331))
        #expect(probe.wanted == ["up"])
    }

    // MARK: Warnings

    @Test("a delay warning goes out once, to the sender, and the message is tried on")
    func warning() throws {
        let probe = NodeProbe("up") {
            $0.delayWarning = .hours(1)
            $0.retry = [.minutes(20)]
        }.started()
        let (id, _) = probe.submit()
        _ = try deferAll(probe, id, for: .hours(4))
        #expect(probe.notices.count == 1)
        let warning = try #require(probe.notices.first)
        #expect(warning.reversePath == nil)
        #expect(warning.concerns == id)
        #expect(probe.message(id)?.state == .retrying)
        let again = try probe.restarted()
        _ = try deferAll(again, id, for: .hours(2))
        #expect(again.notices.isEmpty, "a restart forgets no warning")
    }

    @Test("who waits for an upstream is warned too, and keeps waiting with the retry step")
    func warningWhileWaiting() throws {
        let probe = NodeProbe("up") { $0.delayWarning = .hours(1) }.started()
        let (id, _) = probe.submit()
        for _ in 0..<90 {
            if !probe.wanted.isEmpty { try probe.refuse("up") }
            probe.advance(.minutes(1))
        }
        #expect(probe.notices.map(\.concerns) == [id])
        #expect(probe.message(id)?.state == .waitingForUpstream)
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
    }

    @Test("no warning for the null reverse-path, nor when they are off")
    func noWarning() throws {
        let probe = NodeProbe("up") { $0.delayWarning = .hours(1) }.started()
        let (id, _) = probe.submit(from: nil)
        _ = try deferAll(probe, id, for: .hours(3))
        let off = NodeProbe("up").started()
        let (other, _) = off.submit()
        _ = try deferAll(off, other, for: .hours(3))
        #expect(probe.notices.isEmpty && off.notices.isEmpty)
    }

    // MARK: Bounces

    @Test("a bounce is accepted in the frame of the outcome, has the null sender, and is delivered")
    func bounce() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(content: "Subject: lost\r\nX-Original: yes\r\n\r\nbody\r\n")
        try probe.connect("up")
        probe.end(try probe.transaction(), .failed(550))
        let notice = try #require(probe.outcomes.first?.notice)
        #expect(notice.reversePath == nil)
        #expect(notice.recipients == [Array("s@a.example".utf8)])
        let bounce = try probe.transaction(of: notice.id)
        #expect(bounce.request.reversePath == nil)
        let text = String(decoding: probe.bytes(of: bounce.content), as: UTF8.self)
        #expect(text.contains("X-Original: yes") && !text.contains("\r\nbody"))
        #expect(text.contains(id.description))
        probe.end(bounce, .delivered)
        #expect(probe.message(notice.id) == nil)
        #expect(probe.accepts.count == 1, "it has no accept frame of its own")
    }

    @Test("the null reverse-path gets no bounce: it is dropped, counted and logged")
    func nullSender() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(from: nil)
        try probe.connect("up")
        probe.end(try probe.transaction(), .failed(550))
        #expect(probe.message(id) == nil)
        #expect(probe.notices.isEmpty)
        #expect(probe.status.counters.bouncesDropped == 1)
        #expect(probe.has { if case .bounceDropped(id, _) = $0 { true } else { false } })
    }

    @Test("no bounces are sent when they are off")
    func bouncesOff() throws {
        let probe = NodeProbe("up") { $0.bounces.send = false }.started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .failed(550))
        #expect(probe.message(id) == nil)
        #expect(probe.notices.isEmpty)
    }

    @Test("soft bounces are tried again")
    func softBounce() throws {
        let probe = NodeProbe("up") { $0.softBounce = true }.started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .failed(550))
        #expect(probe.message(id)?.state == .retrying)
    }

    @Test("bounces take their own upstreams")
    func bounceUpstreams() throws {
        let probe = NodeProbe("one", "two") {
            $0.bounces.upstreams = ["two"]
            $0.routes = [.init(upstreams: ["one"])]
        }.started()
        probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .failed(550))
        #expect(probe.wanted == ["two"])
    }

    @Test("hundreds of failed recipients are several outcomes, each with its bounce, none too large for a frame")
    func manyFailures() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumRecipients = 1000 }.started()
        let (id, _) = probe.submit { submission in
            submission.envelope.recipients = (0..<250).map { Address(parsed: Array("r\($0)@b.example".utf8)) }
        }
        try probe.connect("up")
        let long = String(repeating: "é", count: 1000)
        probe.end(try probe.transaction(of: id), .failed(550, .finalDot, long))
        #expect(probe.outcomes.map(\.results.count) == [100, 100, 50])
        #expect(probe.notices.count == 3)
        #expect(probe.message(id) == nil)
    }

    @Test("an unanswered dot past the lifetime is the end of it")
    func unansweredExpires() throws {
        let probe = NodeProbe("up") { $0.lifetime = .hours(1) }.started()
        let (id, _) = probe.submit()
        var turns = 0
        while probe.message(id) != nil, turns < 20 {
            turns += 1
            if let upstream = probe.wanted.first { try probe.connect(upstream) }
            for transaction in probe.runningTransactions { probe.end(transaction, .unanswered, usable: false) }
            probe.advance(.minutes(20))
        }
        #expect(probe.results(id).last == "expired")
    }
}
