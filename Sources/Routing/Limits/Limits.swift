package import Primitives

/// How much may go to each upstream, held for the whole cluster.
///
/// Every limit belongs to a *scope*, an upstream or the account that several share, or to a *pair* of that and a mailbox
/// provider. Each node goes by a share of it: the whole when it is the only node; an equal part while nobody lends or
/// wants more; else what the lender lends it (`Lender`). All of it travels as gossip, with each pulse: `limits/demand`,
/// `limits/grants`, `limits/pace`. Day limits also have cluster records `count/…`, so that they outlive processes.
///
/// The caller tells `nodes`, `absorb` and `recordChanged` what it hears, then `demand` for all that waits, `publish` with
/// each pulse and `recordsToWrite` about once a second.
package struct Limits: Sendable {
    package enum Taken: Hashable, Sendable {
        case granted
        /// Nothing was taken; ask again then.
        case wait(until: Instant)
    }

    /// Where a share is used up or missing, one may come with any gossip.
    static let askAgain = Duration.milliseconds(250)
    /// Providers have numbers below this; what is beyond counts as the long tail.
    static let maximumProviders = 512
    /// Pairs beyond these share the limits of the long tail.
    static let maximumLimiters = 4096

    struct Scope: Sendable {
        let name: String
        var members: [Int] = []
        /// What each transaction takes from.
        var taken: [Int] = []
        var connections = 0
        var warmup: (limiter: Int, plan: WarmUp)?
        var usage = Usage()
    }

    struct Pair: Sendable {
        var isMade = false
        var taken: [Int] = []
        var transactions: Int?
        var usage = Usage()
    }

    let me: String
    let start: UInt64
    var scopes: [Scope] = []
    /// Of each upstream.
    var scopeOf: [Int] = []
    /// Of each upstream, so many as providers have numbers.
    var pairs: [Pair]
    /// Whether anything limits an upstream's transactions now: most are free, and asked about most often.
    var isLimited: [Bool]
    let perProvider: [[String: ProviderLimits]]
    let maximumConnections: [Int]
    private let providerNumbers: [String: ProviderID]
    private let providerNames: [ProviderID: String]

    var limiters: [Limiter] = []
    private(set) var limiterOfKey: [String: Int] = [:]
    var openAt: [Int]
    /// What waited for each upstream when it was last published, and what waits now.
    var dueAt: [Int]
    var dueNext: [Int]
    var paces: [PaceKey: Pace] = [:]

    // The exchange (`LimitsExchange`).
    var alive: [String]
    var known = 1
    var standing = Standing.alone
    var peers: [String: LimitsPeer] = [:]
    var followed: Followed?
    var lender: Lender?
    var highestTerm: UInt64 = 0
    var vacantSince: Instant?
    var quietUntil: Instant?
    var counter: UInt64 = 0
    /// Until then, nothing changes without an event.
    var reviewAt = Instant.distantFuture
    /// Every record that others were told, by key.
    var told: [String: [UInt8]] = [:]

    // The records (`LimitsRecords`).
    var counts: [String: [Int: [String: Int]]] = [:]
    var clock: (offset: Int64, day: Int)?
    var firstSeen: Instant?
    var warmupStarts: [String: Int] = [:]
    var warmupsWritten: Set<String> = []
    var dayBases: [Int: Int] = [:]

    /// - Parameters:
    ///   - me: This node, as `absorb` names others.
    ///   - start: Grows with every start of any process of the cluster, about: the oldest lends.
    ///   - providers: The numbers of the providers, those that `perProvider` names among them; others go by number.
    package init(upstreams: [Upstream], me: String, start: UInt64 = 0, providers: [String: ProviderID] = [:]) {
        self.me = me
        self.start = start
        alive = [me]
        providerNumbers = providers.merging(["other": .other]) { given, _ in given }
        providerNames = Dictionary(providerNumbers.map { ($1, $0) }, uniquingKeysWith: { min($0, $1) })
        perProvider = upstreams.map(\.perProvider)
        maximumConnections = upstreams.map { max(1, $0.maximumConnections) }
        pairs = Array(repeating: Pair(), count: upstreams.count * Limits.maximumProviders)
        isLimited = upstreams.map { _ in false }
        openAt = upstreams.map { _ in 0 }
        dueAt = openAt
        dueNext = openAt
        for (index, upstream) in upstreams.enumerated() { add(upstream, index) }
        for index in upstreams.indices { noteLimited(index) }
        apply(at: Instant(nanoseconds: 0))
    }

    // MARK: What there is to keep to

    private mutating func add(_ upstream: Upstream, _ index: Int) {
        let name = upstream.account.map { "account:\($0)" } ?? upstream.name
        let scope = scopes.firstIndex { $0.name == name } ?? scopes.count
        if scope == scopes.count { scopes.append(Scope(name: name)) }
        scopes[scope].members.append(index)
        scopeOf.append(scope)
        scopes[scope].connections = limiter(
            "\(name) connections", .connections, .messages, period: .zero,
            limit: Double(max(1, upstream.maximumConnections)))
        for rate in upstream.rates {
            let limiter = limiter(name, rate)
            if !scopes[scope].taken.contains(limiter) { scopes[scope].taken.append(limiter) }
        }
        if let plan = upstream.warmup {
            let limiter = limiter(
                "\(name) warmup", .day, plan.from.counted, period: .days(1), limit: plan.from.perSecond * 86_400)
            if !scopes[scope].taken.contains(limiter) { scopes[scope].taken.append(limiter) }
            scopes[scope].warmup = (limiter, plan)
        }
    }

    private mutating func limiter(_ owner: String, _ rate: Rate) -> Int {
        let isDay = rate.period >= .days(1)
        let unit = isDay ? "d" : rate.period >= .hours(1) ? "h" : rate.period >= .minutes(1) ? "m" : "s"
        return limiter(
            "\(owner) \(rate.counted == .messages ? "messages" : "recipients")-\(unit)", isDay ? .day : .rate,
            rate.counted, period: rate.period, limit: rate.count)
    }

    /// The one of that key, at the lower of both limits when there was one.
    mutating func limiter(
        _ key: String, _ kind: Limiter.Kind, _ counted: Rate.Counted, period: Duration, limit: Double
    ) -> Int {
        if let index = limiterOfKey[key] {
            limiters[index].limit = min(limiters[index].limit, limit)
            return index
        }
        limiters.append(Limiter(key: key, kind: kind, counted: counted, period: period, limit: limit))
        limiterOfKey[key] = limiters.count - 1
        let index = limiters.count - 1
        if kind == .day, let clock {
            limiters[index].count.begin(day: clock.day)
            limiters[index].elsewhere = countedElsewhere(key)
            if let value = counts[key]?[clock.day]?[me] { limiters[index].count.recorded(value) }
        }
        return index
    }

    func name(of provider: ProviderID) -> String { providerNames[provider] ?? "#\(provider.number)" }

    func provider(named name: String) -> ProviderID? {
        if let provider = providerNumbers[name] { return provider }
        guard name.hasPrefix("#"), let number = UInt16(name.dropFirst()), number < Limits.maximumProviders else {
            return nil
        }
        return ProviderID(number: number)
    }

    /// The index of the pair's state; makes it when it is new.
    mutating func pair(_ upstream: Int, _ provider: ProviderID, at now: Instant) -> Int {
        let index = Limits.place(upstream, provider)
        if !pairs[index].isMade { make(upstream, index, at: now) }
        return index
    }

    static func place(_ upstream: Int, _ provider: ProviderID) -> Int {
        upstream * maximumProviders + (Int(provider.number) < maximumProviders ? Int(provider.number) : 0)
    }

    mutating func noteLimited(_ upstream: Int) {
        let scope = scopeOf[upstream]
        isLimited[upstream] =
            !scopes[scope].taken.isEmpty || !perProvider[upstream].isEmpty
            || paces.keys.contains { $0.scope == scope }
    }

    private mutating func make(_ upstream: Int, _ index: Int, at now: Instant) {
        pairs[index].isMade = true
        let provider = ProviderID(number: UInt16(index % Limits.maximumProviders))
        let named = name(of: provider)
        let owner = "\(scopes[scopeOf[upstream]].name)@\(named)"
        if let limits = perProvider[upstream][named] ?? perProvider[upstream]["*"] {
            guard limiters.count + limits.rates.count < Limits.maximumLimiters else {
                if provider != .other { pairs[index] = pairs[pair(upstream, .other, at: now)] }
                return
            }
            for rate in limits.rates { pairs[index].taken.append(limiter(owner, rate)) }
            if let maximum = limits.maximumConnections {
                let limiter = limiter(
                    "\(owner) connections", .transactions, .messages, period: .zero, limit: Double(max(1, maximum)))
                pairs[index].taken.append(limiter)
                pairs[index].transactions = limiter
            }
        }
        if let pace = paces[PaceKey(scope: scopeOf[upstream], provider: provider)] {
            pairs[index].taken.append(pace.limiter)
        }
        for limiter in pairs[index].taken { applyShare(limiter, at: now) }
    }

    // MARK: Taking

    /// One transaction of so many recipients begins now; takes what it needs of every limit or nothing.
    package mutating func take(upstream: Int, provider: ProviderID, recipients: Int, at now: Instant) -> Taken {
        if now >= reviewAt { review(at: now) }
        let scope = scopeOf[upstream]
        let pair = pair(upstream, provider, at: now)
        if isLimited[upstream] {
            var until: Instant?
            for index in scopes[scope].taken { consider(index, recipients, &until, at: now) }
            for index in pairs[pair].taken { consider(index, recipients, &until, at: now) }
            if let until { return .wait(until: max(until, now + .milliseconds(1))) }
            for index in scopes[scope].taken { limiters[index].take(limiters[index].amount(recipients), at: now) }
            for index in pairs[pair].taken {
                limiters[index].take(limiters[index].amount(recipients), at: now)
            }
        }
        scopes[scope].usage.add(recipients, at: now)
        pairs[pair].usage.add(recipients, at: now)
        return .granted
    }

    private mutating func consider(_ index: Int, _ recipients: Int, _ until: inout Instant?, at now: Instant) {
        let amount = limiters[index].amount(recipients)
        guard var wait = limiters[index].wait(for: amount, at: now) else { return }
        // Others may give back what they reserved: it is worth asking before the day ends.
        if limiters[index].kind == .day, isSpent(index), let end = dayEnd {
            wait = max(wait, min(end, now + .minutes(1)))
        }
        until = max(until ?? wait, wait)
    }

    /// Given back: it did not begin after all (nothing reached MAIL).
    package mutating func giveBack(upstream: Int, provider: ProviderID, recipients: Int, at now: Instant) {
        let scope = scopeOf[upstream]
        let pair = pair(upstream, provider, at: now)
        for index in scopes[scope].taken { limiters[index].giveBack(limiters[index].amount(recipients)) }
        for index in pairs[pair].taken { limiters[index].giveBack(limiters[index].amount(recipients)) }
        scopes[scope].usage.remove(recipients)
        pairs[pair].usage.remove(recipients)
    }

    /// A transaction that `take` granted is over, however; not called for one that was given back. It ends what counts
    /// against `perProvider`'s `maximumConnections`.
    package mutating func finished(upstream: Int, provider: ProviderID, at now: Instant) {
        let pair = pair(upstream, provider, at: now)
        guard let index = pairs[pair].transactions else { return }
        limiters[index].open = max(0, limiters[index].open - 1)
    }

    // MARK: Connections

    /// How many connections this node may have open there now. Those above it must be closed as soon as nothing goes on
    /// in them: another node waits for them.
    package func connections(upstream: Int, at now: Instant) -> Int {
        let scope = scopes[scopeOf[upstream]]
        let share = limiters[scope.connections].share
        guard scope.members.count > 1 else { return min(share, maximumConnections[upstream]) }
        // Those of one account share it: each that has mail waiting keeps one, by turns if need be.
        let wanting = scope.members.filter { $0 == upstream || dueAt[$0] > 0 || openAt[$0] > 0 }
        let others = wanting.filter { $0 != upstream }
        if wanting.count <= share {
            return min(share - others.reduce(0) { $0 + max(1, openAt[$1]) }, maximumConnections[upstream]).clampedToZero
        }
        let turn = Int(max(0, now.nanoseconds) / 1_000_000_000)
        let mine = wanting.firstIndex(of: upstream) ?? 0
        guard (mine + turn) % wanting.count < share else { return 0 }
        return min(1, share - others.reduce(0) { $0 + openAt[$1] }).clampedToZero
    }

    package mutating func connectionsChanged(upstream: Int, open: Int, at now: Instant) {
        openAt[upstream] = max(0, open)
        let scope = scopes[scopeOf[upstream]]
        limiters[scope.connections].open = scope.members.reduce(0) { $0 + openAt[$1] }
    }

    /// What waits on this node, told before `publish`.
    package mutating func demand(upstream: Int, provider: ProviderID, due: Int) {
        guard due > 0 else { return }
        let due = min(due, 1_000_000_000)
        dueNext[upstream] += due
        let scope = scopeOf[upstream]
        limiters[scopes[scope].connections].due += due
        for index in scopes[scope].taken { limiters[index].due += due }
        let pair = pair(upstream, provider, at: Instant(nanoseconds: 0))
        for index in pairs[pair].taken { limiters[index].due += due }
    }
}

extension Int {
    fileprivate var clampedToZero: Int { Swift.max(0, self) }
}

/// One limit and how much of it the cluster uses, for people.
package struct LimitUse: Hashable, Sendable {
    /// `messages/s`, `recipients/d`, `connections`, `warm-up`, `pace` (after 'too fast'), with `@provider` for a pair's.
    package var name: String
    /// Of the whole cluster: per period, per day, or at once; as configured, by the plan, or as far as lowered.
    package var limit: Double
    /// In the same unit, of the whole cluster as far as known here.
    package var used: Double

    package init(name: String, limit: Double, used: Double) {
        self.name = name
        self.limit = limit
        self.used = used
    }
}
