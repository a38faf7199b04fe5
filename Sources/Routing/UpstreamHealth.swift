package import Primitives
package import SMTP

/// Whether an upstream can be used now: a circuit that opens when it cannot be reached and a ramp when it returns.
///
/// Only what happens before MAIL, or speaks of the upstream itself, opens it, and only what this node meets: what peers
/// tell opens nobody's circuit but says whose turn it is to probe. While it is open the nodes that see it down go in a ring,
/// one probe each 1.1 s in the whole cluster (`UpstreamProbes.swift`); who gets through tells the others, who try at once.
/// One that lets itself be reached and then refuses each transaction is tried after twice the wait of before, and one that
/// refuses the login or the right to relay once a minute.
package struct UpstreamHealth: Hashable, Sendable {
    package enum Condition: Hashable, Sendable {
        case up
        case down(since: Instant, nextProbe: Instant)
    }

    /// What a person is to be told, by the name of the problem.
    package enum Problem: Hashable, Sendable {
        /// `upstream-down`.
        case unreachable
        /// `upstream-unreachable-here`: these nodes work with it, so the fault is between it and this node.
        case unreachableHere(working: [String])
        /// `upstream-login-failed`: it refuses the account, or its right to relay.
        case loginFailed(reply: String)
    }

    /// After a login that was refused. Each try may count towards an account's lock.
    private static let loginGap = Duration.minutes(1)
    /// The longest wait for one that takes connections and refuses what comes then.
    private static let longestWait = Duration.seconds(30)
    /// One certificate's warning comes so long before its end.
    package static let certificateNotice = Duration.days(14)

    private let maximumConnections: Int
    package private(set) var condition = Condition.up
    /// Connections that may be open at once: the ramp after a return, the maximum in good times.
    package private(set) var allowedConnections: Int
    /// When the row of failures began; a connection alone does not end it, an answered transaction does.
    private var failingSince: Instant?
    /// Connected after an outage, but nothing was answered yet.
    private var isUntried = false
    /// How often, in this row of failures, it took a connection and then failed.
    private var relapses = 0
    /// When a transaction was answered last.
    package private(set) var lastAnswer: Instant?
    /// When it answered anything last, if only EHLO.
    package private(set) var lastContact: Instant?
    /// What went wrong last; kept until it is up again.
    package private(set) var lastFailure: String?
    package private(set) var failingStage: Stage?
    /// The reply that refused the login or the right to relay; kept until a login or a transaction succeeds.
    package private(set) var loginRefusal: String?
    /// The stage of `loginRefusal`: a connection proves nothing against a refusal of MAIL.
    private var loginRefusedAfterLogin = false
    /// Opening one more was refused while others work: none is opened until then.
    package private(set) var holdOpeningUntil: Instant?
    package var isDisabled = false
    package private(set) var averages = UpstreamAverages()
    /// When the certificate that it last showed ends; nil when none was seen.
    package var certificateExpiry: WallTime?
    var probes: UpstreamProbes

    /// `me` is this node's name among those that `absorb` names.
    package init(maximumConnections: Int, me: String = "") {
        self.maximumConnections = maximumConnections
        allowedConnections = maximumConnections
        probes = UpstreamProbes(me: me)
    }

    package var isUsable: Bool { !isDisabled && condition == .up }
    package var isRamping: Bool { condition == .up && allowedConnections < maximumConnections }

    package func isCertificateNearExpiry(at now: WallTime) -> Bool {
        certificateExpiry.map { $0 - now < UpstreamHealth.certificateNotice } ?? false
    }

    /// What the weight is multiplied with: 0 when it is not usable, to 1 (`UpstreamAverages`).
    package func factor(at now: Instant) -> Double { isUsable ? averages.factor(at: now) : 0 }

    /// It is down here, for long enough to be no hiccup, while peers have worked with it since: the fault is this node's own.
    package func isOwnFault(at now: Instant) -> Bool { !workingPeers(at: now).isEmpty }

    package func problem(at now: Instant) -> Problem? {
        if let loginRefusal { return .loginFailed(reply: loginRefusal) }
        guard case .down = condition else { return nil }
        let working = workingPeers(at: now)
        return working.isEmpty ? .unreachable : .unreachableHere(working: working)
    }

    private func workingPeers(at now: Instant) -> [String] {
        guard case .down(let since, _) = condition, loginRefusal == nil else { return [] }
        return probes.working(since: since, at: now)
    }

    // MARK: What happens

    /// Nobody can be reached, or it turns all away. Returns how long until the next probe. `spread` is 0 to 1, for jitter.
    package mutating func failed(_ reason: String, stage: Stage? = nil, spread: Double, at now: Instant) -> Duration {
        if condition == .up, stage.map(\.isBeforeMail) ?? true { averages.connectionFailed(at: now) }
        lastFailure = reason
        failingStage = stage
        // Several connections or transactions that fail in one round count once.
        if case .down(_, let probe) = condition, now < probe {
            probes.isProbing = false
            return probe - now
        }
        // Whether it would let this node in is not known any more.
        loginRefusal = nil
        probes.gap = UpstreamProbes.shortGap
        goDown(notBefore: relapseWait(spread: spread).map { now + $0 }, at: now)
        return wait(at: now)
    }

    /// The account, or its right to relay, is refused: a matter of configuration, which must cost no message. Returns how
    /// long until the next probe.
    package mutating func accessRefused(_ reply: String, stage: Stage, at now: Instant) -> Duration {
        lastFailure = reply
        failingStage = stage
        loginRefusal = reply
        loginRefusedAfterLogin = !stage.isBeforeMail
        if case .down(_, let probe) = condition, now < probe, probes.gap >= UpstreamHealth.loginGap {
            return probe - now
        }
        probes.gap = UpstreamHealth.loginGap
        goDown(notBefore: now + UpstreamHealth.loginGap, at: now)
        return wait(at: now)
    }

    /// The longer the row of those that connected in vain, the longer.
    private mutating func relapseWait(spread: Double) -> Duration? {
        guard isUntried else { return nil }
        isUntried = false
        relapses += 1
        return min(.seconds(1 << min(relapses, 5)), UpstreamHealth.longestWait) * (0.8 + 0.4 * spread)
    }

    private mutating func goDown(notBefore floor: Instant?, at now: Instant) {
        let since = failingSince ?? now
        failingSince = since
        if condition == .up {
            probes.outageBegan(at: now)
        } else if !probes.isProbing {
            probes.last = now
        }
        probes.isProbing = false
        probes.earliest = floor
        condition = .down(since: since, nextProbe: probes.next(at: now))
        allowedConnections = 1
        probes.hasNews = true
    }

    private func wait(at now: Instant) -> Duration {
        guard case .down(_, let probe) = condition else { return .zero }
        return max(.zero, probe - now)
    }

    /// One more connection was refused while `open` others work: stay with those for a while.
    package mutating func refusedMore(than open: Int, at now: Instant) {
        averages.connectionFailed(at: now)
        allowedConnections = max(1, open)
        holdOpeningUntil = now + .seconds(5)
    }

    /// A connection became ready: TCP and TLS took `connect`, greeting and EHLO `greeting`. True when that ends an outage.
    package mutating func connected(connect: Duration? = nil, greeting: Duration? = nil, at now: Instant) -> Bool {
        averages.connected(connect: connect, greeting: greeting, at: now)
        lastContact = now
        guard condition != .up else { return false }
        comeUp()
        isUntried = true
        return true
    }

    /// A transaction was answered: one more connection may be opened, which doubles them once a round trip. True when that
    /// ends an outage, as on a connection that was there before it.
    package mutating func answered(transaction: Duration? = nil, at now: Instant) -> Bool {
        if let transaction { averages.answered(transaction) }
        lastAnswer = now
        lastContact = now
        relapses = 0
        isUntried = false
        failingSince = nil
        loginRefusal = nil
        if condition != .up {
            comeUp()
            return true
        }
        if allowedConnections < maximumConnections { allowedConnections += 1 }
        return false
    }

    private mutating func comeUp() {
        condition = .up
        lastFailure = nil
        failingStage = nil
        if !loginRefusedAfterLogin { loginRefusal = nil }
        // While the last word was a refusal of MAIL, one message is enough to ask again.
        allowedConnections = loginRefusal == nil ? min(2, maximumConnections) : 1
        probes.outageEnded()
    }

    // MARK: Probes

    /// A connection is opened to one that is down, to see: the next one's time is counted from now.
    package mutating func beganProbe(at now: Instant) {
        guard case .down(let since, _) = condition else { return }
        probes.began(at: now)
        condition = .down(since: since, nextProbe: probes.next(at: now))
    }

    /// A person wants it tried without waiting.
    package mutating func probeNow(at now: Instant) {
        if case .down(let since, _) = condition { condition = .down(since: since, nextProbe: now) }
        holdOpeningUntil = nil
    }

    /// Ends the hold when its time has come, so that it is no deadline any more.
    package mutating func mayOpen(at now: Instant) -> Bool {
        guard let until = holdOpeningUntil else { return true }
        guard until <= now else { return false }
        holdOpeningUntil = nil
        return true
    }

    // MARK: Peers

    /// The value of gossip record `health/UPSTREAM`, when there is something to tell. To be called at each pulse.
    package mutating func publish(at now: Instant) -> [UInt8]? {
        reschedule(at: now)
        var view = UpstreamProbes.View(heard: now)
        if case .down(let since, _) = condition { view.downSince = since }
        view.lastContact = lastContact
        view.lastProbe = probes.last
        view.stage = failingStage
        view.reason = lastFailure ?? ""
        return probes.publish(view, at: now)
    }

    /// What another node says of the same upstream, told once for each version. Anything malformed is passed over.
    package mutating func absorb(from node: String, value: [UInt8], at now: Instant) {
        guard let view = probes.absorb(from: node, value: value, at: now) else { return }
        reschedule(at: now)
        // It has got through since this node last failed: so may this one, but no more than once a second.
        guard case .down(let since, let probe) = condition, view.downSince == nil, loginRefusal == nil, relapses == 0,
            let contact = view.lastContact, contact > probes.last ?? since
        else { return }
        probes.invited = max(now, (probes.last ?? since) + .seconds(1))
        condition = .down(since: since, nextProbe: min(probe, probes.next(at: now)))
    }

    /// Who is alive, this node included.
    package mutating func nodes(alive: [String]) { probes.alive = alive.sorted() }

    package mutating func forget(node: String) { probes.forget(node) }

    /// What each peer was last heard to say, for people, by name.
    package func peers() -> [(node: String, isDown: Bool, reason: String)] {
        probes.views.sorted { $0.key < $1.key }.map { ($0.key, $0.value.downSince != nil, $0.value.reason) }
    }

    /// Whose turn it is may have changed.
    private mutating func reschedule(at now: Instant) {
        guard case .down(let since, let probe) = condition, probe > now else { return }
        condition = .down(since: since, nextProbe: max(now, probes.next(at: now)))
    }
}

extension Stage {
    fileprivate var isBeforeMail: Bool { rawValue < Stage.mail.rawValue }
}
