package import Primitives

/// What is left, for the choice and for people.
extension Limits {
    /// What is left of the tightest limit, 0 to 1; 0 where nothing may go for a second or more.
    package func headroom(upstream: Int, provider: ProviderID, at now: Instant) -> Double {
        guard isLimited[upstream] else { return 1 }
        let scope = scopeOf[upstream]
        let pair = Limits.place(upstream, provider)
        var headroom = 1.0
        for index in scopes[scope].taken { headroom = min(headroom, limiters[index].left(at: now)) }
        for index in pairs[pair].taken { headroom = min(headroom, limiters[index].left(at: now)) }
        return headroom
    }

    /// Every limit of an upstream and of its pairs that are in use, for status.
    package func used(upstream: Int, at now: Instant) -> [LimitUse] {
        let scope = scopes[scopeOf[upstream]]
        var indices = [scope.connections] + scope.taken
        for pair in pairs[upstream * Limits.maximumProviders..<(upstream + 1) * Limits.maximumProviders] {
            for index in pair.taken where !indices.contains(index) { indices.append(index) }
        }
        return indices.map { index in
            let limiter = limiters[index]
            return LimitUse(
                name: limiter.title, limit: limiter.limit, used: clusterUse(of: index, at: now) * limiter.seconds)
        }
    }

    /// Per second for rates, of the day, or open; of all nodes as far as they have told.
    func clusterUse(of index: Int, at now: Instant) -> Double {
        let limiter = limiters[index]
        if limiter.kind == .day { return Double(limiter.count.used + limiter.elsewhere) }
        var use = limiter.kind == .rate ? limiter.usage.rate(at: now) : Double(limiter.open)
        for name in alive where name != me {
            guard let want = peers[name]?.demand.wants[limiter.id] else { continue }
            use += limiter.kind == .rate ? Double(want.use) / 1000 : Double(want.use)
        }
        return use
    }
}

extension Limiter {
    /// While anything may go at all.
    private static let least = 0.02

    fileprivate func left(at now: Instant) -> Double {
        switch kind {
        case .rate:
            guard bucket.isNear(within: 1, at: now) else { return 0 }
            return min(1, max(Limiter.least, 1 - usage.rate(at: now) / bucket.rate))
        case .day:
            guard count.used < share else { return 0 }
            return min(1, max(Limiter.least, 1 - Double(count.used + elsewhere) / max(1, limit)))
        case .transactions: return open < share ? 1 : 0
        case .connections: return 1
        }
    }

    /// What a rate per second is multiplied with to be one per period.
    fileprivate var seconds: Double { kind == .rate ? period.inSeconds : 1 }

    /// `recipients/s`, `connections@google`, `warm-up`.
    fileprivate var title: String {
        let words = key.split(separator: " ")
        let what = words.last.map(String.init) ?? key
        let owner = key.dropLast(what.count)
        let provider =
            owner.lastIndex(of: "@").map { "@" + owner[owner.index(after: $0)...].filter { $0 != " " } } ?? ""
        return (what == "warmup" ? "warm-up" : what.split(separator: "-").joined(separator: "/")) + provider
    }
}
