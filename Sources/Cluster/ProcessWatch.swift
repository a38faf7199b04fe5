package import Primitives

/// Whether another process is dead beyond doubt (`protocol.md`, 'Process death').
///
/// Two things prove it: the node greets with a higher incarnation; or its connection has ended by EOF or reset, *and then*
/// a fresh connect to where it listens is refused. A time-out, our own close, a connect that hangs: prove nothing. A connect
/// that is taken and ends before `Hello` (a dying listener's backlog) is tried again, each 10 ms for 300 ms.
package struct ProcessWatch: Sendable {
    package static let interval = Duration.milliseconds(10)
    package static let patience = Duration.milliseconds(300)
    /// A connect that has not ended in this time hangs.
    package static let connectLimit = Duration.milliseconds(300)

    /// How a connection that had greeted ended.
    package enum End: Hashable, Sendable {
        case endOfFile, reset
        case closedByUs, timedOut
    }

    package enum Knock: Hashable, Sendable {
        case refused
        /// Taken, and ended before `Hello`.
        case endedEarly
        /// No answer, no route, any other error.
        case hung
        case greeted
    }

    package enum State: Hashable, Sendable {
        case unknown
        case connected(incarnation: UInt64)
        /// Ended in a way that makes a knock worth while.
        case ended(incarnation: UInt64)
        /// `asking`: a connect is under way; else the next begins at `next`.
        case knocking(incarnation: UInt64, since: Instant, next: Instant, asking: Bool)
        case dead(incarnation: UInt64)
        /// We closed it, or it fell silent: that proves nothing, and no knock is worth while.
        case closed(incarnation: UInt64)
    }

    package enum Verdict: Hashable, Sendable {
        case nothing
        /// Connect to its address now, and tell how that went.
        case knock
        /// The process with this incarnation, and every earlier one, is dead.
        case dead(incarnation: UInt64, byGreeting: Bool)
    }

    package private(set) var state = State.unknown

    package init() {}

    package mutating func greeted(incarnation: UInt64) -> Verdict {
        let earlier = lastIncarnation
        state = .connected(incarnation: incarnation)
        guard let earlier, incarnation > earlier else { return .nothing }
        return .dead(incarnation: incarnation - 1, byGreeting: true)
    }

    /// Its only connection has ended.
    package mutating func ended(_ end: End, at now: Instant) -> Verdict {
        guard case .connected(let incarnation) = state else { return .nothing }
        switch end {
        case .closedByUs, .timedOut:
            state = .closed(incarnation: incarnation)
            return .nothing
        case .endOfFile, .reset:
            state = .knocking(incarnation: incarnation, since: now, next: now, asking: true)
            return .knock
        }
    }

    /// Someone asks for its journals: try again, if an end was seen and it is not settled.
    package mutating func asked(at now: Instant) -> Verdict {
        guard case .ended(let incarnation) = state else { return .nothing }
        state = .knocking(incarnation: incarnation, since: now, next: now, asking: true)
        return .knock
    }

    package mutating func knocked(_ result: Knock, at now: Instant) -> Verdict {
        guard case .knocking(let incarnation, let since, _, true) = state else { return .nothing }
        switch result {
        case .refused:
            state = .dead(incarnation: incarnation)
            return .dead(incarnation: incarnation, byGreeting: false)
        case .endedEarly where now - since < ProcessWatch.patience:
            let next = now + ProcessWatch.interval
            state = .knocking(incarnation: incarnation, since: since, next: next, asking: false)
        case .endedEarly, .hung, .greeted:
            // `greeted` is followed by the greeting itself.
            state = .ended(incarnation: incarnation)
        }
        return .nothing
    }

    package mutating func tick(at now: Instant) -> Verdict {
        guard case .knocking(let incarnation, let since, let next, false) = state, now >= next else { return .nothing }
        state = .knocking(incarnation: incarnation, since: since, next: next, asking: true)
        return .knock
    }

    package var deadline: Instant? {
        guard case .knocking(_, _, let next, false) = state else { return nil }
        return next
    }

    private var lastIncarnation: UInt64? {
        switch state {
        case .unknown: nil
        case .connected(let incarnation), .ended(let incarnation), .knocking(let incarnation, _, _, _),
            .dead(let incarnation), .closed(let incarnation):
            incarnation
        }
    }
}
