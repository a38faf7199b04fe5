internal import Cluster
package import EventLoop
internal import Node
package import Primitives
internal import Synchronization

/// What happened to this node and its cluster lately, for `baton events`: takeovers, peers that come and go, upstreams that
/// fail, not single messages. Kept in memory, a bounded number of the newest.
package final class EventRing: Sendable {
    package struct Event: Sendable {
        /// Counts from 1 at each start of the process.
        package var sequence: UInt64
        package var time: WallTime
        /// Whose view this is.
        package var node: String
        package var name: String
        package var fields: [LogWriter.Field]
    }

    package static let limit = 10_000

    private struct State: Sendable {
        var events = Deque<Event>()
        var last: UInt64 = 0
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: UnsafeContinuation<Void, Never>] = [:]
    }

    private let node: String
    private let state = Mutex(State())

    init(node: String) { self.node = node }

    // MARK: From any thread

    /// Oldest first. A number that this process has not given out yet is one of the process before: it gets all.
    package func events(after sequence: UInt64, limit: Int = EventRing.limit) -> [Event] {
        state.withLock { state in
            let after = sequence > state.last ? 0 : sequence
            let count = min(UInt64(state.events.count), state.last - after)
            let first = state.events.count - Int(count)
            return (first..<min(state.events.count, first + limit)).map { state.events[$0] }
        }
    }

    /// The same, and when there is none yet, what comes within so long.
    package func events(after sequence: UInt64, within patience: Duration, on loop: Loop) async -> [Event] {
        let found = events(after: sequence)
        guard found.isEmpty else { return found }
        await withUnsafeContinuation { continuation in
            guard let waiter = wait(continuation, after: sequence) else { return continuation.resume() }
            let end = Clock.instant() + patience
            let giveUp: @Sendable () -> Void = { [self] in self.giveUp(waiter) }
            loop.post { _ in loop.timer(at: end, giveUp) }
        }
        return events(after: sequence)
    }

    /// Nil when there is something by now.
    private func wait(_ continuation: UnsafeContinuation<Void, Never>, after sequence: UInt64) -> UInt64? {
        state.withLock { state in
            guard state.last == sequence || state.events.isEmpty else { return nil }
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = continuation
            return state.nextWaiter
        }
    }

    private func giveUp(_ waiter: UInt64) { state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume() }

    package func add(_ name: StaticString, _ fields: [LogWriter.Field] = []) {
        let now = Clock.wall()
        let waiters = state.withLock { state in
            state.last += 1
            state.events.append(
                Event(sequence: state.last, time: now, node: node, name: name.description, fields: fields))
            if state.events.count > EventRing.limit { _ = state.events.popFirst() }
            defer { state.waiters.removeAll() }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    func add(_ note: Note) {
        guard note.isEvent else { return }
        let (name, fields) = note.described
        add(name, fields)
    }
}

extension Note {
    /// More than the life of one message.
    fileprivate var isEvent: Bool {
        switch self {
        case .accepted, .result, .done, .suppressed: false
        default: true
        }
    }
}
