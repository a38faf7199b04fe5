internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

/// A probe of a destination that was deferred.
struct FailedProbe: Sendable {
    let destination: DestinationKey
    let reply: Reply
    /// When its try began.
    let begun: WallTime
    /// No upstream could be reached: it speaks of those only that have no other way.
    var isOfUpstream = false
}

/// Destinations that defer are tried less, and what waits for them stands in nobody's way (`Destinations`).
extension Node {
    /// What one turn does for parked messages at most; the rest is for the next.
    private static let parkedPerTurn = 1000

    // MARK: Parking

    /// Parks those of the due recipients whose destination is backed off; leaves the others.
    mutating func park(_ due: inout [Int], of key: MessageKey, _ now: Now) {
        var left: [Int] = []
        var last: (destination: DestinationKey, entry: ParkedKey)?
        for position in due {
            guard let destination = destinations.limited(messages[key].recipients[position].address) else {
                left.append(position)
                continue
            }
            // A message waits once for a destination, with all its recipients there.
            let entry =
                last?.destination == destination
                ? last?.entry : messages[key].parkedEntry { destinations.parked[$0].destination == destination }
            let parked =
                entry
                ?? destinations.park(
                    key, user: messages[key].user, accepted: messages[key].accepted,
                    hasSender: messages[key].reversePath != nil, isWarned: messages[key].hasWarned, at: destination,
                    now.instant)
            messages[key].recipients[position].state = .parked(parked)
            last = (destination, parked)
        }
        due = left
    }

    /// Takes those out of a job that has not begun whose destination is backed off; true when nobody is left in it.
    mutating func parkLimited(of key: JobKey, _ now: Now) -> Bool {
        guard jobs[key].countedBy == nil, !jobs[key].hasBegun else { return false }
        let message = jobs[key].message
        var due = jobs[key].recipients.map { Int($0) }
        let before = due.count
        park(&due, of: message, now)
        guard due.count < before else { return false }
        let left = Set(due)
        for recipient in jobs[key].recipients where !left.contains(Int(recipient)) {
            messages[message].recipients[Int(recipient)].tries -= 1
        }
        if !due.isEmpty {
            jobs[key].recipients = due.map { UInt32($0) }
            return false
        }
        removeJob(key)
        messages[message].jobs -= 1
        return true
    }

    // MARK: Leaving

    /// Whoever of the message waits for a destination is just due again.
    mutating func unpark(_ key: MessageKey, _ now: Now) {
        if destinations.parkedCount == 0 { return }
        for position in messages[key].recipients.indices { leaveParked(position, of: key, now) }
    }

    mutating func leaveParked(_ position: Int, of key: MessageKey, _ now: Now) {
        guard case .parked(let entry) = messages[key].recipients[position].state else { return }
        messages[key].recipients[position].state = .waiting(until: now.instant)
        if !messages[key].recipients.contains(where: { $0.state == .parked(entry) }) { destinations.unpark(entry) }
    }

    /// Everything that `entry` stood for: due, and no more parked.
    private mutating func takeParked(_ entry: ParkedKey, of key: MessageKey, _ now: Now) -> [Int] {
        let taken = messages[key].recipients.indices.filter { messages[key].recipients[$0].state == .parked(entry) }
        for position in taken { messages[key].recipients[position].state = .waiting(until: now.instant) }
        destinations.unpark(entry)
        return taken
    }

    /// The end of a job, wherever it comes from.
    mutating func removeJob(_ key: JobKey) {
        guard let job = jobs.remove(key), let destination = job.countedBy else { return }
        destinations.ended(destination, hadEvidence: job.hasEvidence, at: present.instant)
    }

    // MARK: Hearing

    /// What a transaction says of each domain in it: that it is there, or that it defers.
    mutating func hearDestinations(
        _ handed: LaneConnection.Handed, _ results: [SMTP.RecipientResult], _ now: Now
    ) {
        let provider = jobs[handed.job].provider
        let deferrals = results.map { deferral(in: $0, provider) }
        if destinations.isEmpty, deferrals.allSatisfy({ $0 == nil }) { return }
        let message = jobs[handed.job].message
        var heard: [(name: UInt64, recipient: Int, isGood: Bool, deferral: Reply?)] = []
        for (recipient, (result, deferral)) in zip(handed.recipients, zip(results, deferrals)) {
            let isGood = result.isHeardOf
            guard isGood || deferral != nil else { continue }
            let name = messages[message].recipients[Int(recipient)].address.destinationKey
            if let known = heard.firstIndex(where: { $0.name == name }) {
                if isGood { heard[known].isGood = true }
                if heard[known].deferral == nil { heard[known].deferral = deferral }
            } else {
                heard.append((name, Int(recipient), isGood, deferral))
            }
        }
        for domain in heard {
            let address = messages[message].recipients[domain.recipient].address
            let isProbe = jobs[handed.job].countedBy != nil && destinations.known(address) == jobs[handed.job].countedBy
            if isProbe { jobs[handed.job].hasEvidence = true }
            if domain.isGood {
                destinations.succeeded(address, at: now.instant)
            } else if let reply = domain.deferral {
                destinations.failed(
                    address, reply, isProbe: isProbe, longest: configuration.retry.max() ?? .minutes(5),
                    spread: random.fraction(), at: now.instant)
                if isProbe, let destination = jobs[handed.job].countedBy {
                    failedProbes.append(
                        FailedProbe(destination: destination, reply: reply, begun: jobs[handed.job].begun))
                }
            }
        }
    }

    // MARK: Attending

