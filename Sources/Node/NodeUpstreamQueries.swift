internal import Primitives
internal import Routing
internal import SMTP

/// What people ask about upstreams: how they are, how they are trusted, and what is wrong with them.
extension Node {
    func upstreamStatus(_ lane: Int, at now: Now) -> NodeStatus.UpstreamStatus {
        let health = router.health[lane]
        let counts = laneRecent[lane]
        let sent = counts.total(.sent, at: now.instant)
        let deferred = counts.total(.deferred, at: now.instant)
        let failed = counts.total(.bounced, at: now.instant)
        let all = sent + deferred + failed
        let everyLane = laneRecent.reduce(0) { $0 + $1.total(.sent, at: now.instant) }
        var status = NodeStatus.UpstreamStatus(
            name: lanes[lane].upstream.name, state: .up, connections: lanes[lane].open,
            maximumConnections: lanes[lane].upstream.maximumConnections, wantedShare: router.wantedShare(lane))
        status.share = everyLane > 0 ? Double(sent) / Double(everyLane) : nil
        status.sentPerSecond = counts.perSecond(.sent, at: now.instant)
        status.transientShare = all > 0 ? Double(deferred) / Double(all) : 0
        status.permanentShare = all > 0 ? Double(failed) / Double(all) : 0
        status.median = laneTimes[lane].median
        status.ready = lanes[lane].readyCount
        status.sent = totals[lane].sent
        status.deferred = totals[lane].deferred
        status.failed = totals[lane].bounced
        status.failure = health.lastFailure
        status.trust = router.reputation.trust(upstream: lane, at: now.instant)
        status.isBlind =
            !lanes[lane].upstream.isConfirmed && !router.reputation.hasFeedback(upstream: lane, at: now.instant)
        if let lowest = router.reputation.lowest(upstream: lane, at: now.instant), lowest.trust < 100 {
            status.lowest = (router.providers.name(lowest.provider), lowest.trust)
        }
        status.limits = router.limits.used(upstream: lane, at: now.instant)
        status.connectTime = health.averages.connect
        status.greetingTime = health.averages.greeting
        status.failedConnections = health.averages.failureRate(at: now.instant)
        status.certificateExpiry = health.certificateExpiry
        let spent = router.cost.spent(upstream: lane)
        if lanes[lane].upstream.price != nil {
            status.spentToday = spent.day
            status.spentThisMonth = spent.month
        }
        let blocked = router.reputation.notable(at: now.instant).contains {
            $0.upstream == lane && $0.trust.state != .open
        }
        if case .down(let since, let probe) = health.condition {
            status.state = .down
            status.downFor = now.instant - since
            status.nextProbe = max(.zero, probe - now.instant)
        } else if health.isRamping {
            status.state = .ramping
        } else if blocked {
            status.state = .partial
        }
        if health.isDisabled { status.state = .disabled }
        return status
    }

    // MARK: Problems

    func upstreamProblems(_ lane: Int, at now: Now) -> [Problem] {
        guard !router.health[lane].isDisabled else { return [] }
        return [
            circuitProblem(lane, at: now), stormProblem(lane, at: now), budgetProblem(lane),
            certificateProblem(lane, at: now),
        ].compactMap { $0 }
    }

    private func certificateProblem(_ lane: Int, at now: Now) -> Problem? {
        let health = router.health[lane]
        guard health.isCertificateNearExpiry(at: now.wall), let expiry = health.certificateExpiry else { return nil }
        let upstream = lanes[lane].upstream
        let left = expiry - now.wall
        return Problem(
            name: "upstream-certificate", severity: .warning,
            summary: "the certificate of \(upstream.name) "
                + (left > .zero ? "ends in \(left.short)" : "ended \((.zero - left).short) ago"),
            effect: upstream.tls == .verify
                ? "once it has ended, mail goes by the other upstreams, or waits" : "none yet: it is not verified",
            baton: "goes on using it as long as TLS succeeds",
            you: "ask its operator for a new one: baton upstreams show \(upstream.name)")
    }

