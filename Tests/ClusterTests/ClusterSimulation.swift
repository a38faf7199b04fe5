import Cluster
import Journal
import Primitives

/// Nodes of the cluster's core under seeded faults, one event at a time (`protocol.md`, 'Invariants').
///
/// Frames are real and say nothing (`abort` of a stream that never was). After every event the invariants are checked; at the
/// end everything is healed and every journal must find an owner. One seed is one run, to the bit.
final class ClusterSimulation {
    struct Plan {
        var seed: UInt64
        var nodes = 3
        var mutations: Set<Mutation> = []
        /// Resets and refusals that a device invents: invariant 1 may break, nothing else.
        var forgesDeath = false
        /// Messages may reach a process that began after they were sent, or come from one that is dead: no connection ends them.
        var outlivesConnections = false
        /// Clocks beyond ±ε/2: the same.
        var drifts = false
        var hasFaults = true
        /// Nodes open, append, release and retire by themselves; a scenario does that by hand.
        var works = true
        /// Bytes of a file that travel in one message; by the seed when nil.
        var chunk: UInt64?
        /// How long faults are injected, and then how long healing may take.
        var faultTime: Int64 = 6_000_000_000
        var healTime: Int64 = 6_000_000_000
        var lease: Duration = .milliseconds(500)
    }

    enum Event {
        case deliver(SimulatedLetter)
        case synced(Int, JournalID, incarnation: UInt64)
        case tick(Int, incarnation: UInt64)
        case work(Int)
        case start(Int)
        case resume(Int)
        case connect(Int, Int)
        case ended(Int, peer: Int, name: ReplicaID, connection: UInt64, ProcessWatch.End)
        case knocked(Int, peer: ReplicaID, ProcessWatch.Knock, incarnation: UInt64)
        case read(Int, ReadRequest, incarnation: UInt64)
        case fate(Int)
        case fault
        case heal
    }

    private struct Scheduled: Comparable {
        let time: Int64
        let order: UInt64
        let event: Event
        static func < (a: Self, b: Self) -> Bool { a.time == b.time ? a.order < b.order : a.time < b.time }
        static func == (a: Self, b: Self) -> Bool { a.order == b.order }
    }

    let plan: Plan
    var random: SeededRandom
    var time: Int64 = 0
    var nodes: [SimulatedClusterNode] = []
    var network: SimulatedNetwork
    var invariants = ClusterInvariants()
    var isHealing = false
    /// A scenario's hand in the network: what it holds back waits in `held`.
    var isHeld: ((SimulatedLetter) -> Bool)?
    var held: [SimulatedLetter] = []
    /// Whose timers are late.
    var isTimerLate: Set<Int> = []
    /// A frame or a few in one message: more interleavings.
    let chunk: UInt64
    /// Machines without power: they refuse nothing.
    var poweredOff: Set<Int> = []
    var frames: UInt64 = 0
    var opened = 0
    private(set) var steps = 0
    /// Who did something in this step.
    private var busy: [Int] = []
    private var events = MinimumHeap<Scheduled>()
    private var order: UInt64 = 0
    var identifiers: ULIDGenerator
    /// What happened lately, for a failing seed.
    var story: [String] = []
    let tellsStory: Bool

    init(_ plan: Plan, tellsStory: Bool = false) {
        self.plan = plan
        self.tellsStory = tellsStory
        random = SeededRandom(seed: plan.seed)
        identifiers = ULIDGenerator(seed: plan.seed ^ 0x6a6f_7572)
        network = SimulatedNetwork(nodes: plan.nodes)
        let usual: UInt64 = random.chance(0.7) ? 100 : 1000
        chunk = plan.chunk ?? usual
        for index in 0..<plan.nodes {
            let spread = plan.drifts ? 0.6 : 0.0499
            nodes.append(
                SimulatedClusterNode(
                    index: index, id: ReplicaID(node: "n\(index)", disk: DiskID(freshULID())),
                    clockStart: Int64.random(in: 0...1_000_000_000_000, using: &random),
                    clockRate: 1 + spread * (2 * random.fraction() - 1)))
        }
        begin()
    }

    private func begin() {
        invariants.allowsTwoLeases = plan.drifts || plan.forgesDeath
        invariants.allowsGhosts = plan.outlivesConnections
        for node in nodes { schedule(.start(node.index), after: Int64.random(in: 0...50_000_000, using: &random)) }
        guard plan.hasFaults else { return }
        schedule(.fault, after: 300_000_000)
        schedule(.heal, at: plan.faultTime)
    }

