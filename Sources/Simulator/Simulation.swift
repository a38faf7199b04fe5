import Cluster
import Journal
import Node
package import Primitives
import SMTP

/// Nodes under a seeded scheduler: their disks, network, clients, upstreams, people and clocks are simulated, they
/// themselves are the ones that are shipped.
///
/// The loop takes the next thing that happens, hands its event to a node and carries out the effects in order. A crash may
/// come between any two effects; a new `Node` is then recovered from what the simulated disk has left. After each step
/// and at the end what everybody wrote into their books, and what every disk holds, is compared with the promises of
/// `protocol.md`, 'Invariants'.
///
/// A run has three parts: *chaos*, with faults; then everything is *healed* and the queue must empty, but for what is
/// held; then what is held is released and must go too.
package final class Simulation {
    static let beginning = Instant(nanoseconds: 3_600_000_000_000)

    package let plan: Plan
    package internal(set) var totals = Totals()
    /// The first promise that was broken; nothing happens after it.
    package internal(set) var violation: String?
    /// Changes with everything that happens: equal for two runs of one plan.
    package internal(set) var fingerprint: UInt64 = 14_695_981_039_346_656_037
    /// Gets the timeline, a line at a time.
    package var trace: ((String) -> Void)?

    package internal(set) var isHealed = false
    var random: SeededRandom
    var scheduler = Scheduler(now: Simulation.beginning)
    var machines: [Machine] = []
    var network: SimulatedNetwork
    /// All disks that a machine has, or may get back.
    var disks: [ReplicaID: SimulatedDisk] = [:]
    /// The numbers of those that are gone for ever.
    var lostDisks: [ReplicaID: Int] = [:]
    var nextDisk = 0
    var books = Books()
    var chronicles: [JournalID: Chronicle] = [:]
    /// Journals whose copies have changed in this step.
    var dirty: Set<JournalID> = []
    /// Epochs that their owner released, when, and in which process.
    var releases: [JournalEpoch: (at: Instant, machine: Int, process: Int)] = [:]
    var upstreams: [SimulatedUpstream]
    var links: [LinkID: Link] = [:]
    /// Some wall clock was not what it should be.
    var hasStepped = false
    /// For scenarios: how long an upstream takes to answer a dot.
    var dotDelay: Duration?
    var nextTicket: UInt64 = 0
    var nextToken = 0
    /// Keys of the cluster's records that somebody wrote.
    var recordKeys: Set<String> = []
    /// For scenarios: sees every delivery.
    package var onDelivery: ((MessageID, [UInt8], String) -> Void)?
    /// For scenarios: sees every connection begin, by the upstream's name.
    package var onConnect: ((String, Instant) -> Void)?
    /// For scenarios: sees every transaction begin.
    package var onTransaction: ((Begun) -> Void)?

    package init(_ plan: Plan) {
        self.plan = plan
        random = SeededRandom(seed: plan.seed ^ 0xbad0_5eed)
        network = SimulatedNetwork(nodes: plan.nodes)
        upstreams = plan.configuration.upstreams.map { SimulatedUpstream($0) }
        totals.seeds = 1
        for index in 0..<plan.nodes { machines.append(machine(index)) }
    }

    private func machine(_ index: Int) -> Machine {
        let name = plan.nodes == 1 ? plan.configuration.replica.node : String(UnicodeScalar(UInt8(0x61 + index)))
        let disk = newDisk(of: name)
        var configuration = plan.configuration
        configuration.replica = ReplicaID(node: name, disk: disk.id)
        let spread = plan.clocksBeyondBound ? 0.6 : plan.nodes == 1 ? 0 : 0.0499
        let clockStart = plan.nodes == 1 ? 0 : Int64.random(in: 0...1_000_000_000_000, using: &random)
        let drawn = spread == 0 ? 1 : 1 + spread * (2 * random.fraction() - 1)
        let machine = Machine(
            index: index, disk: disk, clockStart: clockStart,
            clockRate: index < plan.clockRates.count ? plan.clockRates[index] : drawn, configuration: configuration)
        if plan.nodes > 1 { machine.wallOffset += random.duration(.milliseconds(0)...(.milliseconds(400))) }
        return machine
    }

    func newDisk(of name: String) -> SimulatedDisk {
        nextDisk += 1
        let id = DiskID(ULID(high: UInt64(nextDisk), low: random.next()))
        let disk = SimulatedDisk(id: id, number: nextDisk)
        disks[ReplicaID(node: name, disk: id)] = disk
        return disk
    }

    // MARK: The run

    /// Runs all three parts.
    package func run() {
        start()
        chaos()
        settle()
    }

    /// The nodes' first starts, and everything that the plan spreads over its duration.
    package func start() {
        for machine in machines {
            if machine.index == 0 { boot(machine) } else { bootSoon(machine, within: .milliseconds(50)) }
        }
        scheduleClients()
        scheduleFaults()
    }

    package func chaos() { run(until: scheduler.now + plan.duration) }

    /// Carries on until then, or until a violation.
    package func run(until end: Instant) {
        while violation == nil, let action = scheduler.next(before: end) { turn(action) }
        totals.simulated = scheduler.now - Simulation.beginning
    }

    func turn(_ action: () -> Void) {
        totals.turns += 1
        action()
        for machine in machines { step(machine) }
        checkJournals()
        for machine in machines { if let misuse = machine.disk.misuse { fail("\(machine.name): \(misuse)") } }
        if totals.turns > plan.turnLimit { fail("\(totals.turns) turns and no end") }
    }

    // MARK: Chance and words

    /// Whether this fault is on and strikes now; counts it.
    func hits(_ fault: Fault, _ probability: Double) -> Bool {
        guard !isHealed, plan.faults.contains(fault), random.chance(probability) else { return false }
        count(fault)
        return true
    }

    func count(_ fault: Fault) { totals.faults[fault, default: 0] += 1 }

    package func fail(_ text: String) {
        guard violation == nil else { return }
        violation = text
        say("VIOLATION: \(text)")
    }

    func say(_ text: @autoclosure () -> String) {
        guard let trace else { return }
        trace("\(Simulation.clock(scheduler.now)) \(text())")
    }

    func mix(_ value: UInt64) { fingerprint = (fingerprint ^ value) &* 1_099_511_628_211 }

    /// Since the run's beginning: `1:02:03.000004`.
    private static func clock(_ instant: Instant) -> String {
        let micros = instant.nanoseconds / 1000 - 3_600_000_000
        func padded(_ value: Int64, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let seconds = micros / 1_000_000
        return
            "\(seconds / 3600):\(padded(seconds / 60 % 60, 2)):\(padded(seconds % 60, 2)).\(padded(micros % 1_000_000, 6))"
    }

    func ticket() -> Ticket {
        nextTicket += 1
        return Ticket(nextTicket)
    }

    // MARK: Machines

    /// Up and running.
    var live: [Machine] { machines.filter(\.isLive) }

    /// Who owns this journal now and may act on it.
    func owner(of journal: JournalID) -> Machine? {
        machines.first { $0.isLive && $0.node?.owner(of: journal)?.phase == .active }
    }

    /// Any node's view of a message, the owner's first.
    func status(of id: MessageID) -> MessageStatus? {
        let journals = books.messages[id]?.journals ?? []
        let order = journals.reversed().compactMap { owner(of: $0) } + machines.filter(\.isUp)
        for machine in order {
            if let status = machine.node?.message(id, at: machine.now(scheduler.now)) { return status }
        }
        return nil
    }
}
