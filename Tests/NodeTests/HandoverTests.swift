import Cluster
import Journal
import Node
import Primitives
import SMTP
import Testing

/// What a node does with a journal that it gives away, or learns of later than it should.
@Suite("Handing over and late outcomes")
struct HandoverTests {
    @Test("a command is answered 'try again', not 'not found', while the index of a journal is made anew")
    func commandDuringScan() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.refuse("up")
        probe.diskAnswers = .onDemand
        probe.feed(.drain)
        probe.feed(.sessionsEnded)
        #expect(probe.isDrained, "its journal was released, and the file is read again")
        probe.feed(.resume)
        probe.command(.retry, id)
        #expect(probe.commandAnswers == [.tryAgain])
        probe.diskAnswers = .atOnce
        probe.answerDisk()
        probe.advance(.seconds(1))
        probe.command(.hold, id)
        #expect(probe.commandAnswers == [.tryAgain, .done])
    }

    @Test("a claim that is won after the node was drained is handed over too")
    func wonAfterDrain() throws {
        let before = NodeProbe("up").started()
        let (id, _) = before.submit()
        let probe = try before.restarted(answers: .onDemand)
        let journal = try #require(before.frames.first { if case .accept = $0.record { true } else { false } }).journal
        probe.feed(.drain)
        probe.feed(.sessionsEnded)
        #expect(probe.isDrained)
        // The promise of the claim that was under way is on the disk: it is won.
        probe.diskAnswers = .atOnce
        probe.answerDisk()
        probe.advance(.seconds(1))
        #expect(probe.has { if case .takeover(journal, _, _, _, _, _) = $0 { true } else { false } })
        #expect(probe.node.owner(of: journal) == nil, "nobody would deliver from it")
        #expect(probe.has { if case .handedOver(journal, _) = $0 { true } else { false } })
        probe.feed(.resume)
        probe.advance(.seconds(1))
        #expect(probe.message(id)?.state == .sending)
    }

    @Test("what a journal that is handed over kept in memory makes room for new mail")
    func cacheAfterHandover() throws {
        let probe = NodeProbe("up").started()
        // More than is kept.
        let content = String(repeating: "0123456789", count: 100_000)
        for _ in 0..<70 { probe.submit(content: content) }
        probe.feed(.drain)
        probe.feed(.resume)
        probe.advance(.seconds(3))
        let (id, _) = probe.submit(content: content)
        while !probe.runningTransactions.contains(where: { $0.message == id }) {
            if !probe.wanted.isEmpty { try probe.connect("up") } else { probe.end(try probe.transaction(), .delivered) }
        }
        #expect(try probe.transaction(of: id).content.frame != nil, "it is delivered from memory")
    }

    /// Restarted with one message that may have been delivered, and is held.
    private func held() throws -> (NodeProbe, MessageID, JournalID) {
        let before = NodeProbe("up") { $0.uncertain = .hold }.started()
        let (id, _) = before.submit()
        try before.connect("up")
        let probe = try before.restarted()
        #expect(probe.message(id)?.state == .held)
        let journal = try #require(probe.frames.first { if case .hold = $0.record { true } else { false } }).journal
        return (probe, id, journal)
    }

    private func late(
        _ id: MessageID, in journal: JournalID, _ status: Journal.RecipientResult.Status, epoch: UInt64
    ) -> NodeEvent {
        let record = OutcomeRecord(
            message: id, attempt: 1, time: NodeProbe.start.wall, upstream: "up", remote: "up",
            results: [
                Journal.RecipientResult(
                    recipient: 0, status: status, code: status == .failed ? 550 : 250, enhanced: "",
                    reply: Array("said late".utf8))
            ])
        let frame = Frame.encode(.outcome(record), epoch: epoch, journal: journal, offset: 0)
        let peer = ReplicaID(node: "b", disk: DiskID(ULID(high: 3, low: 4)))
        return .cluster(
            .received(
                .lateOutcome(
                    LateOutcome(
                        journal: journal, epoch: epoch, message: id, recipient: 0,
                        outcome: Array(frame[FrameHeader.size...]))), from: peer, incarnation: 1))
    }

    @Test("a late refusal whose bounce waits for the message's header is settled once, whatever is asked meanwhile")
    func lateRefusal() throws {
        let (probe, id, journal) = try held()
        probe.diskAnswers = .onDemand
        probe.feed(late(id, in: journal, .failed, epoch: 0))
        for verb in [Command.Verb.cancel, .bounce, .release, .retry] { probe.command(verb, id) }
        #expect(probe.commandAnswers == Array(repeating: .tryAgain, count: 4))
        // Of a later epoch, but before this one.
        probe.feed(late(id, in: journal, .failed, epoch: 1))
        probe.diskAnswers = .atOnce
        probe.answerDisk()
        #expect(probe.outcomes.count == 1 && probe.notices.count == 1)
        #expect(probe.message(id) == nil)
    }

    @Test("a late delivery ends the hold of what was uncertain")
    func lateDelivery() throws {
        let (probe, id, journal) = try held()
        probe.feed(late(id, in: journal, .delivered, epoch: 1))
        #expect(probe.message(id) == nil && probe.results(id).last == "sent")
    }
}