    func freshULID() -> ULID { identifiers.next(at: WallTime(milliseconds: 1_790_000_000_000 + time / 1_000_000)) }

    func schedule(_ event: Event, after delay: Int64) { schedule(event, at: time + delay) }

    func schedule(_ event: Event, at time: Int64) {
        order += 1
        events.insert(Scheduled(time: max(time, self.time), order: order, event: event))
    }

    func tell(_ line: @autoclosure () -> String) {
        guard tellsStory else { return }
        story.append("\(Double(time / 1000) / 1000) ms  \(line())")
    }

    /// The first violation, or nil.
    func run() -> String? {
        advance(to: plan.faultTime + plan.healTime)
        guard invariants.violation == nil else { return invariants.violation.map(describe) }
        invariants.checkEnd(nodes, at: time)
        return invariants.violation.map(describe)
    }

    /// Lets everything happen up to a time, or to the first violation.
    func advance(to end: Int64) {
        while let next = events.first, next.time <= end {
            _ = events.popFirst()
            time = next.time
            steps += 1
            busy.removeAll(keepingCapacity: true)
            happen(next.event)
            invariants.checkStep(nodes, busy: busy, at: time)
            if invariants.violation != nil { return }
        }
        time = end
    }

    private func describe(_ violation: String) -> String {
        "seed \(plan.seed), \(plan.nodes) nodes, step \(steps): \(violation)"
    }

    private func happen(_ event: Event) {
        switch event {
        case .deliver(let letter):
            let isCurrent = nodes[letter.to].connections[letter.from] == letter.connection
            guard isCurrent || plan.outlivesConnections, nodes[letter.to].id == letter.receiver else { return }
            give(letter.to, .received(letter.message, from: letter.sender, incarnation: letter.incarnation))
        case .synced(let index, let journal, let incarnation): synced(index, journal, incarnation)
        case .tick(let index, let incarnation):
            guard nodes[index].incarnation == incarnation, nodes[index].isUp else { return }
            if nodes[index].tickAt <= time { nodes[index].tickAt = .max }
            guard !isTimerLate.contains(index) else { return }
            give(index, .tick)
        case .work(let index): work(index)
        case .start(let index): start(index)
        case .resume(let index): resume(index)
        case .connect(let a, let b): connect(a, b)
        case .ended(let index, let peer, let name, let connection, let end):
            guard nodes[index].connections[peer] == connection else { return }
            nodes[index].connections[peer] = nil
            give(index, .disconnected(name, end))
            retryConnect(index, peer)
        case .knocked(let index, let peer, let result, let incarnation):
            guard nodes[index].incarnation == incarnation else { return }
            give(index, .knocked(peer, result))
        case .read(let index, let request, let incarnation):
            guard nodes[index].incarnation == incarnation, let files = nodes[index].disk[request.journal] else {
                return
            }
            let bytes = files.cache.bytes
            let start = min(Int(request.offset), bytes.count)
            give(index, .read(request, Array(bytes[start..<min(start + request.count, bytes.count)])))
        case .fate(let index): fate(of: nodes[index])
        case .fault: fault()
        case .heal: heal()
        }
    }

    // MARK: Processes

    func give(_ index: Int, _ event: ClusterEvent) {
        let node = nodes[index]
        guard node.isUp else { return }
        if node.isPaused { return node.inbox.append(event) }
        busy.append(index)
        let effects = node.core?.handle(event, at: node.local(time)) ?? []
        carryOut(effects, of: node)
        scheduleTick(node)
    }

    func scheduleTick(_ node: SimulatedClusterNode) {
        guard let core = node.core, !node.isPaused else { return }
        let deadline = max(node.trueTime(core.deadline(at: node.local(time))), time + 1_000_000)
        guard deadline < node.tickAt, deadline < .max else { return }
        node.tickAt = deadline
        schedule(.tick(node.index, incarnation: node.incarnation), at: deadline)
    }

