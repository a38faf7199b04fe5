internal import Cluster
internal import Journal
internal import Primitives
internal import SMTP

/// A dot that was sent under an epoch which is over by the time the upstream answers (`protocol.md`, 'Delivering').
struct Orphan: Sendable {
    let journal: JournalID
    let epoch: UInt64
    let message: MessageID
    let attempt: UInt32
    let recipients: [UInt32]
}

/// What a former owner still learns, and what the present one makes of it.
extension Node {
    /// How long a new owner leaves the attempts of a released epoch alone.
    static let lateOutcomePatience = Duration.minutes(10)

    // MARK: As the former owner

    /// Ends the jobs of a journal that was lost. Before the dot a transaction is stopped; after it what the upstream says is
    /// told to those who have the journal now.
    mutating func orphanTransactions(of id: JournalID, _ epoch: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        for (ticket, settlement) in settling where messages[settlement.message].journal == id {
            settling[ticket] = nil
            tellLate(settlement, now, &effects)
        }
        for key in messageKeys(of: id) {
            if let pending = messages[key].pendingCommand.take() {
                effects.append(.commandAnswer(pending.ticket, .tryAgain))
            }
            // Whom it keeps waiting learns it here: its accept is void.
            if messages[key].jobs > 0 { endJobs(of: key, epoch, &effects) }
        }
    }

    private mutating func endJobs(of key: MessageKey, _ epoch: UInt64, _ effects: inout [NodeEffect]) {
        for recipient in messages[key].recipients.indices {
            guard case .busy(let job) = messages[key].recipients[recipient].state, jobs.contains(job) else { continue }
            if !withdraw(job), case .running(let id) = jobs[job].place, let connection = connection(id) {
                for handed in [connection.present, connection.next].compactMap({ $0 }) where handed.job == job {
                    transactions[SlabKey(number: handed.id)].orphan = Orphan(
                        journal: messages[key].journal, epoch: epoch, message: messages[key].id,
                        attempt: handed.attempt, recipients: handed.recipients)
                    if !handed.isDotSent { effects.append(.interrupt(id, transaction: handed.id)) }
                }
            }
            removeJob(job)
        }
        messages[key].jobs = 0
    }

    /// A transaction of a lost journal has ended.
    mutating func orphanEnded(
        _ orphan: Orphan, _ results: [SMTP.RecipientResult], upstream: String, remote: String, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        var record = OutcomeRecord(
            message: orphan.message, attempt: orphan.attempt, time: now.wall, upstream: upstream, remote: remote,
            results: [])
        for (recipient, result) in zip(orphan.recipients, results) {
            switch result.outcome {
            case .delivered(let reply): record.results.append(final(.delivered, recipient, reply))
            case .failed(let reply) where !reply.speaksOfUpstream(at: result.stage) && !configuration.softBounce:
                record.results.append(final(.failed, recipient, reply))
            default: break
            }
        }
        tellLate(record, in: orphan.journal, orphan.epoch, now, &effects)
    }

    private func final(
        _ status: Journal.RecipientResult.Status, _ recipient: UInt32, _ reply: Reply
    ) -> Journal.RecipientResult {
        Journal.RecipientResult(
            recipient: recipient, status: status, code: UInt16(clamping: reply.code),
            enhanced: reply.enhanced?.description ?? "", reply: Array(reply.text.prefix(Settlement.replyLimit)))
    }

    private mutating func tellLate(_ settlement: Settlement, _ now: Now, _ effects: inout [NodeEffect]) {
        let message = messages[settlement.message]
        var record = OutcomeRecord(
            message: message.id, attempt: settlement.attempt, time: now.wall, upstream: settlement.upstream,
            remote: settlement.remote, results: [])
        for (recipient, verdict) in settlement.verdicts {
            switch verdict {
            case .delivered(let reply): record.results.append(final(.delivered, recipient, reply))
            case .failed(let reply): record.results.append(final(.failed, recipient, reply))
            default: break
            }
        }
        tellLate(record, in: message.journal, journals[message.journal]?.epoch ?? 0, now, &effects)
    }

