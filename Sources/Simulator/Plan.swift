package import Node
package import Primitives
import Routing

/// What a run consists of, before any of it happens: drawn from a seed, or written down by a test.
package struct Plan: Sendable {
    package var seed: UInt64
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
    /// The mean time that an upstream keeps one mood.
    package var moodEvery = Duration.minutes(10)
    /// How long the wire takes, each way.
    package var wire: ClosedRange<Duration> = .microseconds(50)...(.milliseconds(5))
    package var largestContent = 2000
    package var mostRecipients = 20
    /// Share of recipients whose mailboxes do not exist anywhere.
    package var deadRecipients = 0.0
    package var diskTotal = ByteCount.gibibytes(100)

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
        return NodeConfiguration(
            cluster: "simulated", replica: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 1))),
            hostname: "relay.example.com", upstreams: names.map { Upstream(name: $0, addresses: ["\($0).example:25"]) },
            routes: [Route(upstreams: names)], seed: seed)
    }

    /// The plan of a seed: short, with some of the faults.
    package init(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var configuration = Plan.configuration(upstreams: random.number(1...3), seed: random.next())
        Plan.vary(&configuration, &random)
        self.init(
            seed: seed, duration: random.duration(acrossOrdersOf: .seconds(20)...(.hours(12))),
            messages: random.number(3...25), configuration: configuration)
        let share = random.fraction()
        for fault in Fault.allCases where random.chance(share) { faults.insert(fault) }
        crashEvery = duration / random.number(1...8)
        crashPerEffect = random.pick([0, 0, 0.002, 0.01])
        moodEvery = duration / random.number(1...10)
        mostRecipients = random.pick([1, 3, 20])
        deadRecipients = random.pick([0, 0, 0.1, 0.5])
        if random.chance(0.3) { wire = .milliseconds(5)...(.milliseconds(random.number(10...2000))) }
        if random.chance(0.02) { largestContent = 300_000 }
        if random.chance(0.01) { messages *= 10 }
    }

    private static func vary(_ configuration: inout NodeConfiguration, _ random: inout SeededRandom) {
        if random.chance(0.5) { configuration.retry = [.seconds(20), .minutes(2), .minutes(10)] }
        if random.chance(0.3) { configuration.lifetime = .minutes(Int64(random.number(5...200))) }
        if random.chance(0.3) { configuration.nullSenderLifetime = .minutes(Int64(random.number(5...200))) }
        if random.chance(0.3) { configuration.delayWarning = .minutes(Int64(random.number(2...120))) }
        if random.chance(0.4) { configuration.uncertain = .hold }
        if random.chance(0.1) { configuration.bounces.send = false }
        if random.chance(0.1) { configuration.softBounce = true }
        configuration.journalLimit = .kibibytes(UInt64(random.pick([4, 16, 64, 4096])))
        if random.chance(0.1) { configuration.maximumQueuedMessages = random.number(2...10) }
        for index in configuration.upstreams.indices {
            configuration.upstreams[index].weight = random.pick([0, 1, 1, 1, 5])
            configuration.upstreams[index].maximumConnections = random.number(1...4)
            configuration.upstreams[index].maximumMessagesPerConnection = random.pick([1, 2, 100])
            configuration.upstreams[index].maximumRecipients = random.pick([1, 2, 5, 100])
            configuration.upstreams[index].pipelining = random.chance(0.8)
            if random.chance(0.1) { configuration.upstreams[index].nullSender = false }
            if random.chance(0.1) { configuration.upstreams[index].maximumMessageSize = .kibibytes(1) }
            if random.chance(0.2) {
                configuration.upstreams[index].idleTimeout = .milliseconds(random.number(10...2000))
            }
            if random.chance(0.3) { configuration.upstreams[index].timeouts.finalDot = .seconds(random.number(5...60)) }
            if random.chance(0.3) { configuration.upstreams[index].timeouts.command = .seconds(random.number(2...60)) }
        }
        if configuration.upstreams.count > 1, random.chance(0.3) {
            let names = configuration.upstreams.map(\.name)
            configuration.routes = [Route(upstreams: Array(names.dropLast()))]
            configuration.routes[0].fallback = Array(names.suffix(1))
        }
        if random.chance(0.1) { configuration.bounces.upstreams = [configuration.upstreams[0].name] }
        // A null reverse-path must find a way.
        configuration.upstreams[0].nullSender = true
        if configuration.upstreams.allSatisfy({ $0.weight == 0 }) { configuration.upstreams[0].weight = 1 }
    }
}
