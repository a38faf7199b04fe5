package import Primitives
package import Routing

/// A node at a glance: what `baton status`, `/api/v1/status`, `/metrics` and `/readyz` are made of.
package struct NodeStatus: Sendable {
    /// `drained`: it takes part no more, but for the copies that it keeps.
    package enum State: String, Sendable { case starting, serving, draining, drained }

    package struct Queue: Sendable {
        package var messages = 0
        package var bytes = ByteCount(bytes: 0)
        package var due = 0
        package var sending = 0
        package var retrying = 0
        package var waitingForUpstream = 0
        package var held = 0
        package var uncertain = 0
        /// How long the message that has been due longest is due.
        package var oldestDue: Duration?
        package var oldest: MessageStatus?
    }

    package struct UpstreamStatus: Sendable {
        /// `partial`: up, and blocked by some provider, or returning there.
        package enum State: String, Sendable { case up, partial, down, disabled, ramping }
        package var name: String
        package var state: State
        package var connections: Int
        /// Of the whole cluster.
        package var maximumConnections: Int
        /// Of the results of the last 5 minutes, 0 to 1; nil without any.
        package var share: Double?
        package var wantedShare: Double
        package var sentPerSecond = 0.0
        package var transientShare = 0.0
        package var permanentShare = 0.0
        /// Median time of a transaction.
        package var median: Duration?
        package var ready = 0
        package var failure: String?
        package var downFor: Duration?
        package var nextProbe: Duration?
        package var sent: UInt64 = 0
        package var deferred: UInt64 = 0
        package var failed: UInt64 = 0
        /// Moving averages, as this node sees it.
        package var connectTime: Duration?
        package var greetingTime: Duration?
        /// Of the latest connections, 0 to 1.
        package var failedConnections = 0.0
        package var certificateExpiry: WallTime?
        /// 0 to 100, by what the whole cluster has seen.
        package var trust = 100
        /// Nothing confirms what becomes of its mail after its 250.
        package var isBlind = true
        /// The provider that trusts it least.
        package var lowest: (provider: String, trust: Int)?
        package var limits: [LimitUse] = []
        /// In the currency of the prices, of the whole cluster; nil without a price.
        package var spentToday: Double?
        package var spentThisMonth: Double?

        init(name: String, state: State, connections: Int, maximumConnections: Int, wantedShare: Double) {
            self.name = name
            self.state = state
            self.connections = connections
            self.maximumConnections = maximumConnections
            self.wantedShare = wantedShare
        }
    }

    package struct PairTrust: Hashable, Sendable {
        package var upstream: String
        package var provider: String
        /// 0 to 100.
        package var trust: Int
    }

    /// A recipient domain that defers.
    package struct DestinationStatus: Sendable {
        package enum State: String, Sendable {
            /// Nothing goes there until the next probe.
            case closed
            /// One message is its probe.
            case probing
            /// It takes mail again, more with each message.
            case opening
        }

        package var domain: String
        package var state: State
        /// Messages that wait until it takes more.
        package var parked: Int
        /// Deferred transactions in a row, and since when.
        package var failures: Int
        package var since: WallTime
        package var nextProbe: Duration?
        package var lastReply: String
    }

    /// One journal as this node sees it.
    package struct JournalStatus: Sendable {
        package enum Role: String, Sendable {
            /// `blind`: it holds a copy that it can't read (a newer version's, or damaged beyond recovery).
            case owner, takingOver = "taking over", claiming, replica, blind
        }

        package struct Copy: Sendable {
            package var replica: ReplicaID
            /// How far it is known to hold the journal durably: the owner's view; nil when this node does not know.
            package var acknowledged: UInt64?
            package var isAlive: Bool
        }

        package var id: JournalID
        package var role: Role
        package var isSealed: Bool
        package var epoch: UInt64
        /// To whom this node has promised it.
        package var owner: ReplicaID?
        /// How long the owner's lease (this node's view) or the promise still binds; nil when it never ends (R = 1).
        package var leaseLeft: Duration?
        package var bytes: ByteCount
        package var committed: UInt64
        package var unfinished: Int
        package var copies: [Copy]
        /// The copy caught up since start-up found it damaged.
        package var isWhole: Bool
    }

    /// Another node, as gossip tells of it.
    package struct PeerStatus: Sendable {
        package var replica: ReplicaID
        package var isAlive: Bool
        package var isConnected: Bool
        /// Since its version last moved; nil when it never was heard.
        package var silentFor: Duration?
        /// Proved by its closed port.
        package var isProvedDead: Bool
        /// What it says of itself: `state`, `address`, `version`, `zone`, …
        package var says: [String: [UInt8]]
        package var isForgotten: Bool
    }

    /// What came from a dead or silent node lately, for `TAKEOVER`.
    package struct Takeover: Sendable {
        package var journal: JournalID
        package var epoch: UInt64
        package var from: String
        package var at: WallTime
        package var messages: Int
        package var uncertain: Int
        /// From the takeover's frame to the first delivery.
        package var firstDelivery: Duration?
    }

    /// Totals of the last five minutes.
    package struct Recent: Sendable {
        package var accepted = 0
        package var sent = 0
        package var deferred = 0
        package var bounced = 0
        package var uncertain = 0
        package var acceptedPerSecond = 0.0
        package var sentPerSecond = 0.0
    }

    package var state: State
    package var isReady: Bool
    package var time: WallTime
    package var queue: Queue
    package var recent: Recent
    package var upstreams: [UpstreamStatus]
    /// Pairs of upstream and provider with evidence against them.
    package var trust: [PairTrust]
    /// The backed-off destinations that most messages wait for, at most `destinationsShown` of `destinationsDeferred`.
    package var destinations: [DestinationStatus] = []
    package var destinationsDeferred = 0
    /// Messages that wait for those, each counted once for each destination.
    package var parked = 0
    package static let destinationsShown = 20
    package var journals: [JournalStatus]
    package var peers: [PeerStatus]
    package var takeovers: [Takeover]
    /// Of the cluster's records, those that are in force.
    package var drainedNodes: [String]
    package var disabledUpstreams: [String]
    package var rules: [MailRule] = []
    package var suppressions = 0
    /// How many replicas a new journal would have, of how many are wanted; 0 when it can't be opened.
    package var replicas: Int
    package var diskFree: ByteCount
    package var diskTotal: ByteCount
    package var problems: [Problem]
    package var counters: NodeCounters
}

