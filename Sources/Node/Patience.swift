internal import Primitives

/// How long a message is tried, and when its sender is told that it takes long (`queue.md`, 'Tries and transactions').
///
/// A value of its own, so that asking it copies nothing of the node.
struct Patience: Sendable {
    private var lifetime: Duration
    private var nullSenderLifetime: Duration
    /// Nil: no warnings.
    private var delayWarning: Duration?
    /// After a step of the wall clock lifetimes that it seems to have ended get a pause.
    var expiryAllowedFrom: Instant

    init(_ configuration: NodeConfiguration, expiryAllowedFrom: Instant) {
        lifetime = configuration.lifetime
        nullSenderLifetime = configuration.nullSenderLifetime
        delayWarning = configuration.bounces.send ? configuration.delayWarning : nil
        self.expiryAllowedFrom = expiryAllowedFrom
    }

    /// - Parameter route: The lifetime that its route asks for. Mail with the null sender never lives longer for it.
    func lifetime(of message: Message, route: Duration?) -> Duration {
        guard message.reversePath == nil else { return route ?? lifetime }
        return min(nullSenderLifetime, route ?? nullSenderLifetime)
    }

    /// Whether a try that began then and failed was the last one.
    func isOver(_ message: Message, route: Duration?, begun: WallTime, _ now: Now) -> Bool {
        if now.instant < expiryAllowedFrom { return false }
        // By both readings: the try may have begun, and then waited, under a wall clock that was wrong for a while.
        return min(begun, now.wall) - message.accepted >= lifetime(of: message, route: route)
    }

    func isWarningDue(_ message: Message, _ now: Now) -> Bool {
        guard let delayWarning, now.instant >= expiryAllowedFrom, !message.hasWarned, message.reversePath != nil else {
            return false
        }
        return now.wall - message.accepted >= delayWarning
    }
}
