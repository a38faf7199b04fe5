import Primitives
import Routing

/// Several nodes' limits under one clock: gossip that is late and lossy, deaths, joins, partitions, cluster records.
///
/// Each node has clocks of its own. What it sends is written down with the true time.
struct LimitsSimulation {
    struct Sent: Hashable {
        var at: Duration
        var node: String
        var upstream: Int
        var recipients: Int
    }

    private struct Known {
        var incarnation: UInt64
        var version: UInt64
        var records: [String: [UInt8]] = [:]
        var movedAt: Duration
    }

    /// A class, so that a turn copies nothing.
    private final class Machine {
        var limits: Limits
        let clockOffset: Int64
        let wallOffset: Int64
        var isStopped = false
        var version: UInt64 = 1
        var heard: [String: Known] = [:]
        var nextPulse: Duration
        var nextRecords: Duration
        /// Proved dead, as far as this one knows.
        var provedDead: Set<String> = []
        /// What came since the last pulse, where a node looks only then.
        var inbox: [(node: String, key: String, value: [UInt8])] = []

        init(limits: Limits, clockOffset: Int64, wallOffset: Int64, nextPulse: Duration, nextRecords: Duration) {
            self.limits = limits
            self.clockOffset = clockOffset
            self.wallOffset = wallOffset
            self.nextPulse = nextPulse
            self.nextRecords = nextRecords
        }
    }

    private enum Arrival {
        case gossip(
            to: String, from: String, [String: (incarnation: UInt64, version: UInt64, records: [String: [UInt8]])])
        case record(to: String, key: String, value: [UInt8])
        case death(to: String, of: String, incarnation: UInt64)
    }

    static let pulse = Duration.milliseconds(250)
    static let lease = Duration.seconds(2)
    static let step = Duration.milliseconds(10)

    let upstreams: [Upstream]
    let names: [String]
    var random: SeededRandom
    var loss = 0.05
    /// Nodes look at what came only when they are about to speak.
    var looksWithPulses = false
    /// The true time; the wall clock begins at noon of 1 December 2026.
    private(set) var time = Duration.zero
    static let noon = WallTime(milliseconds: 1_796_126_400_000)
    var wallStart = LimitsSimulation.noon
    private var machines: [String: Machine] = [:]
    private var arrivals: [(at: Duration, what: Arrival)] = []
    private var incarnation: UInt64 = 0
    /// Cluster records, as any node finds them at a start.
    private(set) var records: [String: [UInt8]] = [:]
    private(set) var recordWrites: [(at: Duration, key: String)] = []
    /// Groups that hear only each other.
    var groups: [Set<String>] = []

    /// What waits, by node, for each upstream; `take` is tried while there is some. Nil never ends.
    var due: [String: [Int: Int]] = [:]
    var endless: [String: Set<Int>] = [:]
    var recipients = 1
    private(set) var sent: [Sent] = []
    /// Who holds how many connections, and what is watched of it.
    private(set) var open: [String: [Int: Int]] = [:]
    var usesConnections: Set<Int> = []
    private(set) var longestWithout: [String: Duration] = [:]
    private var withoutSince: [String: Duration] = [:]
    private(set) var mostOpen = 0
    var provider = ProviderID.other
    /// Called after each granted transaction: whether the upstream says 'too fast'.
    var isTooFast: (@Sendable ([Sent], Duration) -> Bool)?

    init(nodes: Int, upstreams: [Upstream], seed: UInt64) {
        self.upstreams = upstreams
        names = (0..<nodes).map { String(UnicodeScalar(UInt8(97 + $0))) }
        random = SeededRandom(seed: seed)
    }

    var living: [String] { machines.keys.sorted() }

    // MARK: What happens to nodes

    mutating func start(_ name: String) {
        incarnation += 1
        let limits = Limits(upstreams: upstreams, me: name, start: incarnation)
        let machine = Machine(
            limits: limits, clockOffset: Int64(random.fraction() * 1e12),
            wallOffset: Int64(random.fraction() * 400) - 200,
            nextPulse: time + .milliseconds(Int64(random.fraction() * 250)),
            nextRecords: time)
        machine.heard[name] = Known(incarnation: incarnation, version: 1, movedAt: time)
        let now = Self.now(time, wallStart, machine)
        machine.limits.nodes(alive: [name], known: names.count, at: now.instant)
        for (key, value) in records.sorted(by: { $0.key < $1.key }) {
            machine.limits.recordChanged(key: key, value: value, at: now)
        }
        machines[name] = machine
    }

    mutating func startAll() { for name in names { start(name) } }

