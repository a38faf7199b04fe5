internal import Journal
internal import Primitives
internal import Routing
internal import SMTP

/// Tries: when they begin, which jobs they make, and where each job goes.
extension Node {
    /// Sees to it that the message is looked at when its next recipient is due.
    mutating func schedule(_ key: MessageKey) {
        guard let at = messages[key].nextDue else { return }
        due.insert(DueEntry(at: at, id: messages[key].id, key: key))
    }

    mutating func beginDueTries(_ now: Now, _ effects: inout [NodeEffect]) {
        while let entry = due.first, entry.at <= now.instant {
            _ = due.popFirst()
            if messages.contains(entry.key) { beginTry(entry.key, now, &effects) }
        }
    }

    /// Makes jobs of the due recipients; who is due for a backed-off destination is parked, unless a person asks.
    mutating func beginTry(_ key: MessageKey, isAsked: Bool = false, _ now: Now, _ effects: inout [NodeEffect]) {
        guard messages[key].isCommitted, messages[key].pendingCommand == nil,
            journals.isActive(messages[key].journal)
        else { return }
        decideWhatIsOpen(key, now, &effects)
        applyRules(to: key, now, &effects)
        var due: [Int] = []
        for position in messages[key].recipients.indices {
            guard case .waiting(let at) = messages[key].recipients[position].state, at <= now.instant else { continue }
            due.append(position)
        }
        if !destinations.isEmpty, !isAsked { park(&due, of: key, now) }
        makeJobs(of: due, key, now, &effects)
        if messages.contains(key) { schedule(key) }
    }

    /// One job for each route and provider, because the choice of an upstream is for both; and one for each destination that
    /// counts what goes to it.
    ///
    /// - Parameter releasedBy: The destination that lets all of these go.
    mutating func makeJobs(
        of recipients: [Int], _ key: MessageKey, releasedBy: DestinationKey? = nil, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        for job in claimJobs(of: recipients, key, releasedBy: releasedBy, begun: now.wall, now) {
            if jobs.contains(job) { place(job, now, &effects) }
        }
    }

    /// The same without placing them.
    mutating func claimJobs(
        of recipients: [Int], _ key: MessageKey, releasedBy: DestinationKey? = nil, begun: WallTime, _ now: Now
    ) -> [JobKey] {
        // Nearly every message has one group only.
        var groups: [(route: Int, provider: ProviderID, counted: DestinationKey?, recipients: [UInt32])] = []
        var isRetry = releasedBy != nil
        for position in recipients {
            let address = messages[key].recipients[position].address
            let route =
                redirection(of: messages[key].recipients[position], now)
                ?? router.route(
                    sender: messages[key].reversePath, recipient: address, marks: messages[key].marks)
            let provider = router.providers.provider(of: address.domainKey)
            let counted = releasedBy ?? (destinations.isEmpty ? nil : destinations.limited(address))
            if messages[key].recipients[position].tries > 0 { isRetry = true }
            messages[key].recipients[position].tries += 1
            let known = groups.firstIndex {
                $0.route == route && $0.provider == provider && $0.counted == counted
            }
            if let known {
                groups[known].recipients.append(UInt32(position))
            } else {
                groups.append((route, provider, counted, [UInt32(position)]))
            }
        }
        return groups.enumerated().map { number, group in
            let destination = messages[key].recipients[Int(group.recipients[0])].address.destinationKey
            var job = Job(
                message: key, recipients: group.recipients, route: group.route, provider: group.provider,
                isRetry: isRetry, begun: begun, queued: now.instant,
                fairKey: FairKey(user: messages[key].user, destination: destination))
            job.countedBy = group.counted
            // `release` has counted the first.
            if let counted = group.counted, releasedBy == nil || number > 0 { destinations.began(counted) }
            messages[key].jobs += 1
            job.preferred = messages[key].recipients[Int(group.recipients[0])].returnsTo
            for recipient in group.recipients { messages[key].recipients[Int(recipient)].returnsTo = -1 }
            let jobKey = jobs.insert(job)
            claim(jobKey)
            return jobKey
        }
    }

