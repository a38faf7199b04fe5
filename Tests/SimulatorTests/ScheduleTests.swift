import Node
import Primitives
import Simulator
import Testing

@Suite("tries, splitting and clocks")
struct ScheduleTests {
    @Test("the waits between tries are the schedule's, with a tenth of jitter either way")
    func schedule() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 3)
        configuration.retry = [.minutes(1), .minutes(5), .minutes(15), .hours(1)]
        let simulation = Simulation(scenario: configuration)
        simulation.set("up1", [.recipientTransient: 1])
        var times: [Instant] = []
        simulation.onTransaction = { times.append($0.at) }
        _ = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .hours(5))
        #expect(times.count >= 7)
        let waits = zip(times, times.dropFirst()).map { $1 - $0 }
        let wanted: [Duration] = [.minutes(1), .minutes(5), .minutes(15), .hours(1), .hours(1), .hours(1)]
        for (wait, wanted) in zip(waits, wanted) {
            #expect(wait >= wanted * 0.89 && wait <= wanted * 1.11 + .seconds(2))
        }
        #expect(simulation.violation == nil)
    }

    @Test("a message expires after a try past its lifetime, with one bounce")
    func expiry() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 4)
        configuration.retry = [.minutes(10)]
        configuration.lifetime = .hours(2)
        let simulation = Simulation(scenario: configuration)
        simulation.set("up1", [.recipientTransient: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .minutes(119))
        #expect(!simulation.isFinished(id) && simulation.totals.bounces == 0)
        simulation.run(for: .minutes(20))
        #expect(simulation.isFinished(id) && simulation.totals.bounces == 1)
        simulation.settle()
        #expect(simulation.violation == nil)
    }

    @Test("a wall clock that jumps by years loses and bounces nothing", arguments: [-3650, -40, 40, 3650] as [Int64])
    func jump(_ days: Int64) throws {
        let simulation = Simulation(scenario: Plan.configuration(upstreams: 1, seed: 5))
        simulation.set("up1", [.recipientTransient: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .minutes(10))
        simulation.stepWall(by: .days(days))
        simulation.run(for: .minutes(9))
        #expect(!simulation.isFinished(id), "nothing expires within ten minutes of a step")
        simulation.set("up1", [:])
        simulation.run(for: .hours(1))
        #expect(simulation.isFinished(id) && simulation.deliveries(of: id) == 1)
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
    }

    @Test("after a restart under a wall clock that went back, mail is due within the longest wait")
    func jumpAndRestart() throws {
        let simulation = Simulation(scenario: Plan.configuration(upstreams: 1, seed: 6))
        simulation.set("up1", [.recipientTransient: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .minutes(30))
        simulation.crash(.kill)
        simulation.stepWall(by: .days(-3650))
        simulation.set("up1", [:])
        simulation.run(for: .hours(5))
        #expect(simulation.deliveries(of: id) == 1)
        #expect(simulation.violation == nil)
    }

    @Test("recipients are split by the upstream's maximum")
    func splitting() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 8)
        configuration.upstreams[0].maximumRecipients = 100
        let simulation = Simulation(scenario: configuration)
        var counts: [Int] = []
        simulation.onTransaction = { counts.append($0.recipients) }
        let id = try #require(simulation.send(to: (0..<250).map { "r\($0)@example.net" }))
        simulation.run(for: .seconds(10))
        #expect(counts == [100, 100, 50])
        #expect(simulation.deliveries(of: id) == 250 && simulation.violation == nil)
    }

    @Test("452 4.5.3 on a later RCPT opens the next transaction at once")
    func tooMany() throws {
        let simulation = Simulation(scenario: Plan.configuration(upstreams: 1, seed: 9))
        simulation.set("up1", [.tooManyRecipients: 0.3])
        var ids: [MessageID] = []
        for number in 0..<20 {
            ids.append(try #require(simulation.send(to: (0..<10).map { "r\($0).\(number)@example.net" })))
        }
        simulation.run(for: .seconds(30))
        // The first RCPT of a transaction may be deferred by it; all behind a taken one are not.
        let taken = ids.reduce(0) { $0 + simulation.deliveries(of: $1) }
        #expect(taken > 150)
        simulation.settle()
        #expect(ids.allSatisfy { simulation.deliveries(of: $0) == 10 })
        #expect(simulation.violation == nil && simulation.totals.bounces == 0)
    }

    @Test("what a kill leaves uncertain is held when the configuration says so, and goes once released")
    func uncertainHold() throws {
        var configuration = Plan.configuration(upstreams: 1, seed: 10)
        configuration.uncertain = .hold
        let simulation = Simulation(scenario: configuration)
        simulation.set("up1", [.dotUnanswered: 1])
        let id = try #require(simulation.send(to: ["r@example.net"]))
        simulation.run(for: .milliseconds(100))
        #expect(simulation.deliveries(of: id) == 1 && !simulation.isFinished(id))
        simulation.crash(.kill)
        simulation.set("up1", [:])
        simulation.run(for: .hours(1))
        let message = try #require(simulation.message(id))
        #expect(message.isUncertain && message.state == .held)
        #expect(simulation.deliveries(of: id) == 1)
        simulation.ask(.release, id)
        simulation.run(for: .minutes(1))
        #expect(simulation.deliveries(of: id) == 2 && simulation.isFinished(id))
        #expect(simulation.violation == nil)
    }
}
