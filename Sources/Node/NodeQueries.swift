package import Primitives
internal import Routing
internal import SMTP

/// What people and monitors ask of a node; none of it changes anything.
extension Node {
    package func status(at now: Now) -> NodeStatus {
        NodeStatus(
            state: state, isReady: admission(at: now) == nil, time: now.wall, queue: queueStatus(at: now),
            recent: recentStatus(at: now), upstreams: lanes.indices.map { upstreamStatus($0, at: now) },
            destinations: destinations.worst(NodeStatus.destinationsShown, at: now),
            destinationsDeferred: destinations.limitedCount, parked: destinations.parkedCount,
            journals: journalStatuses(at: now), peers: peerStatuses(at: now), takeovers: recentTakeovers,
            drainedNodes: recordedNames(prefix: "drain/", at: now),
            disabledUpstreams: recordedNames(prefix: RecordKey.upstream, suffix: "/off", at: now),
            rules: rulesInForce(at: now), suppressions: suppressionCount.count,
            replicas: replicasOfNext(now)?.count ?? 0,
            diskFree: diskFree, diskTotal: diskTotal, problems: problems(at: now), counters: allCounters)
    }

    /// The matching messages, oldest first, at most `limit` of them, and how many match in all.
    package func list(_ filter: QueueFilter, limit: Int, at now: Now) -> (messages: [MessageStatus], matched: Int) {
        var keys: [(MessageID, MessageKey)] = []
        let listed = listedJournals(at: now)
        messages.forEach { key, message in
            if message.unfinished > 0, listed.contains(message.journal), matches(message, filter, at: now) {
                keys.append((message.id, key))
            }
        }
        keys.sort { $0.0 < $1.0 }
        return (keys.prefix(limit).map { describe(messages[$0.1], at: now) }, keys.count)
    }

    package func message(_ id: MessageID, at now: Now) -> MessageStatus? {
        index[id].map { describe(messages[$0], at: now) }
    }

    private var allCounters: NodeCounters {
        var all = counters
        for (lane, totals) in totals.enumerated() {
            let name = lane < lanes.count ? lanes[lane].upstream.name : ""
            for (status, count) in totals.all where count > 0 {
                all.results[NodeCounters.ResultKey(upstream: name, status: status.rawValue)] = count
            }
        }
        return all
    }

    // MARK: Messages

    private func describe(_ message: Message, at now: Now) -> MessageStatus {
        MessageStatus(
            id: message.id, journal: message.journal, state: state(of: message, at: now), accepted: message.accepted,
            sender: message.reversePath?.description ?? "<>", user: message.userName,
            recipients: message.recipients.map { recipient in
                MessageStatus.RecipientStatus(
                    address: recipient.address.description, state: word(for: recipient, at: now),
                    tries: Int(recipient.tries), due: due(of: recipient, at: now), lastReply: recipient.lastReply,
                    upstream: recipient.upstream)
            }, size: ByteCount(bytes: message.size),
            messageIDField: String(decoding: message.messageIDField, as: UTF8.self), attempts: Int(message.attempts),
            isUncertain: message.isUncertain, due: message.nextDue.map { now.wall + ($0 - now.instant) },
            content: message.content)
    }

    private func state(of message: Message, at now: Now) -> MessageStatus.State {
        var state = MessageStatus.State.held
        for recipient in message.recipients {
            switch recipient.state {
            case .busy(let job):
                if jobs.contains(job), jobs[job].place != .waitingForUpstream { return .sending }
                state = .waitingForUpstream
            case .parked where state == .held || state == .retrying: state = .due
            case .waiting(let at) where state == .held || state == .retrying:
                state = at <= now.instant ? .due : .retrying
            case .parked, .waiting, .held, .finished: break
            }
        }
        return state
    }

