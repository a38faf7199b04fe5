import Node
import Primitives
import SMTP
import Testing

/// Destinations that defer: what is parked, and what becomes of it.
@Suite("Back-off")
struct BackOffTests {
    private static let dead = Told(.deferred(Reply(451, 4, 4, 1, "no answer from host")), at: .rcpt)

    /// A node whose destination `dead.example` was deferred so often that it is backed off, and these messages.
    private func closed(
        messages: Int = 10, change: (inout NodeConfiguration) -> Void = { _ in }
    ) throws -> (probe: NodeProbe, tried: [MessageID], parked: [MessageID]) {
        let probe = NodeProbe("up") {
            $0.upstreams[0].maximumConnections = 1
            $0.upstreams[0].maximumMessagesPerConnection = 10_000
            change(&$0)
        }.started()
        let ids = (0..<messages).map { probe.submit(to: "r\($0)@dead.example").id }
        try probe.connect("up")
        for _ in 0..<5 { probe.end(try probe.transaction(), BackOffTests.dead) }
        #expect(probe.runningCount == 0)
        return (probe, Array(ids.prefix(5)), Array(ids.dropFirst(5)))
    }

    /// Answers everything that is tried, for so long; returns what was tried.
    @discardableResult
    private func run(
        _ probe: NodeProbe, for duration: Duration, step: Duration = .seconds(1), _ told: (String) -> Told
    ) throws -> [MessageID] {
        var tried: [MessageID] = []
        let end = probe.now.instant + duration
        while true {
            for upstream in probe.wanted { try probe.connect(upstream) }
            while let transaction = probe.runningTransactions.first {
                tried.append(transaction.message)
                let domain = transaction.request.recipients[0].domainKey
                probe.end(transaction, told(domain))
                for upstream in probe.wanted { try probe.connect(upstream) }
            }
            guard probe.now.instant < end else { return tried }
            probe.advance(step)
        }
    }

    private func dead(_ domain: String) -> Told { domain.hasPrefix("dead") ? BackOffTests.dead : .delivered }

    @Test("after five deferrals in a row the rest is parked: due, without a job, and others pass")
    func parks() throws {
        let (probe, tried, parked) = try closed()
        #expect(parked.allSatisfy { probe.message($0)?.state == .due })
        #expect(tried.allSatisfy { probe.message($0)?.state == .retrying })
        #expect(probe.status.upstreams[0].ready == 0)
        let late = probe.submit(to: "x@Dead.Example").id
        #expect(probe.message(late)?.state == .due && probe.message(late)?.recipients.first?.tries == 0)
        let living = probe.submit(to: "r@living.example").id
        #expect(try probe.transaction().message == living)
        #expect(parked.allSatisfy { probe.message($0)?.recipients.first?.tries == 0 }, "they were not tried")
    }

    @Test("one goes as the probe, the oldest, and each that is deferred makes the next one wait longer")
    func probes() throws {
        let (probe, _, parked) = try closed()
        let since = probe.now.instant
        var times: [Double] = []
        var order: [MessageID] = []
        while order.count < 4, probe.now.instant - since < .minutes(5) {
            probe.advance(.milliseconds(100))
            for upstream in probe.wanted { try probe.connect(upstream) }
            guard let transaction = probe.runningTransactions.first, parked.contains(transaction.message) else {
                if let own = probe.runningTransactions.first { probe.end(own, BackOffTests.dead) }
                continue
            }
            order.append(transaction.message)
            times.append((probe.now.instant - since).inSeconds)
            probe.end(transaction, BackOffTests.dead)
        }
        #expect(order == Array(parked.prefix(4)))
        for (time, wanted) in zip(times, [5.0, 15, 35, 75]) { #expect(abs(time - wanted) < wanted * 0.15) }
    }

    @Test("a good probe lets two go, then four, until all are delivered and the destination is forgotten")
    func opens() throws {
        let (probe, tried, parked) = try closed(messages: 200)
        for _ in 0..<60 where probe.runningCount == 0 { probe.advance(.milliseconds(100)) }
        #expect(try probe.transaction().message == parked[0])
        #expect(probe.status.upstreams[0].ready == 0)
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.runningCount + probe.status.upstreams[0].ready == 2)
        probe.end(try probe.transaction(), .delivered)
        #expect(probe.runningCount + probe.status.upstreams[0].ready == 4)
        let order = try run(probe, for: .minutes(2)) { _ in .delivered }
        #expect(Set(order) == Set(parked.dropFirst(2) + tried))
        #expect(probe.status.queue.messages == 0 && probe.status.parked == 0)
        #expect(order.prefix(193) == parked.dropFirst(2), "oldest first")
    }