    /// - Parameter isProved: Others learn of it at once, as from a refused connection; else by silence.
    mutating func kill(_ name: String, isProved: Bool) {
        let killed = machines[name]?.heard[name]?.incarnation ?? 0
        machines[name] = nil
        open[name] = nil
        withoutSince[name] = nil
        guard isProved else { return }
        for other in living {
            arrivals.append((time + .milliseconds(100), .death(to: other, of: name, incarnation: killed)))
        }
    }

    mutating func stop(_ name: String) { machines[name]?.isStopped = true }
    mutating func resume(_ name: String) { machines[name]?.isStopped = false }

    func limits(of name: String) -> Limits? { machines[name]?.limits }
    mutating func withLimits(of name: String, _ change: (inout Limits, Now) -> Void) {
        guard let machine = machines[name] else { return }
        change(&machine.limits, Self.now(time, wallStart, machine))
    }

    // MARK: Time

    private static func now(_ time: Duration, _ wallStart: WallTime, _ machine: Machine) -> Now {
        Now(
            instant: Instant(nanoseconds: machine.clockOffset) + time,
            wall: wallStart + time + .milliseconds(machine.wallOffset))
    }

    mutating func run(_ duration: Duration, while isWanted: (LimitsSimulation) -> Bool = { _ in true }) {
        let end = time + duration
        while time < end, isWanted(self) {
            time += Self.step
            deliver()
            for name in living where machines[name]?.isStopped == false { turn(name) }
        }
    }

    private mutating func deliver() {
        let ready = arrivals.filter { $0.at <= time }
        guard !ready.isEmpty else { return }
        arrivals.removeAll { $0.at <= time }
        for (_, what) in ready.sorted(by: { $0.at < $1.at }) {
            switch what {
            case .gossip(let name, let from, let news):
                if canHear(name, from) { hear(name, news) }
            case .record(let name, let key, let value):
                guard let machine = machines[name] else { continue }
                machines[name]?.limits.recordChanged(key: key, value: value, at: Self.now(time, wallStart, machine))
            case .death(let name, let dead, let incarnation):
                // Its next process is another.
                guard machines[name]?.heard[dead]?.incarnation == incarnation else { continue }
                machines[name]?.provedDead.insert(dead)
                tellNodes(name)
            }
        }
    }

    private func canHear(_ one: String, _ another: String) -> Bool {
        groups.isEmpty || groups.contains { $0.contains(one) && $0.contains(another) }
    }

    private mutating func hear(
        _ name: String, _ news: [String: (incarnation: UInt64, version: UInt64, records: [String: [UInt8]])]
    ) {
        guard let machine = machines[name], !machine.isStopped else { return }
        let now = Self.now(time, wallStart, machine)
        var changes: [(node: String, key: String, value: [UInt8])] = []
        for (node, told) in news.sorted(by: { $0.key < $1.key }) where node != name {
            let before = machine.heard[node]
            if let before, (before.incarnation, before.version) >= (told.incarnation, told.version) { continue }
            if before.map({ $0.incarnation < told.incarnation }) ?? false { machine.provedDead.remove(node) }
            for (key, value) in told.records.sorted(by: { $0.key < $1.key }) where before?.records[key] != value {
                changes.append((node, key, value))
            }
            machine.heard[node] = Known(
                incarnation: told.incarnation, version: told.version, records: told.records, movedAt: time)
        }
        guard !looksWithPulses else {
            machine.inbox += changes
            return
        }
        tellNodes(name)
        for change in changes {
            machines[name]?.limits.absorb(from: change.node, key: change.key, value: change.value, at: now)
        }
    }

    private mutating func tellNodes(_ name: String) {
        guard let machine = machines[name] else { return }
        let alive = machine.heard.filter {
            $0.key == name || (time - $0.value.movedAt < Self.lease && !machine.provedDead.contains($0.key))
        }.keys.sorted()
        machines[name]?.limits.nodes(
            alive: alive, known: names.count, at: Self.now(time, wallStart, machine).instant)
    }

    private mutating func turn(_ name: String) {
        guard let machine = machines[name] else { return }
        let now = Self.now(time, wallStart, machine)
        if time >= machine.nextPulse { pulse(name, now) }
        if time >= machine.nextRecords {
            machines[name]?.nextRecords = time + .seconds(1)
            for record in machines[name]?.limits.recordsToWrite(at: now) ?? [] {
                write(record.key, record.value, by: name)
            }
        }
        for upstream in upstreams.indices {
            if usesConnections.contains(upstream) { connect(name, upstream, now) }
            send(name, upstream, now)
        }
    }

    private mutating func write(_ key: String, _ value: [UInt8], by name: String) {
        records[key] = value
        recordWrites.append((time, key))
        for other in living {
            let delay = other == name ? 20 : 50 + Int64(random.fraction() * 300)
            arrivals.append((time + .milliseconds(delay), .record(to: other, key: key, value: value)))
        }
    }

