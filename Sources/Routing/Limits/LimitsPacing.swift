package import Primitives

struct PaceKey: Hashable, Sendable {
    var scope: Int
    /// Nil for all its mail.
    var provider: ProviderID?
}

/// How fast the cluster goes where it was told 'too fast': half of what it did, then a little more each second.
struct Pace: Sendable {
    /// One in five seconds: with less, nothing would show that it may be faster again.
    static let floor = 0.2

    let limiter: Int
    /// Recipients per second, of the whole cluster.
    var ceiling: Double
    /// What went when it was too fast.
    var peak: Double
    var loweredAt: Instant
    var raisedAt: Instant

    /// Back from the half in half a minute; the whole is doubted for another half.
    var isOver: Bool { ceiling >= peak * 1.5 }

    mutating func lower(from used: Double, at now: Instant) {
        peak = max(min(used, ceiling), Pace.floor)
        ceiling = max(Pace.floor, min(ceiling, max(used, Pace.floor)) / 2)
        loweredAt = now
        raisedAt = now
    }

    mutating func raise(at now: Instant) {
        let since = min((now - raisedAt).inSeconds, 30)
        guard since > 0 else { return }
        ceiling += since * max(peak / 60, Pace.floor / 4)
        raisedAt = now
    }
}

extension Limits {
    private static let maximumPaces = 512
    /// Not oftener: several refusals of one moment, on several nodes, are one. Gossip needs as long.
    private static let lowersApart = Duration.milliseconds(1500)

    /// The upstream said 'too fast'; nil when it speaks of all mail. The whole cluster goes half as fast.
    package mutating func rateLimited(upstream: Int, provider: ProviderID?, at now: Instant) {
        var key = PaceKey(scope: scopeOf[upstream], provider: provider)
        if paces[key] == nil, paces.count >= Limits.maximumPaces { key.provider = nil }
        guard var pace = paces[key] else {
            // What others send there is not known yet: as much as this node.
            let used: Double
            if let provider = key.provider {
                let pair = pair(upstream, provider, at: now)
                used = pairs[pair].usage.peak(at: now) * Double(max(1, alive.count))
            } else {
                used = scopes[key.scope].usage.peak(at: now) * Double(max(1, alive.count))
            }
            begin(key, ceiling: max(Pace.floor, used / 2), peak: max(Pace.floor, used), at: now)
            return
        }
        guard now - pace.loweredAt >= Limits.lowersApart else { return }
        pace.lower(from: clusterUse(of: pace.limiter, at: now), at: now)
        paces[key] = pace
        limiters[pace.limiter].limit = pace.ceiling
        applyShare(pace.limiter, at: now)
    }

    package mutating func succeeded(upstream: Int, provider: ProviderID, at now: Instant) {
        guard !paces.isEmpty else { return }
        raise(PaceKey(scope: scopeOf[upstream], provider: nil), at: now)
        raise(PaceKey(scope: scopeOf[upstream], provider: provider), at: now)
    }

    private mutating func raise(_ key: PaceKey, at now: Instant) {
        guard var pace = paces[key], now - pace.raisedAt >= .milliseconds(250) else { return }
        pace.raise(at: now)
        if pace.isOver { return end(key, at: now) }
        paces[key] = pace
        limiters[pace.limiter].limit = pace.ceiling
        applyShare(pace.limiter, at: now)
    }

    private mutating func begin(_ key: PaceKey, ceiling: Double, peak: Double, at now: Instant) {
        let scope = scopes[key.scope]
        let owner = key.provider.map { "\(scope.name)@\(name(of: $0))" } ?? scope.name
        let limiter = limiter("\(owner) pace", .rate, .recipients, period: .seconds(1), limit: ceiling)
        limiters[limiter].limit = ceiling
        paces[key] = Pace(limiter: limiter, ceiling: ceiling, peak: peak, loweredAt: now, raisedAt: now)
        if let provider = key.provider {
            for member in scope.members {
                let index = pair(member, provider, at: now)
                if !pairs[index].taken.contains(limiter) { pairs[index].taken.append(limiter) }
            }
        } else if !scope.taken.contains(limiter) {
            scopes[key.scope].taken.append(limiter)
        }
        for member in scope.members { noteLimited(member) }
        applyShare(limiter, at: now)
    }

    private mutating func end(_ key: PaceKey, at now: Instant) {
        guard let pace = paces.removeValue(forKey: key) else { return }
        scopes[key.scope].taken.removeAll { $0 == pace.limiter }
        for member in scopes[key.scope].members {
            noteLimited(member)
            guard let provider = key.provider else { continue }
            let index = pair(member, provider, at: now)
            pairs[index].taken.removeAll { $0 == pace.limiter }
        }
    }

    // MARK: Between nodes

    func pacesToTell() -> LimitsPace {
        var told = LimitsPace()
        let sorted = paces.sorted {
            ($0.key.scope, $0.key.provider?.number ?? .max) < ($1.key.scope, $1.key.provider?.number ?? .max)
        }
        for (key, pace) in sorted.prefix(LimitsPace.maximumEntries) {
            told.entries.append(
                LimitsPace.Entry(
                    scope: scopes[key.scope].name, provider: key.provider.map { name(of: $0) },
                    ceiling: Int(min(pace.ceiling * 1000, 1e12)), peak: Int(min(pace.peak * 1000, 1e12))))
        }
        return told
    }

    /// Where another went slower, this node does. How fast it becomes again, each finds out by its own successes.
    mutating func absorb(_ paces: LimitsPace, from node: String, at now: Instant) {
        var peer = peers[node] ?? LimitsPeer(movedAt: now)
        let before = peer.paces
        peer.paces = [:]
        for entry in paces.entries {
            let name = "\(entry.scope)@\(entry.provider ?? "")"
            peer.paces[name] = entry.ceiling
            guard before[name].map({ entry.ceiling < $0 - $0 / 5 }) ?? true,
                let scope = scopes.firstIndex(where: { $0.name == entry.scope })
            else { continue }
            let provider = entry.provider.flatMap { self.provider(named: $0) }
            guard entry.provider == nil || provider != nil else { continue }
            lower(PaceKey(scope: scope, provider: provider), to: entry, at: now)
        }
        peers[node] = peer
    }

    private mutating func lower(_ key: PaceKey, to entry: LimitsPace.Entry, at now: Instant) {
        let ceiling = max(Pace.floor, Double(entry.ceiling) / 1000)
        guard var pace = paces[key] else {
            guard paces.count < Limits.maximumPaces else { return }
            return begin(key, ceiling: ceiling, peak: max(ceiling, Double(entry.peak) / 1000), at: now)
        }
        guard ceiling < pace.ceiling else { return }
        pace.ceiling = ceiling
        pace.peak = max(ceiling, Double(entry.peak) / 1000)
        pace.loweredAt = now
        pace.raisedAt = now
        paces[key] = pace
        limiters[pace.limiter].limit = ceiling
        applyShare(pace.limiter, at: now)
    }
}