    private func word(for recipient: Recipient, at now: Now) -> String {
        switch recipient.state {
        case .waiting(let at): at <= now.instant ? "due" : "retrying"
        case .parked: "due"
        case .busy(let job):
            jobs.contains(job) && jobs[job].place == .waitingForUpstream ? "waiting for upstream" : "sending"
        case .held: "held"
        case .finished(let finish): finish.rawValue
        }
    }

    private func due(of recipient: Recipient, at now: Now) -> WallTime? {
        switch recipient.state {
        case .waiting(let at): now.wall + (at - now.instant)
        case .parked(let entry): now.wall + (destinations.wait(of: entry, at: now.instant) ?? .zero)
        case .busy, .held, .finished: nil
        }
    }

    private func matches(_ message: Message, _ filter: QueueFilter, at now: Now) -> Bool {
        func has(_ address: Address?, _ part: String) -> Bool {
            (address?.description.lowercased() ?? "<>").contains(part)
        }
        if filter.uncertainOnly, !message.isUncertain { return false }
        if !filter.ids.isEmpty, !filter.ids.contains(where: { $0.contains(message.id.ulid) }) { return false }
        if let from = filter.from, !has(message.reversePath, from.lowercased()) { return false }
        if let to = filter.to, !message.recipients.contains(where: { has($0.address, to.lowercased()) }) {
            return false
        }
        if let user = filter.user, message.userName != user { return false }
        if let wanted = filter.messageID, !String(decoding: message.messageIDField, as: UTF8.self).contains(wanted) {
            return false
        }
        if let upstream = filter.upstream, !message.recipients.contains(where: { $0.upstream == upstream }) {
            return false
        }
        if let older = filter.olderThan, now.wall - message.accepted < older { return false }
        if let wanted = filter.state, state(of: message, at: now) != wanted { return false }
        return true
    }

    // MARK: The whole

    private func queueStatus(at now: Now) -> NodeStatus.Queue {
        var queue = NodeStatus.Queue()
        let listed = listedJournals(at: now)
        var oldest: (MessageID, MessageKey)?
        messages.forEach { key, message in
            guard message.unfinished > 0, message.isCommitted, listed.contains(message.journal) else { return }
            queue.messages += 1
            queue.bytes.bytes += message.size
            if message.isUncertain { queue.uncertain += 1 }
            switch state(of: message, at: now) {
            case .due: queue.due += 1
            case .sending: queue.sending += 1
            case .retrying: queue.retrying += 1
            case .waitingForUpstream: queue.waitingForUpstream += 1
            case .held: queue.held += 1
            }
            if let at = message.nextDue, at <= now.instant {
                queue.oldestDue = max(queue.oldestDue ?? .zero, now.instant - at)
            }
            if oldest.map({ message.id < $0.0 }) ?? true { oldest = (message.id, key) }
        }
        queue.oldest = oldest.map { describe(messages[$0.1], at: now) }
        return queue
    }

    private func recentStatus(at now: Now) -> NodeStatus.Recent {
        var status = NodeStatus.Recent()
        status.accepted = recent.total(.accepted, at: now.instant)
        status.sent = recent.total(.sent, at: now.instant)
        status.deferred = recent.total(.deferred, at: now.instant)
        status.bounced = recent.total(.bounced, at: now.instant)
        status.uncertain = recent.total(.uncertain, at: now.instant)
        status.acceptedPerSecond = recent.perSecond(.accepted, at: now.instant)
        status.sentPerSecond = recent.perSecond(.sent, at: now.instant)
        return status
    }

