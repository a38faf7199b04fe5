internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

/// From replies to outcome frames: what each recipient's result means, and who is told.
extension Node {
    // MARK: What a transaction means

    /// Ends one transaction: decides recipients, or lets the job go on with another upstream or connection.
    mutating func settle(
        _ handed: LaneConnection.Handed, _ connection: LaneConnection, results: [SMTP.RecipientResult], isStale: Bool,
        _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let orphan = transactions.remove(SlabKey(number: handed.id))?.orphan
        let lane = connection.lane
        if handed.isRetry { lanes[lane].busyRetries -= 1 }
        if let orphan {
            return orphanEnded(
                orphan, results, upstream: lanes[lane].upstream.name, remote: connection.remote, now, &effects)
        }
        guard jobs.contains(handed.job) else { return }
        hearDestinations(handed, results, now)
        let key = jobs[handed.job].message
        let isStopping = messages[key].pendingCommand != nil
        // Once: a second dead connection is as good as a refusal.
        let isStale = isStale && !jobs[handed.job].hadStaleConnection
        if isStale {
            jobs[handed.job].hadStaleConnection = true
            jobs[handed.job].needsFreshConnection = true
        }
        var settlement = Settlement(
            message: key, job: handed.job, attempt: handed.attempt, upstream: lanes[lane].upstream.name,
            remote: connection.remote, verdicts: [])
        settlement.delays = Delays(queued: handed.began - handed.queued, transaction: now.instant - handed.began)
        var refused: [(recipient: UInt32, verdict: Verdict)] = []
        var speaksOfUpstream: (stage: Stage, reply: Reply)?
        var isAnswered = false
        for (recipient, result) in zip(handed.recipients, results) {
            switch result.outcome {
            case .delivered(let reply):
                isAnswered = true
                settlement.verdicts.append((recipient, .delivered(reply)))
            case .unanswered(let reason): settlement.verdicts.append((recipient, .unanswered(reason)))
            case .failed(let reply) where reply.speaksOfUpstream(at: result.stage):
                speaksOfUpstream = (result.stage, reply)
                settlement.verdicts.append((recipient, .notSent(reply, "")))
                settlement.continuing.append(recipient)
            case .failed(let reply):
                isAnswered = true
                settlement.verdicts.append((recipient, configuration.softBounce ? .deferred(reply) : .failed(reply)))
            case .deferred(let reply) where result.stage == .mail: refused.append((recipient, .deferred(reply)))
            case .deferred(let reply):
                isAnswered = true
                settlement.verdicts.append((recipient, .deferred(reply)))
            case .notSent(.tooManyRecipients, let reply):
                settlement.verdicts.append((recipient, .notSent(reply, "too many recipients for one transaction")))
                settlement.continuing.append(recipient)
            case .notSent(let reason, let reply) where isStale || reason == .notPermitted:
                settlement.verdicts.append((recipient, .notSent(reply, reason.description)))
                settlement.continuing.append(recipient)
            case .notSent(let reason, let reply):
                let text = reply ?? Reply(451, 4, 4, 2, reason.description)
                refused.append((recipient, .deferred(text)))
            }
        }
        decideFailover(refused, lane, handed.job, isStopping: isStopping, &settlement)
        if let (stage, reply) = speaksOfUpstream {
            takeDown(lane, "\(stage): \(reply)", now, &effects)
        } else if isAnswered, router.health[lane].answered(at: now.instant) {
            cameBack(lane, now, &effects)
        }
        finish(settlement, now, &effects)
    }

    /// Whether those that this upstream refused go to the next one within this try, or are deferred.
    private mutating func decideFailover(
        _ refused: [(recipient: UInt32, verdict: Verdict)], _ lane: Int, _ job: JobKey, isStopping: Bool,
        _ settlement: inout Settlement
    ) {
        guard let first = refused.first else { return }
        jobs[job].tried |= 1 << Router.Mask(lane)
        jobs[job].refusal = first.verdict.reply
        let another = router.hasUsable(
            route: jobs[job].route, provider: jobs[job].provider, excluding: jobs[job].tried | jobs[job].lacking,
            isNullSender: messages[settlement.message].reversePath == nil, at: present.instant)
        for (recipient, verdict) in refused {
            if another || isStopping {
                settlement.verdicts.append((recipient, .notSent(verdict.reply, "")))
                settlement.continuing.append(recipient)
            } else {
                settlement.verdicts.append((recipient, verdict))
            }
        }
    }