    func start(_ index: Int) {
        let node = nodes[index]
        guard !node.isUp else { return }
        invariants.checkStart(of: node)
        node.incarnation += 1
        poweredOff.remove(index)
        node.isPaused = false
        node.inbox = []
        node.tickAt = .max
        node.syncScheduled = []
        var settings = ClusterSettings(me: node.id, incarnation: node.incarnation)
        settings.lease = plan.lease
        settings.chunk = chunk
        settings.mutations = plan.mutations
        let now = node.local(time)
        var core = ClusterNode(settings: settings, at: now)
        core.recover(acquainted: node.acquainted)
        for (journal, files) in node.disk.sorted(by: { $0.key < $1.key }) {
            if let tombstone = files.cache.tombstone {
                core.recover(tombstone)
                if plan.mutations.contains(.retiredForgotten) { node.disk[journal] = nil }
            } else {
                core.recover(journal, copy: files.copy, promise: files.cache.promise, at: now)
            }
        }
        node.core = core
        tell("\(node.name) starts, incarnation \(node.incarnation)")
        for other in nodes where other.index != index { schedule(.connect(index, other.index), after: delay()) }
        if plan.works { schedule(.work(index), after: 50_000_000) }
        scheduleTick(node)
    }

    private func resume(_ index: Int) {
        let node = nodes[index]
        guard node.isUp, node.isPaused else { return }
        node.isPaused = false
        tell("\(node.name) resumes")
        let waiting = node.inbox
        node.inbox = []
        for event in waiting { give(index, event) }
        give(index, .tick)
    }

    private func synced(_ index: Int, _ journal: JournalID, _ incarnation: UInt64) {
        let node = nodes[index]
        guard node.incarnation == incarnation, node.isUp, node.syncScheduled.remove(journal) != nil,
            let mark = node.disk[journal]?.pending.last?.mark
        else { return }
        node.disk[journal]?.sync(through: mark)
        invariants.touched(journal)
        give(index, .stored(journal, through: mark))
        if node.disk[journal]?.pending.isEmpty == false { scheduleSync(node, journal) }
    }

    func scheduleSync(_ node: SimulatedClusterNode, _ journal: JournalID) {
        guard node.syncScheduled.insert(journal).inserted else { return }
        schedule(
            .synced(node.index, journal, incarnation: node.incarnation),
            after: Int64.random(in: node.syncDelay, using: &random))
    }

    // MARK: Work

    private func work(_ index: Int) {
        let node = nodes[index]
        guard let core = node.core else { return }
        schedule(.work(index), after: Int64.random(in: 20_000_000...200_000_000, using: &random))
        guard !node.isPaused else { return }
        let owned = core.journals.values.filter { $0.owner?.phase == .active }.sorted { $0.journal < $1.journal }
        if core.journals.values.filter({ $0.owner != nil || $0.isClaiming }).isEmpty, opened < 3, !isHealing {
            open(node)
        }
        guard let replica = owned.randomElement(using: &random), let owner = replica.owner else { return }
        if isHealing || random.chance(0.75) {
            guard replica.copy.retiredEnd == nil, replica.copy.end < 6000 else { return }
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                append(.abort(StreamID(nextFrame())), to: replica.journal, of: node)
            }
            give(index, .flush)
        } else if random.chance(0.04), replica.copy.retiredEnd == nil {
            tell("\(node.name) retires \(replica.journal.short)")
            append(.retire, to: replica.journal, of: node)
            give(index, .flush)
        } else if random.chance(0.2) {
            tell("\(node.name) releases \(replica.journal.short) epoch \(owner.epoch)")
            give(index, .release(replica.journal))
        }
    }

    func nextFrame() -> UInt64 {
        frames += 1
        return frames
    }

    func append(_ record: Record, to journal: JournalID, of node: SimulatedClusterNode) {
        guard let owner = node.core?.journals[journal]?.owner else { return }
        let bytes = Frame.encode(record, epoch: owner.epoch, journal: journal, offset: owner.end)
        give(node.index, .append(journal, bytes))
    }

    func open(_ node: SimulatedClusterNode) {
        let count = plan.nodes == 3 ? 3 : (random.chance(0.5) ? 3 : 5)
        guard let acquainted = node.core?.acquainted,
            let replicas = Opening.replicas(
                count: count, me: node.id, known: acquainted.filter { known in nodes.contains { $0.id == known } },
                isAlive: { [random] _ in
                    var random = random; return random.chance(0.5)
                })
        else { return }
        opened += 1
        let journal = JournalID(freshULID())
        invariants.opened(journal, replicas)
        tell("\(node.name) opens \(journal.short) with \(replicas)")
        give(node.index, .open(journal, replicas))
    }
}
