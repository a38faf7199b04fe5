package import Primitives

/// What is left, for the choice and for people.
extension Limits {
    /// While anything may go at all.
    private static let least = 0.02

    /// What is left of the tightest limit, 0 to 1; 0 where nothing may go for a second or more.
    package func headroom(upstream: Int, provider: ProviderID, at now: Instant) -> Double {
        let scope = scopes[scopeOf[upstream]]
        var headroom = 1.0
        for index in scope.taken { headroom = min(headroom, left(index, at: now)) }
        let pair = Int(provider.number) < Limits.maximumProviders ? Int(provider.number) : 0
        if pair < pairs[upstream].count {
            for index in pairs[upstream][pair].taken { headroom = min(headroom, left(index, at: now)) }
        }
        return headroom
    }

    private func left(_ index: Int, at now: Instant) -> Double {
        let limiter = limiters[index]
        switch limiter.kind {
        case .rate:
            let rate = limiter.bucket.rate
            guard rate > 0,
                limiter.bucket.tokens + rate * limiter.bucket.age(at: now) + rate >= min(1, limiter.bucket.capacity)
            else { return 0 }
            return min(1, max(Limits.least, 1 - limiter.usage.rate(at: now) / rate))
        case .day:
            guard limiter.count.used < limiter.share else { return 0 }
            let used = Double(limiter.count.used + limiter.elsewhere)
            return min(1, max(Limits.least, 1 - used / max(1, limiter.limit)))
        case .transactions: return limiter.open < limiter.share ? 1 : 0
        case .connections: return 1
        }
    }

    /// Every limit of an upstream and of its pairs that are in use, for status.
    package func used(upstream: Int, at now: Instant) -> [LimitUse] {
        let scope = scopes[scopeOf[upstream]]
        var indices = [scope.connections] + scope.taken
        for pair in pairs[upstream] {
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
