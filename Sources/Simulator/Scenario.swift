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
    package convenience init(scenario configuration: NodeConfiguration) {
        self.init(
            Plan(seed: configuration.seed, duration: .zero, messages: 0, configuration: configuration))
        start()
        // Until mail is taken.
        run(for: .seconds(1))
    }

    package func run(for time: Duration) { run(until: scheduler.now + time) }

    package var clock: Instant { scheduler.now }

    /// A client hands in one message, small and inline; nil when it is not admitted.
    @discardableResult
    package func send(from sender: String? = "s@example.com", to recipients: [String]) -> MessageID? {
        nextToken += 1
        let id = submit(
            token: nextToken, from: sender.map { Array($0.utf8) }, to: recipients.map { Array($0.utf8) }, size: 200)
        step()
        return id
    }

    package func ask(_ verb: Command.Verb, _ id: MessageID) {
        give(Command(verb, id, by: "test"))
        step()
    }

    /// The upstream is like this from now on: how likely each fault strikes at each opportunity.
    package func set(_ upstream: String, _ faults: [Fault: Double]) {
        guard let index = upstreams.firstIndex(where: { $0.name == upstream }) else { return }
        setMood(index, SimulatedUpstream.Mood(faults: faults))
    }

    package func stepWall(by step: Duration) { jumpWall(by: step) }

    package func status() -> NodeStatus? { node?.status(at: now) }

    package func message(_ id: MessageID) -> MessageStatus? { node?.message(id, at: now) }

    /// How often upstreams took it, whoever for.
    package func deliveries(of id: MessageID) -> Int {
        books.messages[id]?.recipients.reduce(0) { $0 + $1.deliveries.count } ?? 0
    }

    package func isFinished(_ id: MessageID) -> Bool { books.messages[id]?.isFinished ?? false }

    /// Answered 250 and not finished.
    package var backlog: Int { books.unfinished.count }
}
