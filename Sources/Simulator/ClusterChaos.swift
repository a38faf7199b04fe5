import Cluster
import Node
import Primitives

/// What goes wrong between several nodes, and with their disks (`protocol.md`, 'Faults to inject').
extension Simulation {
    func scheduleClusterFaults() {
        let every = plan.clusterFaultEvery
        let kinds: [(Fault, (Simulation) -> Void)] = [
            (.pause, { $0.pauseSomeone() }), (.isolation, { $0.isolate() }), (.oneWayCut, { $0.cutOneWay() }),
            (.partialCut, { $0.cutSome() }), (.slowNetwork, { $0.change(.slowNetwork) }),
            (.lossyNetwork, { $0.change(.lossyNetwork) }), (.repeatingNetwork, { $0.change(.repeatingNetwork) }),
            (.disorder, { $0.change(.disorder) }), (.resetConnections, { $0.resetSome() }),
            (.slowDisk, { $0.slowDown() }), (.wipedDisk, { $0.wipeSomeone() }), (.formerDisk, { $0.bringBack() }),
            (.drainByRecord, { $0.drainByRecord() }), (.rollingRestart, { $0.roll() }),
            (.wholeOutage, { $0.killAll() }),
            (.forgedDeath, { simulation in simulation.forgeDeath(of: simulation.random.pick(simulation.machines)) }),
        ]
        let on = kinds.filter { plan.faults.contains($0.0) }
        guard !on.isEmpty else { return }
        // One after another, of those that are on; a cut lasts until the next change of the network.
        occasionally(every) { simulation in
            simulation.random.pick(on).1(simulation)
        }
        occasionally(every * 2) { simulation in
            simulation.say("the network is mended")
            simulation.network.mend()
        }
    }

    // MARK: Processes

    private func pauseSomeone() {
        guard let machine = live.isEmpty ? nil : random.pick(live) else { return }
        pause(machine, for: random.duration(acrossOrdersOf: .milliseconds(20)...(.seconds(10))))
    }

    /// As SIGSTOP does: connections stay, and what would happen waits.
    func pause(_ machine: Machine, for time: Duration) {
        guard machine.isLive else { return }
        count(.pause)
        say("\(machine.name) is stopped for \(time)")
        machine.pause()
        for other in machines where other !== machine { timeOut(other, machine) }
        let process = machine.process
        scheduler.after(time) { [unowned self] in if machine.process == process { resume(machine) } }
    }

    func resume(_ machine: Machine) {
        guard machine.isPaused else { return }
        say("\(machine.name) goes on")
        machine.nextTick = nil
        machine.resume()
        feed(machine, .tick)
    }

    private func roll() {
        count(.rollingRestart)
        let first = random.number(0...machines.count - 1)
        rollNext(Array(machines[first...]) + Array(machines[..<first]))
    }

    /// One after another, each when the one before is up again.
    private func rollNext(_ rest: [Machine]) {
        guard let machine = rest.first, !isHealed else { return }
        guard machines.allSatisfy(\.isLive) else {
            scheduler.after(.milliseconds(500)) { [unowned self] in rollNext(rest) }
            return
        }
        drain(machine)
        scheduler.after(.seconds(1)) { [unowned self] in rollNext(Array(rest.dropFirst())) }
    }

    private func killAll() {
        count(.wholeOutage)
        say("all at once")
        let kind = random.pick([Fault.kill, .powerLoss])
        for machine in machines { crash(kind, machine) }
    }

    private func drainByRecord() {
        let candidates = live
        guard !candidates.isEmpty else { return }
        count(.drainByRecord)
        let machine = random.pick(machines)
        write(record: "drain/\(machine.name)", Array("somebody".utf8), at: random.pick(candidates))
        scheduler.after(random.duration(.seconds(2)...(.seconds(15)))) { [unowned self] in
            guard !isHealed, let writer = live.first else { return }
            write(record: "drain/\(machine.name)", nil, at: writer)
        }
    }

    // MARK: The network

    private func isolate() {
        count(.isolation)
        network.mend()
        let alone = random.number(0...machines.count - 1)
        say("\(machines[alone].name) is cut off")
        for other in machines.indices where other != alone {
            network.isCut[alone][other] = true
            network.isCut[other][alone] = true
        }
        silence()
    }

    private func cutOneWay() {
        count(.oneWayCut)
        network.mend()
        let one = random.number(0...machines.count - 1)
        say("one-way cuts around \(machines[one].name)")
        for other in machines.indices where other != one && random.chance(0.7) {
            if random.chance(0.5) { network.isCut[one][other] = true } else { network.isCut[other][one] = true }
        }
        silence()
    }

    private func cutSome() {
        count(.partialCut)
        say("partial cuts")
        for a in machines.indices {
            for b in machines.indices where a != b { network.isCut[a][b] = random.chance(0.25) }
        }
        silence()
    }

