import Cluster
import Journal
import Primitives

/// One cluster of three, without chance's hand: a scenario holds letters back, ends processes, and says who may claim.
///
/// For guards whose absence seeds find too seldom: each is the model's counterexample (`mutants.md`), step by step. The protocol
/// itself passes them all.
final class ClusterScenario {
    let simulation: ClusterSimulation
    private(set) var journal = JournalID(.zero)

    /// Node 0 owns a journal of all three at epoch 1, and some frames of it are everywhere.
    init(
        _ mutations: Set<Mutation>, chunk: UInt64, lease: Duration = .seconds(2),
        _ change: (inout ClusterSimulation.Plan) -> Void = { _ in }
    ) {
        var plan = ClusterSimulation.Plan(seed: 1, mutations: mutations)
        plan.hasFaults = false
        plan.works = false
        plan.chunk = chunk
        plan.lease = lease
        change(&plan)
        simulation = ClusterSimulation(plan, tellsStory: true)
        run(1000)
        mayClaim(0)
        simulation.open(simulation.nodes[0])
        run(100)
        journal = simulation.nodes[0].core?.journals.keys.first ?? journal
        append(3, at: 0)
        run(100)
    }

    var violation: String? { simulation.invariants.violation }

    func owner(_ index: Int) -> JournalOwner? { simulation.nodes[index].core?.journals[journal]?.owner }

    func run(_ milliseconds: Int64) { simulation.advance(to: simulation.time + milliseconds * 1_000_000) }

    /// Until this is so, or for five seconds.
    func run(until isDone: () -> Bool) {
        for _ in 0..<10_000 where !isDone() && violation == nil { simulation.advance(to: simulation.time + 500_000) }
    }

    /// Nobody else does.
    func mayClaim(_ index: Int) {
        for node in simulation.nodes { simulation.give(node.index, .mayClaim(node.index == index)) }
    }

    func append(_ count: Int, at index: Int) {
        for _ in 0..<count where owner(index) != nil {
            simulation.append(.abort(StreamID(simulation.nextFrame())), to: journal, of: simulation.nodes[index])
        }
        simulation.give(index, .flush)
    }

    /// From now on; what is held already stays.
    func hold(_ isHeld: @escaping (SimulatedLetter) -> Bool) { simulation.isHeld = isHeld }

    /// Delivers what is held and passes, in its order; the rest of it is lost. Nothing is held any more.
    func release(_ passes: (SimulatedLetter) -> Bool) {
        let letters = simulation.held.filter(passes)
        simulation.held = []
        simulation.isHeld = nil
        for letter in letters { simulation.schedule(.deliver(letter), after: 1000) }
    }

    func end(_ index: Int, losesPower: Bool = false) {
        simulation.stop(simulation.nodes[index], losesPower: losesPower)
    }

    /// The power is cut, and nothing that was not synced is there.
    func losePower(_ index: Int) {
        simulation.nodes[index].disk[journal]?.pending = []
        end(index, losesPower: true)
    }

    func start(_ index: Int, mayClaim: Bool) {
        simulation.start(index)
        simulation.give(index, .mayClaim(mayClaim))
    }

    /// `victim` lives; this node takes it for dead. They are connected anew at once.
    func forgeDeath(of victim: Int, at index: Int) {
        let name = simulation.nodes[victim].id
        simulation.give(index, .disconnected(name, .reset))
        simulation.give(index, .knocked(name, .refused))
    }
}

extension SimulatedLetter {
    var isAppend: Bool { if case .append = message { true } else { false } }
    var isFetch: Bool { if case .fetch = message { true } else { false } }
    var isFetched: Bool { if case .fetched = message { true } else { false } }
    var isProbe: Bool { if case .probe = message { true } else { false } }
    var isClaimAnswers: Bool { if case .claimAnswers = message { true } else { false } }
    var isClaim: Bool { if case .claim = message { true } else { false } }
    var isPulse: Bool { if case .pulse = message { true } else { false } }
    var isPulseReply: Bool { if case .pulseReply = message { true } else { false } }
    var isDurable: Bool { if case .durable = message { true } else { false } }
    func isBetween(_ a: Int, _ b: Int) -> Bool { (from, to) == (a, b) || (from, to) == (b, a) }
}
