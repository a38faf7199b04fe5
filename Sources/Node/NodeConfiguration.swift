package import Cluster
package import Primitives
package import Routing

/// What a node is told from outside, already checked.
package struct NodeConfiguration: Hashable, Sendable {
    package enum Uncertain: String, Hashable, Sendable { case resend, hold }

    package struct Bounces: Hashable, Sendable {
        package var send = true
        /// The From of a report; `postmaster@hostname` when nil.
        package var from: String?
        /// Names of the upstreams that carry bounces; empty: the routes decide.
        package var upstreams: [String] = []
        package init() {}
    }

    /// Addresses that get no mail.
    package struct Suppressions: Hashable, Sendable {
        package enum Check: String, Hashable, Sendable, CaseIterable {
            /// The client is told at RCPT.
            case rcpt
            /// The recipient bounces when its mail is routed.
            case routing
            case off
        }

        package var check = Check.rcpt
        /// Whether a bad recipient's bounce puts it on the list.
        package var hardBounces = true
        package var expiry = Duration.days(90)
        package init() {}
    }

    /// A file that was read and checked.
    package struct ReplyRules: Hashable, Sendable {
        /// Its name, for what tells which rule applied.
        package var file: String
        package var text: String

        package init(file: String, text: String) {
            self.file = file
            self.text = text
        }
    }

    package var cluster: String
    package var replica: ReplicaID
    /// When this process began, higher than at every start before (`protocol.md`, 'Names').
    package var incarnation: UInt64 = 1
    /// Members of each journal that this node opens.
    package var replicas = 1
    package var lease = Duration.seconds(2)
    /// Whether a proved process death ends a promise before its time.
    package var isFastFailover = true
    package var zone = ""
    package var hostname: String
    package var upstreams: [Upstream]
    package var routes: [Route]
    /// The waits after the first, second … failed try; the last one repeats.
    package var retry: [Duration] = [
        .minutes(1), .minutes(5), .minutes(15), .minutes(30), .hours(1), .hours(2), .hours(4),
    ]
    package var lifetime = Duration.days(3)
    package var nullSenderLifetime = Duration.days(1)
    /// Nil: no warnings.
    package var delayWarning: Duration?
    package var uncertain = Uncertain.resend
    package var bounces = Bounces()
    package var softBounce = false
    package var routing = RoutingSettings()
    /// The user's own file of reply rules.
    package var replyRules: ReplyRules?
    package var suppressions = Suppressions()
    /// Below the first mark of free space no mail is taken (`architecture.md`, 'Storage rules').
    package var minimumFree = ByteCount.gibibytes(2)
    package var minimumFreeShare = 0.10
    /// A journal rolls at this size.
    package var journalLimit = ByteCount.mebibytes(64)
    /// Every replica holds the index in memory: beyond so many messages new mail is answered 452.
    package var maximumQueuedMessages = 1_000_000
    /// Appended bytes that wait for the disk; beyond it new mail is answered 451 (admission, not correctness).
    package var maximumBacklog = ByteCount.mebibytes(64)
    /// Guards left out: tests only, empty in the product.
    package var mutations: Set<Mutation> = []
    /// Seeds the node's chance: ids, jitter, choice of upstream.
    package var seed: UInt64

    package init(
        cluster: String, replica: ReplicaID, hostname: String, upstreams: [Upstream], routes: [Route], seed: UInt64
    ) {
        self.cluster = cluster
        self.replica = replica
        self.hostname = hostname
        self.upstreams = upstreams
        self.routes = routes
        self.seed = seed
    }
}

extension NodeConfiguration {
    /// With the user's own rules; those that can't be read were refused before, and count for nothing here.
    var classifier: ReplyClassifier {
        guard let replyRules else { return .standard }
        return (try? ReplyClassifier(extending: replyRules.text, named: replyRules.file)) ?? .standard
    }
}
