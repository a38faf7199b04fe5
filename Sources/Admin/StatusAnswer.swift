/// `GET /api/v1/status`. The keys are stable: scripts and dashboards rest on them.
package struct StatusAnswer: Codable, Hashable, Sendable {
    package enum Verdict: String, Codable, Sendable { case healthy, degraded, starting, draining }

    /// A node; one that did not answer has only what others know of it.
    package struct NodeAnswer: Codable, Hashable, Sendable {
        package var name: String
        /// `starting`, `serving`, `draining`, `drained`, `down`, or `no answer` from one that is alive.
        package var state: String
        package var alive: Bool
        package var version: String?
        package var upSeconds: Double?
        package var acceptedPerSecond: Double?
        package var sentPerSecond: Double?
        /// That it owns.
        package var journals: Int
        /// What it lacks of its copies of others' journals.
        package var copyLagBytes: UInt64?
        package var syncP99Seconds: Double?
        package var diskFreeBytes: UInt64?
        package var diskTotalBytes: UInt64?
        package var clientConnections: Int?
        /// The other nodes to whom it is alive.
        package var seenBy: [String]
        package var silentSeconds: Double?
        /// Its port refuses connections: the process is gone.
        package var provedDead: Bool
        /// Its wall clock against that of the node that answers.
        package var clockOffsetSeconds: Double?
        package var address: String
        package var zone: String
        package var disk: String
        package var protocols: String
        package var configuration: String
        package var certificateExpiry: String?
    }

    /// How many copies there are, and what may happen before one is too few.
    package struct CopiesAnswer: Codable, Hashable, Sendable {
        /// Of a new journal (`cluster.replicas`).
        package var wanted: Int
        /// Copies on live nodes of the message that has the fewest.
        package var fewest: Int
        /// So many nodes may fail, whichever, and mail is still taken and delivered.
        package var mayFail: Int
        package var nodes: Int
        package var liveNodes: Int
        package var needed: Int
        package var majority: Bool
        /// Journals with fewer copies than they had: a disk was lost.
        package var lackingJournals: Int
    }

    package struct Oldest: Codable, Hashable, Sendable {
        package var id: String
        package var ageSeconds: Double
        package var tries: Int
        package var to: String
        package var lastReply: String
    }

    package struct QueueAnswer: Codable, Hashable, Sendable {
        package var messages: Int
        package var bytes: UInt64
        package var due: Int
        package var sending: Int
        package var retrying: Int
        package var waitingForUpstream: Int
        package var held: Int
        package var uncertain: Int
        package var oldestDueSeconds: Double?
        package var oldest: Oldest?
    }

    package struct RecentAnswer: Codable, Hashable, Sendable {
        package var accepted: Int
        package var delivered: Int
        package var deferred: Int
        package var bounced: Int
        package var uncertain: Int
    }

    package struct TakeoverAnswer: Codable, Hashable, Sendable {
        package var journal: String
        package var epoch: UInt64
        package var from: String
        package var to: String
        package var time: String
        package var messages: Int
        package var uncertain: Int
        package var firstDeliverySeconds: Double?
    }

    package struct JournalAnswer: Codable, Hashable, Sendable {
        package struct Copy: Codable, Hashable, Sendable {
            package var node: String
            package var disk: String
            /// How far the owner knows it to hold the journal durably.
            package var acknowledged: UInt64?
            package var lagBytes: UInt64?
            package var alive: Bool
            /// Its node has another disk now.
            package var lost: Bool
        }

        package var id: String
        package var epoch: UInt64
        /// `open`, `sealed`; `claiming`, `taking over`, `replica`, `blind` where nobody is known to own it.
        package var state: String
        package var owner: String?
        /// Of the owner's lease; nil when it never ends (a journal of one copy).
        package var leaseSeconds: Double?
        package var bytes: UInt64
        package var committed: UInt64
        package var unfinished: Int
        package var whole: Bool
        package var copies: [Copy]
    }

    /// Another node as the one that answers sees it (`scope=local` only).
    package struct PeerAnswer: Codable, Hashable, Sendable {
        package var name: String
        package var disk: String
        package var alive: Bool
        package var connected: Bool
        package var silentSeconds: Double?
        package var provedDead: Bool
        package var says: [String: String]
    }

    package var verdict: Verdict
    /// The verdict in words, with the fault tolerance left.
    package var summary: String
    package var warnings: Int
    /// Whether mail is accepted, by any node.
    package var ready: Bool
    package var time: String
    /// The node that answered.
    package var from: String
    package var cluster: String
    /// Nodes that did not answer this one.
    package var silent: [String]
    package var nodes: [NodeAnswer]
    package var copies: CopiesAnswer
    package var queue: QueueAnswer
    package var recent5m: RecentAnswer
    package var takeovers: [TakeoverAnswer]
    package var upstreams: [UpstreamAnswer]
    package var journals: [JournalAnswer]
    package var peers: [PeerAnswer]?
    package var drainedNodes: [String]
    package var disabledUpstreams: [String]
    /// Rules for mail yet to come; nil from a node of an older version.
    package var rules: [RuleAnswer]?
    /// How many addresses are suppressed.
    package var suppressions: Int?
    package var problems: [ProblemAnswer]
}

package struct UpstreamAnswer: Codable, Hashable, Sendable {
    package var name: String
    /// `partial`: down at the nodes of `downAt`, and not at others; or blocked by a mailbox provider.
    package var state: String
    package var share: Double?
    package var wantedShare: Double
    package var sentPerSecond: Double
    package var connections: Int
    package var maximumConnections: Int
    package var transientShare: Double
    package var permanentShare: Double
    package var medianSeconds: Double?
    package var ready: Int
    package var failure: String?
    package var downSeconds: Double?
    package var nextProbeSeconds: Double?
    package var sent: UInt64
    package var deferred: UInt64
    package var failed: UInt64
    package var downAt: [String]
    /// Moving averages.
    package var connectSeconds: Double?
    package var greetingSeconds: Double?
    /// Of the latest connections, 0 to 1.
    package var failedConnections: Double?
    package var certificateExpiry: String?
    /// 0 to 100; what nothing confirms is `blind`.
    package var trust: Int
    package var blind: Bool
    package var lowestAt: Lowest?
    package var limits: [Limit]
    /// In the currency of the prices; nil without a price.
    package var spentToday: Double?
    package var spentThisMonth: Double?

    /// The mailbox provider that trusts it least.
    package struct Lowest: Codable, Hashable, Sendable {
        package var provider: String
        package var trust: Int
    }

    /// Of the whole cluster.
    package struct Limit: Codable, Hashable, Sendable {
        /// `messages/s`, `recipients/d`, `connections`, `warm-up`, `pace`; with `@provider` for a pair's.
        package var name: String
        package var limit: Double
        package var used: Double
    }
}

package struct ProblemAnswer: Codable, Hashable, Sendable {
    package var name: String
    package var severity: String
    package var summary: String
    /// The other side's own words.
    package var says: String?
    package var effect: String
    package var baton: String
    package var you: String
    /// Where it stands, or of whom it speaks.
    package var nodes: [String]
}