    /// What is parked and may go goes; what a failed probe speaks of is given up or warned of.
    mutating func attendDestinations(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .serving else { return }
        var turns = Node.parkedPerTurn
        while let probe = failedProbes.first, turns > 0 {
            turns -= 1
            if !giveUpOldest(probe, now, &effects) { failedProbes.removeFirst() }
        }
        while turns > 0, let parked = destinations.release(at: now.instant) {
            turns -= 1
            let key = parked.message
            var due = messages[key].recipients.indices.filter {
                guard case .parked(let entry) = messages[key].recipients[$0].state else { return false }
                return !destinations.parked.contains(entry)
            }
            for position in due { messages[key].recipients[position].state = .waiting(until: now.instant) }
            let isActive = journals.isActive(messages[key].journal)
            // What a rule keeps back is held by now, or has failed.
            if isActive { applyRules(to: key, now, &effects) }
            due.removeAll { messages[key].recipients[$0].state != .waiting(until: now.instant) }
            guard isActive, !due.isEmpty else {
                destinations.ended(parked.destination, hadEvidence: true, at: now.instant)
                continue
            }
            makeJobs(of: due, key, releasedBy: parked.destination, now, &effects)
        }
    }

    /// A failed probe is a try of everything that waited with it: gives up the next message whose lifetime was over when it
    /// began, or warns its sender. False when there is none.
    private mutating func giveUpOldest(_ probe: FailedProbe, _ now: Now, _ effects: inout [NodeEffect]) -> Bool {
        for waiting in Destinations.Waiting.allCases {
            guard let entry = destinations.oldest(waiting, of: probe.destination) else { continue }
            let key = destinations.parked[entry].message
            guard journals.isActive(messages[key].journal) else {
                unpark(key, now)
                return true
            }
            if probe.isOfUpstream, hasWay(key, entry) { continue }
            let isOver = patience.isOver(
                messages[key], route: lifetimeOfRoute(key, entry), begun: probe.begun, now)
            guard isOver || patience.isWarningDue(messages[key], now) else { continue }
            for job in claimJobs(of: takeParked(entry, of: key, now), key, begun: probe.begun, now) {
                // It waits on unless it is given up: without a count of its own it is parked again.
                uncount(job)
                let verdict = isOver ? Verdict.expired(probe.reply) : .stillWaiting(probe.reply)
                end(job, with: jobs[job].recipients.map { ($0, verdict) }, now, &effects)
            }
            return true
        }
        return false
    }

    private mutating func uncount(_ job: JobKey) {
        if let destination = jobs[job].countedBy.take() {
            destinations.ended(destination, hadEvidence: true, at: present.instant)
        }
    }

    /// An upstream was tried once more in vain: what is parked and has no other way counts as tried too.
    mutating func reviewParked(after lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        let reason = router.health[lane].lastFailure ?? "unreachable"
        let reply = Reply(451, 4, 4, 1, "No upstream could be reached: \(lanes[lane].upstream.name): \(reason)")
        for destination in destinations.waitedFor {
            failedProbes.append(
                FailedProbe(destination: destination, reply: reply, begun: now.wall, isOfUpstream: true))
        }
    }

    /// The deferral that speaks of the recipient's domain, if it is one: it can't be reached, or has trouble. A small one
    /// that wants less is asked less as well; a large provider's pace is a limit of its own.
    private func deferral(in result: SMTP.RecipientResult, _ provider: ProviderID) -> Reply? {
        guard case .deferred(let reply) = result.outcome,
            result.stage == .rcpt || result.stage == .data || result.stage == .finalDot
        else { return nil }
        switch classify(reply, at: result.stage, provider).against {
        case .destination, .domain: return reply
        case .pace: return provider == .other ? reply : nil
        case .nothing: return speaksOfDestination(reply, at: result.stage) ? reply : nil
        default: return nil
        }
    }

    /// What the route of the first recipient that is parked there says of its lifetime.
    private func lifetimeOfRoute(_ key: MessageKey, _ entry: ParkedKey) -> Duration? {
        for recipient in messages[key].recipients where recipient.state == .parked(entry) {
            let route = router.route(
                sender: messages[key].reversePath, recipient: recipient.address, marks: messages[key].marks)
            return router.lifetime(route: route)
        }
        return nil
    }

    /// Whether some upstream could take it now.
    private func hasWay(_ key: MessageKey, _ entry: ParkedKey) -> Bool {
        let sender = messages[key].reversePath
        return messages[key].recipients.contains {
            guard $0.state == .parked(entry) else { return false }
            let route = router.route(sender: sender, recipient: $0.address, marks: messages[key].marks)
            let ways = router.mask(route: route, isNullSender: sender == nil)
            return lanes.indices.contains { ways & (1 << Router.Mask($0)) != 0 && router.health[$0].isUsable }
        }
    }
}

extension SMTP.RecipientResult {
    /// The domain was reached: it took the message, or said something of this recipient or message alone.
    fileprivate var isHeardOf: Bool {
        switch outcome {
        case .delivered: true
        case .failed(let reply): !reply.speaksOfUpstream(at: stage)
        case .deferred, .notSent, .unanswered: false
        }
    }
}

/// Whether a 4xx of which nothing else is known is the recipient's domain's own, by its codes.
func speaksOfDestination(_ reply: Reply, at stage: Stage) -> Bool {
    guard reply.isTransient, stage == .rcpt || stage == .data || stage == .finalDot else { return false }
    // RFC 3463 §3: 3 mail system, 4 network and routing, 7.28 a rate.
    if let enhanced = reply.enhanced {
        switch (enhanced.subject, enhanced.detail) {
        case (4, _), (7, 28): return true
        case (3, let detail): return detail != 1
        default: return false
        }
    }
    return reply.code == 421 || reply.code == 450 || reply.code == 451
}
