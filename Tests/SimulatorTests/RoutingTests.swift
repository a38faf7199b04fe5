import Node
import Primitives
import SMTP
import Simulator
import Testing

@Suite("what the router does with whole nodes")
struct RoutingTests {
    private static let refusal = Reply(
        550, 5, 7, 1, "Our system has detected an unusual rate of unsolicited mail from your IP address; it is blocked")

    /// Three nodes that take mail in turn, for three upstreams of equal weight.
    private final class Run {
        let simulation: Simulation
        private var number = 0
        /// What left by which upstream, for which domain, by which node, since the last look.
        private(set) var left: [String: [String: Int]] = [:]

        init(seed: UInt64) {
            var configuration = Plan.configuration(upstreams: 3, seed: seed)
            configuration.replicas = 3
            configuration.lease = .seconds(2)
            simulation = Simulation(scenario: configuration, nodes: 3)
            simulation.onDelivery = { [unowned self] _, address, upstream in
                let domain = String(decoding: address, as: UTF8.self).split(separator: "@").last.map(String.init) ?? ""
                left[domain, default: [:]][upstream, default: 0] += 1
            }
        }

        func forget() { left = [:] }

        func share(of upstream: String, at domain: String) -> Double {
            let counts = left[domain] ?? [:]
            return Double(counts[upstream] ?? 0) / Double(max(1, counts.values.reduce(0, +)))
        }

        func traffic(to domains: [String], every interval: Duration, for time: Duration) {
            let end = simulation.clock + time
            while simulation.clock < end, simulation.violation == nil {
                number += 1
                let domain = domains[number / 3 % domains.count]
                simulation.send(from: "s@example.com", to: ["r\(number)@\(domain)"], at: number % 3)
                simulation.run(for: interval)
            }
        }
    }

    @Test("a provider that blocks one upstream gets its mail by the others, from every node, and no other mail moves")
    func block() throws {
        let run = Run(seed: 3)
        let domains = ["gmail.com", "yahoo.com", "example.net"]
        run.traffic(to: domains, every: .milliseconds(100), for: .seconds(30))
        for domain in domains { #expect(abs(run.share(of: "up1", at: domain) - 1.0 / 3) < 0.08) }

        run.simulation.block("up1", at: "gmail.com", with: RoutingTests.refusal)
        run.traffic(to: domains, every: .milliseconds(100), for: .seconds(60))
        run.forget()
        var tried = 0
        run.simulation.onTransaction = { if $0.upstream == "up1" { tried += 1 } }
        run.traffic(to: ["gmail.com"], every: .milliseconds(100), for: .seconds(60))
        // Nothing that it refuses is delivered: what counts is how much is offered to it still.
        #expect(run.share(of: "up1", at: "gmail.com") == 0)
        #expect(tried <= 600 / 20, "\(tried) of 600 were offered to the one that is blocked")
        for node in 0..<3 {
            let problems = try #require(run.simulation.status(of: node)).problems
            #expect(problems.contains { $0.name == "upstream-blocked" && $0.summary.hasPrefix("google refuses up1") })
        }
        run.forget()
        run.traffic(to: ["yahoo.com", "example.net"], every: .milliseconds(100), for: .seconds(30))
        for domain in ["yahoo.com", "example.net"] {
            #expect(abs(run.share(of: "up1", at: domain) - 1.0 / 3) < 0.05, "other mail stays where it was")
        }
        #expect(run.simulation.totals.bounces == 0)
        run.simulation.block("up1", at: "gmail.com", with: nil)
        run.simulation.settle()
        #expect(run.simulation.violation == nil)
    }

    @Test("what every upstream of its route refuses for its sake bounces, and not before")
    func refusedByAll() throws {
        let run = Run(seed: 4)
        for upstream in ["up1", "up2"] {
            run.simulation.block(upstream, at: "gmail.com", with: RoutingTests.refusal)
        }
        let first = try #require(run.simulation.send(to: ["a@gmail.com"]))
        run.simulation.run(for: .seconds(5))
        #expect(run.simulation.isFinished(first) && run.simulation.totals.bounces == 0)
        run.simulation.block("up3", at: "gmail.com", with: RoutingTests.refusal)
        run.simulation.send(to: ["b@gmail.com"])
        run.simulation.run(for: .seconds(5))
        #expect(run.simulation.totals.bounces == 1)
        run.simulation.settle()
        #expect(run.simulation.violation == nil)
    }

    @Test("an upstream that dies is probed once a second by the whole cluster, and has traffic soon after its return")
    func death() throws {
        let run = Run(seed: 5)
        run.traffic(to: ["example.net"], every: .milliseconds(50), for: .seconds(10))
        run.simulation.set("up1", [.refuseConnect: 1])
        run.traffic(to: ["example.net"], every: .milliseconds(50), for: .seconds(10))
        #expect(run.simulation.backlog <= 3, "nothing waits for it")
        var probes: [Instant] = []
        run.simulation.onConnect = { if $0 == "up1" { probes.append($1) } }
        run.traffic(to: ["example.net"], every: .milliseconds(50), for: .seconds(60))
        #expect(probes.count <= 61 && probes.count >= 20, "\(probes.count) probes in a minute")
        run.simulation.set("up1", [:])
        run.forget()
        run.traffic(to: ["example.net"], every: .milliseconds(50), for: .seconds(5))
        #expect(run.share(of: "up1", at: "example.net") > 0, "it carries mail within 5 s")
        run.forget()
        run.traffic(to: ["example.net"], every: .milliseconds(50), for: .seconds(10))
        #expect(abs(run.share(of: "up1", at: "example.net") - 1.0 / 3) < 0.1, "and soon its whole share")
        run.simulation.settle()
        #expect(run.simulation.violation == nil)
    }
}
