import Journal
import Node
import Primitives
import SMTP
import Testing

@Suite("Acceptance")
struct AcceptanceTests {
    @Test("nothing is accepted before the first journal is committed")
    func notBeforeOpen() {
        let probe = NodeProbe("up")
        probe.diskAnswers = .onDemand
        probe.started()
        #expect(probe.admission?.code == 451)
        #expect(!probe.status.isReady)
        probe.answerDisk()
        #expect(probe.admission == nil)
        #expect(probe.status.isReady)
    }

    @Test("the 250 waits for the commit, and so does the first try")
    func answerWaitsForCommit() {
        let probe = NodeProbe("up").started()
        probe.diskAnswers = .onDemand
        let (id, ticket) = probe.submit()
        #expect(probe.answer(ticket) == nil)
        #expect(probe.connects.isEmpty)
        probe.answerDisk()
        #expect(probe.answer(ticket) == 250)
        #expect(probe.wanted == ["up"])
        #expect(probe.message(id)?.state == .sending)
    }

    @Test("an accept that is not there after 30 s is answered 451 and cancelled by a frame")
    func acceptTimesOut() throws {
        let probe = NodeProbe("up").started()
        probe.diskAnswers = .onDemand
        let (id, ticket) = probe.submit()
        probe.advance(.seconds(29))
        #expect(probe.answer(ticket) == nil)
        probe.advance(.seconds(1))
        #expect(probe.answer(ticket) == 451)
        guard case .cancel(let cancel)? = probe.frames.last?.record else {
            Issue.record("no cancel frame")
            return
        }
        #expect(cancel.message == id)
        probe.answerDisk()
        #expect(probe.connects.isEmpty, "nobody believes that it was taken")
        #expect(probe.message(id) == nil)
        #expect(probe.status.counters.accepted == 0)
    }

    @Test("a client that goes away does not take its message with it")
    func clientGone() {
        let probe = NodeProbe("up").started()
        probe.diskAnswers = .onDemand
        let (_, ticket) = probe.submit()
        probe.feed(.submitterGone(ticket))
        probe.answerDisk()
        #expect(probe.answer(ticket) == nil)
        #expect(probe.wanted == ["up"])
    }

    @Test("low disk space is answered 452 4.3.1, and mail flows again by itself")
    func lowDisk() {
        let probe = NodeProbe("up").started()
        probe.feed(.diskSpace(free: .gibibytes(1), total: .gibibytes(100)))
        #expect(probe.admission?.code == 452)
        #expect(probe.admission?.enhanced == EnhancedCode(4, 3, 1))
        #expect(probe.problems == ["disk-low"])
        let (_, ticket) = probe.submit()
        #expect(probe.answer(ticket) == 452)
        probe.feed(.diskSpace(free: .gibibytes(50), total: .gibibytes(100)))
        #expect(probe.admission == nil)
        #expect(probe.problems.isEmpty)
        #expect(probe.has { if case .diskOK = $0 { true } else { false } })
    }

    @Test("a full disk at start refuses mail and delivers what is queued")
    func fullAtStart() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        let full = try before.restarted(isFull: true)
        #expect(full.admission?.code == 452)
        full.advance(.seconds(1))
        try full.deliver(id)
        #expect(full.message(id) == nil)
        full.isFull = false
        full.feed(.diskSpace(free: .gibibytes(50), total: .gibibytes(100)))
        #expect(full.admission == nil)
    }

    @Test("a bound on queued messages is answered 452")
    func queueBound() {
        let probe = NodeProbe("up") { $0.maximumQueuedMessages = 2 }.started()
        probe.submit()
        probe.submit()
        #expect(probe.admission?.code == 452)
        #expect(probe.problems == ["queue-full"])
    }

    @Test("a backlog at the disk is answered 451")
    func backlog() {
        let probe = NodeProbe("up") { $0.maximumBacklog = ByteCount(bytes: 1000) }.started()
        probe.diskAnswers = .onDemand
        probe.submit(content: String(repeating: "x", count: 2000))
        #expect(probe.admission?.code == 451)
        probe.answerDisk()
        #expect(probe.admission == nil)
    }

    @Test("the content is kept byte for byte behind its prefix")
    func content() throws {
        let probe = NodeProbe("up").started()
        probe.submit(content: "Subject: y\r\n\r\n..dots\r\n")
        try probe.connect("up")
        let content = try probe.transaction().content
        #expect(
            String(decoding: probe.bytes(of: content), as: UTF8.self)
                == "Received: here\r\nSubject: y\r\n\r\n..dots\r\n")
    }

    // MARK: Long messages

    @Test("a long message is pieces in order behind a prefix that is known last")
    func stream() throws {
        let probe = NodeProbe("up").started()
        let stream = try #require(probe.beginStream())
        probe.feed(.streamed(stream, Array("one ".utf8)))
        probe.feed(.streamed(stream, Array("two".utf8)))
        let (_, ticket) = probe.submit { $0.content = .streamed(stream) }
        #expect(probe.answer(ticket) == 250)
        try probe.connect("up")
        let content = try probe.transaction().content
        #expect(String(decoding: probe.bytes(of: content), as: UTF8.self) == "Received: here\r\none two")
    }

    @Test("a stream that its client leaves is aborted by a frame")
    func streamAborted() throws {
        let probe = NodeProbe("up").started()
        let stream = try #require(probe.beginStream())
        probe.feed(.streamed(stream, [1, 2, 3]))
        probe.feed(.streamAborted(stream))
        #expect(probe.frames.last?.record == .abort(stream))
        let (_, ticket) = probe.submit { $0.content = .streamed(stream) }
        #expect(probe.answer(ticket) == 451)
    }

    // MARK: Drain

    @Test("while it drains MAIL is answered 421, and a message whose MAIL was answered still comes in")
    func draining() throws {
        let probe = NodeProbe("up").started()
        let stream = try #require(probe.beginStream())
        probe.feed(.drain)
        #expect(probe.admission?.code == 421)
        #expect(!probe.isDrained, "a message is on its way in")
        probe.feed(.streamed(stream, [0x78]))
        let (_, ticket) = probe.submit { $0.content = .streamed(stream) }
        #expect(probe.answer(ticket) == 250)
        #expect(probe.connects.isEmpty, "no transaction begins")
        #expect(probe.isDrained)
        #expect(probe.answer(probe.submit().ticket) == 421)
    }

    @Test("a drain lets transactions under way end and commits them")
    func drainWaits() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        probe.submit()
        try probe.connect("up")
        let first = try probe.transaction()
        probe.feed(.drain)
        #expect(!probe.isDrained)
        probe.diskAnswers = .onDemand
        probe.end(first, .delivered)
        #expect(!probe.isDrained, "its outcome is not committed")
        probe.answerDisk()
        #expect(probe.isDrained)
        #expect(probe.transactions.count == 1)
    }

    @Test("a drain closes idle connections, and those that become ready")
    func drainCloses() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        probe.submit()
        let idle = try probe.connect("up")
        probe.end(try probe.transaction(of: id), .delivered)
        probe.end(try probe.transaction(), .delivered)
        probe.feed(.drain)
        #expect(probe.closed.contains(idle))
        let late = try probe.connect("up")
        #expect(probe.closed.contains(late))
    }
}
