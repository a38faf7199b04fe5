import Journal
package import Node
package import Primitives
import SMTP

/// One node under a seeded scheduler: its disk, clients, upstreams, people and clocks are simulated, it itself is the one
/// that is shipped.
///
/// The loop takes the next thing that happens, hands its event to the node and carries out the effects in order. A crash may
/// come between any two effects; a new `Node` is then recovered from what the simulated disk has left. After each step
/// and at the end what everybody wrote into their books is compared with the promises of `protocol.md`, 'Invariants'.
///
/// A run has three parts: *chaos*, with faults; then everything is *healed* and the queue must empty, but for what is
/// held; then what is held is released and must go too.
package final class Simulation {
    /// Far more than any plan needs: a run that reaches it goes round in circles.
    static let stepLimit = 200_000

    package let plan: Plan
    package internal(set) var totals = Totals()
    /// The first promise that was broken; nothing happens after it.
    package internal(set) var violation: String?
    /// Changes with everything that happens: equal for two runs of one plan.
    package internal(set) var fingerprint: UInt64 = 14_695_981_039_346_656_037
    /// Gets the timeline, a line at a time.
    package var trace: ((String) -> Void)?

    package internal(set) var node: Node?
    package internal(set) var isHealed = false
    package internal(set) var isDraining = false
    var random: SeededRandom
    var scheduler = Scheduler(now: Instant(nanoseconds: 3_600_000_000_000))
    /// The wall clock less the monotonic one.
    var wallOffset = Duration.milliseconds(1_790_000_000_000)
    /// When the wall clock last stepped by more than a minute under the living process.
    var lastStep: Instant?
    let disk = SimulatedDisk()
    var books = Books()
    /// Up to where the node was told that each journal is durable.
    var committedEnd: [JournalID: UInt64] = [:]
    var lastEpoch: [JournalID: UInt64] = [:]
    /// Processes so far: what was meant for an earlier one is lost.
    var process = 0
    var inbox: [NodeEvent] = []
    /// What follows now was decided before a read, and so may be before a step of the clock.
    var isAnsweringRead = false
    var isDiskScheduled = false
    var nextTick: Instant?
    var ticksNow = 0
    var upstreams: [SimulatedUpstream]
    var links: [ConnectionID: Link] = [:]
    var submissions: [Ticket: MessageID] = [:]
    var commands: [Ticket: Command] = [:]
    var streamDurable: [StreamID: UInt64] = [:]
    var nextTicket: UInt64 = 0
    var nextToken = 0
    var configuration: NodeConfiguration
    /// For scenarios: sees every delivery.
    package var onDelivery: ((MessageID, [UInt8], String) -> Void)?
    /// For scenarios: sees every transaction begin.
    package var onTransaction: ((Begun) -> Void)?

    package init(_ plan: Plan) {
        self.plan = plan
        configuration = plan.configuration
        random = SeededRandom(seed: plan.seed ^ 0xbad0_5eed)
        upstreams = plan.configuration.upstreams.map { SimulatedUpstream($0) }
        totals.seeds = 1
    }

    package var now: Now {
        Now(instant: scheduler.now, wall: WallTime(milliseconds: scheduler.now.nanoseconds / 1_000_000) + wallOffset)
    }

    // MARK: The run

    /// Runs all three parts.
    package func run() {
        start()
        chaos()
        settle()
    }

    /// The node's first start, and everything that the plan spreads over its duration.
    package func start() {
        boot()
        scheduleClients()
        scheduleFaults()
    }

    package func chaos() { run(until: scheduler.now + plan.duration) }

    /// Carries on until then, or until a violation.
    package func run(until end: Instant) {
        while violation == nil, let action = scheduler.next(before: end) { turn(action) }
        totals.simulated = scheduler.now - Instant(nanoseconds: 3_600_000_000_000)
    }

    private func turn(_ action: () -> Void) {
        action()
        step()
        if let misuse = disk.misuse { fail(misuse) }
        if totals.steps > Simulation.stepLimit { fail("\(totals.steps) steps and no end") }
    }

    /// Everything is healed: what is queued must go, and the books of all sides must agree.
    package func settle() {
        heal()
        runUntilQuiet("after everything was healed")
        // Connections of before may end in another unanswered dot.
        for _ in 0..<5 where !heldMessages.isEmpty {
            for id in heldMessages { give(Command(.release, id, by: "simulator")) }
            totals.held += commands.count
            step()
            runUntilQuiet("after what was held was released")
        }
        finish()
    }

    private func runUntilQuiet(_ when: String) {
        // What an outcome said before a change of the schedule still holds.
        let longest = (configuration.retry + plan.configuration.retry).max() ?? .hours(1)
        let end = scheduler.now + longest * 3 + .hours(2)
        var turns = 0
        while violation == nil, let action = scheduler.next(before: end) {
            turn(action)
            turns += 1
            if turns % 16 == 0, isQuiet { break }
        }
        totals.simulated = scheduler.now - Instant(nanoseconds: 3_600_000_000_000)
        guard violation == nil, !isQuiet else { return }
        if node == nil { return fail("no process runs \(when)") }
        if let (ticket, id) = submissions.min(by: { $0.key.number < $1.key.number }) {
            return fail("the client of \(id.short), ticket \(ticket.number), has no answer \(when)")
        }
        let stuck = books.order.filter { isMoving($0) }
        let states = stuck.prefix(5).map { id in
            "\(id.short) \(node?.message(id, at: now).map { "\($0.state)" } ?? "unknown to the node")"
        }
        fail("\(stuck.count) messages are still queued \(when): \(states.joined(separator: ", "))")
    }

    /// What waits for a person, by the books and by the node.
    private var heldMessages: [MessageID] {
        books.order.filter { id in
            guard let message = books.messages[id] else { return false }
            return (message.isHeld && !message.isFinished) || node?.message(id, at: now)?.hasHeld == true
        }
    }

    /// Nothing is left to do but for what is held.
    private var isQuiet: Bool {
        node != nil && disk.isIdle && submissions.isEmpty && books.order.allSatisfy { !isMoving($0) }
    }

    /// Something has to become of it yet, without anybody's help.
    private func isMoving(_ id: MessageID) -> Bool {
        guard let message = books.messages[id] else { return false }
        if message.isPromised, !message.isDamaged { return message.isMoving }
        return node?.message(id, at: now)?.hasHeld == false
    }

    // MARK: Steps

    func feed(_ event: NodeEvent) { inbox.append(event) }

    /// Hands the node what happened, and carries out what it wants, until nothing follows at once.
    func step() {
        var effects: [NodeEffect] = []
        while violation == nil, !inbox.isEmpty, node != nil {
            let event = inbox.removeFirst()
            say("→ \(event.summary)")
            if case .contentRead = event { isAnsweringRead = true } else { isAnsweringRead = false }
            effects.removeAll(keepingCapacity: true)
            node?.handle(event, at: now, into: &effects)
            totals.steps += 1
            mix(UInt64(bitPattern: scheduler.now.nanoseconds))
            perform(effects)
        }
        if node == nil { inbox.removeAll() }
        scheduleTick()
        scheduleDisk()
    }

    func perform(_ effects: [NodeEffect]) {
        let owner = process
        for effect in effects {
            guard violation == nil, process == owner, node != nil else { return }
            say("  ← \(effect.summary)")
            mix(effect.fingerprint)
            carryOut(effect)
            if !isHealed, plan.crashPerEffect > 0, random.chance(plan.crashPerEffect) { crashSomehow() }
        }
    }

    private func scheduleTick() {
        guard let deadline = node?.nextDeadline else { return }
        if let nextTick, nextTick <= deadline, nextTick >= scheduler.now { return }
        let late = random.chance(0.5) ? Duration.zero : random.duration(.zero...(.milliseconds(2)))
        let when = max(deadline, scheduler.now) + late
        nextTick = when
        let owner = process
        scheduler.at(when) { [unowned self] in
            guard process == owner else { return }
            if nextTick == when { nextTick = nil }
            ticksNow = self.node?.nextDeadline.map { $0 <= scheduler.now } == true ? ticksNow + 1 : 0
            if ticksNow > 2000 { fail("the node asks for one tick after another") }
            feed(.tick)
        }
    }

    func scheduleDisk() {
        guard node != nil, disk.round == nil, !disk.queue.isEmpty, !isDiskScheduled else { return }
        isDiskScheduled = true
        let owner = process
        let wake = random.duration(.zero...(.microseconds(100)))
        scheduler.after(wake) { [unowned self] in
            guard process == owner else { return }
            isDiskScheduled = false
            guard disk.beginRound() else { return }
            scheduler.after(syncTime()) { [unowned self] in
                guard process == owner else { return }
                endRound()
            }
        }
    }

    private func endRound() {
        if hits(.failedSync, 0.002) {
            say("a sync fails: the process ends")
            return die(losing: .unsynced)
        }
        for event in disk.endRound() {
            if case .durable(let journal, let end) = event { framesDurable(journal, upTo: end) }
            feed(event)
        }
    }

    private func syncTime() -> Duration {
        if hits(.slowDisk, 0.05) { return random.duration(acrossOrdersOf: .milliseconds(100)...(.seconds(60))) }
        return random.duration(acrossOrdersOf: .microseconds(80)...(.milliseconds(10)))
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
}
