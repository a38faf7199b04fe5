import Node
import Primitives
import Routing
import SMTP

/// When which fault strikes: drawn at the beginning, or from time to time while it lasts.
extension Simulation {
    func scheduleFaults() {
        // Who drifts through days needs few of these.
        repeatedly(every: min(.minutes(10), plan.duration / 2 + .seconds(5))) { simulation in
            for machine in simulation.live { simulation.tellSpace(machine) }
        }
        if plan.faults.contains(.kill) || plan.faults.contains(.powerLoss) {
            occasionally(plan.crashEvery) { $0.withSomeone { $0.crashSomehow($1) } }
        }
        if plan.faults.contains(.wallJump) { occasionally(plan.duration / 3) { $0.jump() } }
        if plan.faults.contains(.diskFull) { occasionally(plan.duration / 2) { $0.withSomeone { $0.fillDisk($1) } } }
        if plan.faults.contains(.drain) { occasionally(plan.duration / 2) { $0.withSomeone { $0.drain($1) } } }
        if plan.faults.contains(.command) {
            occasionally(max(.seconds(1), plan.duration / (2 * plan.messages + 1))) { $0.commandSomething() }
        }
        if plan.faults.contains(.toggleUpstream) { occasionally(plan.duration / 4) { $0.toggleUpstream() } }
        if plan.faults.contains(.reconfigure) { occasionally(plan.duration / 2) { $0.reconfigure() } }
        if plan.nodes > 1 { scheduleClusterFaults() }
        let possible = SimulatedUpstream.moodFaults + [.reducedCapabilities]
        if !plan.faults.isDisjoint(with: possible) {
            for index in upstreams.indices { occasionally(plan.moodEvery) { $0.changeMood(index) } }
        }
    }

    /// Some machine whose process runs, if any does.
    private func withSomeone(_ body: (Simulation, Machine) -> Void) {
        let candidates = live
        if !candidates.isEmpty { body(self, random.pick(candidates)) }
    }

    private func repeatedly(every interval: Duration, _ body: @escaping (Simulation) -> Void) {
        scheduler.after(interval) { [unowned self] in
            body(self)
            repeatedly(every: interval, body)
        }
    }

    /// At random times with this mean distance, until everything is healed.
    func occasionally(_ mean: Duration, _ body: @escaping (Simulation) -> Void) {
        scheduler.after(random.duration(mean / 10...(mean * 2))) { [unowned self] in
            guard !isHealed else { return }
            body(self)
            occasionally(mean, body)
        }
    }

    private func changeMood(_ index: Int) {
        let possible = SimulatedUpstream.moodFaults.filter { plan.faults.contains($0) }
        var mood = SimulatedUpstream.Mood.healthy
        if !possible.isEmpty, random.chance(0.7) {
            for _ in 0..<random.number(1...3) { mood.faults[random.pick(possible)] = random.pick([0.05, 0.3, 1]) }
        }
        setMood(index, mood)
        if plan.faults.contains(.reducedCapabilities) {
            if random.chance(0.5) {
                count(.reducedCapabilities)
                upstreams[index].reduce(&random)
            } else {
                upstreams[index].offer(SimulatedUpstream.whole)
            }
        }
        if mood.faults[.failTLS] != nil { upstreams[index].capabilities.startTLS = true }
    }

    func setMood(_ index: Int, _ mood: SimulatedUpstream.Mood) {
        upstreams[index].mood = mood
        say("\(upstreams[index].name): " + (mood.faults.isEmpty ? "well" : mood.words))
    }

    private func jump() {
        let sizes: [ClosedRange<Duration>] = [
            .seconds(1)...(.seconds(60)), .minutes(1)...(.hours(3)), .days(1)...(.days(40)), .days(365)...(.days(3650)),
        ]
        let size = random.duration(random.pick(sizes))
        jumpWall(of: random.pick(machines), by: random.chance(0.5) ? size : .zero - size)
    }

    func jumpWall(of machine: Machine, by step: Duration) {
        count(.wallJump)
        say("the wall clock of \(machine.name) jumps by \(step)")
        machine.wallOffset += step
        hasStepped = true
        if abs(step.inSeconds) > 60 { machine.lastStep = scheduler.now }
    }

    private func fillDisk(_ machine: Machine) {
        count(.diskFull)
        machine.disk.isFull = true
        machine.disk.hasReserve = machines.count == 1 || random.chance(0.5)
        say("the disk of \(machine.name) is full")
        tellSpace(machine)
        let disk = machine.disk
        scheduler.after(random.duration(acrossOrdersOf: .seconds(1)...plan.longestFull)) { [unowned self] in
            emptyDisk(machine, disk)
        }
    }

    func emptyDisk(_ machine: Machine, _ disk: SimulatedDisk) {
        guard disk.isFull else { return }
        disk.isFull = false
        say("the disk of \(machine.name) has space again")
        if machine.disk === disk {
            tellSpace(machine)
            scheduleDisk(machine)
        }
    }

    private func tellSpace(_ machine: Machine) {
        let process = machine.process
        machine.whenLive { [unowned self] in
            guard machine.process == process, machine.isUp else { return }
            feed(machine, .diskSpace(free: diskFree(machine), total: plan.diskTotal))
        }
    }

    private func commandSomething() {
        guard !books.order.isEmpty else { return }
        let recent = books.order.suffix(6)
        let id = random.chance(0.8) ? random.pick(Array(recent)) : random.pick(books.order)
        let verbs: [Command.Verb] = [.hold, .hold, .release, .release, .retry, .retry, .retry, .cancel, .bounce]
        give(Command(random.pick(verbs), id, by: "somebody", reason: "chance"))
    }

    private func toggleUpstream() {
        guard let machine = live.first else { return }
        count(.toggleUpstream)
        let upstream = random.pick(upstreams)
        let key = "upstream/\(upstream.name)/off"
        write(
            record: key, random.chance(0.6) ? Array("somebody".utf8) : nil,
            at: random.chance(0.5) ? machine : random.pick(live))
    }

    private func reconfigure() {
        count(.reconfigure)
        let retry = random.pick(plan.otherRetries)
        let warning = random.chance(0.5) ? Duration.minutes(Int64(random.number(2...120))) : nil
        for machine in machines {
            machine.configuration.retry = retry
            if let warning { machine.configuration.delayWarning = warning }
            reconfigure(machine)
        }
    }

    private func reconfigure(_ machine: Machine) {
        let process = machine.process
        machine.whenLive { [unowned self] in
            guard machine.process == process, machine.isUp else { return }
            feed(machine, .reconfigured(machine.configuration))
        }
    }

    /// No more faults: everything that is queued can go.
    func heal() {
        isHealed = true
        say("everything is healed")
        network.heal()
        for index in upstreams.indices {
            setMood(index, .healthy)
            upstreams[index].offer(SimulatedUpstream.whole)
        }
        for machine in machines {
            machine.slowestSync = .milliseconds(10)
            if machine.isPaused { resume(machine) }
            for disk in [machine.disk, machine.shelved].compactMap({ $0 }) { emptyDisk(machine, disk) }
            // Dead recipients would be tried for their whole lifetime, which a wall clock that went back makes years.
            if machine.configuration.softBounce {
                machine.configuration.softBounce = false
                reconfigure(machine)
            }
            if machine.node == nil { boot(machine) }
            step(machine)
        }
        scheduler.after(.seconds(1)) { [unowned self] in clearRecords() }
    }
}

extension SimulatedUpstream.Mood {
    var words: String {
        faults.keys.map { "\($0.rawValue) \(faults[$0] ?? 0)" }.sorted().joined(separator: ", ")
    }
}
