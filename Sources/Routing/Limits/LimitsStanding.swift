package import Primitives

/// By what this node goes.
enum Standing: Hashable, Sendable {
    /// It is the only node: the whole of everything.
    case alone
    /// Somebody may lend, and it has not heard who: nothing, for a moment.
    case quiet
    /// Nobody lends, or it sees no majority: an equal part for each known node.
    case base
    /// What the lender lends it, and its equal part of the rest.
    case following
}

/// The lender whose grants this node goes by.
struct Followed: Sendable {
    var name: String
    var grants: LimitsGrants
    /// When its word last moved.
    var signAt: Instant
    /// This node's share of each limit that is lent.
    var shares: [UInt64: (share: Int, day: Int)] = [:]

    init(name: String, grants: LimitsGrants, me: String, at now: Instant) {
        self.name = name
        self.grants = grants
        signAt = now
        let position = grants.nodes.firstIndex(of: me)
        for (id, entry) in grants.entries {
            shares[id] = (position.flatMap { $0 < entry.shares.count ? entry.shares[$0] : nil } ?? 0, entry.day)
        }
    }
}

struct LimitsPeer: Sendable {
    var demand = LimitsDemand()
    /// When its demand last moved.
    var movedAt: Instant
    /// It is another process than the lender reckoned with.
    var isNew = false
    /// What it last told of 'too fast', by scope and provider.
    var paces: [String: Int] = [:]
}

extension Limits {
    /// Grants hold so long after the lender's last sign. A new lender comes before that.
    static let validity = Duration.milliseconds(1500)
    /// Without a sign for so long, the lender is taken for gone.
    static let lenderSilence = Duration.seconds(1)
    /// Who has just started hears of a lender in this time; the youngest is the last to lend anyway.
    static let firstWait = Duration.milliseconds(500)
    /// A node is lent nothing more, and what it had is free, after so long without a word.
    static let silence = Duration.milliseconds(800)
    static let release = Duration.milliseconds(1400)
    /// Who starts, or lost its lender, waits so long for one before it goes by equal parts.
    static let patience = Duration.seconds(2)

    var hasMajority: Bool { alive.count * 2 > known }

    /// - Parameters:
    ///   - alive: Sorted, with this node.
    ///   - known: How many nodes the cluster has, dead ones too.
    package mutating func nodes(alive: [String], known: Int, at now: Instant) {
        if firstSeen == nil { firstSeen = now }
        let known = max(known, alive.count, 1)
        guard alive != self.alive || known != self.known else { return }
        let hadMajority = self.known > 1 && hasMajority
        self.alive = alive
        self.known = known
        if known > 1, quietUntil == nil || (hasMajority && !hadMajority) { quietUntil = now + Limits.patience }
        if let followed, !alive.contains(followed.name), vacantSince == nil { vacantSince = now }
        if known == 1 {
            peers = [:]
            followed = nil
            lender = nil
            quietUntil = nil
        }
        review(at: now)
    }

    /// When something changes without an event. Never in the past: what is overdue comes with the next call that changes.
    package func nextDeadline(at now: Instant) -> Instant? {
        if reviewAt == .distantFuture { return nil }
        return reviewAt > now ? reviewAt : now + Limits.askAgain
    }

    /// What follows from the time alone.
    mutating func review(at now: Instant) {
        turnDay(at: now)
        let (standing, until) = standing(at: now)
        if self.standing == .following, standing == .base || standing == .quiet {
            // It was lent something and lost its lender: who comes next may have lent it to others.
            quietUntil = max(quietUntil ?? now, now + Limits.patience)
            self.standing = .quiet
        } else {
            self.standing = standing
        }
        reviewAt = min(until ?? .distantFuture, dayEnd ?? .distantFuture)
        if self.standing == .quiet, let quietUntil { reviewAt = min(reviewAt, quietUntil) }
        apply(at: now)
    }

    private func standing(at now: Instant) -> (Standing, until: Instant?) {
        if known == 1 { return (.alone, nil) }
        if let followed, now - followed.signAt < Limits.validity {
            return (.following, followed.signAt + Limits.validity)
        }
        if let quietUntil, now < quietUntil { return (.quiet, quietUntil) }
        return (.base, nil)
    }

    // MARK: Shares

    mutating func apply(at now: Instant) {
        for index in limiters.indices { applyShare(index, at: now) }
    }

    mutating func applyShare(_ index: Int, at now: Instant) {
        limiters[index].set(share: share(index), at: now)
    }

    private mutating func share(_ index: Int) -> Int {
        let limiter = limiters[index]
        if limiter.kind == .day { return dayShare(index) }
        switch standing {
        case .alone: return limiter.total
        case .quiet: return 0
        case .base: return limiter.base(known: known)
        case .following: return followed?.shares[limiter.id]?.share ?? limiter.base(known: known)
        }
    }

    /// How far this node's count of the day may go.
    private mutating func dayShare(_ index: Int) -> Int {
        let limiter = limiters[index]
        guard let day = limiter.count.day else { return 0 }
        switch standing {
        case .alone: return max(0, limiter.total - limiter.elsewhere)
        case .quiet: return limiter.count.used
        case .following:
            if let lent = followed?.shares[limiter.id], lent.day == day {
                dayBases[index] = nil
                return lent.share
            }
        case .base: break
        }
        // Fixed when it begins: as a part of what is left it would grow with what the node itself uses.
        if let base = dayBases[index], base <= limiter.total { return base }
        let left = max(0, limiter.total - limiter.elsewhere - limiter.count.used)
        let base = limiter.count.used + left / max(1, known)
        dayBases[index] = base
        return base
    }

    /// Nothing is left of the day's limit in the whole cluster.
    func isSpent(_ index: Int) -> Bool {
        let limiter = limiters[index]
        return limiter.count.day != nil && limiter.count.used + limiter.elsewhere >= limiter.total
    }
}
