package import Node
internal import Primitives

/// What one node says of itself and of what it sees: what a cluster's status is put together from.
extension StatusAnswer {
    package init(_ status: NodeStatus, _ facts: NodeFacts) {
        let membership = Membership(status, me: facts.name)
        verdict = Verdict(status.state)
        summary = ""
        warnings = 0
        ready = status.isReady
        time = status.time.rfc3339
        from = facts.name
        cluster = facts.cluster
        silent = []
        nodes = [NodeAnswer(status, facts)]
        copies = CopiesAnswer(
            wanted: max(1, facts.replicas), fewest: 0, mayFail: 0, nodes: 1, liveNodes: 1, needed: 1, majority: true,
            lackingJournals: 0)
        queue = QueueAnswer(status.queue, at: status.time)
        recent5m = RecentAnswer(
            accepted: status.recent.accepted, delivered: status.recent.sent, deferred: status.recent.deferred,
            bounced: status.recent.bounced, uncertain: status.recent.uncertain)
        takeovers = status.takeovers.map { TakeoverAnswer($0, to: facts.name) }
        upstreams = status.upstreams.map { UpstreamAnswer($0, at: facts.name) }
        journals = status.journals.map { JournalAnswer($0, facts, membership) }
        peers = membership.others.map(PeerAnswer.init)
        drainedNodes = status.drainedNodes.sorted()
        disabledUpstreams = status.disabledUpstreams.sorted()
        rules = status.rules.map(RuleAnswer.init)
        suppressions = status.suppressions
        problems = status.problems.map { ProblemAnswer($0, nodes: [facts.name]) }
        problems += ProblemAnswer.refusals(facts)
    }
}

extension StatusAnswer.NodeAnswer {
    init(_ status: NodeStatus, _ facts: NodeFacts) {
        name = facts.name
        state = status.state.rawValue
        alive = true
        version = BatonVersion.current
        upSeconds = facts.upFor.inSeconds
        acceptedPerSecond = status.recent.acceptedPerSecond
        sentPerSecond = status.recent.sentPerSecond
        journals = status.journals.count { $0.role == .owner || $0.role == .takingOver }
        syncP99Seconds = facts.syncTime.count > 0 ? facts.syncTime.quantile(0.99).inSeconds : nil
        diskFreeBytes = status.diskFree.bytes
        diskTotalBytes = status.diskTotal.bytes
        clientConnections = facts.clientConnections
        seenBy = []
        provedDead = false
        address = facts.address
        zone = facts.zone
        disk = facts.disk
        protocols = facts.protocols
        configuration = facts.configurationDigest
        certificateExpiry = facts.certificateExpiry?.rfc3339
    }

    /// One that has not answered.
    init(_ peer: StatusAnswer.PeerAnswer) {
        name = peer.name
        state = peer.alive ? "no answer" : "down"
        alive = peer.alive
        version = peer.says["version"]
        journals = 0
        seenBy = []
        silentSeconds = peer.silentSeconds
        provedDead = peer.provedDead
        address = peer.says["address"] ?? ""
        zone = peer.says["zone"] ?? ""
        disk = peer.disk
        protocols = peer.says["protocols"] ?? ""
        configuration = peer.says["configuration"] ?? ""
    }
}

extension StatusAnswer.PeerAnswer {
    init(_ member: Membership.Member) {
        name = member.name
        disk = member.status.replica.disk.description
        alive = member.status.isAlive
        connected = member.status.isConnected
        silentSeconds = member.status.silentFor.map { $0.inSeconds }
        provedDead = member.status.isProvedDead
        says = member.status.says.mapValues { String(decoding: $0, as: UTF8.self) }
    }
}

extension StatusAnswer.JournalAnswer {
    init(_ journal: NodeStatus.JournalStatus, _ facts: NodeFacts, _ membership: Membership) {
        var disks = [facts.name: facts.disk]
        var live: Set<String> = [facts.name]
        for member in membership.others {
            disks[member.name] = member.status.replica.disk.description
            if member.status.isAlive { live.insert(member.name) }
        }
        id = journal.id.description
        epoch = journal.epoch
        switch journal.role {
        case .owner:
            state = journal.isSealed ? "sealed" : "open"
            owner = facts.name
        case .takingOver:
            state = journal.role.rawValue
            owner = facts.name
        case .claiming, .replica, .blind:
            state = journal.role.rawValue
            // Whoever it is promised to has it, as long as he lives.
            owner = journal.owner.flatMap { live.contains($0.node) && $0.node != facts.name ? $0.node : nil }
        }
        leaseSeconds = journal.leaseLeft.map { max(0, $0.inSeconds) }
        bytes = journal.bytes.bytes
        committed = journal.committed
        unfinished = journal.unfinished
        whole = journal.isWhole
        copies = journal.copies.map { copy in
            let disk = copy.replica.disk.description
            return Copy(
                node: copy.replica.node, disk: disk, acknowledged: copy.acknowledged,
                lagBytes: copy.acknowledged.map { journal.bytes.bytes - min(journal.bytes.bytes, $0) },
                alive: copy.isAlive || (copy.replica.node == facts.name && disk == facts.disk),
                lost: membership.forgotten.contains(copy.replica.node)
                    || disks[copy.replica.node].map { $0 != disk && !$0.isEmpty } ?? false)
        }
    }
}