    /// Only what is final and what an upstream said: a bounce by command or an expiry is decided again.
    mutating func tellLate(
        _ record: OutcomeRecord, in id: JournalID, _ epoch: UInt64, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard record.attempt != 0 else { return }
        for result in record.results where result.status == .delivered || result.status == .failed {
            var single = record
            single.results = [result]
            single.notice = nil
            let frame = Frame.encode(.outcome(single), epoch: epoch, journal: id, offset: 0)
            let outcome = LateOutcome(
                journal: id, epoch: epoch, message: record.message, recipient: result.recipient,
                outcome: Array(frame[FrameHeader.size...]))
            run(.tellLateOutcome(outcome), now, &effects)
            // Nobody tells it itself that it won the journal back meanwhile.
            lateOutcomeCame(outcome, now, &effects)
        }
    }

    // MARK: As the present owner

    mutating func lateOutcomeCame(_ outcome: LateOutcome, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals[outcome.journal]?.isActive == true, journals[outcome.journal]?.scan == nil,
            let key = index[outcome.message], messages[key].journal == outcome.journal
        else { return }
        useLateOutcomes(key, now, &effects)
    }

    /// Commits what former owners learned of a message that this one has not begun itself.
    mutating func useLateOutcomes(_ key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        guard cluster.lateOutcomes.count > 0, let held = journals[messages[key].journal], held.isActive,
            state == .serving, messages[key].begunEpoch != held.epoch || has(.lateOutcomeWrongEpoch),
            messages[key].pendingCommand == nil, !has(.lateOutcomeIgnored)
        else { return }
        for recipient in messages[key].recipients.indices
        where !messages[key].recipients[recipient].isFinished && !isSettling(key, UInt32(recipient)) {
            guard
                let late = cluster.lateOutcomes.usable(
                    for: messages[key].id, recipient: UInt32(recipient), in: held.id, ownerEpoch: held.epoch),
                let (record, verdict) = verdict(of: late)
            else { continue }
            if case .busy(let job) = messages[key].recipients[recipient].state, !withdrawWhole(job, of: key, now) {
                continue
            }
            leaveParked(recipient, of: key, now)
            // The header may have to be read first, and no try may begin meanwhile.
            messages[key].recipients[recipient].state = .held
            effects.append(.note(.lateOutcome(messages[key].id, isUsed: true)))
            finish(
                Settlement(
                    message: key, job: nil, attempt: record.attempt, upstream: record.upstream, remote: record.remote,
                    verdicts: [(UInt32(recipient), verdict)]), now, &effects)
            guard messages.contains(key) else { return }
        }
    }

    /// Its outcome waits for the message's header.
    private func isSettling(_ key: MessageKey, _ recipient: UInt32) -> Bool {
        settling.values.contains { $0.message == key && $0.verdicts.contains { $0.recipient == recipient } }
    }

    /// A late outcome waits for the message's header: no job or command holds the message meanwhile.
    func isSettlingLate(_ key: MessageKey) -> Bool {
        settling.values.contains { $0.message == key && $0.job == nil }
    }

    /// Takes a job that has not begun away from its lane; its recipients wait again. False when a connection has it.
    mutating func withdrawWhole(_ job: JobKey, of key: MessageKey, _ now: Now) -> Bool {
        guard withdraw(job) else { return false }
        for recipient in jobs[job].recipients {
            messages[key].recipients[Int(recipient)].tries -= 1
            messages[key].recipients[Int(recipient)].state = .waiting(until: now.instant)
        }
        removeJob(job)
        messages[key].jobs -= 1
        return true
    }

    private func verdict(of late: LateOutcome) -> (OutcomeRecord, Verdict)? {
        guard
            case .outcome(let record)? = try? Frame.decodeRecord(
                kind: FrameKind.outcome.rawValue, body: late.outcome, at: 0, content: .located),
            let result = record.results.first, result.recipient == late.recipient
        else { return nil }
        let reply = Reply(
            Int(result.code), EnhancedCode(leading: Array(result.enhanced.utf8)), text: result.reply)
        switch result.status {
        case .delivered: return (record, .delivered(reply))
        case .failed: return (record, .failed(reply))
        default: return nil
        }
    }
}
