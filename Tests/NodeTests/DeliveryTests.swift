import Journal
import Node
import Primitives
import Routing
import SMTP
import Testing

@Suite("Delivery")
struct DeliveryTests {
    @Test("the dot waits for the attempt's commit")
    func dotWaits() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        probe.diskAnswers = .onDemand
        try probe.connect("up")
        let transaction = try probe.transaction()
        #expect(probe.attempts.map(\.number) == [1])
        #expect(!probe.mayFinish(transaction))
        #expect(probe.permitted.isEmpty)
        probe.answerDisk()
        #expect(probe.permitted == [transaction.request.id])
        #expect(probe.mayFinish(transaction))
    }

    @Test("a transaction that has ended may not finish")
    func endedMayNotFinish() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        try probe.connect("up")
        let transaction = try probe.transaction()
        probe.end(transaction, .delivered)
        #expect(!probe.mayFinish(transaction))
    }

    @Test("a message leaves the queue when its outcome is committed")
    func leaves() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.diskAnswers = .onDemand
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.message(id) != nil)
        #expect(probe.results(id).isEmpty)
        probe.answerDisk()
        #expect(probe.message(id) == nil)
        #expect(probe.results(id) == ["sent"])
        #expect(probe.has { if case .done(id, 1, 0, _) = $0 { true } else { false } })
        let outcome = try #require(probe.outcomes.first)
        #expect(outcome.results.map(\.status) == [.delivered])
        #expect(outcome.results.map(\.code) == [250])
        #expect(outcome.results.map(\.enhanced) == ["2.0.0"])
        #expect(outcome.remote == "up.example[192.0.2.1]:25")
    }

    @Test("an idle connection takes the next message, and is closed when it idles too long")
    func reuse() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        let connection = try probe.connect("up")
        probe.end(try probe.transaction(), .delivered)
        probe.submit()
        #expect(probe.transactions.map(\.id) == [connection, connection])
        probe.end(try probe.transaction(), .delivered)
        probe.advance(.seconds(4))
        #expect(probe.closed.isEmpty)
        probe.advance(.seconds(1))
        #expect(probe.closed == [connection])
    }

    @Test("a connection is closed after so many messages")
    func messagesPerConnection() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumMessagesPerConnection = 2 }.started()
        probe.submit()
        let connection = try probe.connect("up")
        probe.end(try probe.transaction(), .delivered)
        probe.submit()
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.closed == [connection])
    }

    @Test("no more connections than the maximum; beyond it transactions are pipelined behind the dot")
    func pipelined() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        let ids = (0..<3).map { _ in probe.submit().id }
        #expect(probe.wanted == ["up"])
        try probe.connect("up")
        let first = try probe.transaction()
        #expect(probe.runningCount == 1)
        probe.dotSent(first)
        #expect(probe.transactions.map(\.transaction.message) == [ids[0], ids[1]])
        probe.end(first, .delivered)
        #expect(probe.runningCount == 1, "the pipelined one is the present one now")
        let second = try probe.transaction()
        probe.dotSent(second)
        #expect(probe.transactions.map(\.transaction.message) == ids)
    }

    @Test("without PIPELINING the next transaction waits for the reply")
    func notPipelined() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        probe.submit()
        probe.submit()
        try probe.connect("up", Capabilities())
        let first = try probe.transaction()
        probe.dotSent(first)
        #expect(probe.runningCount == 1)
        probe.end(first, .delivered)
        #expect(probe.runningCount == 1)
        #expect(probe.transactions.count == 2)
    }

    // MARK: Recipients

    @Test("a message with many recipients is split by the upstream's maximumRecipients")
    func split() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumRecipients = 2 }.started()
        let (id, _) = probe.submit(to: "1@b", "2@b", "3@b", "4@b", "5@b")
        try probe.connect("up")
        var sizes: [Int] = []
        while probe.message(id) != nil {
            if let wanted = probe.wanted.first { try probe.connect(wanted) }
            let transaction = try probe.transaction()
            sizes.append(transaction.request.recipients.count)
            probe.end(transaction, .delivered)
        }
        #expect(sizes.sorted() == [1, 2, 2])
        #expect(probe.results(id) == Array(repeating: "sent", count: 5))
    }

    @Test("452 4.5.3 to a later RCPT opens the next transaction at once, before other mail, and is no further try")
    func tooMany() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        let (id, _) = probe.submit(to: "1@b", "2@b", "3@b")
        probe.submit()
        try probe.connect("up")
        let full = Told(.notSent(.tooManyRecipients, Reply(452, 4, 5, 3, "too many")), at: .rcpt)
        probe.end(try probe.transaction(), .delivered, full, full)
        let second = try probe.transaction()
        #expect(second.message == id)
        #expect(second.attempt == 2)
        #expect(second.request.recipients.map(\.description) == ["2@b", "3@b"])
        #expect(probe.message(id)?.recipients.map(\.tries) == [1, 1, 1])
        #expect(probe.outcomes[0].results.map(\.tries) == [1, 0, 0])
        probe.end(second, .delivered)
        #expect(probe.message(id) == nil)
    }

    @Test("each recipient has its own outcome")
    func mixed() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(to: "1@b", "2@b", "3@b")
        try probe.connect("up")
        probe.end(try probe.transaction(), .delivered, .failed(550), .deferred(450))
        #expect(probe.message(id)?.recipients.map(\.state) == ["delivered", "failed", "retrying"])
        #expect(probe.notices.map(\.recipients) == [[Array("s@a.example".utf8)]])
        probe.advance(.minutes(2))
        try probe.connect("up")
        let retry = try probe.transaction(of: id)
        #expect(retry.request.recipients.map(\.description) == ["3@b"])
    }

    @Test("recipients on different routes are tried side by side")
    func routes() throws {
        let probe = NodeProbe("one", "two") {
            var special = Route(upstreams: ["two"])
            special.recipientDomains = ["special.example"]
            $0.routes = [special, Route(upstreams: ["one"])]
        }.started()
        let (id, _) = probe.submit(to: "1@b.example", "2@Special.Example")
        #expect(probe.wanted == ["one", "two"])
        try probe.connect("one")
        #expect(try probe.transaction().request.recipients.map(\.description) == ["1@b.example"])
        probe.end(try probe.transaction(), .delivered)
        try probe.connect("two")
        #expect(try probe.transaction().request.recipients.map(\.description) == ["2@Special.Example"])
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.message(id) == nil)
    }

    // MARK: What an upstream lacks

    static let lacks: [(name: String, eightBit: Bool, utf8: Bool, code: String)] = [
        ("8BITMIME", true, false, "5.6.3"), ("SMTPUTF8", false, true, "5.6.7"),
    ]

    @Test("mail that no upstream of its route can carry is bounced rather than mangled", arguments: lacks)
    func lack(name: String, eightBit: Bool, utf8: Bool, code: String) throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit {
            $0.hasEightBit = eightBit
            $0.envelope.smtputf8 = utf8
        }
        try probe.connect("up", Capabilities())
        #expect(!probe.transactions.contains { $0.transaction.message == id })
        #expect(probe.message(id) == nil)
        #expect(probe.outcomes[0].results.map(\.enhanced) == [code])
        #expect(probe.notices.count == 1)
    }

    @Test("mail that one upstream can't carry goes to another, and waits for it while it is down")
    func lackOfOne() throws {
        let probe = NodeProbe("one", "two").started()
        probe.enable("two", false)
        let (id, _) = probe.submit { $0.hasEightBit = true }
        try probe.connect("one", Capabilities())
        #expect(probe.message(id)?.state == .waitingForUpstream)
        probe.enable("two", true)
        try probe.connect("two")
        #expect(probe.upstream(of: try probe.transaction(of: id)) == "two")
    }

    @Test("a message larger than every upstream takes is bounced")
    func tooLarge() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(content: String(repeating: "x", count: 500))
        var small = NodeProbe.everything
        small.sizeLimit = 100
        try probe.connect("up", small)
        #expect(probe.message(id) == nil)
        #expect(probe.outcomes[0].results.map(\.code) == [552])
    }

    // MARK: Stale connections

    @Test("a reused connection that ends before MAIL is answered is no attempt: once more on a fresh one")
    func stale() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .delivered)
        let (id, _) = probe.submit()
        probe.end(try probe.transaction(), .notSent(.closing), usable: false, stale: true)
        #expect(probe.wanted == ["up"])
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
        try probe.connect("up")
        probe.end(try probe.transaction(of: id), .delivered)
        #expect(probe.message(id) == nil)
        #expect(probe.results(id) == ["sent"])
    }

    @Test("at the maximum of connections a used idle one makes way for the fresh one")
    func staleMakesWay() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 2 }.started()
        let ids = (0..<2).map { _ in probe.submit().id }
        try probe.connect("up")
        let idle = try probe.connect("up")
        for id in ids { probe.end(try probe.transaction(of: id), .delivered) }
        let (id, _) = probe.submit()
        let (other, _) = probe.submit()
        // The other connection is busy; the stale one ends: there is room for one more.
        probe.end(try probe.transaction(of: id), .notSent(.closing), usable: false, stale: true)
        #expect(probe.wanted == ["up"])
        probe.end(try probe.transaction(of: other), .delivered)
        _ = idle
        try probe.connect("up")
        #expect(try probe.transaction(of: id).attempt == 2)
    }

    @Test("a second dead connection counts as a refusal")
    func staleTwice() throws {
        let probe = NodeProbe("up").started()
        probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .delivered)
        let (id, _) = probe.submit()
        probe.end(try probe.transaction(), .notSent(.closing), usable: false, stale: true)
        let fresh = try probe.connect("up")
        probe.close(fresh)
        #expect(probe.message(id)?.state == .retrying)
        #expect(probe.message(id)?.recipients.map(\.tries) == [1])
    }

    @Test("the transaction pipelined behind one whose connection breaks goes elsewhere at once")
    func brokenBehind() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        let (first, _) = probe.submit()
        let (second, _) = probe.submit()
        try probe.connect("up")
        probe.dotSent(try probe.transaction(of: first))
        let broken = try probe.transaction(of: second)
        probe.end(try probe.transaction(of: first), .unanswered, usable: false)
        probe.end(broken, .notSent(.connectionLost("it ended")), usable: false, stale: true)
        try probe.connect("up")
        #expect(try probe.transaction(of: second).attempt == 2)
        #expect(probe.message(second)?.isUncertain == false)
        #expect(probe.message(first)?.isUncertain == true)
    }
}