    /// What a former owner may have delivered is decided before the next try.
    private mutating func decideWhatIsOpen(_ key: MessageKey, _ now: Now, _ effects: inout [NodeEffect]) {
        let open = undecided(key).filter {
            guard case .waiting(let at) = messages[key].recipients[$0].state else { return false }
            return at <= now.instant
        }
        if !open.isEmpty { decideUncertain(key, open, now, &effects) }
    }

    /// Marks a job's recipients as its own.
    mutating func claim(_ job: JobKey) {
        for recipient in jobs[job].recipients {
            messages[jobs[job].message].recipients[Int(recipient)].state = .busy(job)
        }
    }

    /// Gives a job to the upstream whose turn it is, or ends its try.
    mutating func place(_ key: JobKey, _ now: Now, _ effects: inout [NodeEffect]) {
        if !destinations.isEmpty, parkLimited(of: key, now) { return }
        let job = jobs[key]
        let isNullSender = messages[job.message].reversePath == nil
        switch choose(for: key, isNullSender: isNullSender, now) {
        case .upstream(let lane), .probe(let lane):
            jobs[key].place = .ready(upstream: lane)
            lanes[lane].count(1, of: job.provider)
            if job.needsFreshConnection {
                jobs[key].standing = lanes[lane].enqueueFresh(key)
            } else if job.hasBegun {
                jobs[key].standing = lanes[lane].enqueueFirst(key, isRetry: job.isRetry)
            } else {
                jobs[key].standing = lanes[lane].enqueue(key, for: job.fairKey, isRetry: job.isRetry)
            }
            pump(lane, now, &effects)
        case .noneUsable where job.tried == 0:
            wait(key)
        case .exhausted where job.tried == 0 && job.lacking != 0:
            refuseForLack(key, now, &effects)
        case .noneTrusted(let probe) where job.tried == 0:
            let provider = router.providers.name(job.provider)
            postpone(
                key, until: probe, Reply(451, 4, 7, 1, "\(provider) refuses every upstream of its route"), now, &effects
            )
        case .noneFree(let free) where job.tried == 0:
            postpone(
                key, until: free, Reply(451, 4, 4, 5, "The limits of every upstream of its route are used up"), now,
                &effects)
        case .noneTrusted, .noneFree, .noneUsable, .exhausted:
            // Without a refusal it is the configuration that has no way for it, which may change before its lifetime ends.
            let reply = job.refusal ?? Reply(451, 4, 4, 4, "No upstream of its route takes it")
            end(key, with: job.recipients.map { ($0, .deferred(reply)) }, now, &effects)
        }
    }

    /// There is a way for it, but not now: its try is no try, and begins anew then. What waits like it does not all come at
    /// once. One whose lifetime is over is given up instead.
    private mutating func postpone(
        _ key: JobKey, until time: Instant, _ reply: Reply, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let message = jobs[key].message
        let recipients = jobs[key].recipients
        let lifetime = router.lifetime(route: jobs[key].route)
        if patience.isOver(messages[message], route: lifetime, begun: jobs[key].begun, now) {
            return end(key, with: recipients.map { ($0, .expired(reply)) }, now, &effects)
        }
        if patience.isWarningDue(messages[message], now) {
            return end(key, with: recipients.map { ($0, .stillWaiting(reply)) }, now, &effects)
        }
        let again = max(time, now.instant) + .seconds(1) + .minutes(1) * random.fraction()
        for recipient in recipients {
            messages[message].recipients[Int(recipient)].tries -= 1
            messages[message].recipients[Int(recipient)].state = .waiting(until: again)
            messages[message].recipients[Int(recipient)].lastReply = reply.description
        }
        endJob(key, now, &effects)
    }

    private mutating func choose(for key: JobKey, isNullSender: Bool, _ now: Now) -> Router.Choice {
        for lane in lanes.indices { router.ready[lane] = lanes[lane].lineCount }
        let preferred = Int(jobs[key].preferred)
        if preferred >= 0 {
            // Once: what it is greylisted for is one message from one address.
            jobs[key].preferred = -1
            let isOpen =
                router.mask(route: jobs[key].route, isNullSender: isNullSender) & 1 << Router.Mask(preferred) != 0
            if isOpen, router.health[preferred].isUsable { return .upstream(preferred) }
        }
        let idle = idleMask
        return router.choose(
            route: jobs[key].route, provider: jobs[key].provider, excluding: jobs[key].tried | jobs[key].lacking,
            isNullSender: isNullSender, idle: idle, random: &random, at: now.instant)
    }