    /// Ends a job without a transaction.
    mutating func end(
        _ key: JobKey, with verdicts: [(recipient: UInt32, verdict: Verdict)], _ now: Now, _ effects: inout [NodeEffect]
    ) {
        var settlement = Settlement(message: jobs[key].message, job: key, verdicts: verdicts)
        for (recipient, verdict) in verdicts {
            if case .stillWaiting = verdict { settlement.continuing.append(recipient) }
        }
        finish(settlement, now, &effects)
    }

    // MARK: Into frames

    /// Fetches the header if someone has to be told, then writes.
    mutating func finish(_ settlement: Settlement, _ now: Now, _ effects: inout [NodeEffect]) {
        var settlement = settlement
        expireLate(&settlement, now)
        settlement.isLate = patience.isWarningDue(messages[settlement.message], now)
        settlement.needsNotice = needsNotice(settlement)
        guard settlement.needsNotice else { return write(settlement, header: [], now, &effects) }
        let content = messages[settlement.message].content
        if let frame = content.frame, let run = content.runs.first, run.offset >= content.frameOffset,
            run.offset - content.frameOffset + UInt64(run.count) <= UInt64(frame.count)
        {
            let start = Int(run.offset - content.frameOffset)
            let header = frame[start..<start + min(Int(run.count), DeliveryReport.maximumHeader)]
            return write(settlement, header: Array(header), now, &effects)
        }
        if let job = settlement.job { jobs[job].place = .settling }
        let ticket = self.ticket()
        settling[ticket] = settlement
        effects.append(.readContent(ticket, content, limit: DeliveryReport.maximumHeader))
    }

    mutating func contentRead(_ ticket: Ticket, _ bytes: [UInt8]?, _ now: Now, _ effects: inout [NodeEffect]) {
        if let settlement = settling.removeValue(forKey: ticket) {
            write(settlement, header: bytes ?? [], now, &effects)
        } else if let key = reaccepting.removeValue(forKey: ticket) {
            reaccept(key, bytes, now, &effects)
        }
    }

    private mutating func expireLate(_ settlement: inout Settlement, _ now: Now) {
        guard let job = settlement.job,
            patience.isOver(
                messages[settlement.message], route: router.lifetime(route: jobs[job].route), begun: jobs[job].begun,
                now)
        else { return }
        for position in settlement.verdicts.indices {
            switch settlement.verdicts[position].verdict {
            case .deferred(let reply): settlement.verdicts[position].verdict = .expired(reply)
            case .unanswered(let reason) where configuration.uncertain == .resend:
                settlement.verdicts[position].verdict = .expired(Reply(451, 4, 4, 2, reason))
                messages[settlement.message].isUncertain = true
            default: break
            }
        }
    }

    private func needsNotice(_ settlement: Settlement) -> Bool {
        guard configuration.bounces.send, messages[settlement.message].reversePath != nil else { return false }
        return settlement.verdicts.contains {
            switch $0.verdict {
            case .failed, .expired, .givenUp, .suppressed: true
            case .deferred, .stillWaiting: settlement.isLate
            case .delivered, .unanswered, .notSent: false
            }
        }
    }

    /// Writes the outcome, several frames if it speaks of very many recipients, and lets the job go on or end.
    private mutating func write(_ settlement: Settlement, header: [UInt8], _ now: Now, _ effects: inout [NodeEffect]) {
        let key = settlement.message
        var rest = settlement.verdicts[...]
        var wait = Duration.zero
        if settlement.verdicts.contains(where: { $0.verdict.isDeferred }) {
            let tries = settlement.verdicts.map { messages[key].recipients[Int($0.recipient)].tries }.max() ?? 1
            wait = retryWait(tries: tries, route: settlement.job.map { jobs[$0].route })
        }
        while !rest.isEmpty {
            let chunk = rest.prefix(Settlement.recipientsPerOutcome)
            rest = rest.dropFirst(chunk.count)
            writeOutcome(
                settlement, chunk, wait: wait, header: header, asker: rest.isEmpty ? settlement.asker : nil, now,
                &effects)
        }
        goOn(settlement, now, &effects)
    }