    @Test("a domain that is dead does not keep the same message's other recipients")
    func otherRecipients() throws {
        let (probe, _, _) = try closed()
        let id = probe.submit(to: "a@living.example", "b@dead.example", "c@dead.example").id
        let transaction = try probe.transaction(of: id)
        #expect(transaction.request.recipients.map(\.domainKey) == ["living.example"])
        probe.end(transaction, .delivered)
        #expect(probe.message(id)?.recipients.map(\.state) == ["delivered", "due", "due"])
        try run(probe, for: .minutes(1)) { _ in .delivered }
        #expect(probe.message(id) == nil)
        #expect(probe.attempts.filter { $0.message == id }.map(\.recipients) == [[0], [1, 2]])
    }

    @Test("a success of what began before opens it at once")
    func success() throws {
        let probe = NodeProbe("up") { $0.upstreams[0].maximumConnections = 6 }.started()
        for number in 0..<6 { probe.submit(to: "r\(number)@dead.example") }
        for _ in 0..<6 { try probe.connect("up") }
        let running = probe.runningTransactions
        for transaction in running.dropLast() { probe.end(transaction, BackOffTests.dead) }
        probe.submit(to: "x@dead.example")
        #expect(probe.runningCount == 1)
        probe.end(running[5], .delivered)
        #expect(probe.runningCount == 1)
    }

    // MARK: Lifetimes

    @Test("parked messages expire only after a probe begun past their lifetime has failed, all that are over with it")
    func expires() throws {
        let (probe, _, parked) = try closed(messages: 100) {
            $0.lifetime = .hours(1)
            $0.retry = [.hours(4)]
        }
        let accepted = probe.now.wall
        try run(probe, for: .minutes(59), step: .seconds(5), dead)
        #expect(probe.results(parked[90]).isEmpty)
        probe.submit(to: "later@dead.example")
        // The next ones that fail were begun past it.
        try run(probe, for: .minutes(16), step: .seconds(5), dead)
        let gone = parked.filter { probe.message($0) == nil }
        let tried = Set(probe.attempts.map(\.message))
        #expect(parked.filter { !tried.contains($0) }.allSatisfy { gone.contains($0) })
        #expect(probe.notices.count == gone.count)
        let expired = probe.outcomes.filter { $0.results.contains { $0.status == .expired } }
        #expect(expired.count == gone.count && expired.allSatisfy { $0.time - accepted >= .hours(1) })
        #expect(expired.allSatisfy { $0.results[0].code == 451 && $0.results[0].tries >= 1 })
        #expect(probe.list(QueueFilter()).count >= 1, "who came later stays")
    }

    @Test("a thousand that expire at once are several turns")
    func manyExpire() throws {
        let (probe, _, parked) = try closed(messages: 2505) {
            $0.lifetime = .minutes(30)
            $0.retry = [.hours(4)]
            $0.bounces.send = false
        }
        try run(probe, for: .minutes(29), step: .minutes(1), dead)
        #expect(probe.message(parked[2400]) != nil)
        try run(probe, for: .minutes(16), step: .minutes(1), dead)
        #expect(parked.filter { probe.message($0) != nil }.count < 20, "but for those that are probes of before")
    }

