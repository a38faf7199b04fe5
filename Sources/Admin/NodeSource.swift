package import Node
package import Primitives

/// What the admin API asks a running node; `Relay` answers in the product, fixed values in tests.
///
/// Each question hops to the node's loop and back; nothing here may block it.
package protocol NodeSource: Sendable {
    func status() async -> NodeStatus
    /// What the shell knows and the node does not.
    func facts() async -> NodeFacts
    /// Oldest first, at most `limit`, and how many there are.
    func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int)
    func message(_ id: MessageID) async -> MessageStatus?
    /// The message as its sender meant it: `prefix` and content without dot-stuffing; nil when it can't be read.
    func content(of message: MessageStatus) async -> [UInt8]?
    func perform(_ command: Command) async -> CommandAnswer
    /// False when no upstream has this name.
    func enableUpstream(_ name: String, _ enabled: Bool) async -> Bool
    /// One message's life, by time, also of one that is finished if it is still remembered; nil when unknown.
    /// `TraceAnswer.message` is left to the caller.
    func trace(_ id: MessageID) async -> TraceAnswer?
}

/// The shell's own figures.
package struct NodeFacts: Sendable {
    package struct RefusalKey: Hashable, Sendable {
        package var code: Int
        package var reason: String

        package init(code: Int, reason: String) {
            self.code = code
            self.reason = reason
        }
    }

    package var name: String
    package var cluster: String
    package var upFor: Duration
    /// How long the disk took for each sync since the process began.
    package var syncTime = Histogram()
    package var refusals: [RefusalKey: UInt64] = [:]
    package var clientConnections = 0
    package var certificateExpiry: WallTime?

    package init(name: String, cluster: String, upFor: Duration) {
        self.name = name
        self.cluster = cluster
        self.upFor = upFor
    }
}

/// The version that `baton version`, the API and the metrics give.
package enum BatonVersion {
    package static let current = "0.1.0"
}
