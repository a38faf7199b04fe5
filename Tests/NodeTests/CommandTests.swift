import Journal
import Node
import Primitives
import SMTP
import Testing

@Suite("Commands")
struct CommandTests {
    @Test("a command answers after its frame is committed", arguments: [Command.Verb.hold, .cancel, .bounce])
    func afterCommit(verb: Command.Verb) throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        probe.diskAnswers = .onDemand
        probe.command(verb, id)
        #expect(probe.commandAnswers.isEmpty)
        probe.answerDisk()
        #expect(probe.commandAnswers == [.done])
    }

    @Test("what is held waits for a person, whoever asks for a retry")
    func hold() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        probe.command(.hold, id)
        #expect(probe.message(id)?.state == .held)
        try probe.connect("up")
        #expect(probe.transactions.isEmpty)
        probe.command(.retry, id)
        probe.command(.hold, id)
        #expect(probe.commandAnswers == [.done, .nothingToDo, .nothingToDo])
        probe.advance(.days(10))
        #expect(probe.transactions.isEmpty)
        probe.command(.release, id)
        probe.command(.release, id)
        #expect(probe.commandAnswers.suffix(2) == [.done, .nothingToDo])
        try probe.connect("up")
        #expect(probe.runningCount == 1)
    }

    @Test("cancel ends a message without a bounce")
    func cancel() {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(to: "1@b", "2@b")
        probe.command(.cancel, id)
        #expect(probe.message(id) == nil)
        #expect(probe.notices.isEmpty)
        #expect(probe.results(id) == ["cancelled", "cancelled"])
    }

    @Test("bounce tells the sender, with the reason")
    func bounce() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        probe.command(.bounce, id, reason: "wrong list")
        #expect(probe.message(id) == nil)
        guard case .inline(let content)? = probe.notices.first?.content else {
            Issue.record("no bounce")
            return
        }
        #expect(String(decoding: content, as: UTF8.self).contains("wrong list"))
    }

    @Test("no try begins while a bounce waits for the message's header")
    func bounceOfUncached() throws {
        let before = NodeProbe("up") { $0.retry = [.seconds(5)] }.started()
        let (id, _) = before.submit()
        try before.connect("up")
        before.end(try before.transaction(), .deferred(450))
        // After a restart its frame is not in memory.
        let probe = try before.restarted()
        probe.diskAnswers = .onDemand
        probe.command(.bounce, id)
        probe.advance(.minutes(1))
        #expect(probe.connects.isEmpty)
        probe.command(.hold, id)
        #expect(probe.commandAnswers == [.tryAgain])
        probe.answerDisk()
        #expect(probe.commandAnswers == [.tryAgain, .done])
        #expect(probe.message(id) == nil)
        #expect(probe.notices.count == 1)
    }

    @Test("retry makes due now, writes no frame and takes no step of the schedule")
    func retry() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        let frames = probe.frames.count
        probe.command(.retry, id)
        #expect(probe.commandAnswers == [.done])
        guard case .attempt? = probe.frames.last?.record else {
            Issue.record("no try")
            return
        }
        #expect(probe.frames.count == frames + 1)
        #expect(probe.runningCount == 1)
    }

    @Test("retry of what waits for an upstream tries the upstream now")
    func retryProbes() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.refuse("up")
        #expect(probe.wanted.isEmpty)
        probe.command(.retry, id)
        #expect(probe.wanted == ["up"])
    }

    @Test("before the dot a command stops the transaction")
    func beforeDot() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        let transaction = try probe.transaction()
        probe.command(.cancel, id)
        #expect(probe.interrupted == [transaction.request.id])
        #expect(probe.commandAnswers.isEmpty)
        probe.end(transaction, .notSent(.notPermitted, .content), usable: false)
        #expect(probe.commandAnswers == [.done])
        #expect(probe.message(id) == nil)
        #expect(probe.outcomes.map { $0.results.map(\.status) } == [[.notSent]])
    }

    static let afterDot: [(Told, CommandAnswer)] = [
        (.delivered, .sent), (.unanswered, .unanswered), (.deferred(450, .finalDot), .done),
        (.failed(550, .finalDot), .nothingToDo),
    ]

    @Test("after the dot a command waits for the outcome and says how it came out", arguments: afterDot)
    func waitsForOutcome(result: Told, answer: CommandAnswer) throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        let transaction = try probe.transaction()
        probe.dotSent(transaction)
        probe.command(.cancel, id)
        #expect(probe.interrupted.isEmpty)
        #expect(probe.commandAnswers.isEmpty)
        probe.end(transaction, result, usable: false)
        #expect(probe.commandAnswers == [answer])
        #expect(probe.message(id) == nil)
    }

    @Test("a transaction behind another's dot is stopped alone")
    func pipelinedStopped() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        let (first, _) = probe.submit()
        let (second, _) = probe.submit()
        try probe.connect("up")
        probe.dotSent(try probe.transaction(of: first))
        let behind = try probe.transaction(of: second)
        probe.command(.hold, second)
        #expect(probe.interrupted == [behind.request.id])
        probe.end(behind, .notSent(.notPermitted))
        #expect(probe.commandAnswers == [.done])
        #expect(probe.message(second)?.state == .held)
        probe.end(try probe.transaction(of: first), .delivered)
        #expect(probe.message(first) == nil)
    }

    @Test("unknown ids are not found; a draining node says try again")
    func others() {
        let probe = NodeProbe("up").started()
        probe.command(.hold, MessageID(ULID(high: 1, low: 1)))
        let (id, _) = probe.submit()
        probe.feed(.drain)
        probe.command(.hold, id)
        #expect(probe.commandAnswers == [.notFound, .tryAgain])
    }
}

