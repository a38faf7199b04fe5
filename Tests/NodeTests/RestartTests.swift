import Journal
import Node
import Primitives
import SMTP
import Testing

@Suite("Restart")
struct RestartTests {
    /// A message whose attempt is on the disk and whose outcome is not.
    private func crashedBetween(_ uncertain: NodeConfiguration.Uncertain = .resend) throws -> (NodeProbe, MessageID) {
        let probe = NodeProbe("up") { $0.uncertain = uncertain }.started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        return (probe, id)
    }

    @Test("what was accepted is there again, claimed with a higher epoch, and delivered")
    func acceptedSurvives() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit(content: "Subject: kept\r\n\r\nbody\r\n")
        let probe = try before.restarted(losingUnsynced: true)
        guard case .takeover? = probe.frames.first?.record else {
            Issue.record("no takeover frame")
            return
        }
        #expect(probe.frames.first?.epoch == 2)
        #expect(probe.message(id)?.isUncertain == false)
        try probe.connect("up")
        let transaction = try probe.transaction(of: id)
        #expect(String(decoding: probe.bytes(of: transaction.content), as: UTF8.self).hasSuffix("body\r\n"))
        #expect(transaction.request.recipients.map(\.description) == ["r@b.example"])
        probe.end(transaction, .delivered)
        #expect(probe.message(id) == nil)
    }

    @Test("nothing is delivered from a journal before its takeover is committed")
    func waitsForTakeover() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        let probe = try before.restarted(answers: .onDemand)
        probe.advance(.seconds(10))
        #expect(probe.connects.isEmpty)
        probe.command(.retry, id)
        #expect(probe.commandAnswers == [.tryAgain])
        #expect(probe.connects.isEmpty)
        probe.answerDisk()
        probe.advance(.zero)
        #expect(probe.wanted == ["up"])
    }

    @Test("what was delivered, and synced, is not there again")
    func deliveredIsGone() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        try before.deliver(id)
        let probe = try before.restarted(losingUnsynced: true)
        #expect(probe.message(id) == nil)
        #expect(probe.connects.isEmpty)
        #expect(probe.deleted.count == 1, "its journal is finished")
    }

    @Test("a second start after a crash between attempt and outcome lists the recipient as uncertain")
    func uncertain() throws {
        let (before, id) = try crashedBetween()
        let probe = try before.restarted()
        #expect(probe.message(id)?.isUncertain == true)
        #expect(probe.results(id) == ["uncertain"])
        #expect(probe.status.queue.uncertain == 1)
        try probe.connect("up")
        #expect(try probe.transaction(of: id).attempt == 2, "resend by a new attempt")
        var filter = QueueFilter()
        filter.uncertainOnly = true
        #expect(probe.list(filter) == [id])
        // And a third start: the mark stays with the message.
        let third = try probe.restarted()
        #expect(third.message(id)?.isUncertain == true)
    }

    @Test("uncertain mail is held by a committed frame when it is to be held, and stays held")
    func uncertainHeld() throws {
        let (before, id) = try crashedBetween(.hold)
        let probe = try before.restarted()
        #expect(probe.message(id)?.state == .held)
        #expect(probe.frames.contains { if case .hold(let hold) = $0.record { hold.message == id } else { false } })
        probe.advance(.days(4))
        #expect(probe.transactions.isEmpty)
        let third = try probe.restarted()
        #expect(third.message(id)?.state == .held)
        #expect(third.results(id).isEmpty, "it was decided once")
        third.command(.release, id)
        try third.connect("up")
        third.end(try third.transaction(of: id), .delivered)
        #expect(third.message(id) == nil)
    }

    @Test("an attempt that never reached the disk makes nothing uncertain")
    func attemptLost() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        before.diskAnswers = .onDemand
        try before.connect("up")
        let probe = try before.restarted(losingUnsynced: true)
        #expect(probe.message(id)?.isUncertain == false)
    }

    @Test("an outcome that never reached the disk makes its recipient uncertain")
    func outcomeLost() throws {
        let (before, id) = try crashedBetween()
        before.diskAnswers = .onDemand
        before.end(try before.transaction(), .delivered)
        let probe = try before.restarted(losingUnsynced: true)
        #expect(probe.message(id)?.isUncertain == true)
    }

    @Test("only the recipients of the attempt are uncertain")
    func uncertainRecipients() throws {
        let before = NodeProbe("up") {
            $0.uncertain = .hold
            $0.upstreams[0].maximumRecipients = 1
            $0.upstreams[0].maximumConnections = 1
        }.started()
        let (id, _) = before.submit(to: "1@b", "2@b", "3@b")
        try before.connect("up")
        before.end(try before.transaction(), .delivered)
        let probe = try before.restarted()
        #expect(probe.message(id)?.recipients.map(\.state) == ["delivered", "held", "sending"])
    }

    @Test("tries, due times and replies are those of the last outcome")
    func schedule() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        try before.connect("up")
        before.end(try before.transaction(), .deferred(450))
        let due = try #require(before.message(id)?.due)
        let probe = try before.restarted(after: .seconds(10))
        let status = try #require(probe.message(id))
        #expect(status.recipients.map(\.tries) == [1])
        #expect(status.recipients[0].lastReply.contains("later"))
        #expect(abs((try #require(status.due) - due).inSeconds) < 0.01)
        #expect(probe.connects.isEmpty)
        probe.advance(.seconds(70))
        try probe.connect("up")
        probe.end(try probe.transaction(of: id), .deferred(450))
        #expect(probe.message(id)?.recipients.map(\.tries) == [2])
    }

    @Test("a bounce survives in the frame of its outcome")
    func bounceSurvives() throws {
        let before = NodeProbe("up").started()
        before.submit()
        try before.connect("up")
        before.end(try before.transaction(), .failed(550))
        let bounce = try #require(before.notices.first)
        let content = before.bytes(of: try before.transaction(of: bounce.id).content)
        let probe = try before.restarted()
        try probe.connect("up")
        let transaction = try probe.transaction(of: bounce.id)
        #expect(transaction.request.reversePath == nil)
        #expect(probe.bytes(of: transaction.content) == content)
    }

    @Test("a long message survives, the streams of a former process are void")
    func streams() throws {
        let before = NodeProbe("up").started()
        let stream = try #require(before.beginStream())
        before.feed(.streamed(stream, Array("long".utf8)))
        let (id, _) = before.submit { $0.content = .streamed(stream) }
        let open = try #require(before.beginStream())
        before.feed(.streamed(open, Array("void".utf8)))
        let probe = try before.restarted()
        try probe.connect("up")
        let content = try probe.transaction(of: id).content
        #expect(String(decoding: probe.bytes(of: content), as: UTF8.self) == "Received: here\r\nlong")
        #expect(probe.answer(probe.submit { $0.content = .streamed(open) }.ticket) == 451)
    }

    @Test("holds, releases and cancels survive")
    func commands() throws {
        let before = NodeProbe("up").started()
        let ids = (0..<3).map { _ in before.submit().id }
        for id in ids { before.command(.hold, id) }
        before.command(.release, ids[1])
        before.command(.cancel, ids[2])
        let probe = try before.restarted()
        #expect(probe.message(ids[0])?.state == .held)
        #expect(probe.message(ids[1])?.state == .sending)
        #expect(probe.message(ids[2]) == nil)
    }

    @Test("ids of the new process are above those of the old one, whatever the wall clock says")
    func ids() throws {
        let before = NodeProbe("up").started()
        let (old, _) = before.submit()
        before.stepWallClock(.days(-3650))
        let probe = try before.restarted()
        #expect(probe.submit().id > old)
    }

    // MARK: Files that are not whole

    @Test("a torn tail is cut, and what stands before it goes on", arguments: [1, 31, 33])
    func tornTail(bytes: Int) throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        before.submit()
        let probe = try before.restarted(damage: { files in
            for journal in files.keys { files[journal]?.removeLast(bytes) }
        })
        #expect(probe.message(id)?.state == .sending)
        #expect(probe.status.queue.messages == 1)
        #expect(probe.has { if case .damage = $0 { true } else { false } })
    }

    @Test(
        "of a journal with a gap everything readable is accepted again; the old file is set aside once that is committed"
    )
    func gap() throws {
        let before = NodeProbe("up").started()
        let ids = (0..<3).map { before.submit(content: "Subject: number \($0)\r\n\r\n").id }
        let probe = try before.restarted(
            answers: .onDemand,
            damage: { files in
                // A byte in the second message's content.
                for (journal, bytes) in files {
                    let mark = Array("number 1".utf8)
                    let at = (0..<bytes.count - mark.count).first { Array(bytes[$0..<$0 + mark.count]) == mark }
                    if let at { files[journal]?[at] ^= 1 }
                }
            })
        #expect(probe.setAside.isEmpty)
        probe.answerDisk()
        #expect(probe.setAside.count == 1)
        #expect(probe.problems.contains("journal-damaged"))
        #expect(probe.accepts.map(\.id) == [ids[0], ids[2]])
        #expect(probe.message(ids[1]) == nil)
        // The header of the damaged frame says that it was an accept: it hides nothing of what became of the others.
        #expect(probe.message(ids[0])?.isUncertain == false)
        probe.advance(.zero)
        try probe.connect("up")
        let content = try probe.transaction(of: ids[0]).content
        #expect(
            String(decoding: probe.bytes(of: content), as: UTF8.self) == "Received: here\r\nSubject: number 0\r\n\r\n")
        let again = try probe.restarted()
        #expect(again.message(ids[2])?.state == .sending)
    }

    @Test("a journal without a frame takes no mail, and goes away")
    func emptyFile() throws {
        let before = NodeProbe("up")
        before.diskAnswers = .onDemand
        before.started()
        let probe = try before.restarted()
        let (id, ticket) = probe.submit()
        #expect(probe.answer(ticket) == 250)
        try probe.deliver(id)
        #expect(probe.deleted.count == 1)
        #expect(probe.answer(probe.submit().ticket) == 250)
    }

    @Test("a lone journal that is damaged in its first frame, with nothing readable left, is set aside; mail goes on")
    func firstFrame() throws {
        let before = NodeProbe("up").started()
        let journal = try #require(before.files.keys.first)
        let probe = try before.restarted(damage: { $0[journal]?[0] ^= 1 })
        #expect(probe.setAside == [journal])
        #expect(probe.node.owner(of: journal) == nil && !probe.node.heldJournals.contains(journal))
        #expect(probe.problems.contains("journal-damaged"))
        let (id, ticket) = probe.submit()
        #expect(probe.answer(ticket) == 250)
        try probe.deliver(id)
        // Nothing is left of it that the next start would find.
        let again = try probe.restarted()
        #expect(!again.node.heldJournals.contains(journal))
    }

    @Test("where journals have more replicas, a copy damaged in its first frame is cut and marked, not set aside")
    func firstFrameOfMany() throws {
        let before = NodeProbe("up").started()
        let (journal, bytes) = try #require(before.files.first)
        let probe = NodeProbe("up") { $0.replicas = 3 }
        var damaged = bytes
        damaged[0] ^= 1
        probe.node.recover(journal: journal, promise: nil, isMarkedDamaged: false, at: probe.now)
        let scan = try scanJournal(
            journal, length: UInt64(damaged.count), afterDamage: .resynchronize,
            read: { offset, count in Array(damaged[Int(offset)..<min(damaged.count, Int(offset) + count)]) },
            frame: { probe.node.recover(frame: $0, of: journal) })
        #expect(probe.node.recovered(journal: journal, scan: scan) == .cut(to: 0, isMarked: true))
    }
}
