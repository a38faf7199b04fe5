internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

/// What one transaction says of its upstream, beside what it says of each recipient.
private struct Hearing {
    /// Whom another upstream may take: refused for the upstream's sake, or before any recipient was looked at.
    var refused: [(recipient: UInt32, verdict: Verdict)] = []
    /// Our login there, or our right to relay.
    var accessRefused: (stage: Stage, reply: Reply)?
    var isAccessDoubted = false
    /// The provider's words against this upstream.
    var against: Reply?
    var tooFastAt: Stage?
    var isAnswered = false
    var delivered = 0
    /// Whose mailboxes do not exist.
    var hardBounces: [(recipient: UInt32, reply: Reply)] = []
}

/// From replies to verdicts: what each recipient's result means, and what is learnt of the upstream.
extension Node {
    /// Ends one transaction: decides recipients, or lets the job go on with another upstream or connection.
    mutating func settle(
        _ handed: LaneConnection.Handed, _ connection: LaneConnection, results: [SMTP.RecipientResult], isStale: Bool,
        _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let orphan = transactions.remove(SlabKey(number: handed.id))?.orphan
        let lane = connection.lane
        if handed.isRetry { lanes[lane].busyRetries -= 1 }
        if isStale {
            router.limits.giveBack(
                upstream: lane, provider: handed.provider, recipients: handed.recipients.count, at: now.instant)
        } else {
            router.limits.finished(upstream: lane, provider: handed.provider, at: now.instant)
        }
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
        var hearing = Hearing()
        for (recipient, result) in zip(handed.recipients, results) {
            switch result.outcome {
            case .delivered(let reply):
                hearing.delivered += 1
                recentResults[lane].add(isStrange: false, at: now.instant)
                settlement.verdicts.append((recipient, .delivered(reply)))
            case .unanswered(let reason): settlement.verdicts.append((recipient, .unanswered(reason)))
            case .failed(let reply), .deferred(let reply):
                judge(reply, at: result.stage, recipient, handed.job, lane, &hearing, &settlement)
            case .notSent(.tooManyRecipients, let reply):
                settlement.verdicts.append((recipient, .notSent(reply, "too many recipients for one transaction")))
                settlement.continuing.append(recipient)
            case .notSent(let reason, let reply) where isStale || reason == .notPermitted:
                settlement.verdicts.append((recipient, .notSent(reply, reason.description)))
                settlement.continuing.append(recipient)
            case .notSent(let reason, let reply):
                let text = reply ?? Reply(451, 4, 4, 2, reason.description)
                hearing.refused.append((recipient, .deferred(text)))
            }
        }
        decideFailover(hearing.refused, lane, handed.job, isStopping: isStopping, &settlement)
        for (recipient, reply) in hearing.hardBounces {
            hardBounced(
                messages[key].recipients[Int(recipient)].address, reply, upstream: settlement.upstream, now, &effects)
        }
        learn(hearing, lane, jobs[handed.job].provider, took: settlement.delays.transaction, now, &effects)
        finish(settlement, now, &effects)
    }

    /// What one refusal means for its recipient.
    private mutating func judge(
        _ reply: Reply, at stage: Stage, _ recipient: UInt32, _ job: JobKey, _ lane: Int, _ hearing: inout Hearing,
        _ settlement: inout Settlement
    ) {
        let meaning = classify(reply, at: stage, jobs[job].provider)
        let speaksOfRecipient = meaning.against == .recipient || meaning.against == .domain
        recentResults[lane].add(isStrange: reply.isPermanent && !speaksOfRecipient, at: present.instant)
        if meaning.against == .access || reply.speaksOfUpstream(at: stage) {
            guard recentResults[lane].isShutOut(at: present.instant) else {
                hearing.isAccessDoubted = true
                return hearing.refused.append((recipient, .deferred(reply)))
            }
            hearing.accessRefused = (stage, reply)
            settlement.verdicts.append((recipient, .notSent(reply, "")))
            settlement.continuing.append(recipient)
            return
        }
        let isFinal = reply.isPermanent && !configuration.softBounce
        switch meaning.against {
        case .pace where jobs[job].provider == .other && stage != .mail:
            // One of many small ones: it is the domain that is asked less (`NodeBackOff`).
            hearing.isAnswered = true
            settlement.verdicts.append((recipient, .deferred(reply)))
        case .upstream, .pace:
            // No other upstream has refused it so: it is not the message's end.
            hearing.against = reply
            if meaning.against == .pace { hearing.tooFastAt = stage }
            if stage != .mail { hearing.isAnswered = true }
            let isEnd = isFinal && meaning.against == .upstream
            hearing.refused.append((recipient, isEnd ? .failed(reply) : .deferred(reply)))
        case _ where stage == .mail && reply.isTransient: hearing.refused.append((recipient, .deferred(reply)))
        default:
            hearing.isAnswered = true
            if !isFinal {
                settlement.verdicts.append((recipient, .deferred(reply)))
            } else if !speaksOfRecipient, recentResults[lane].isRaging(at: present.instant) {
                settlement.verdicts.append((recipient, .withheld(reply)))
            } else {
                settlement.verdicts.append((recipient, .failed(reply)))
                if meaning.replyClass == .badRecipient { hearing.hardBounces.append((recipient, reply)) }
            }
        }
        if meaning.replyClass == .greylisted {
            // What it wants is the same message from the same address.
            messages[settlement.message].recipients[Int(recipient)].returnsTo = Int8(lane)
        }
    }

