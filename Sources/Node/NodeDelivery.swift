internal import Cluster
internal import Journal
package import Primitives
internal import Routing
internal import SMTP

/// Connections to upstreams and the transactions on them.
extension Node {
    // MARK: Handing out

    /// Gives what is ready to what is free: idle connections first, then new ones, then behind a final dot.
    mutating func pump(_ lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .serving, router.health[lane].isUsable else { return }
        releasePaced(lane, now)
        let lent = router.limits.connections(upstream: lane, at: now.instant)
        // One too many is given back to those whose turn it is.
        while lanes[lane].open > lent, let unused = lanes[lane].idle.first { close(unused, now, &effects) }
        while lanes[lane].reusableCount > 0 || hasUnusedIdle(lane), let connection = lanes[lane].idle.popLast() {
            hand(to: connection, now, &effects)
        }
        let allowed = min(router.health[lane].allowedConnections, lent)
        // Asked in any case: a hold whose time has come is no deadline any more.
        let mayOpen = router.health[lane].mayOpen(at: now.instant)
        if lent > 0, mayOpen || lanes[lane].open == 0 {
            // A used connection makes way for a job that needs a fresh one.
            while lanes[lane].open >= allowed, lanes[lane].freshCount > lanes[lane].connecting,
                let used = lanes[lane].idle.first
            {
                close(used, now, &effects)
            }
            while lanes[lane].open < allowed, lanes[lane].connecting < lanes[lane].readyCount {
                open(lane, now, &effects)
            }
        }
        guard lanes[lane].open >= allowed else { return }
        while lanes[lane].reusableCount > 0, let connection = lanes[lane].pipelinable.popLast() {
            hand(to: connection, now, &effects)
        }
    }

    /// Whether the idle connection whose turn it is was never used, and a job waits for such a one.
    private func hasUnusedIdle(_ lane: Int) -> Bool {
        guard lanes[lane].freshCount > 0, let last = lanes[lane].idle.last else { return false }
        return connection(last)?.used == 0
    }

    private mutating func open(_ lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        let key = connections.insert(LaneConnection(lane: lane, idleSince: now.instant))
        lanes[lane].open += 1
        router.limits.connectionsChanged(upstream: lane, open: lanes[lane].open, at: now.instant)
        lanes[lane].connecting += 1
        effects.append(.connect(ConnectionID(key), upstream: lanes[lane].upstream.name))
    }

    /// Hands the next ready job to a connection that is idle or has sent its dot; gives the connection back if there is none.
    private mutating func hand(to id: ConnectionID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard connections.contains(id.key) else { return }
        let lane = connections[id.key].lane
        let isFresh = connections[id.key].used == 0
        let allowed = router.health[lane].allowedConnections
        while let key = lanes[lane].dequeue(isFresh: isFresh, allowed: allowed) {
            // Its destination may have been backed off while it stood here.
            if !destinations.isEmpty, parkLimited(of: key, now) { continue }
            if let lack = connections[id.key].lack(for: messages[jobs[key].message]) {
                jobs[key].lacking |= 1 << Router.Mask(lane)
                jobs[key].lack = lack
                leaveLine(key, lane)
                place(key, now, &effects)
                continue
            }
            guard isGranted(key, lane, now) else { continue }
            lanes[lane].count(-1, of: jobs[key].provider)
            jobs[key].hasToken = false
            return transact(key, on: id, now, &effects)
        }
        if connections[id.key].present == nil {
            lanes[lane].idle.append(id)
        } else {
            lanes[lane].pipelinable.append(id)
        }
    }

    private mutating func transact(_ key: JobKey, on id: ConnectionID, _ now: Now, _ effects: inout [NodeEffect]) {
        let lane = connections[id.key].lane
        splitIfLong(key, lane)
        let job = jobs[key]
        let transaction = transactions.insert(
            TransactionState(connection: id, journal: messages[job.message].journal)
        ).number
        messages[job.message].attempts += 1
        messages[job.message].begunEpoch = journals.epoch(of: messages[job.message].journal)
        let attempt = messages[job.message].attempts
        for recipient in job.recipients {
            messages[job.message].recipients[Int(recipient)].openAttempt = attempt
            messages[job.message].recipients[Int(recipient)].upstream = lanes[lane].upstream.name
        }
        jobs[key].place = .running(id)
        jobs[key].hasBegun = true
        jobs[key].needsFreshConnection = false
        if job.isRetry { lanes[lane].busyRetries += 1 }
        let handed = LaneConnection.Handed(
            id: transaction, job: key, attempt: attempt, recipients: job.recipients, provider: job.provider,
            isRetry: job.isRetry, began: now.instant, queued: job.queued)
        update(id) {
            if $0.present == nil { $0.present = handed } else { $0.next = handed }
            $0.used += 1
        }
        let record = AttemptRecord(
            message: messages[job.message].id, number: attempt, time: now.wall, upstream: lanes[lane].upstream.name,
            recipients: job.recipients)
        let journal = messages[job.message].journal
        append(.attempt(record), to: journal, then: .attempt(id, transaction: transaction), now, &effects)
        effects.append(
            .transact(id, messages[job.message].transaction(transaction, attempt: attempt, to: job.recipients)))
        if has(.dotWithoutAttempt) { effects.append(.mayFinish(id, transaction: transaction)) }
    }

