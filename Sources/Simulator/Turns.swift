import Cluster
import Node
import Primitives

/// A machine's turn: what happened goes into its node, and what follows is carried out.
extension Simulation {
    func feed(_ machine: Machine, _ event: NodeEvent) { machine.inbox.append(event) }

    /// Hands the node what happened, and carries out what it wants, until nothing follows at once.
    func step(_ machine: Machine) {
        guard !machine.inbox.isEmpty, !machine.isPaused else { return }
        var effects: [NodeEffect] = []
        let owner = machine.process
        while violation == nil, !machine.inbox.isEmpty, machine.node != nil, machine.process == owner {
            let event = machine.inbox.removeFirst()
            say("\(machine.name) → \(event.summary)")
            if case .contentRead = event { machine.isAnsweringRead = true } else { machine.isAnsweringRead = false }
            if case .cluster(let event) = event { heard(event, machine) }
            effects.removeAll(keepingCapacity: true)
            machine.node?.handle(event, at: machine.now(scheduler.now), into: &effects)
            totals.steps += 1
            mix(UInt64(bitPattern: scheduler.now.nanoseconds) ^ UInt64(machine.index))
            observe(machine)
            perform(effects, machine)
            // The end of the turn comes after one event or after several.
            if machine.inbox.isEmpty || random.chance(0.5) { endTurn(machine) }
        }
        if machine.node == nil { machine.inbox.removeAll() }
        scheduleTick(machine)
        scheduleDisk(machine)
    }

    private func endTurn(_ machine: Machine) {
        var effects: [NodeEffect] = []
        machine.node?.endTurn(at: machine.now(scheduler.now), into: &effects)
        guard !effects.isEmpty else { return }
        observe(machine)
        perform(effects, machine)
    }

    func perform(_ effects: [NodeEffect], _ machine: Machine) {
        let owner = machine.process
        for effect in effects {
            guard violation == nil, machine.process == owner, machine.node != nil else { return }
            if trace != nil, !effect.isPulse { say("  \(machine.name) ← \(effect.summary)") }
            mix(effect.fingerprint)
            carryOut(effect, machine)
            if !isHealed, plan.crashPerEffect > 0, effect.mayCrash, random.chance(plan.crashPerEffect) {
                crashSomehow(machine)
            }
        }
    }

    func scheduleTick(_ machine: Machine) {
        guard let deadline = machine.node?.nextDeadline, !machine.isPaused else { return }
        let due = machine.trueTime(deadline)
        if let next = machine.nextTick, next <= due, next >= scheduler.now { return }
        let late = random.chance(0.5) ? Duration.zero : random.duration(.zero...(.milliseconds(2)))
        let when = max(due, scheduler.now) + late
        machine.nextTick = when
        let owner = machine.process
        scheduler.at(when) { [unowned self] in
            guard machine.process == owner, machine.nextTick == when else { return }
            machine.whenLive { [unowned self] in tick(machine) }
        }
    }

    private func tick(_ machine: Machine) {
        machine.nextTick = nil
        if scheduler.now - machine.ticksSince > .milliseconds(500) {
            machine.ticksSince = scheduler.now
            machine.ticksNow = 0
        }
        machine.ticksNow += 1
        if machine.ticksNow > 1000 { fail("\(machine.name) asks for one tick after another") }
        feed(machine, .tick)
    }

    /// In the process of this machine, unless it is another's by then; waits while it is stopped.
    func later(_ wait: Duration, _ machine: Machine, _ body: @escaping () -> Void) {
        let owner = machine.process
        scheduler.after(wait) {
            guard machine.process == owner, machine.node != nil else { return }
            machine.whenLive {
                if machine.process == owner, machine.node != nil { body() }
            }
        }
    }

    // MARK: The disk

    /// The disk works while the process is stopped; what it answers waits.
    func scheduleDisk(_ machine: Machine) {
        let disk = machine.disk
        guard machine.node != nil, disk.round == nil, !machine.isDiskScheduled,
            !disk.queue.isEmpty || !disk.stalled.isEmpty
        else { return }
        machine.isDiskScheduled = true
        let owner = machine.process
        let wake = random.duration(.zero...(.microseconds(100)))
        scheduler.after(wake) { [unowned self] in
            guard machine.process == owner else { return }
            machine.isDiskScheduled = false
            guard disk.beginRound() else { return }
            scheduler.after(syncTime(machine)) { [unowned self] in
                guard machine.process == owner else { return }
                endRound(machine)
            }
        }
    }

    private func endRound(_ machine: Machine) {
        if hits(.failedSync, 0.0005) {
            say("\(machine.name): a sync fails: the process ends")
            return die(machine, losing: .unsynced)
        }
        let answers = machine.disk.endRound()
        diskChanged(machine)
        let owner = machine.process
        machine.whenLive { [unowned self] in
            guard machine.process == owner else { return }
            for event in answers { feed(machine, event) }
        }
        scheduleDisk(machine)
    }

    private func syncTime(_ machine: Machine) -> Duration {
        if hits(.slowDisk, 0.02) {
            return random.duration(acrossOrdersOf: .milliseconds(100)...plan.slowestSync)
        }
        return random.duration(acrossOrdersOf: .microseconds(80)...machine.slowestSync)
    }
}