    private func upstreamStatus(_ lane: Int, at now: Now) -> NodeStatus.UpstreamStatus {
        let health = router.health[lane]
        let counts = laneRecent[lane]
        let sent = counts.total(.sent, at: now.instant)
        let deferred = counts.total(.deferred, at: now.instant)
        let failed = counts.total(.bounced, at: now.instant)
        let all = sent + deferred + failed
        let everyLane = laneRecent.reduce(0) { $0 + $1.total(.sent, at: now.instant) }
        var state = NodeStatus.UpstreamStatus.State.up
        var downFor: Duration?
        var nextProbe: Duration?
        if case .down(let since, let probe) = health.condition {
            state = .down
            downFor = now.instant - since
            nextProbe = max(.zero, probe - now.instant)
        } else if health.isRamping {
            state = .ramping
        }
        if health.isDisabled { state = .disabled }
        return NodeStatus.UpstreamStatus(
            name: lanes[lane].upstream.name, state: state, connections: lanes[lane].open,
            maximumConnections: lanes[lane].upstream.maximumConnections,
            share: everyLane > 0 ? Double(sent) / Double(everyLane) : nil, wantedShare: router.wantedShare(lane),
            sentPerSecond: counts.perSecond(.sent, at: now.instant),
            transientShare: all > 0 ? Double(deferred) / Double(all) : 0,
            permanentShare: all > 0 ? Double(failed) / Double(all) : 0, median: laneTimes[lane].median,
            ready: lanes[lane].readyCount, failure: health.lastFailure, downFor: downFor, nextProbe: nextProbe,
            sent: totals[lane].sent, deferred: totals[lane].deferred, failed: totals[lane].bounced)
    }

    // MARK: Problems

    private func problems(at now: Now) -> [Problem] {
        var problems: [Problem] = []
        for lane in lanes.indices {
            if let problem = upstreamProblem(lane, at: now) { problems.append(problem) }
        }
        if let problem = destinations.problem(at: now) { problems.append(problem) }
        if isDiskLow || isDiskFull {
            problems.append(
                Problem(
                    name: "disk-low", severity: .degraded,
                    summary: "\(diskFree) of \(diskTotal) free in the data directory",
                    effect: "no mail is accepted (452) until there is more; what is queued goes on being delivered",
                    baton: "accepts again by itself as soon as there is enough", you: "free some space: df -h"))
        }
        if messages.count >= configuration.maximumQueuedMessages {
            problems.append(
                Problem(
                    name: "queue-full", severity: .degraded,
                    summary: "\(messages.count) messages are queued, the most it holds",
                    effect: "no mail is accepted (452)", baton: "accepts again as messages leave",
                    you: "see why they stay: baton queue summary --by upstream"))
        }
        for line in damaged {
            problems.append(
                Problem(
                    name: "journal-damaged", severity: .warning, summary: line,
                    effect: "what could be read is queued; what lay in the gap is lost on this node",
                    baton: "set the file aside as *.damaged and went on",
                    you: "check the disk: dmesg · the file stays for you to look at"))
        }
        if records.fullness > 0.9 { problems.append(.recordsFull(records.fullness)) }
        for (id, replica) in cluster.journals.sorted(by: { $0.key < $1.key }) where replica.copy.hasUnknownKinds {
            problems.append(
                Problem(
                    name: "journal-newer", severity: .degraded,
                    summary: "journal \(id) was written by a newer version",
                    effect: "its messages wait", baton: "keeps it untouched", you: "install the newer version again"))
        }
        return problems
    }

    private func upstreamProblem(_ lane: Int, at now: Now) -> Problem? {
        let health = router.health[lane]
        guard case .down(let since, let probe) = health.condition, !health.isDisabled else { return nil }
        let name = lanes[lane].upstream.name
        let others = router.health.indices.contains { $0 != lane && router.health[$0].isUsable }
        let isWaiting = waitingFor[lane] > 0
        return Problem(
            name: "upstream-down", severity: others && !isWaiting ? .warning : .degraded,
            summary:
                "\(name) can't be used since \((now.instant - since).short): \(health.lastFailure ?? "unreachable")",
            effect: isWaiting
                ? "\(waitingFor[lane]) messages wait for it; nothing is bounced before its lifetime ends"
                : "its mail goes by the other upstreams",
            baton: isWaiting
                ? "tries it again in \(max(.zero, probe - now.instant).short)"
                : "tries it again when mail needs it",
            you: "see what it says: baton upstreams show \(name)")
    }
}