    private mutating func writeOutcome(
        _ settlement: Settlement, _ chunk: ArraySlice<(recipient: UInt32, verdict: Verdict)>, wait: Duration,
        header: [UInt8], asker: Asker?, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let key = settlement.message
        let report = settlement.needsNotice ? report(on: chunk, settlement, header: header, now) : nil
        var record = OutcomeRecord(
            message: messages[key].id, attempt: settlement.attempt, time: now.wall, upstream: settlement.upstream,
            remote: settlement.remote, results: [])
        record.results.reserveCapacity(chunk.count)
        for (recipient, verdict) in chunk {
            record.results.append(
                apply(verdict, to: Int(recipient), of: key, wait: wait, isReplyCut: chunk.count > 10, now))
        }
        record.notice = report
        messages[key].uncommitted += 1
        let journal = messages[key].journal
        let (epoch, offset) = journals.nextPlace(in: journal)
        var noticeKey: MessageKey?
        let bytes = Frame.encode(.outcome(record), epoch: epoch, journal: journal, offset: offset)
        if let notice = report, case .inline(let content) = notice.content {
            // The notice is the frame's last field, and its content the notice's.
            let run = ContentPiece(
                offset: offset + UInt64(bytes.count - content.count), count: UInt32(content.count))
            noticeKey = insert(
                Message(notice, in: journal, frameOffset: offset, frame: nil, runs: [run], due: now.instant), notice)
        }
        _ = appendEncoded(
            bytes, to: journal, then: .outcome(key, record, settlement.delays, notice: noticeKey, asker), now, &effects)
    }

    /// What the verdict means for the recipient, in memory and in the frame.
    private mutating func apply(
        _ verdict: Verdict, to recipient: Int, of key: MessageKey, wait: Duration, isReplyCut: Bool, _ now: Now
    ) -> Journal.RecipientResult {
        let limit = isReplyCut ? 512 : Settlement.replyLimit
        let text = Array(verdict.text.prefix(limit))
        let reply = verdict.reply
        var result = Journal.RecipientResult(
            recipient: UInt32(recipient), status: verdict.status, code: UInt16(clamping: reply?.code ?? 0),
            enhanced: reply?.enhanced?.description ?? "", reply: text,
            tries: messages[key].recipients[recipient].tries)
        messages[key].recipients[recipient].openAttempt = 0
        messages[key].recipients[recipient].redirect = ""
        switch verdict {
        case .delivered: messages[key].finish(recipient, .delivered)
        case .failed, .givenUp: messages[key].finish(recipient, .failed)
        case .suppressed:
            result.isSuppressed = true
            messages[key].finish(recipient, .failed)
        case .expired: messages[key].finish(recipient, .expired)
        case .deferred:
            result.due = now.wall + wait
            messages[key].recipients[recipient].state = .waiting(until: now.instant + wait)
        case .unanswered:
            messages[key].isUncertain = true
            messages[key].pendingCommand?.wasUnanswered = true
            if configuration.uncertain == .hold {
                result.isHeld = true
                messages[key].recipients[recipient].state = .held
            } else {
                result.due = now.wall + wait
                messages[key].recipients[recipient].state = .waiting(until: now.instant + wait)
            }
        case .notSent, .stillWaiting:
            // The try goes on: after a crash it is begun anew, and is no further try.
            result.due = now.wall
            result.tries = max(result.tries, 1) - 1
        }
        if !messages[key].recipients[recipient].isFinished {
            let line = reply?.description ?? String(decoding: text, as: UTF8.self)
            messages[key].recipients[recipient].lastReply = String(line.prefix(256))
        }
        return result
    }

    /// Lets the job go on with those that were not decided, or ends it.
    private mutating func goOn(_ settlement: Settlement, _ now: Now, _ effects: inout [NodeEffect]) {
        let key = settlement.message
        guard let job = settlement.job else {
            // A person's 'bounce': until now no try could begin.
            messages[key].pendingCommand = nil
            schedule(key)
            return
        }
        if messages[key].pendingCommand != nil || settlement.continuing.isEmpty || state != .serving {
            for recipient in settlement.continuing {
                messages[key].recipients[Int(recipient)].tries -= 1
                messages[key].recipients[Int(recipient)].state = .waiting(until: now.instant)
            }
            return endJob(job, now, &effects)
        }
        jobs[job].recipients = settlement.continuing
        jobs[job].place = .unplaced
        jobs[job].queued = now.instant
        place(job, now, &effects)
    }