@Suite("Journals")
struct JournalLifeTests {
    @Test(
        "a journal rolls at its size, the next one opened ahead of need; the old one is sealed and retires when finished"
    )
    func roll() throws {
        let probe = NodeProbe("up") { $0.journalLimit = ByteCount(bytes: 4000) }.started()
        let first = try #require(probe.status.journals.first?.id)
        var ids: [MessageID] = []
        while probe.status.journals.count == 1 { ids.append(probe.submit().id) }
        #expect(probe.status.journals[0].bytes.bytes < 4000, "ahead of need")
        while !probe.frames.contains(where: { $0.record == .seal }) { ids.append(probe.submit().id) }
        #expect(probe.frames.first { $0.record == .seal }?.journal == first)
        let (last, _) = probe.submit()
        while !probe.wanted.isEmpty { try probe.connect("up") }
        while let transaction = probe.runningTransactions.first(where: { ids.contains($0.message) }) {
            probe.end(transaction, .delivered)
        }
        #expect(probe.deleted == [first])
        #expect(probe.frames.last { $0.journal == first }?.record == .retire)
        #expect(probe.message(last) != nil)
        #expect(probe.status.journals.map(\.id) != [first])
    }

    @Test("an open stream finishes in its journal, which is sealed only then")
    func streamKeepsOpen() throws {
        let probe = NodeProbe("up") { $0.journalLimit = ByteCount(bytes: 4000) }.started()
        let stream = try #require(probe.beginStream())
        probe.feed(.streamed(stream, [0x61]))
        for _ in 0..<30 { probe.submit() }
        #expect(probe.status.journals.count >= 2)
        let first = probe.status.journals[0].id
        #expect(!probe.frames.contains { $0.journal == first && $0.record == .seal })
        probe.submit { $0.content = .streamed(stream) }
        #expect(probe.frames.contains { $0.journal == first && $0.record == .seal })
    }

    @Test("a journal that can't be made for want of space is tried again when there is some")
    func fullWhileRolling() throws {
        let probe = NodeProbe("up") { $0.journalLimit = ByteCount(bytes: 2000) }.started()
        probe.isFull = true
        while probe.admission == nil { probe.submit() }
        #expect(probe.admission?.code == 452)
        #expect(probe.status.journals.count { $0.role == .owner } == 1)
        while !probe.wanted.isEmpty { try probe.connect("up") }
        #expect(probe.runningCount > 0, "what is queued is delivered")
        probe.isFull = false
        probe.feed(.diskSpace(free: .gibibytes(50), total: .gibibytes(100)))
        #expect(probe.admission == nil)
        for _ in 0..<10 { probe.submit() }
        #expect(probe.status.journals.count > 1)
    }

    @Test("a bounce goes into its message's journal, sealed as it may be, and keeps it from retiring")
    func bounceInSealed() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        let probe = try before.restarted()
        try probe.connect("up")
        probe.end(try probe.transaction(of: id), .failed(550))
        let bounce = try #require(probe.notices.first)
        #expect(probe.deleted.isEmpty)
        probe.end(try probe.transaction(of: bounce.id), .delivered)
        #expect(probe.deleted.count == 1)
    }
}
