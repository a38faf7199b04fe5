import Cluster
import Node
import Primitives
import Routing

/// Plans drawn from seeds.
extension Plan {
    /// The plan of a seed: short, with some of the faults.
    ///
    /// - Parameter mutant: The guard that is left out; see `mutants`.
    package init(seed: UInt64, nodes: Int = 1, mutant: String? = nil) {
        var random = SeededRandom(seed: nodes == 1 ? seed : seed &* 31 &+ UInt64(nodes))
        var configuration = Plan.configuration(upstreams: random.number(1...3), seed: random.next())
        Plan.vary(&configuration, &random)
        if nodes > 1 { Plan.quicken(&configuration, nodes, &random) }
        configuration.mutations = Set([mutant.flatMap { Mutation(rawValue: $0) }].compactMap { $0 })
        let duration =
            nodes == 1
            ? random.duration(acrossOrdersOf: .seconds(20)...(.hours(12)))
            : random.duration(.seconds(40)...(.seconds(80)))
        self.init(seed: seed, duration: duration, messages: random.number(3...25), configuration: configuration)
        self.nodes = nodes
        let share = random.fraction()
        for fault in Fault.allCases where fault != .forgedDeath && random.chance(share) { faults.insert(fault) }
        crashEvery = duration / random.number(1...8)
        crashPerEffect = random.pick([0, 0, 0.002, 0.01])
        moodEvery = duration / random.number(1...10)
        mostRecipients = random.pick([1, 3, 20])
        deadRecipients = random.pick([0, 0, 0.1, 0.5])
        if random.chance(0.3) { wire = .milliseconds(5)...(.milliseconds(random.number(10...2000))) }
        if random.chance(0.02) { largestContent = 300_000 }
        if random.chance(0.01) { messages *= 10 }
        if nodes > 1 { densify(&random) }
    }

    /// The names of the guards that can be left out.
    package static var mutants: [String] { Mutation.allCases.map(\.rawValue) }

    private mutating func densify(_ random: inout SeededRandom) {
        clientsRepeat = random.chance(0.3)
        drainTimeout = .milliseconds(random.pick([500, 2000, 8000]))
        clusterFaultEvery = .milliseconds(random.number(800...8000))
        crashEvery = .seconds(random.number(3...20))
        crashPerEffect = random.pick([0, 0, 0.0005, 0.002])
        moodEvery = .seconds(random.number(3...20))
        if random.chance(0.3) { messages *= 3 }
        if wire.upperBound > .milliseconds(500) { wire = .milliseconds(5)...(.milliseconds(500)) }
    }

    /// Waits of seconds, and leases: what takes a lone node hours must fit into a minute.
    private static func quicken(_ configuration: inout NodeConfiguration, _ nodes: Int, _ random: inout SeededRandom) {
        configuration.replicas = nodes == 5 && random.chance(0.5) ? 5 : 3
        configuration.lease = random.pick([.milliseconds(1000), .seconds(2), .seconds(2), .seconds(3)])
        configuration.isFastFailover = random.chance(0.85)
        configuration.retry = random.pick([[.seconds(1), .seconds(4)], [.seconds(3)], [.seconds(2), .seconds(10)]])
        configuration.lifetime = random.chance(0.2) ? .seconds(Int64(random.number(15...60))) : .hours(3)
        configuration.nullSenderLifetime = configuration.lifetime
        configuration.delayWarning = random.chance(0.2) ? .seconds(10) : nil
        configuration.journalLimit = .kibibytes(UInt64(random.pick([8, 32, 4096])))
        configuration.maximumQueuedMessages = 1_000_000
        for index in configuration.upstreams.indices {
            configuration.upstreams[index].timeouts.connect = .seconds(random.number(1...5))
            configuration.upstreams[index].timeouts.greeting = .seconds(random.number(2...8))
            configuration.upstreams[index].timeouts.command = .seconds(random.number(2...10))
            configuration.upstreams[index].timeouts.data = .seconds(random.number(2...10))
            configuration.upstreams[index].timeouts.finalDot = .seconds(random.number(3...20))
        }
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
            configuration.routes[0].fallback = [Array(names.suffix(1))]
        }
        if random.chance(0.1) { configuration.bounces.upstreams = [configuration.upstreams[0].name] }
        // A null reverse-path must find a way.
        configuration.upstreams[0].nullSender = true
        if configuration.upstreams.allSatisfy({ $0.weight == 0 }) { configuration.upstreams[0].weight = 1 }
    }
}