    mutating func endJob(_ job: JobKey, _ now: Now, _ effects: inout [NodeEffect]) {
        let key = jobs[job].message
        removeJob(job)
        messages[key].jobs -= 1
        schedule(key)
        if messages[key].jobs == 0 { carryOutPending(key, now, &effects) }
    }

    // MARK: Committed

    mutating func outcomeCommitted(
        _ key: MessageKey, _ record: OutcomeRecord, _ delays: Delays, notice: MessageKey?, _ asker: Asker?,
        _ now: Now, _ effects: inout [NodeEffect]
    ) {
        messages[key].uncommitted -= 1
        if journals.isReclaimed(messages[key].journal), record.results.contains(where: { $0.status == .delivered }) {
            noteReclaimed(messages[key].journal, now, &effects)
        }
        let lane = lanes.firstIndex { $0.upstream.name == record.upstream }
        for result in record.results { note(result, of: key, record, delays, lane, now, &effects) }
        if let asker { effects.append(.commandAnswer(asker.ticket, asker.answer)) }
        if let notice { acceptCommitted(notice, since: now.instant, Origin(), now, &effects) }
        removeIfFinished(key, now, &effects)
    }

    private mutating func note(
        _ result: Journal.RecipientResult, of key: MessageKey, _ record: OutcomeRecord, _ delays: Delays, _ lane: Int?,
        _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let status: Note.Result.Status
        let kind: RecentCounts.Kind
        switch result.status {
        case .delivered: (status, kind) = (.sent, .sent)
        case .failed: (status, kind) = (result.isSuppressed ? .suppressed : .bounced, .bounced)
        case .expired: (status, kind) = (.expired, .bounced)
        case .unanswered: (status, kind) = (.uncertain, .uncertain)
        case .deferred: (status, kind) = (.deferred, .deferred)
        case .notSent:
            // Nothing was refused: another upstream or connection takes it within the same try.
            guard result.code >= 400 else { return }
            (status, kind) = (.deferred, .deferred)
        }
        let delay = now.wall - messages[key].accepted
        if result.status == .delivered { counters.timeToSend.record(max(delay, .zero)) }
        if result.status == .unanswered { counters.uncertain += 1 }
        recent.add(kind, at: now.instant)
        if let lane { laneRecent[lane].add(kind, at: now.instant) }
        totals[lane ?? lanes.count].add(status)
        effects.append(
            .note(
                .result(
                    Note.Result(
                        id: record.message, to: messages[key].recipients[Int(result.recipient)].address.bytes,
                        upstream: record.upstream, remote: record.remote, status: status, code: result.code,
                        enhanced: result.enhanced, reply: result.reply, attempt: record.attempt, delay: delay,
                        queued: delays.queued, transaction: delays.transaction,
                        epoch: journals.epoch(of: messages[key].journal),
                        next: result.due.map { max(.zero, $0 - now.wall) },
                        messageIDField: messages[key].messageIDField, recipient: result.recipient,
                        journal: messages[key].journal))))
    }

    /// A message whose recipients are all finished, on the disk too, leaves the index.
    mutating func removeIfFinished(_ key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        guard messages[key].unfinished == 0, messages[key].uncommitted == 0, messages[key].jobs == 0 else { return }
        uncache(key)
        guard let message = messages.remove(key) else { return }
        index[message.id] = nil
        var sent = 0
        var bounced = 0
        for recipient in message.recipients {
            switch recipient.state {
            case .finished(.delivered): sent += 1
            case .finished(.failed), .finished(.expired): bounced += 1
            default: break
            }
        }
        effects.append(
            .note(.done(message: message.id, sent: sent, bounced: bounced, age: now.wall - message.accepted)))
        if bounced > 0, message.reversePath == nil {
            counters.bouncesDropped += 1
            effects.append(.note(.bounceDropped(message.id, reason: "its sender is the null reverse-path")))
        }
        journals.count(unfinished: -1, in: message.journal)
        retireIfFinished(message.journal, now, &effects)
    }
}