    private mutating func pulse(_ name: String, _ now: Now) {
        tellNodes(name)
        guard let machine = machines[name] else { return }
        for change in machine.inbox {
            machine.limits.absorb(from: change.node, key: change.key, value: change.value, at: now)
        }
        machine.inbox = []
        machine.nextPulse = time + Self.pulse
        for upstream in upstreams.indices {
            let waiting = endless[name]?.contains(upstream) == true ? 10_000 : due[name]?[upstream] ?? 0
            machine.limits.demand(upstream: upstream, provider: provider, due: waiting)
        }
        for (key, value) in machine.limits.publish(at: now) { machine.heard[name]?.records[key] = value }
        machine.heard[name]?.version += 1
        machine.heard[name]?.movedAt = time
        let news = machine.heard.mapValues { ($0.incarnation, $0.version, $0.records) }
        for other in living where other != name && !random.chance(loss) {
            let delay = Duration.milliseconds(1 + Int64(random.fraction() * 60))
            arrivals.append((time + delay, .gossip(to: other, from: name, news)))
        }
    }

    private mutating func send(_ name: String, _ upstream: Int, _ now: Now) {
        if usesConnections.contains(upstream), open[name]?[upstream, default: 0] ?? 0 == 0 { return }
        // An upstream without a limit takes no more than this in one step.
        for _ in 0..<(usesConnections.contains(upstream) ? 1 : 20) {
            let isEndless = endless[name]?.contains(upstream) == true
            guard isEndless || due[name]?[upstream] ?? 0 > 0, let machine = machines[name] else { return }
            let taken = machine.limits.take(
                upstream: upstream, provider: provider, recipients: recipients, at: now.instant)
            guard taken == .granted else { return }
            if !isEndless { due[name]?[upstream]? -= recipients }
            sent.append(Sent(at: time, node: name, upstream: upstream, recipients: recipients))
            if let isTooFast, isTooFast(sent, time) {
                machines[name]?.limits.rateLimited(upstream: upstream, provider: nil, at: now.instant)
            } else {
                machines[name]?.limits.succeeded(upstream: upstream, provider: provider, at: now.instant)
            }
            machines[name]?.limits.finished(upstream: upstream, provider: provider, at: now.instant)
        }
    }

    /// Opens what it may and closes what is too many at once: a transaction here is shorter than a step.
    private mutating func connect(_ name: String, _ upstream: Int, _ now: Now) {
        guard let machine = machines[name] else { return }
        let wants = endless[name]?.contains(upstream) == true || due[name]?[upstream] ?? 0 > 0
        let allowed = wants ? machine.limits.connections(upstream: upstream, at: now.instant) : 0
        if open[name]?[upstream, default: 0] ?? 0 != allowed {
            open[name, default: [:]][upstream] = allowed
            machines[name]?.limits.connectionsChanged(upstream: upstream, open: allowed, at: now.instant)
        }
        mostOpen = max(mostOpen, open.values.reduce(0) { $0 + ($1[upstream] ?? 0) })
        guard wants, allowed == 0 else {
            withoutSince[name] = nil
            return
        }
        let since = withoutSince[name] ?? time
        withoutSince[name] = since
        longestWithout[name] = max(longestWithout[name] ?? .zero, time - since)
    }

    mutating func forgetWaits() {
        longestWithout = [:]
        withoutSince = [:]
        mostOpen = 0
    }

    // MARK: What was seen

    /// The least and the most sent in any window of so long between two times.
    func windows(_ length: Duration, from: Duration, to: Duration, upstream: Int? = nil) -> (least: Int, most: Int) {
        let step = Duration.milliseconds(100)
        var counts: [Int] = []
        for _ in 0..<Int((to - from) / step) { counts.append(0) }
        for one in sent where one.at > from && one.at <= to && (upstream == nil || upstream == one.upstream) {
            let slot = Int((one.at - from - .nanoseconds(1)) / step)
            if slot >= 0, slot < counts.count { counts[slot] += one.recipients }
        }
        let width = Int(length / step)
        guard counts.count >= width else { return (0, 0) }
        var sum = counts[0..<width].reduce(0, +)
        var (least, most) = (sum, sum)
        for end in width..<max(width, counts.count) {
            sum += counts[end] - counts[end - width]
            least = min(least, sum)
            most = max(most, sum)
        }
        return (least, most)
    }

    func count(from: Duration, to: Duration, node: String? = nil, upstream: Int? = nil) -> Int {
        sent.reduce(0) {
            $1.at > from && $1.at <= to && (node ?? $1.node) == $1.node && (upstream ?? $1.upstream) == $1.upstream
                ? $0 + $1.recipients : $0
        }
    }
}
