package import Cluster
package import Node
package import Primitives
package import Relay
package import Routing

/// What the admin API asks a running node; `Relay` answers in the product, fixed values in tests.
///
/// Each question hops to the node's loop and back; nothing here may block it.
package protocol NodeSource: Sendable {
    func status() async -> NodeStatus
    /// Its wall clock.
    func time() async -> WallTime
    /// What the shell knows and the node does not.
    func facts() async -> NodeFacts
    /// Oldest first, at most `limit`, and how many there are.
    func list(_ filter: QueueFilter, limit: Int) async -> (messages: [MessageStatus], matched: Int)
    func message(_ id: MessageID) async -> MessageStatus?
    /// The message as its sender meant it: `prefix` and content without dot-stuffing; nil when it can't be read.
    func content(of message: MessageStatus) async -> [UInt8]?
    func perform(_ command: Command) async -> CommandAnswer
    /// Where such a message would go now, and why.
    func explain(_ subject: RouteSubject) async -> RouteExplanation
    /// Nil when no upstream has the name, or no provider that is asked for.
    func trust(of upstream: String, at provider: String?) async -> UpstreamTrust?
    /// Forgets, on all nodes, what is held against an upstream (nil: all) at a provider (nil: everywhere).
    func resetTrust(of upstream: String?, at provider: String?) async
    /// One message's life, by time, also of one that is finished if it is still remembered; nil when unknown.
    /// `TraceAnswer.message` is left to the caller.
    func trace(_ id: MessageID) async -> TraceAnswer?

    // The cluster.
    /// Brings a question to another node; nil when its whole answer did not come in time.
    func ask(_ peer: ReplicaID, _ what: [UInt8], patience: Duration) async -> [UInt8]?
    /// Who answers other nodes' questions from now on.
    func answerPeers(with answer: @escaping @Sendable ([UInt8]) async -> [UInt8]) async
    /// Another node's question about what was said of a message after its 250; nil where nothing ever is.
    func answerFeedback(_ question: [UInt8]) async -> [UInt8]?
    /// Writes one of the cluster's records, or removes it (nil).
    func record(_ key: String, _ value: [UInt8]?) async -> RecordOutcome
    /// Writes several, all or none.
    func write(_ records: [RecordWrite], by: String) async -> RecordOutcome
    /// Those that have a value and whose key begins so, in no order.
    func records(prefix: String) async -> [ClusterRecord]
    /// This node is gone for good: a record too.
    func forget(_ node: String) async -> RecordOutcome
    /// What happened in the cluster after this number, as this node saw it, oldest first.
    func events(after sequence: UInt64) async -> [EventsAnswer.Event]
    /// Looks at the machine that the node runs on: disk, limits, names, upstreams. Takes seconds.
    func examine() async -> [ExaminationAnswer.Line]
}

extension NodeSource {
    package func answerFeedback(_ question: [UInt8]) async -> [UInt8]? { nil }
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

    /// Somebody whom the cluster's transport does not speak to.
    package struct RefusedPeer: Hashable, Sendable {
        package var address: String
        package var reason: String
        /// It has the name of a node that runs elsewhere.
        package var isNameTaken: Bool

        package init(address: String, reason: String, isNameTaken: Bool) {
            self.address = address
            self.reason = reason
            self.isNameTaken = isNameTaken
        }
    }

    package var name: String
    package var cluster: String
    package var upFor: Duration
    /// Copies that a new journal gets.
    package var replicas = 1
    package var disk = ""
    package var zone = ""
    /// Where peers reach it; empty without a cluster.
    package var address = ""
    /// What its gossip says of the protocols that it speaks, such as `1-1`.
    package var protocols = "1-1"
    package var configurationDigest = ""
    package var refusedPeers: [RefusedPeer] = []
    /// How long the disk took for each sync since the process began.
    package var syncTime = Histogram()
    package var refusals: [RefusalKey: UInt64] = [:]
    /// What was heard of mail after its 250, by upstream and event.
    package var feedback: [FeedbackDesk.CountKey: UInt64] = [:]
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
