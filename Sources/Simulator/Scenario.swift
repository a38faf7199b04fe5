package import Node
package import Primitives
import SMTP

/// What a directed run is made of: a test says what happens and when, and everything is checked as in a run by chance.
extension Simulation {
    /// One transaction as it was handed to a connection.
    package struct Begun: Sendable {
        package var message: MessageID
        package var upstream: String
        package var recipients: Int
        package var at: Instant
        package var attempt: UInt32
    }

    /// A run without clients and faults of its own.
    ///
    /// - Parameter turns: After so many it is given up; nil: as many as a run by chance may take.
    package convenience init(scenario configuration: NodeConfiguration, nodes: Int = 1, turns: Int? = nil) {
        var plan = Plan(seed: configuration.seed, duration: .zero, messages: 0, configuration: configuration)
        plan.nodes = nodes
        plan.mostTurns = turns
        self.init(plan)
        start()
        // Until mail is taken.
        run(for: nodes == 1 ? .seconds(1) : .seconds(3))
    }

    package func run(for time: Duration) { run(until: scheduler.now + time) }

    package var clock: Instant { scheduler.now }

    /// A client hands in one message, small and inline; nil when it is not admitted.
    @discardableResult
    package func send(from sender: String? = "s@example.com", to recipients: [String], at node: Int = 0) -> MessageID? {
        nextToken += 1
        let letter = Letter(
            token: nextToken, sender: sender.map { Array($0.utf8) }, recipients: recipients.map { Array($0.utf8) },
            size: 200, isEightBit: random.chance(0.2), tries: 0)
        let id = submit(letter, to: machines[node])
        step(machines[node])
        return id
    }

    package func ask(_ verb: Command.Verb, _ id: MessageID) {
        give(Command(verb, id, by: "test"))
        for machine in machines { step(machine) }
    }

    /// The upstream is like this from now on: how likely each fault strikes at each opportunity.
    package func set(_ upstream: String, _ faults: [Fault: Double]) {
        guard let index = upstreams.firstIndex(where: { $0.name == upstream }) else { return }
        setMood(index, SimulatedUpstream.Mood(faults: faults))
    }

    /// From now on the upstream can't reach this recipient domain and says so after `time`; nil: it can again.
    package func setUnreachable(_ domain: String, at upstream: String, after time: Duration?) {
        guard let index = upstreams.firstIndex(where: { $0.name == upstream }) else { return }
        upstreams[index].unreachable[domain] = time
    }

    package func stepWall(by step: Duration, at node: Int = 0) { jumpWall(of: machines[node], by: step) }

    package func status(of node: Int = 0) -> NodeStatus? {
        machines[node].node?.status(at: machines[node].now(scheduler.now))
    }

    package func message(_ id: MessageID) -> MessageStatus? { status(of: id) }

    /// How often upstreams took it, whoever for.
    package func deliveries(of id: MessageID) -> Int {
        books.messages[id]?.recipients.reduce(0) { $0 + $1.deliveries.count } ?? 0
    }

    package func isFinished(_ id: MessageID) -> Bool { books.messages[id]?.isFinished ?? false }

    /// Answered 250 and not finished.
    package var backlog: Int { books.unfinished.count }

    // MARK: Nodes

    /// By name: `kill` or `power loss`; it is started again soon.
    package func crash(_ kind: Fault, at node: Int = 0) { crash(kind, machines[node]) }

    /// It stays down until `start`.
    package func kill(_ node: Int) { die(machines[node], losing: .nothing, restarts: false) }

    package func start(_ node: Int) { boot(machines[node]) }

    package func pause(_ node: Int, for time: Duration) { pause(machines[node], for: time) }

    package func drain(_ node: Int) {
        drain(machines[node])
        step(machines[node])
    }

    package func wipe(_ node: Int) { wipe(machines[node], keepsFormer: false) }

    /// Nothing passes between these and the others, or everything again.
    package func cutOff(_ nodes: Set<Int>) {
        network.mend()
        for a in machines.indices {
            for b in machines.indices where nodes.contains(a) != nodes.contains(b) { network.isCut[a][b] = true }
        }
        for a in machines { for b in machines where network.isCut[b.index][a.index] { timeOut(a, b) } }
    }

    /// Which node owns the journal that holds this message.
    package func owner(of id: MessageID) -> Int? {
        books.messages[id]?.journals.last.flatMap { owner(of: $0)?.index }
    }
}