    /// Whether those that this upstream refused go to the next one within this try, or what their end is.
    private mutating func decideFailover(
        _ refused: [(recipient: UInt32, verdict: Verdict)], _ lane: Int, _ job: JobKey, isStopping: Bool,
        _ settlement: inout Settlement
    ) {
        guard let first = refused.first else { return }
        jobs[job].tried |= 1 << Router.Mask(lane)
        jobs[job].refusal = first.verdict.reply
        let isNullSender = messages[settlement.message].reversePath == nil
        let excluded = jobs[job].tried | jobs[job].lacking
        let another = router.hasUsable(
            route: jobs[job].route, provider: jobs[job].provider, excluding: excluded, isNullSender: isNullSender,
            at: present.instant)
        let isExhausted = router.mask(route: jobs[job].route, isNullSender: isNullSender) & ~excluded == 0
        for (recipient, verdict) in refused {
            if case .failed = verdict {} else { jobs[job].isRefusedForGood = false }
            if another || isStopping {
                settlement.verdicts.append((recipient, .notSent(verdict.reply, "")))
                settlement.continuing.append(recipient)
            } else if case .failed(let reply) = verdict, !isExhausted || !jobs[job].isRefusedForGood {
                settlement.verdicts.append((recipient, .deferred(reply)))
            } else if case .failed(let reply) = verdict, recentResults[lane].isRaging(at: present.instant) {
                settlement.verdicts.append((recipient, .withheld(reply)))
            } else {
                settlement.verdicts.append((recipient, verdict))
            }
        }
    }

    // MARK: What is learnt of the upstream

    private mutating func learn(
        _ hearing: Hearing, _ lane: Int, _ provider: ProviderID, took: Duration, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        if hearing.isAccessDoubted { recentResults[lane].accessRefused() }
        if hearing.delivered > 0 {
            recentResults[lane].delivered(at: now.instant)
            router.cost.sent(upstream: lane, recipients: hearing.delivered, at: now)
            router.limits.succeeded(upstream: lane, provider: provider, at: now.instant)
        }
        if let stage = hearing.tooFastAt {
            // Said of MAIL it is no matter of where the mail goes.
            router.limits.rateLimited(upstream: lane, provider: stage == .mail ? nil : provider, at: now.instant)
        }
        if let reply = hearing.against, hearing.refused.count > hearing.delivered {
            router.reputation.record(
                .refused, upstream: lane, provider: provider, reply: reply.description, fromFeedback: false,
                at: now.instant)
        } else if hearing.delivered > 0 {
            router.reputation.record(
                .good, upstream: lane, provider: provider, reply: "", fromFeedback: false, at: now.instant)
        }
        if let (stage, reply) = hearing.accessRefused {
            takeDown(lane, "\(stage): \(reply)", stage: stage, isAccess: true, now, &effects)
        } else if hearing.isAnswered || hearing.delivered > 0,
            router.health[lane].answered(transaction: took, at: now.instant)
        {
            cameBack(lane, now, &effects)
        }
    }

    /// What a reply means, by what is known of its provider.
    func classify(_ reply: Reply, at stage: Stage, _ provider: ProviderID) -> Classification {
        router.classifier.classify(
            reply, at: stage, provider: provider == .other ? nil : router.providers.name(provider))
    }
}
