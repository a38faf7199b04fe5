import Cluster
package import Node
package import Primitives
import Routing

/// What a run consists of, before any of it happens: drawn from a seed, or written down by a test.
package struct Plan: Sendable {
    package var seed: UInt64
    /// 1, 3 or 5. With one the clocks are exact, and runs are long and sparse; with more they are short and dense.
    package var nodes = 1
    /// How long clients submit and faults happen; then everything is healed and the queue must empty.
    package var duration: Duration
    /// Clients' messages, spread over the duration.
    package var messages: Int
    package var configuration: NodeConfiguration
    package var faults: Set<Fault>
    /// The mean time between two crashes of the kinds that are on.
    package var crashEvery = Duration.minutes(10)
    /// The chance of a crash between any two effects.
    package var crashPerEffect = 0.0
    /// The mean time between two faults of the network, of disks, of several nodes.
    package var clusterFaultEvery = Duration.seconds(3)
    /// The mean time that an upstream keeps one mood.
    package var moodEvery = Duration.minutes(10)
    /// How long the wire to an upstream takes, each way.
    package var wire: ClosedRange<Duration> = .microseconds(50)...(.milliseconds(5))
    package var largestContent = 2000
    package var mostRecipients = 20
    /// Share of recipients whose mailboxes do not exist anywhere.
    package var deadRecipients = 0.0
    package var diskTotal = ByteCount.gibibytes(100)
    /// How long a drain waits for what is under way.
    package var drainTimeout = Duration.minutes(30)
    /// Clients send again when a connection breaks behind the final dot.
    package var clientsRepeat = false
    /// When it is taken for endless; nil: by the number of nodes.
    package var mostTurns: Int?
    /// The negative test: clocks beyond the bound that leases allow for.
    package var clocksBeyondBound = false
    /// For scenarios: how fast each node's clock runs, by its index; by chance when empty.
    package var clockRates: [Double] = []

    package init(
        seed: UInt64, duration: Duration, messages: Int, configuration: NodeConfiguration, faults: Set<Fault> = []
    ) {
        self.seed = seed
        self.duration = duration
        self.messages = messages
        self.configuration = configuration
        self.faults = faults
    }

    /// A node with so many upstreams that are all alike.
    package static func configuration(upstreams: Int, seed: UInt64) -> NodeConfiguration {
        let names = (0..<upstreams).map { "up\($0 + 1)" }
        var configuration = NodeConfiguration(
            cluster: "simulated", replica: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 1))),
            hostname: "relay.example.com", upstreams: names.map { Upstream(name: $0, addresses: ["\($0).example:25"]) },
            routes: [Route(upstreams: names)], seed: seed)
        // Alone it needs no pulses: they would be most of what happens in hours.
        configuration.lease = .hours(1)
        return configuration
    }

    /// Whether the plan breaks what leases rest upon.
    var mayBreakLeases: Bool { clocksBeyondBound || faults.contains(.forgedDeath) }

    // MARK: What follows from the number of nodes

    var isDense: Bool { nodes > 1 }
    /// A process that ended is started again within this.
    var longestRest: Duration { isDense ? .seconds(4) : .minutes(2) }
    var longestFull: Duration { isDense ? .seconds(20) : .hours(1) }
    var slowestSync: Duration { isDense ? .seconds(2) : .seconds(60) }
    var longestReply: Duration { isDense ? .seconds(15) : .minutes(9) }
    var longestDrain: Duration { isDense ? .seconds(15) : .minutes(45) }
    /// Beyond the waits between tries: for a lone node the longest transaction; for several the time that attempts of a
    /// released epoch are left alone.
    var longestSettling: Duration { isDense ? .minutes(15) : .hours(2) }
    var otherRetries: [[Duration]] {
        isDense
            ? [[.seconds(2)], [.seconds(1), .seconds(3), .seconds(8)]]
            : [[.seconds(30), .minutes(5)], [.minutes(1), .minutes(10), .hours(1)]]
    }
    /// Far more than any plan needs: a run that reaches it goes round in circles.
    var turnLimit: Int { mostTurns ?? (isDense ? 3_000_000 : 400_000) }
}