    /// Leaves what is beyond the upstream's `maximumRecipients` for a transaction of its own, next in line.
    private mutating func splitIfLong(_ key: JobKey, _ lane: Int) {
        let limit = max(1, lanes[lane].upstream.maximumRecipients)
        guard jobs[key].recipients.count > limit else { return }
        var rest = jobs[key]
        rest.recipients = Array(rest.recipients[limit...])
        rest.place = .ready(upstream: lane)
        rest.hasToken = false
        lanes[lane].count(1, of: rest.provider)
        rest.countedBy = nil
        jobs[key].recipients = Array(jobs[key].recipients[..<limit])
        messages[rest.message].jobs += 1
        let restKey = jobs.insert(rest)
        claim(restKey)
        jobs[restKey].standing = lanes[lane].enqueueFirst(restKey, isRetry: rest.isRetry)
    }

    /// No upstream of its route can carry it: it is bounced rather than mangled.
    mutating func refuseForLack(_ key: JobKey, _ now: Now, _ effects: inout [NodeEffect]) {
        let reply = jobs[key].lack ?? Reply(550, 5, 6, 3, "No next server can take this message")
        let verdict: Verdict = configuration.softBounce ? .deferred(reply) : .failed(reply)
        end(key, with: jobs[key].recipients.map { ($0, verdict) }, now, &effects)
    }

    // MARK: Connections

    mutating func connected(
        _ id: ConnectionID, _ capabilities: Capabilities, remote: String, _ facts: ConnectionFacts, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        guard let connection = connection(id), !connection.isReady else { return }
        let lane = connection.lane
        var sizeLimit = capabilities.sizeLimit
        if let own = lanes[lane].upstream.maximumMessageSize?.bytes { sizeLimit = min(own, sizeLimit ?? own) }
        update(id) {
            $0.isReady = true
            $0.remote = remote
            $0.capabilities = capabilities
            $0.sizeLimit = sizeLimit
            $0.idleSince = now.instant
        }
        lanes[lane].connecting -= 1
        if state != .serving { return close(id, now, &effects) }
        lanes[lane].idle.append(id)
        if let expiry = facts.certificateExpiry { router.health[lane].certificateExpiry = expiry }
        let cameBack = router.health[lane].connected(
            connect: facts.connect, greeting: facts.greeting, at: now.instant)
        if cameBack { self.cameBack(lane, now, &effects) }
        pump(lane, now, &effects)
    }

    /// What waited for this upstream goes its way, oldest first.
    mutating func cameBack(_ lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        effects.append(.note(.upstreamUp(lanes[lane].upstream.name)))
        for key in takeWaiting(for: lane) {
            jobs[key].queued = now.instant
            place(key, now, &effects)
        }
    }

    mutating func connectionFailed(
        _ id: ConnectionID, _ failure: UpstreamFailure, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard let connection = connection(id) else { return }
        let lane = connection.lane
        remove(id)
        // With connections that work it only wants no more of them, if it said so or has answered on one meanwhile. One
        // that silently refuses may be gone, and those connections hang: their jobs' successors go elsewhere.
        let working = lanes[lane].open - lanes[lane].connecting
        let isAlive = failure.reply != nil || router.health[lane].lastAnswer.map { $0 >= connection.idleSince } ?? false
        if working > 0, isAlive, router.health[lane].condition == .up {
            router.health[lane].refusedMore(than: working, at: now.instant)
        } else {
            // A refusal before MAIL speaks of us: such a one for good, or of our login, is looked at seldom.
            let isAccess = failure.reply.map { reply in
                reply.isPermanent || classify(reply, at: failure.stage, .other).against == .access
            }
            takeDown(
                lane, failure.description, stage: failure.stage, isAccess: isAccess ?? false, now, &effects)
        }
    }

    /// - Parameter isAccess: Our login or our right to relay was refused.
    mutating func takeDown(
        _ lane: Int, _ reason: String, stage: Stage, isAccess: Bool, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        let wasUp = router.health[lane].condition == .up
        let wait =
            isAccess
            ? router.health[lane].accessRefused(reason, stage: stage, at: now.instant)
            : router.health[lane].failed(reason, stage: stage, spread: random.fraction(), at: now.instant)
        if wasUp {
            effects.append(.note(.upstreamDown(lanes[lane].upstream.name, reason: reason, next: wait)))
        }
        // They would stand in the way of the probe.
        for key in lanes[lane].idle { close(key, now, &effects) }
        for key in lanes[lane].drain() {
            leaveLine(key, lane)
            place(key, now, &effects)
        }
        reviewWaiting(after: lane, now, &effects)
    }

    /// Tries one connection to an upstream that is down, when its time has come: also while others carry all its mail.
    mutating func probe(_ lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let at = nextProbe(lane), at <= now.instant else { return }
        router.health[lane].beganProbe(at: now.instant)
        open(lane, now, &effects)
    }