    /// What is cut for long ends by time-out.
    private func silence() {
        for a in machines { for b in machines where network.isCut[b.index][a.index] { timeOut(a, b) } }
    }

    private func change(_ fault: Fault) {
        count(fault)
        let isOn = random.chance(0.7)
        switch fault {
        case .slowNetwork:
            network.stragglers = isOn ? random.pick([0.02, 0.1]) : 0
            network.straggler = random.pick([.milliseconds(100), .milliseconds(400), .milliseconds(1500)])
        case .lossyNetwork: network.loss = isOn ? random.pick([0.01, 0.2]) : 0
        case .repeatingNetwork: network.copies = isOn ? random.pick([0.02, 0.2]) : 0
        default: network.isDisorderly = isOn
        }
        say("\(fault.rawValue): \(isOn ? "on" : "off")")
    }

    private func resetSome() {
        count(.resetConnections)
        resetConnections(of: random.pick(machines))
    }

    private func slowDown() {
        let machine = random.pick(machines)
        count(.slowDisk)
        machine.slowestSync = random.chance(0.5) ? .milliseconds(150) : .milliseconds(10)
        say("a sync of \(machine.name) takes up to \(machine.slowestSync)")
    }

    // MARK: Disks

    /// Damage and loss stay below a majority of every journal's replicas.
    func mayBreak(_ replica: ReplicaID) -> Bool { chronicles.values.allSatisfy { mayBreak(replica, $0) } }

    private func mayBreak(_ replica: ReplicaID, _ chronicle: Chronicle) -> Bool {
        guard chronicle.replicas.contains(replica) else { return true }
        // Buried everywhere: nobody asks for it any more.
        if chronicle.isRetired, !chronicle.replicas.contains(where: { disks[$0]?.files[chronicle.id] != nil }) {
            return true
        }
        let broken = chronicle.replicas.count { other in
            if other == replica { return true }
            guard let machine = machines.first(where: { $0.replica == other }) else { return true }
            return machine.disk.files[chronicle.id]?.isWhole == false
        }
        return broken < chronicle.majority
    }

    /// A bad end of a copy counts as damage until it has caught up. While all copies exist that is no loss: together they
    /// are enough, whole or not.
    func mayTear(_ id: JournalID, of machine: Machine) -> Bool {
        guard machines.count > 1, let chronicle = chronicles[id] else { return true }
        let isComplete = chronicle.replicas.allSatisfy { replica in machines.contains { $0.replica == replica } }
        return isComplete || mayBreak(machine.replica, chronicle)
    }

    /// Bits flip in some journals, each of which has enough other copies.
    func flipSomeCopies(_ machine: Machine) {
        for id in machine.disk.files.keys.sorted() where random.chance(0.5) {
            guard let chronicle = chronicles[id], mayBreak(machine.replica, chronicle),
                let offset = machine.disk.flipBits(id, &random)
            else { continue }
            say("bits flip in \(machine.name)'s \(id.short) at \(offset)")
        }
    }

    private func wipeSomeone() {
        let candidates = machines.filter { $0.isUp && mayBreak($0.replica) }
        guard nextDisk < 50, !candidates.isEmpty else { return }
        wipe(random.pick(candidates), keepsFormer: plan.faults.contains(.formerDisk))
    }

    /// The machine comes back with an empty disk. The former one is gone, or on a shelf.
    func wipe(_ machine: Machine, keepsFormer: Bool) {
        count(.wipedDisk)
        say("\(machine.name) gets an empty disk")
        die(machine, losing: .nothing)
        if let shelved = machine.shelved { discard(shelved, of: machine) }
        if plan.configuration.mutations.contains(.lostDiskVotes) {
            // As if a disk were known by its node alone.
            machine.disk = SimulatedDisk(id: machine.disk.id, number: machine.disk.number)
            disks[machine.replica] = machine.disk
            return machine.disk.changed.formUnion(chronicles.keys)
        }
        machine.shelved = keepsFormer ? machine.disk : nil
        if !keepsFormer { discard(machine.disk, of: machine) }
        machine.disk = newDisk(of: machine.name)
    }

    private func discard(_ disk: SimulatedDisk, of machine: Machine) {
        let replica = ReplicaID(node: machine.name, disk: disk.id)
        disks[replica] = nil
        lostDisks[replica] = disk.number
    }

    private func bringBack() {
        let candidates = machines.filter { $0.isUp && $0.shelved != nil && mayBreak($0.replica) }
        guard !candidates.isEmpty else { return wipeSomeone() }
        count(.formerDisk)
        let machine = random.pick(candidates)
        guard let former = machine.shelved else { return }
        say("\(machine.name) gets its former disk back")
        die(machine, losing: .nothing)
        machine.shelved = machine.disk
        machine.disk = former
    }
}