    private func circuitProblem(_ lane: Int, at now: Now) -> Problem? {
        let health = router.health[lane]
        guard let problem = health.problem(at: now.instant) else { return nil }
        let name = lanes[lane].upstream.name
        var since = ""
        var next = "as soon as mail needs it"
        if case .down(let began, let probe) = health.condition {
            since = " since \((now.instant - began).short)"
            next = "in \(max(.zero, probe - now.instant).short)"
        }
        let others = router.health.indices.contains { $0 != lane && router.health[$0].isUsable }
        let isWaiting = waitingFor[lane] > 0
        let severity: Problem.Severity = others && !isWaiting ? .warning : .degraded
        let effect =
            isWaiting
            ? "\(waitingFor[lane]) messages wait for it; nothing is bounced before its lifetime ends"
            : "its mail goes by the other upstreams"
        switch problem {
        case .unreachable:
            return Problem(
                name: "upstream-down", severity: severity,
                summary: "\(name) can't be used\(since): \(health.lastFailure ?? "unreachable")", effect: effect,
                baton: "tries it again \(next), one connection a second from the whole cluster",
                you: "see what it says: baton upstreams show \(name)")
        case .unreachableHere(let working):
            return Problem(
                name: "upstream-unreachable-here", severity: .warning,
                summary: "\(name) can't be used from this node\(since), while others work with it: "
                    + (health.lastFailure ?? "unreachable"),
                effect: "this node's mail goes by the other upstreams or waits; "
                    + "\(working.joined(separator: " and ")) send by it as before",
                baton: "takes it for a fault of this node's network, and tries again \(next)",
                you: "look at this node's routes, firewall and address: baton doctor")
        case .loginFailed(let reply):
            return Problem(
                name: "upstream-login-failed", severity: severity,
                summary: "\(name) does not let Baton in, or not relay\(since)", says: reply, effect: effect,
                baton: "bounces nothing for it, and tries it again \(next), once a minute",
                you: "check account, password, address and right to relay; then: baton upstreams reset \(name)")
        }
    }

    private func stormProblem(_ lane: Int, at now: Now) -> Problem? {
        guard recentResults[lane].isRaging(at: now.instant) else { return nil }
        let name = lanes[lane].upstream.name
        return Problem(
            name: "bounce-storm", severity: .degraded,
            summary: "\(name) refuses nearly everything: \(recentResults[lane].words) results are 5xx "
                + "that speak neither of a recipient nor of a domain",
            effect: "what it refuses so is held, not bounced",
            baton: "goes on sending; stops holding once most results are good again",
            you: "find out why: baton upstreams show \(name) · then: baton queue release --upstream \(name), "
                + "or: baton queue bounce --upstream \(name)")
    }

    private func budgetProblem(_ lane: Int) -> Problem? {
        guard let budget = router.cost.overBudget(upstream: lane) else { return nil }
        let name = lanes[lane].upstream.name
        let spent = router.cost.spent(upstream: lane)
        let (amount, period) = budget == .day ? (spent.day, "today") : (spent.month, "this month")
        return Problem(
            name: "upstream-budget-spent", severity: .warning,
            summary: "\(name) has used up its budget of the \(budget.rawValue): \(amount.money) \(period)",
            effect: "it gets no mail until the next \(budget.rawValue) (UTC) begins",
            baton: "sends by the other upstreams of its routes",
            you: "raise it if that is meant: upstreams[].budget, then a restart")
    }

    /// What a mailbox provider has against an upstream.
    func reputationProblems(at now: Now) -> [Problem] {
        router.reputation.notable(at: now.instant).compactMap { upstream, provider, trust in
            guard trust.state != .open, !router.health[upstream].isDisabled else { return nil }
            return blockProblem(lanes[upstream].upstream.name, router.providers.name(provider), trust, now)
        }
    }

    private func blockProblem(_ name: String, _ provider: String, _ trust: Trust, _ now: Now) -> Problem {
        var since = ""
        if let began = trust.since {
            let ago = now.instant - began
            since = ", since \((now.wall + (.zero - ago)).clock) (\(ago.short))"
        }
        let fed = trust.refusedInBlockByFeedback
        let source = "\(trust.refusedInBlock - fed) in SMTP replies, \(fed) in \(name)'s event feed"
        var effect = "no mail to \(provider) goes by \(name), but for probes; no other provider is touched"
        var baton = "tries \(name) with 1 message a minute"
        if let probe = trust.nextProbe { baton += ", next in \(max(.zero, probe - now.instant).short)" }
        baton += "; gives 10 % back a step after 20 good"
        if case .returning(let percent) = trust.state {
            effect = "\(percent) % of its share at \(provider) goes by \(name) again"
            baton = "gives 10 % back a step after 20 good"
        }
        if fed > 0 { effect = "\(fed) messages it took and did not deliver, out of our reach; " + effect }
        return Problem(
            name: "upstream-blocked", severity: .warning,
            summary: "\(provider) refuses \(name): \(trust.refusedInBlock) of the last \(trust.resultsInBlock) results "
                + "failed\(since)",
            says: trust.lastReply.isEmpty ? nil : "\(trust.lastReply) (\(source))", effect: effect, baton: baton,
            you:
                "baton upstreams show \(name) --at \(provider) · solved: baton upstreams reset \(name) --at \(provider)"
        )
    }
}

extension Double {
    /// An amount of money: `12.50`.
    fileprivate var money: String {
        let hundredths = Int((self * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}

extension WallTime {
    /// `11:58:10Z`.
    fileprivate var clock: String { String(rfc3339.dropFirst(11).prefix(8)) + "Z" }
}