    /// When an upstream that is down is to be tried; nil while no connection may be added.
    func nextProbe(_ lane: Int) -> Instant? {
        guard case .down(_, let at) = router.health[lane].condition, lanes[lane].connecting == 0,
            lanes[lane].open < lanes[lane].upstream.maximumConnections, !router.health[lane].isDisabled
        else { return nil }
        return at
    }

    mutating func closeIdle(_ lane: Int, _ now: Now, _ effects: inout [NodeEffect]) {
        while let longest = lanes[lane].idle.first, let connection = connection(longest),
            connection.idleSince + lanes[lane].upstream.idleTimeout <= now.instant
        {
            close(longest, now, &effects)
        }
    }

    /// QUIT: the connection takes nothing more.
    mutating func close(_ id: ConnectionID, _ now: Now, _ effects: inout [NodeEffect]) {
        remove(id)
        effects.append(.close(id))
    }

    private mutating func remove(_ id: ConnectionID) {
        guard let connection = connection(id) else { return }
        let lane = connection.lane
        lanes[lane].open -= 1
        router.limits.connectionsChanged(upstream: lane, open: lanes[lane].open, at: present.instant)
        if !connection.isReady { lanes[lane].connecting -= 1 }
        lanes[lane].idle.removeAll { $0 == id }
        lanes[lane].pipelinable.removeAll { $0 == id }
        connections.remove(id.key)
    }

    mutating func connectionClosed(_ id: ConnectionID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let connection = connection(id) else { return }
        let lane = connection.lane
        remove(id)
        for handed in [connection.present, connection.next].compactMap({ $0 }) {
            endStale(handed, connection, "the upstream closed the idle connection", now, &effects)
        }
        pump(lane, now, &effects)
    }

    /// A transaction that never began: the next connection takes it.
    mutating func endStale(
        _ handed: LaneConnection.Handed, _ connection: LaneConnection, _ reason: String, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        let result = SMTP.RecipientResult(.notSent(.connectionLost(reason), nil), at: .mail)
        settle(
            handed, connection, results: Array(repeating: result, count: handed.recipients.count), isStale: true, now,
            &effects)
    }

    mutating func dotSent(_ id: ConnectionID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard connections.contains(id.key), connections[id.key].present?.isDotSent == false else { return }
        let lane = connections[id.key].lane
        connections[id.key].present?.isDotSent = true
        guard connections[id.key].mayPipeline, lanes[lane].upstream.pipelining,
            connections[id.key].used < lanes[lane].upstream.maximumMessagesPerConnection
        else { return }
        lanes[lane].pipelinable.append(id)
        pump(lane, now, &effects)
    }

    // MARK: Ending

    mutating func transactionEnded(
        _ id: ConnectionID, _ result: TransactionResult, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard let before = connection(id), let present = before.present else { return }
        let lane = before.lane
        if let next = before.next, result.id == next.id {
            // Stopped before any of it was written: the present one goes on.
            update(id) { $0.next = nil }
            return settle(next, before, results: result.recipients, isStale: result.staleConnection, now, &effects)
        }
        guard result.id == present.id else { return }
        if result.connectionUsable {
            update(id) {
                $0.present = $0.next
                $0.next = nil
                $0.idleSince = now.instant
            }
            lanes[lane].pipelinable.removeAll { $0 == id }
            if before.next == nil {
                if before.used >= lanes[lane].upstream.maximumMessagesPerConnection || state != .serving
                    || router.health[lane].isDisabled
                    || lanes[lane].open > router.limits.connections(upstream: lane, at: now.instant)
                {
                    close(id, now, &effects)
                } else {
                    lanes[lane].idle.append(id)
                }
            }
        } else {
            remove(id)
        }
        laneTimes[lane].record(now.instant - present.began, at: now.instant)
        settle(present, before, results: result.recipients, isStale: result.staleConnection, now, &effects)
        if !result.connectionUsable, let next = before.next {
            endStale(next, before, "the connection ended before its turn", now, &effects)
        }
        pump(lane, now, &effects)
    }

    package func mayFinish(transaction: UInt64, at now: Now) -> Bool {
        let key = SlabKey(number: transaction)
        guard transactions.contains(key), transactions[key].isAttemptCommitted || has(.dotWithoutAttempt)
        else { return false }
        if has(.dotWithoutLease) { return true }
        let journal = transactions[key].journal
        return transactions[key].orphan == nil && journals.isActive(journal)
            && cluster.holdsLease(journal, for: ClusterSettings.leaseGuard, at: now.instant)
    }

    // MARK: Keys

    func connection(_ id: ConnectionID) -> LaneConnection? {
        connections.contains(id.key) ? connections[id.key] : nil
    }

    mutating func update(_ id: ConnectionID, _ change: (inout LaneConnection) -> Void) {
        guard connections.contains(id.key) else { return }
        change(&connections[id.key])
    }
}

extension ConnectionID {
    init(_ key: SlabKey) { self.init(key.number) }

    var key: SlabKey { SlabKey(number: number) }
}