    // MARK: Waiting for an upstream

    private mutating func wait(_ key: JobKey) {
        jobs[key].place = .waitingForUpstream
        // From now on it is backlog: first tries go before it when an upstream returns.
        jobs[key].isRetry = true
        if !jobs[key].isInWaitingRoom { waiting.append(key) }
        jobs[key].isInWaitingRoom = true
        for lane in lanes(of: key) { waitingFor[lane] += 1 }
    }

    func lanes(of key: JobKey) -> [Int] {
        let isNullSender = messages[jobs[key].message].reversePath == nil
        let mask =
            router.mask(route: jobs[key].route, isNullSender: isNullSender) & ~(jobs[key].tried | jobs[key].lacking)
        return lanes.indices.filter { mask & (1 << Router.Mask($0)) != 0 }
    }

    /// Takes the jobs that this upstream would get out of the waiting room, oldest message first.
    mutating func takeWaiting(for lane: Int) -> [JobKey] {
        guard waitingFor[lane] > 0 else { return [] }
        var taken: [(id: MessageID, key: JobKey)] = []
        for key in waiting.drain() {
            guard jobs.contains(key) else { continue }
            jobs[key].isInWaitingRoom = false
            guard jobs[key].place == .waitingForUpstream else { continue }
            if lanes(of: key).contains(lane) {
                for lane in lanes(of: key) { waitingFor[lane] -= 1 }
                jobs[key].place = .unplaced
                taken.append((messages[jobs[key].message].id, key))
            } else {
                jobs[key].isInWaitingRoom = true
                waiting.append(key)
            }
        }
        return taken.sorted { $0.id < $1.id }.map(\.key)
    }

    /// Removes one job from wherever it waits; false when a connection has it.
    mutating func withdraw(_ key: JobKey) -> Bool {
        switch jobs[key].place {
        case .ready(let lane):
            lanes[lane].remove(key, at: jobs[key].standing)
            leaveLine(key, lane)
        case .waitingForUpstream:
            // Its entry in the waiting room is passed over later.
            for lane in lanes(of: key) { waitingFor[lane] -= 1 }
            jobs[key].place = .unplaced
        case .unplaced: break
        case .running, .settling: return false
        }
        return true
    }

    /// Once more, and nothing is to be had: messages whose lifetime is over are given up, warnings go out.
    mutating func reviewWaiting(after lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        if destinations.parkedCount > 0 { reviewParked(after: lane, now, &effects) }
        guard waitingFor[lane] > 0 else { return }
        let reason = router.health[lane].lastFailure ?? "unreachable"
        var over: [JobKey] = []
        for position in 0..<waiting.count {
            let key = waiting[position]
            guard jobs.contains(key), jobs[key].place == .waitingForUpstream, lanes(of: key).contains(lane) else {
                continue
            }
            let message = jobs[key].message
            let lifetime = router.lifetime(route: jobs[key].route)
            if patience.isOver(messages[message], route: lifetime, begun: now.wall, now)
                || patience.isWarningDue(messages[message], now)
            {
                over.append(key)
            }
        }
        for key in over where jobs.contains(key) && jobs[key].place == .waitingForUpstream {
            let lifetime = router.lifetime(route: jobs[key].route)
            let isOver = patience.isOver(messages[jobs[key].message], route: lifetime, begun: now.wall, now)
            // One warning is for all jobs of a message.
            guard isOver || patience.isWarningDue(messages[jobs[key].message], now) else { continue }
            _ = withdraw(key)
            let reply = Reply(451, 4, 4, 1, "No upstream could be reached: \(lanes[lane].upstream.name): \(reason)")
            end(
                key, with: jobs[key].recipients.map { ($0, isOver ? .expired(reply) : .stillWaiting(reply)) }, now,
                &effects)
        }
    }

    /// The wait after so many tries on a route, with a tenth of jitter either way.
    mutating func retryWait(tries: UInt32, route: Int?) -> Duration {
        let steps = route.flatMap { router.retry(route: $0) } ?? configuration.retry
        let step = steps.isEmpty ? .minutes(5) : steps[min(max(Int(tries), 1), steps.count) - 1]
        return step * (0.9 + 0.2 * random.fraction())
    }
}