/// Something that is wrong, in the words of `outputs.md`, rule 2.
package struct Problem: Hashable, Sendable {
    package enum Severity: String, Sendable { case warning, degraded }
    /// Stable: `upstream-down`, `disk-low`, …; `baton explain` knows it.
    package var name: String
    package var severity: Severity
    package var summary: String
    /// What the other side says, in its own words; nil where that is no part of it.
    package var says: String?
    package var effect: String
    package var baton: String
    package var you: String

    package init(
        name: String, severity: Severity, summary: String, says: String? = nil, effect: String, baton: String,
        you: String
    ) {
        self.name = name
        self.severity = severity
        self.summary = summary
        self.says = says
        self.effect = effect
        self.baton = baton
        self.you = you
    }
}

/// What only grows, since the process began.
package struct NodeCounters: Sendable {
    package struct ResultKey: Hashable, Sendable {
        package var upstream: String
        package var status: String
        /// The mailbox provider, `other` for the long tail.
        package var provider: String
        /// Of a refusal (`ReplyClass`); empty for none.
        package var replyClass: String
    }

    package var accepted: UInt64 = 0
    package var results: [ResultKey: UInt64] = [:]
    package var takeovers: UInt64 = 0
    package var uncertain: UInt64 = 0
    package var bouncesDropped: UInt64 = 0
    /// Recipients refused or failed because they are on the suppression list.
    package var suppressed: UInt64 = 0
    package var acceptTime = Histogram()
    package var timeToSend = Histogram()

    package init() {}
}

/// One unfinished message, for people.
package struct MessageStatus: Sendable {
    package enum State: String, Sendable, CaseIterable {
        case due, sending, retrying, waitingForUpstream = "waiting for upstream", held
    }

    package struct RecipientStatus: Sendable {
        package var address: String
        /// `delivered`, `failed`, `due`, `sending`, `retrying`, `waiting for upstream`, `held`, `cancelled`, `expired`.
        package var state: String
        package var tries: Int
        package var due: WallTime?
        package var lastReply: String
        package var upstream: String
    }

    package var id: MessageID
    package var journal: JournalID
    package var state: State
    package var accepted: WallTime
    package var sender: String
    /// Who authenticated; empty for nobody.
    package var user = ""
    package var recipients: [RecipientStatus]
    package var size: ByteCount
    package var messageIDField: String
    package var attempts: Int
    package var isUncertain: Bool
    package var due: WallTime?
    package var content: ContentReference
}

/// Which messages of a queue are meant. Every given part must match.
package struct QueueFilter: Sendable {
    /// Substrings, in lower case; `@example.net` matches a domain.
    package var to: String?
    package var from: String?
    /// Who authenticated, exactly.
    package var user: String?
    package var messageID: String?
    package var upstream: String?
    package var state: MessageStatus.State?
    package var olderThan: Duration?
    package var uncertainOnly = false
    package var ids: [ClosedRange<ULID>] = []

    package init() {}
}