    @Test("the senders of parked messages are warned once, and these stay parked")
    func warnings() throws {
        let (probe, _, parked) = try closed(messages: 60) {
            $0.delayWarning = .minutes(30)
            $0.retry = [.hours(4)]
        }
        probe.submit(from: nil, to: "z@dead.example")
        try run(probe, for: .hours(2), step: .seconds(10), dead)
        let warned = probe.notices.compactMap(\.concerns)
        let tried = Set(probe.attempts.map(\.message))
        let waiting = parked.filter { !tried.contains($0) }
        #expect(!waiting.isEmpty && waiting.allSatisfy { id in warned.filter { $0 == id }.count == 1 })
        #expect(waiting.allSatisfy { probe.message($0)?.state == .due })
        #expect(waiting.allSatisfy { probe.message($0)?.recipients.first?.tries == 0 })
    }

    @Test("with no upstream in reach parked messages expire too")
    func upstreamDown() throws {
        let (probe, _, parked) = try closed(messages: 50) {
            $0.lifetime = .hours(1)
            $0.bounces.send = false
        }
        probe.close(try #require(probe.transactions.first?.id))
        let end = probe.now.instant + .minutes(70)
        while probe.now.instant < end {
            while !probe.wanted.isEmpty { try probe.refuse("up") }
            probe.advance(.seconds(10))
        }
        #expect(parked.allSatisfy { probe.message($0) == nil && probe.results($0) == ["expired"] })
    }

    // MARK: People

    @Test("a person's retry makes a parked message the probe at once")
    func retry() throws {
        let (probe, _, parked) = try closed()
        probe.command(.retry, parked[3])
        #expect(probe.commandAnswers == [.done])
        #expect(try probe.transaction().message == parked[3])
        probe.end(try probe.transaction(), .delivered)
        // It took a message: the others go.
        #expect(try probe.transaction().message == parked[0])
    }

    @Test("parked messages are held, released, cancelled and bounced")
    func commands() throws {
        let (probe, _, parked) = try closed()
        probe.command(.hold, parked[0])
        probe.command(.cancel, parked[1])
        probe.command(.bounce, parked[2])
        #expect(probe.commandAnswers == [.done, .done, .done])
        #expect(probe.message(parked[0])?.state == .held)
        #expect(probe.message(parked[1]) == nil && probe.message(parked[2]) == nil)
        #expect(probe.notices.map(\.concerns) == [parked[2]])
        #expect(probe.status.parked == 2)
        probe.command(.release, parked[0])
        #expect(probe.message(parked[0])?.state == .due && probe.status.parked == 3)
        let order = try run(probe, for: .seconds(10)) { _ in .delivered }
        #expect(order.filter { parked.contains($0) } == [parked[3], parked[4], parked[0]])
    }

    // MARK: The node

    @Test("after a restart everything is due again, and what defers is backed off again after a few tries")
    func restart() throws {
        let (before, _, parked) = try closed(messages: 50)
        let probe = try before.restarted()
        let tried = try run(probe, for: .seconds(1), dead)
        #expect(tried.count == 5)
        #expect(probe.status.parked == 40 && parked.allSatisfy { probe.message($0) != nil })
        let order = try run(probe, for: .minutes(3)) { _ in .delivered }
        #expect(Set(order).isSuperset(of: parked) && probe.status.queue.messages == 0)
    }

    @Test("a drained node hands parked messages over, and one that goes on takes them up again")
    func drain() throws {
        let (probe, _, parked) = try closed()
        probe.feed(.drain)
        #expect(probe.isDrained)
        probe.feed(.resume)
        let order = try run(probe, for: .minutes(3)) { _ in .delivered }
        #expect(Set(order).isSuperset(of: parked))
    }

    @Test("people see which destinations defer, the one with most waiting first")
    func status() throws {
        let (probe, _, _) = try closed(messages: 150)
        let worst = try #require(probe.status.destinations.first)
        #expect(worst.domain == "dead.example" && worst.parked == 145 && worst.failures == 5)
        #expect(worst.lastReply == "451 4.4.1 no answer from host")
        #expect(worst.nextProbe.map { $0 > .seconds(4) && $0 < .seconds(6) } == true)
        let problem = try #require(probe.status.problems.first { $0.name == "destination-deferred" })
        #expect(problem.severity == .warning && problem.summary.contains("dead.example"))
        #expect(problem.effect.contains("145 messages"))
        let few = try closed().probe
        #expect(few.problems.isEmpty && few.status.destinations.count == 1)
    }
}
