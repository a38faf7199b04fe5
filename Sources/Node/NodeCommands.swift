internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

/// What people ask of messages and upstreams (`queue.md`, 'Commands').
extension Node {
    mutating func command(_ ticket: Ticket, _ command: Command, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let key = index[command.message], messages[key].isCommitted else {
            // Nobody can say while the index of a journal is made anew.
            let isUnsure = state != .serving || journals.values.contains { $0.scan != nil }
            effects.append(.commandAnswer(ticket, isUnsure ? .tryAgain : .notFound))
            return
        }
        // Its last outcome is on its way to the disk.
        guard messages[key].unfinished > 0 else {
            effects.append(.commandAnswer(ticket, messages[key].isSent ? .sent : .nothingToDo))
            return
        }
        // Nothing is written to a journal that is not this node's, or not any more.
        guard state == .serving, journals.isActive(messages[key].journal),
            messages[key].pendingCommand == nil, !isSettlingLate(key)
        else {
            effects.append(.commandAnswer(ticket, .tryAgain))
            return
        }
        switch command.verb {
        case .retry: effects.append(.commandAnswer(ticket, retryNow(key, now, &effects)))
        case .release: release(key, command, ticket, now, &effects)
        case .redirect where !router.upstreams.contains { $0.name == command.upstream }:
            effects.append(.commandAnswer(ticket, .nothingToDo))
        case .hold, .cancel, .bounce, .redirect:
            messages[key].pendingCommand = PendingCommand(ticket: ticket, command: command)
            stopJobs(of: key, now, &effects)
            if messages[key].jobs == 0 { carryOutPending(key, now, &effects) }
        }
    }

    private mutating func retryNow(_ key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) -> CommandAnswer {
        unpark(key, now)
        var isWaiting = messages[key].jobs > 0
        for position in messages[key].recipients.indices {
            guard case .waiting = messages[key].recipients[position].state else { continue }
            messages[key].recipients[position].state = .waiting(until: now.instant)
            isWaiting = true
        }
        guard isWaiting else { return .nothingToDo }
        // What is parked goes as a probe.
        beginTry(key, isAsked: true, now, &effects)
        for lane in lanes.indices where waitingFor[lane] > 0 {
            router.health[lane].probeNow(at: now.instant)
            probe(lane, now, &effects)
        }
        return .done
    }

    private mutating func release(
        _ key: MessageKey, _ command: Command, _ ticket: Ticket, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let held = messages[key].recipients.indices.filter { messages[key].recipients[$0].state == .held }
        guard !held.isEmpty else {
            effects.append(.commandAnswer(ticket, .nothingToDo))
            return
        }
        append(.release, command, to: held, of: key, Asker(ticket: ticket, answer: .done), now, &effects)
    }

    /// Before the dot a transaction is stopped, after it its outcome is awaited.
    private mutating func stopJobs(of key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        unpark(key, now)
        for recipient in messages[key].recipients.indices {
            guard case .busy(let job) = messages[key].recipients[recipient].state else { continue }
            if withdraw(job) {
                for recipient in jobs[job].recipients {
                    messages[key].recipients[Int(recipient)].tries -= 1
                    messages[key].recipients[Int(recipient)].state = .waiting(until: now.instant)
                }
                removeJob(job)
                messages[key].jobs -= 1
            } else if case .running(let id) = jobs[job].place, let connection = connection(id) {
                for handed in [connection.present, connection.next].compactMap({ $0 }) where handed.job == job {
                    if !handed.isDotSent { effects.append(.interrupt(id, transaction: handed.id)) }
                }
            }
        }
    }

    /// All transactions have ended: what was asked is done to what is left.
    mutating func carryOutPending(_ key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        guard messages.contains(key), let pending = messages[key].pendingCommand else { return }
        let command = pending.command
        let asker = Asker(ticket: pending.ticket, answer: pending.wasUnanswered ? .unanswered : .done)
        messages[key].pendingCommand = nil
        let left = messages[key].recipients.indices.filter { !messages[key].recipients[$0].isFinished }
        guard !left.isEmpty else {
            effects.append(.commandAnswer(asker.ticket, messages[key].isSent ? .sent : .nothingToDo))
            return
        }
        switch command.verb {
        case .hold:
            let free = left.filter { messages[key].recipients[$0].state != .held }
            guard !free.isEmpty else {
                effects.append(.commandAnswer(asker.ticket, pending.wasUnanswered ? .unanswered : .nothingToDo))
                return
            }
            append(.hold, command, to: free, of: key, asker, now, &effects)
        case .cancel: append(.cancel, command, to: left, of: key, asker, now, &effects)
        case .redirect: append(.redirect, command, to: left, of: key, asker, now, &effects)
        case .bounce:
            // It stays pending until the outcome is written: the header may have to be read first, and no try may begin.
            messages[key].pendingCommand = pending
            let reason = command.reason.isEmpty ? "Returned by the postmaster" : command.reason
            finish(
                Settlement(
                    message: key, job: nil, verdicts: left.map { (UInt32($0), .givenUp(reason)) }, asker: asker),
                now, &effects)
        case .retry, .release: break
        }
    }

