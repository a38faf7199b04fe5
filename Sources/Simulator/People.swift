import Node
import Primitives

/// What people do: commands about messages, records for the whole cluster, nodes that are drained.
extension Simulation {
    /// To the owner of the message's journal; now and then to another node.
    func give(_ command: Command) {
        let journals = books.messages[command.message]?.journals ?? []
        let owner = journals.reversed().compactMap { self.owner(of: $0) }.first
        let candidates = machines.filter(\.isLive)
        guard !candidates.isEmpty else { return }
        let isAside = machines.count > 1 && !isHealed && random.chance(0.1)
        give(command, to: isAside ? random.pick(candidates) : owner ?? random.pick(candidates))
    }

    private func give(_ command: Command, to machine: Machine) {
        count(.command)
        let ticket = ticket()
        machine.commands[ticket] = command
        switch command.verb {
        case .cancel: books.messages[command.message]?.cancelAsked = true
        case .bounce: books.messages[command.message]?.bounceAsked = true
        case .release: books.messages[command.message]?.wasReleased = true
        case .retry: books.messages[command.message]?.retryAsked = true
        case .hold, .redirect: break
        }
        feed(machine, .command(ticket, command))
    }

    func commandAnswered(_ ticket: Ticket, _ answer: CommandAnswer, _ machine: Machine) {
        guard let command = machine.commands.removeValue(forKey: ticket) else {
            return fail("a command is answered twice")
        }
        totals.commands += 1
        guard let message = books.messages[command.message] else { return }
        switch (command.verb, answer) {
        case (.cancel, .done):
            if !message.isFinished { fail("'cancel' of \(message.id) is done, and it is not finished on the disks") }
        case (.hold, .done):
            if !message.isHeld, !message.isFinished, !message.wasReleased {
                fail("'hold' of \(message.id) is done, and no frame says so")
            }
        case (.bounce, .done):
            if !message.isFinished { fail("'bounce' of \(message.id) is done, and it is not finished on the disks") }
        case (_, .notFound):
            // What finishes it may be on its way to the disk; another node may own it.
            if message.answer == .queued, !message.isFinished, !message.isDamaged, message.isNewestCommitted,
                machines.count == 1
            {
                fail("\(message.id) is 'not found'")
            }
        default: break
        }
    }

    // MARK: Records

    func write(record key: String, _ value: [UInt8]?, at machine: Machine) {
        recordKeys.insert(key)
        let ticket = ticket()
        machine.recordTickets[ticket] = key
        feed(machine, .record(ticket, key: key, value: value, expiry: nil))
    }

    func recorded(_ ticket: Ticket, _ refused: String?, _ machine: Machine) {
        guard let key = machine.recordTickets.removeValue(forKey: ticket) else {
            return fail("\(machine.name): a record is answered that nobody wrote")
        }
        if let refused { fail("\(machine.name) does not write the record \(key): \(refused)") }
        totals.records += 1
    }

    /// Whatever people have set is taken back, until every node knows it.
    func clearRecords() {
        let live = machines.filter(\.isLive)
        guard let machine = live.first, violation == nil, !recordKeys.isEmpty else { return }
        for key in recordKeys.sorted() where isSet(key) { write(record: key, nil, at: machine) }
        scheduler.after(.seconds(2)) { [unowned self] in
            if recordKeys.contains(where: { isSet($0) }) { clearRecords() }
        }
    }

    private func isSet(_ key: String) -> Bool {
        machines.contains { machine in
            guard let status = machine.node?.status(at: machine.now(scheduler.now)) else { return true }
            if key.hasPrefix("drain/") { return status.drainedNodes.contains(String(key.dropFirst(6))) }
            return status.disabledUpstreams.contains(String(key.dropFirst(9).dropLast(4)))
        }
    }

    // MARK: Draining

    /// SIGTERM.
    func drain(_ machine: Machine) {
        guard machine.isLive, !machine.isDraining else { return }
        count(.drain)
        machine.isDraining = true
        feed(machine, .drain)
        // The longest wait for an upstream, and a slow disk; then whoever started it loses patience.
        later(plan.longestDrain, machine) { [unowned self] in
            guard machine.isDraining else { return }
            if machines.count == 1 { return fail("a drain does not end") }
            say("\(machine.name) does not end: SIGKILL")
            die(machine, losing: .nothing)
        }
    }

    func drainSessions(_ machine: Machine) {
        later(plan.drainTimeout, machine) { [unowned self] in feed(machine, .drainTimedOut) }
        endSessions(machine)
    }

    /// Sessions end once their message is answered.
    private func endSessions(_ machine: Machine) {
        guard !machine.submissions.isEmpty || !machine.streamDurable.isEmpty else {
            return feed(machine, .sessionsEnded)
        }
        later(.milliseconds(20), machine) { [unowned self] in endSessions(machine) }
    }

    func drained(_ machine: Machine) {
        // By a record: it stays, and keeps its copies.
        guard machine.isDraining else { return }
        say("\(machine.name) is drained: the process ends")
        die(machine, losing: .nothing)
    }
}
