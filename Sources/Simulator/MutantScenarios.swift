import Cluster
import Node
import Primitives

/// Ways straight to the place where a guard stands, for those that chance reaches too seldom.
extension Simulation {
    /// A run in which this guard is needed, with it left out; nil when seeds are enough.
    package static func scenario(without mutant: String) -> Simulation? {
        switch Mutation(rawValue: mutant) {
        case .dotWithoutLease:
            stops.lazy.map { wokenOwner([.dotWithoutLease], stoppedAfter: $0) }.first { $0.violation != nil }
        case .lateOutcomeIgnored: lateOutcome([.lateOutcomeIgnored])
        case .lateOutcomeWrongEpoch: lateRefusal([.lateOutcomeWrongEpoch])
        default: nil
        }
    }

    static func threeNodes(
        _ mutations: Set<Mutation> = [], seed: UInt64 = 5, _ change: (inout Plan) -> Void = { _ in }
    ) -> Simulation {
        var configuration = Plan.configuration(upstreams: 1, seed: seed)
        configuration.replicas = 3
        configuration.lease = .seconds(2)
        configuration.retry = [.seconds(2)]
        configuration.mutations = mutations
        var plan = Plan(seed: seed, duration: .zero, messages: 0, configuration: configuration)
        plan.nodes = 3
        change(&plan)
        let simulation = Simulation(plan)
        simulation.start()
        simulation.run(for: .seconds(3))
        return simulation
    }

    /// When in its dialogue with an upstream an owner is stopped.
    package static let stops: [Duration] = (0..<12).map { .milliseconds(1300 + 60 * $0) }

    /// The owner is stopped in mid-dialogue, with its attempt committed, and wakes when its lease is long over.
    package static func wokenOwner(stoppedAfter stop: Duration) -> Simulation { wokenOwner([], stoppedAfter: stop) }

    private static func wokenOwner(_ mutations: Set<Mutation>, stoppedAfter stop: Duration) -> Simulation {
        let simulation = threeNodes(mutations) { $0.wire = .milliseconds(200)...(.milliseconds(300)) }
        simulation.send(to: ["r@example.net"])
        simulation.run(for: stop)
        simulation.pause(0, for: .seconds(5))
        simulation.run(for: .seconds(20))
        return simulation
    }

    /// The upstream answers the dot of an owner that has been cut off meanwhile and is back: what its successor holds as
    /// uncertain is settled by that.
    package static func lateOutcome() -> Simulation { lateOutcome([]) }

    private static func lateOutcome(_ mutations: Set<Mutation>) -> Simulation {
        let simulation = threeNodes(mutations) { $0.configuration.uncertain = .hold }
        simulation.set("up1", [.dotSlow: 1])
        simulation.dotDelay = .seconds(8)
        simulation.send(to: ["r@example.net"])
        simulation.run(for: .milliseconds(500))
        simulation.cutOff([0])
        simulation.run(for: .seconds(6))
        simulation.cutOff([])
        simulation.run(for: .seconds(10))
        simulation.checkLateOutcomesUsed()
        return simulation
    }

    /// A person releases what a takeover had held, and the new owner's own attempt goes unanswered: what the upstream said to
    /// the former owner does not decide that one. It stays held.
    package static func lateRefusal() -> Simulation? { lateRefusal([]) }

    private static func lateRefusal(_ mutations: Set<Mutation>) -> Simulation? {
        // An upstream that never answers hangs up or is silent, by chance: the former does.
        (1...20).lazy.map { lateRefusal(mutations, seed: $0) }.first { $0 != nil } ?? nil
    }

    private static func lateRefusal(_ mutations: Set<Mutation>, seed: UInt64) -> Simulation? {
        let simulation = threeNodes(mutations, seed: seed) { $0.configuration.uncertain = .hold }
        simulation.set("up1", [.dotPermanent: 1])
        simulation.dotDelay = .seconds(15)
        guard let id = simulation.send(to: ["r@example.net"]) else { return nil }
        simulation.run(for: .milliseconds(500))
        simulation.cutOff([0])
        simulation.run(for: .seconds(6))
        simulation.set("up1", [.dotUnanswered: 1])
        simulation.ask(.release, id)
        simulation.run(for: .seconds(2))
        simulation.cutOff([])
        simulation.run(for: .seconds(3))
        guard let owner = simulation.owner(of: id), owner != 0, let message = simulation.books.messages[id],
            message.isHeld, message.attempts.count == 2, simulation.books.unanswered.contains(message.attempts[1])
        else { return nil }
        simulation.run(for: .seconds(10))
        guard !simulation.machines[owner].lateOutcomes.isEmpty || simulation.totals.lateOutcomes > 0 else { return nil }
        if simulation.isFinished(id) {
            simulation.fail("I7: \(id) is bounced for a former owner's attempt while a later one's fate is unknown")
        }
        return simulation
    }

    /// Nothing is held whose fate its owner has heard.
    func checkLateOutcomesUsed() {
        for id in books.order {
            guard let message = books.messages[id], message.isHeld, !message.isDamaged,
                let journal = message.journals.last, let machine = owner(of: journal),
                let epoch = machine.node?.owner(of: journal)?.epoch, machine.begun[id] != epoch
            else { continue }
            for (number, address) in books.recipients(of: id, in: journal).enumerated() {
                let place = LatePlace(journal: journal, message: id, recipient: UInt32(number))
                guard let late = machine.lateOutcomes[place], late.epoch < epoch,
                    let index = message.index(of: address), message.recipients[index].isHeld,
                    message.attempts.contains(where: { books.attempts[$0]?.pending.contains(address) == true })
                else { continue }
                fail("I7: \(id) to \(text(address)) is held, and its outcome came late, but it came")
            }
        }
    }
}