    /// Appends a command's frame; what it says holds in memory at once, so that no try begins meanwhile.
    private mutating func append(
        _ verb: Command.Verb, _ command: Command, to recipients: [Int], of key: MessageKey, _ asker: Asker?,
        _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let record = CommandRecord(
            message: messages[key].id, recipients: recipients.map { UInt32($0) }, time: now.wall, by: command.by,
            reason: command.reason)
        for recipient in recipients {
            switch verb {
            case .hold: messages[key].recipients[recipient].state = .held
            case .cancel: messages[key].finish(recipient, .cancelled)
            case .redirect: messages[key].recipients[recipient].redirect = command.upstream
            case .release, .retry, .bounce: break
            }
        }
        messages[key].uncommitted += 1
        let frame: Record
        switch verb {
        case .hold: frame = .hold(record)
        case .cancel: frame = .cancel(record)
        case .redirect: frame = .redirect(record, upstream: command.upstream)
        default: frame = .release(record)
        }
        append(frame, to: messages[key].journal, then: .command(key, verb, record, asker), now, &effects)
    }

    mutating func appendCancel(
        _ key: MessageKey, by: String, reason: String, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let left = messages[key].recipients.indices.filter { !messages[key].recipients[$0].isFinished }
        append(
            .cancel, Command(.cancel, messages[key].id, by: by, reason: reason), to: left, of: key, nil, now, &effects)
    }

    mutating func appendHold(
        _ key: MessageKey, _ recipients: [Int], reason: String, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        append(
            .hold, Command(.hold, messages[key].id, by: "baton", reason: reason), to: recipients, of: key, nil, now,
            &effects)
    }

    /// As a damaged journal had it.
    mutating func appendRedirect(
        _ key: MessageKey, _ recipients: [Int], upstream: String, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let command = Command(
            .redirect, messages[key].id, by: "baton", reason: "redirected before the journal was damaged",
            upstream: upstream)
        append(.redirect, command, to: recipients, of: key, nil, now, &effects)
    }

    mutating func commandCommitted(
        _ key: MessageKey, _ verb: Command.Verb, _ record: CommandRecord, _ asker: Asker?, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        messages[key].uncommitted -= 1
        switch verb {
        case .release:
            for recipient in record.recipients where messages[key].recipients[Int(recipient)].state == .held {
                messages[key].recipients[Int(recipient)].state = .waiting(until: now.instant)
                messages[key].recipients[Int(recipient)].released = record.time
            }
        case .redirect:
            // Why it was redirected is why it should go now, and not wait for its destination either.
            unpark(key, now)
            for recipient in record.recipients {
                guard case .waiting = messages[key].recipients[Int(recipient)].state else { continue }
                messages[key].recipients[Int(recipient)].state = .waiting(until: now.instant)
            }
        default:
            for recipient in record.recipients {
                effects.append(.note(.result(commandNote(key, Int(recipient), verb, record, now))))
            }
        }
        if let asker { effects.append(.commandAnswer(asker.ticket, asker.answer)) }
        if verb == .release || verb == .redirect, state == .serving {
            beginTry(key, isAsked: verb == .redirect, now, &effects)
        }
        removeIfFinished(key, now, &effects)
    }

    private func commandNote(
        _ key: MessageKey, _ recipient: Int, _ verb: Command.Verb, _ record: CommandRecord, _ now: Now
    ) -> Note.Result {
        Note.Result(
            id: record.message, to: messages[key].recipients[recipient].address.bytes, upstream: "", remote: "",
            status: verb == .hold ? .held : .cancelled, code: 0, enhanced: "",
            reply: Array("\(record.by): \(record.reason)".utf8), attempt: 0, delay: now.wall - messages[key].accepted,
            queued: .zero, transaction: .zero, epoch: journals[messages[key].journal]?.epoch ?? 0, next: nil)
    }

    mutating func enableUpstream(_ lane: Int, _ isEnabled: Bool, _ now: Now, _ effects: inout [NodeEffect]) {
        router.health[lane].isDisabled = !isEnabled
        if isEnabled {
            router.health[lane].probeNow(at: now.instant)
            for key in takeWaiting(for: lane) { place(key, now, &effects) }
            probe(lane, now, &effects)
        } else {
            for key in lanes[lane].idle { close(key, now, &effects) }
            for key in lanes[lane].drain() {
                leaveLine(key, lane)
                place(key, now, &effects)
            }
        }
    }
}