extension StatusAnswer.TakeoverAnswer {
    init(_ takeover: NodeStatus.Takeover, to node: String) {
        journal = takeover.journal.description
        epoch = takeover.epoch
        from = takeover.from
        to = node
        time = takeover.at.rfc3339
        messages = takeover.messages
        uncertain = takeover.uncertain
        firstDeliverySeconds = takeover.firstDelivery?.inSeconds
    }
}

extension StatusAnswer.QueueAnswer {
    init(_ queue: NodeStatus.Queue, at now: WallTime) {
        messages = queue.messages
        bytes = queue.bytes.bytes
        due = queue.due
        sending = queue.sending
        retrying = queue.retrying
        waitingForUpstream = queue.waitingForUpstream
        held = queue.held
        uncertain = queue.uncertain
        oldestDueSeconds = queue.oldestDue?.inSeconds
        oldest = queue.oldest.map { message in
            // Of many recipients the one with most tries explains the age.
            let stuck = message.recipients.max { $0.tries < $1.tries }
            return StatusAnswer.Oldest(
                id: message.id.description, ageSeconds: (now - message.accepted).inSeconds, tries: stuck?.tries ?? 0,
                to: stuck?.address ?? "", lastReply: stuck?.lastReply ?? "")
        }
    }
}

extension UpstreamAnswer {
    package init(_ status: NodeStatus.UpstreamStatus, at node: String) {
        name = status.name
        state = status.state.rawValue
        share = status.share
        wantedShare = status.wantedShare
        sentPerSecond = status.sentPerSecond
        connections = status.connections
        maximumConnections = status.maximumConnections
        transientShare = status.transientShare
        permanentShare = status.permanentShare
        medianSeconds = status.median?.inSeconds
        ready = status.ready
        failure = status.failure
        downSeconds = status.downFor?.inSeconds
        nextProbeSeconds = status.nextProbe?.inSeconds
        sent = status.sent
        deferred = status.deferred
        failed = status.failed
        downAt = status.state == .down ? [node] : []
        connectSeconds = status.connectTime?.inSeconds
        greetingSeconds = status.greetingTime?.inSeconds
        failedConnections = status.failedConnections
        certificateExpiry = status.certificateExpiry?.rfc3339
        trust = status.trust
        blind = status.isBlind
        lowestAt = status.lowest.map { Lowest(provider: $0.provider, trust: $0.trust) }
        limits = status.limits.map { Limit(name: $0.name, limit: $0.limit, used: $0.used) }
        spentToday = status.spentToday
        spentThisMonth = status.spentThisMonth
    }
}

extension ProblemAnswer {
    package init(_ problem: Problem, nodes: [String]) {
        name = problem.name
        severity = problem.severity.rawValue
        summary = problem.summary
        says = problem.says
        effect = problem.effect
        baton = problem.baton
        you = problem.you
        self.nodes = nodes
    }
}

extension ProblemAnswer {
    /// One for each reason, however many are refused for it.
    fileprivate static func refusals(_ facts: NodeFacts) -> [ProblemAnswer] {
        var reasons: [String] = []
        for peer in facts.refusedPeers where !reasons.contains(peer.reason) { reasons.append(peer.reason) }
        return reasons.map { reason in
            let peers = facts.refusedPeers.filter { $0.reason == reason }
            let more = peers.count > 1 ? " and \(peers.count - 1) more" : ""
            var first = peers[0]
            first.address += more
            return ProblemAnswer(.refused(first), nodes: [facts.name])
        }
    }

    /// The same of several nodes is one problem: an upstream is the same one for all, and its name stands in the advice; a
    /// stranger knocks at many doors, and the reason is behind his address. Disks and files are each its own.
    var sharedKey: String? {
        if name == "upstream-unreachable-here" { return nil }
        if name.hasPrefix("upstream-") || name == "bounce-storm" { return name + you }
        guard name == "peer-refused" || name == "node-name-taken" else { return nil }
        return name + summary.split(separator: ": ", maxSplits: 1).dropFirst().joined()
    }
}

extension StatusAnswer.Verdict {
    init(_ state: NodeStatus.State) {
        switch state {
        case .starting: self = .starting
        case .draining, .drained: self = .draining
        case .serving: self = .healthy
        }
    }
}
