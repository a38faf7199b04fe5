package import EventLoop
package import Node
package import Primitives
package import Routing

/// One node's configuration file, read and checked: what `baton serve` runs by.
///
/// `Configuration.load` makes it. Every limit is the cluster's. What has no default here is required in the file.
package struct Configuration: Hashable, Sendable {
    package struct Node: Hashable, Sendable {
        package var name = ""
        /// An absolute path, or one relative to the working directory of the process.
        package var dataDirectory = "/var/lib/baton"
        package var zone: String?
        /// Below so much free disk no mail is taken; nil leaves the node's own default.
        package var minimumFree: ByteCount?
    }

    /// Without `listen` this node is a cluster of one.
    package struct Cluster: Hashable, Sendable {
        package var name = "baton"
        /// Where peers connect to; a numeric address.
        package var listen: HostPort?
        /// What peers are told: `listen` unless the file says otherwise. Set whenever `listen` is.
        package var advertise: HostPort?
        /// Seeds, this node usually among them; numeric addresses.
        package var peers: [HostPort] = []
        /// `readSecrets` reads them.
        package var secretFiles: [String] = []
        /// Copies of each message.
        package var replicas = 1
        package var lease = Duration.seconds(2)
        /// Whether a proved process death ends its leases at once.
        package var fastFailover = true
    }

    /// The SMTP server in front.
    package struct SMTP: Hashable, Sendable {
        package var hostname = ""
        /// Where mail for `postmaster` without a domain goes.
        package var postmaster = ""
        package var listeners: [Listener] = []
        package var certificateFile: String?
        package var privateKeyFile: String?
        /// Who may relay; an empty list refuses every client.
        package var relayFrom: [AddressRange] = []
        package var maximumMessageSize = ByteCount.mebibytes(50)
        package var maximumRecipients = 1000
        package var maximumConnections = 10_000
        package var maximumConnectionsPerAddress = 200
        package var maximumMessagesPerSession = 1000
        package var maximumSessionAge = Duration.minutes(10)
        /// `Date` and `Message-ID` where they lack.
        package var addMissingHeaders = true
    }

    package struct Listener: Hashable, Sendable {
        package enum TLSMode: String, Hashable, Sendable, CaseIterable { case off, optional, required }

        package var address: HostPort
        package var tls = TLSMode.off
        /// The balancers: a connection from one of them begins with a PROXY header, and no other may.
        package var proxyProtocol: [AddressRange] = []
    }

    package struct Delivery: Hashable, Sendable {
        package var retry: [Duration] = [
            .minutes(1), .minutes(5), .minutes(15), .minutes(30), .hours(1), .hours(2), .hours(4),
        ]
        package var lifetime = Duration.days(3)
        package var nullSenderLifetime = Duration.days(1)
        /// Nil: no warnings.
        package var delayWarning: Duration?
        package var uncertain = NodeConfiguration.Uncertain.resend
        package var bounces = NodeConfiguration.Bounces()
        package var softBounce = false
        /// The user's own rules for replies; `load` reads them into `replyRules`.
        package var replyRulesFile: String?
        package var replyRules: NodeConfiguration.ReplyRules?
        /// How long a node that drains or stops waits for what is under way.
        package var drainTimeout = Duration.seconds(25)
    }

    package typealias Suppressions = NodeConfiguration.Suppressions

    package struct Admin: Hashable, Sendable {
        /// Beside the Unix socket, which is always there.
        package var listen: HostPort?
        package var tokenFile: String?
    }

    package struct Health: Hashable, Sendable {
        package var listen: HostPort?
    }

    package struct Log: Hashable, Sendable {
        package enum Level: String, Hashable, Sendable, CaseIterable { case debug, info, warning, error }

        package var level = Level.info
        package var format = LogLine.Format.text
    }

    package var node = Node()
    package var cluster = Cluster()
    package var smtp = SMTP()
    package var upstreams: [Upstream] = []
    package var routes: [Route] = []
    package var routing = RoutingSettings()
    package var delivery = Delivery()
    package var feedback = Feedback()
    package var suppressions = Suppressions()
    package var admin = Admin()
    package var health = Health()
    package var log = Log()

    /// Where the admin API listens without a token, inside the data directory.
    package var adminSocketPath: String { node.dataDirectory + "/admin.sock" }

    /// What the node is told of it. The replica's disk id stands in the data directory; the seed is chance.
    ///
    /// - Parameter incarnation: Of this process; a reload, which changes none, needs not tell it.
    package func nodeConfiguration(replica: ReplicaID, incarnation: UInt64 = 1, seed: UInt64) -> NodeConfiguration {
        var result = NodeConfiguration(
            cluster: cluster.name, replica: replica, hostname: smtp.hostname, upstreams: upstreams, routes: routes,
            seed: seed)
        result.incarnation = incarnation
        result.replicas = cluster.replicas
        result.lease = cluster.lease
        result.isFastFailover = cluster.fastFailover
        result.zone = node.zone ?? ""
        result.retry = delivery.retry
        result.lifetime = delivery.lifetime
        result.nullSenderLifetime = delivery.nullSenderLifetime
        result.delayWarning = delivery.delayWarning
        result.uncertain = delivery.uncertain
        result.bounces = delivery.bounces
        result.softBounce = delivery.softBounce
        result.replyRules = delivery.replyRules
        result.routing = routing
        result.suppressions = suppressions
        if let minimumFree = node.minimumFree {
            result.minimumFree = minimumFree
            // A figure of the user's own is meant as it stands, also on a small disk.
            result.minimumFreeShare = 0
        }
        return result
    }
}
