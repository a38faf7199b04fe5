import Node
import Primitives
import Simulator
import Testing

@Suite("outages of upstreams")
struct OutageTests {
    static func configuration(upstreams: Int, seed: UInt64 = 7) -> NodeConfiguration {
        Plan.configuration(upstreams: upstreams, seed: seed)
    }

    @Test("three hours without the only upstream bounce nothing, and the backlog goes oldest first, beside new mail")
    func outage() throws {
        var configuration = OutageTests.configuration(upstreams: 1)
        configuration.upstreams[0].maximumConnections = 10
        configuration.delayWarning = nil
        let simulation = Simulation(scenario: configuration)
        var sent: [MessageID] = []
        var begun: [MessageID] = []
        var number = 0
        func traffic(every interval: Duration, for time: Duration) {
            let end = simulation.clock + time
            while simulation.clock < end, simulation.violation == nil {
                number += 1
                if let id = simulation.send(from: "s\(number)@example.com", to: ["r\(number)@example.net"]) {
                    sent.append(id)
                }
                simulation.run(for: interval)
            }
        }
        traffic(every: .seconds(5), for: .minutes(5))
        #expect(simulation.backlog <= 2)
        simulation.set("up1", [.refuseConnect: 1])
        simulation.run(for: .seconds(10))
        let before = sent.count
        traffic(every: .seconds(5), for: .hours(3))
        let backlog = Array(sent[before...])
        #expect(simulation.backlog >= backlog.count && backlog.count > 2000)
        let waiting = try #require(simulation.status()).queue
        #expect(waiting.waitingForUpstream >= backlog.count - 2)
        let oldest = try #require(simulation.message(backlog[0]))
        #expect(oldest.recipients[0].tries <= 1, "waiting for an upstream keeps the retry step")

        simulation.set("up1", [:])
        simulation.onTransaction = { begun.append($0.message) }
        let sentBefore = sent.count
        traffic(every: .milliseconds(500), for: .minutes(3))
        #expect(simulation.backlog <= 2, "the backlog is gone within minutes")
        // Judged by when each began: connections side by side overtake each other after that.
        let isOld = Set(backlog)
        let order = begun.filter { isOld.contains($0) }
        #expect(order == order.sorted() && Set(order) == isOld, "oldest first")
        let firstNew = try #require(begun.firstIndex { !isOld.contains($0) })
        let lastOld = try #require(begun.lastIndex { isOld.contains($0) })
        #expect(firstNew < lastOld / 4, "new mail flows while the backlog drains")
        #expect(sent.count > sentBefore)
        let totals = simulation.totals
        #expect(totals.bounces == 0 && totals.warnings == 0 && totals.expired == 0)
        simulation.settle()
        #expect(simulation.violation == nil)
    }

    @Test("an upstream that greets with 554 bounces nothing and is one problem in the status")
    func blocked() throws {
        let simulation = Simulation(scenario: OutageTests.configuration(upstreams: 1))
        simulation.set("up1", [.greetPermanent: 1])
        for number in 0..<50 {
            simulation.send(to: ["r\(number)@example.net", "q\(number)@example.org"])
            simulation.run(for: .minutes(1))
        }
        let status = try #require(simulation.status())
        #expect(status.problems.count == 1)
        #expect(status.problems.first?.name.contains("upstream") == true)
        #expect(status.queue.messages == 50 && status.queue.waitingForUpstream == 50)
        #expect(simulation.totals.bounces == 0)
        simulation.settle()
        #expect(simulation.violation == nil)
        #expect(simulation.totals.bounces == 0)
        #expect(try #require(simulation.status()).problems.isEmpty)
    }

    @Test("a suspended account bounces nothing: MAIL refused for lack of rights")
    func suspended() {
        let simulation = Simulation(scenario: OutageTests.configuration(upstreams: 1))
        simulation.set("up1", [.mailRights: 1])
        for number in 0..<20 { simulation.send(to: ["r\(number)@example.net"]) }
        simulation.run(for: .hours(6))
        #expect(simulation.backlog == 20 && simulation.totals.bounces == 0)
        simulation.settle()
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
    }

    @Test(
        "what an upstream refuses before the message is its own matter goes to the next within the same try",
        arguments: [
            .refuseConnect, .greetPermanent, .greetTransient, .mailTransient, .mailRights, .refuseEHLO,
        ] as [Fault])
    func failover(_ fault: Fault) throws {
        let simulation = Simulation(scenario: OutageTests.configuration(upstreams: 2))
        simulation.set("up1", [fault: 1])
        var ids: [MessageID] = []
        for number in 0..<10 { ids.append(try #require(simulation.send(to: ["r\(number)@example.net"]))) }
        simulation.run(for: .seconds(20))
        for id in ids { #expect(simulation.deliveries(of: id) == 1, "delivered by the other upstream at once") }
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
    }

    @Test("while first tries wait, retries get at most seven of ten slots, and at least some", arguments: [1, 3, 10])
    func retryShare(_ connections: Int) throws {
        var configuration = OutageTests.configuration(upstreams: 1)
        configuration.upstreams[0].maximumConnections = connections
        let simulation = Simulation(scenario: configuration)
        simulation.set("up1", [.refuseConnect: 1])
        var backlog: Set<MessageID> = []
        for number in 0..<300 {
            backlog.insert(try #require(simulation.send(to: ["old\(number)@example.net"])))
        }
        simulation.run(for: .minutes(1))
        simulation.set("up1", [:])
        var begun: [Bool] = []
        simulation.onTransaction = { begun.append(backlog.contains($0.message)) }
        // More than the upstream takes, until half of the backlog is gone.
        while begun.filter({ $0 }).count < 150, begun.count < 3000, simulation.violation == nil {
            for number in 0..<5 { simulation.send(to: ["new\(number)@example.net"]) }
            simulation.run(for: .milliseconds(20))
        }
        let first = try #require(begun.firstIndex(of: false))
        let share = Double(begun[first...].filter { $0 }.count) / Double(begun.count - first)
        #expect(share <= 0.72 && share > 0.1)
        #expect(simulation.violation == nil)
    }

    @Test("a used connection that the upstream closes is no attempt: the message goes on a fresh one at once")
    func stale() throws {
        let simulation = Simulation(scenario: OutageTests.configuration(upstreams: 1))
        simulation.set("up1", [.staleConnection: 1])
        for number in 0..<300 {
            let id = try #require(simulation.send(to: ["r\(number)@example.net"]))
            simulation.run(for: .milliseconds(1 + number * 7))
            simulation.run(for: .seconds(2))
            #expect(simulation.deliveries(of: id) == 1)
        }
        #expect(simulation.violation == nil)
    }
}
