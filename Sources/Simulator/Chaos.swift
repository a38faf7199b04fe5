import Node
import Primitives
import Routing
import SMTP

/// When which fault strikes: drawn at the beginning, or from time to time while it lasts.
extension Simulation {
    func scheduleFaults() {
        // Who drifts through days needs few of these.
        repeatedly(every: .minutes(10)) { $0.feed(.diskSpace(free: $0.diskFree, total: $0.plan.diskTotal)) }
        if plan.faults.contains(.kill) || plan.faults.contains(.powerLoss) {
            occasionally(plan.crashEvery) { $0.crashSomehow() }
        }
        if plan.faults.contains(.wallJump) { occasionally(plan.duration / 3) { $0.jump() } }
        if plan.faults.contains(.diskFull) { occasionally(plan.duration / 2) { $0.fillDisk() } }
        if plan.faults.contains(.drain) { occasionally(plan.duration / 2) { $0.drain() } }
        if plan.faults.contains(.command) {
            occasionally(max(.seconds(1), plan.duration / (2 * plan.messages + 1))) { $0.commandSomething() }
        }
        if plan.faults.contains(.toggleUpstream) { occasionally(plan.duration / 4) { $0.toggleUpstream() } }
        if plan.faults.contains(.reconfigure) { occasionally(plan.duration / 2) { $0.reconfigure() } }
        let possible = SimulatedUpstream.moodFaults + [.reducedCapabilities]
        if !plan.faults.isDisjoint(with: possible) {
            for index in upstreams.indices { occasionally(plan.moodEvery) { $0.changeMood(index) } }
        }
    }

    private func repeatedly(every interval: Duration, _ body: @escaping (Simulation) -> Void) {
        scheduler.after(interval) { [unowned self] in
            if node != nil { body(self) }
            repeatedly(every: interval, body)
        }
    }

    /// At random times with this mean distance, until everything is healed.
    private func occasionally(_ mean: Duration, _ body: @escaping (Simulation) -> Void) {
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
        jumpWall(by: random.chance(0.5) ? size : .zero - size)
    }

    func jumpWall(by step: Duration) {
        count(.wallJump)
        say("the wall clock jumps by \(step)")
        wallOffset += step
        if abs(step.inSeconds) > 60 { lastStep = scheduler.now }
    }

    private func fillDisk() {
        count(.diskFull)
        disk.isFull = true
        say("the disk is full")
        feed(.diskSpace(free: diskFree, total: plan.diskTotal))
        scheduler.after(random.duration(acrossOrdersOf: .seconds(1)...(.hours(1)))) { [unowned self] in emptyDisk() }
    }

    private func emptyDisk() {
        guard disk.isFull else { return }
        disk.isFull = false
        say("the disk has space again")
        feed(.diskSpace(free: diskFree, total: plan.diskTotal))
    }

    private func drain() {
        guard node != nil, !isDraining else { return }
        count(.drain)
        isDraining = true
        feed(.drain)
        let owner = process
        // The longest wait for an upstream, and a slow disk.
        scheduler.after(.minutes(45)) { [unowned self] in
            if process == owner, node != nil { fail("a drain does not end") }
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
        guard node != nil else { return }
        count(.toggleUpstream)
        let index = random.number(0...upstreams.count - 1)
        upstreams[index].isSwitchedOff.toggle()
        feed(.enableUpstream(upstreams[index].name, !upstreams[index].isSwitchedOff))
    }

    private func reconfigure() {
        count(.reconfigure)
        configuration.retry = random.pick([[.seconds(30), .minutes(5)], [.minutes(1), .minutes(10), .hours(1)]])
        if random.chance(0.5) { configuration.delayWarning = .minutes(Int64(random.number(2...120))) }
        feed(.reconfigured(configuration))
    }

    /// No more faults: everything that is queued can go.
    func heal() {
        isHealed = true
        say("everything is healed")
        for index in upstreams.indices {
            setMood(index, .healthy)
            upstreams[index].offer(SimulatedUpstream.whole)
            if upstreams[index].isSwitchedOff {
                upstreams[index].isSwitchedOff = false
                feed(.enableUpstream(upstreams[index].name, true))
            }
        }
        emptyDisk()
        if configuration.softBounce {
            // Dead recipients would be tried for their whole lifetime, which a wall clock that went back makes years.
            configuration.softBounce = false
            feed(.reconfigured(configuration))
        }
        if node == nil { boot() }
        step()
    }
}

extension SimulatedUpstream.Mood {
    var words: String {
        faults.keys.map { "\($0.rawValue) \(faults[$0] ?? 0)" }.sorted().joined(separator: ", ")
    }
}
