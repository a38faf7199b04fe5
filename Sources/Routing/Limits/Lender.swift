internal import Primitives

/// A node as the lender sees it in one round.
struct LimitsBorrower: Sendable {
    var name: String
    /// The version of this lender's grants that it goes by; 0 for none.
    var acknowledged: UInt64 = 0
    /// Not heard of for a while: it is lent nothing, and what it has is not yet free.
    var isSilent = false
    /// It goes by its equal part in what is not lent; otherwise it waits without any.
    var hasBase = false
    /// It is another process than in the round before.
    var isNew = false
    var wants: [UInt64: LimitWant] = [:]
}

/// Divides every limit that somebody wants among the nodes.
///
/// One node lends: who has been alive longest. The others tell it what they want (`LimitsDemand`) and go by what it lends
/// (`LimitsGrants`). A part that shrinks counts in full until its node has said that it goes by the smaller one, or is
/// gone; only then others get more. So the parts in use never exceed the limit, whatever is late or lost.
/// Pure: the caller supplies the time and carries the messages.
struct Lender: Sendable {
    private struct Holding: Hashable, Sendable {
        /// What the latest version says.
        var granted: Int
        /// What the node may be going by: at least `granted`.
        var ceiling: Int
        /// When it last had any.
        var heldAt: Instant
        /// Since when it has had some without a break.
        var since: Instant
    }

    private struct Lent: Sendable {
        var kind: Limiter.Kind
        var total: Int
        var day: Int
        var holdings: [String: Holding] = [:]
        var wantedAt: Instant
        var changedAt: Instant
    }

    /// A round waits so long for late acknowledgements before it goes on without them.
    private static let patience = Duration.milliseconds(750)
    /// A limit that nobody wanted for so long is divided equally again.
    private static let idle = Duration.seconds(10)

    let term: UInt64
    private(set) var version: UInt64 = 0
    private var publishedAt: Instant
    private var lent: [UInt64: Lent] = [:]
    private var names: [String] = []
    private let me: String

    init(term: UInt64, me: String, at now: Instant) {
        self.term = term
        self.me = me
        publishedAt = now
    }

    /// - Parameters:
    ///   - borrowers: The living nodes, this one among them, by name.
    ///   - elsewhere: Of a day's limit (id, day), what nodes that are not among them have used.
    /// - Returns: Whether something is lent in another way than before.
    mutating func lend(
        to borrowers: [LimitsBorrower], known: Int, elsewhere: (UInt64, Int) -> Int, at now: Instant
    ) -> Bool {
        acknowledge(borrowers)
        let membership = borrowers.map(\.name)
        var isChanged = membership != names
        let isSettled = borrowers.allSatisfy { $0.isSilent || $0.acknowledged == version || $0.name == me }
        guard isChanged || isSettled || now - publishedAt >= Lender.patience || borrowers.contains(where: \.isSilent)
        else { return false }
        names = membership

        var wanted: Set<UInt64> = []
        for borrower in borrowers {
            for (id, want) in borrower.wants where want.isActive || lent[id] != nil || want.kind == .day {
                wanted.insert(id)
            }
        }
        for id in wanted.sorted() {
            let wants = borrowers.map { $0.wants[id] }
            guard let whole = Lender.whole(of: wants) else { continue }
            if lent[id] == nil {
                guard lent.count < LimitsGrants.maximumLimits, wants.contains(where: { $0?.isActive ?? false }) else {
                    continue
                }
                list(id, whole, borrowers, known: known, at: now)
                isChanged = true
            } else if lent[id]?.day != whole.day || lent[id]?.kind != whole.kind {
                list(id, whole, borrowers, known: known, at: now)
                isChanged = true
            }
            guard var entry = lent[id] else { continue }
            entry.total = whole.total
            if wants.contains(where: { $0?.isActive ?? false }) { entry.wantedAt = now }
            let isIdle = entry.kind != .day && now - entry.wantedAt >= Lender.idle
            if !isIdle,
                divide(
                    &entry, id, wants, borrowers, known: known, elsewhere: elsewhere(id, entry.day), at: now)
            {
                isChanged = true
            }
            lent[id] = entry
        }
        if retire(borrowers, wanted, known: known, at: now) { isChanged = true }
        guard isChanged else { return false }
        version += 1
        publishedAt = now
        applyOwn()
        return true
    }

    /// What all go by from now on.
    var grants: LimitsGrants {
        var grants = LimitsGrants()
        grants.term = term
        grants.version = version
        grants.nodes = Array(names.prefix(LimitsGrants.maximumNodes))
        var room = LimitsGrants.maximumBytes - 64 - grants.nodes.reduce(0) { $0 + $1.utf8.count + 2 }
        for (id, entry) in lent.sorted(by: { $0.key < $1.key }) {
            let shares = grants.nodes.map { entry.holdings[$0]?.granted ?? 0 }
            room -= 14 + 4 * shares.count
            guard room >= 0 else { break }
            grants.entries[id] = LimitsGrants.Entry(day: entry.day, shares: shares)
        }
        return grants
    }

    // MARK: Steps of a round

    /// Of the nodes' views of one limit: the newest day, the least that any configuration allows.
    private static func whole(of wants: [LimitWant?]) -> LimitWant? {
        var whole: LimitWant?
        for case let want? in wants {
            guard var best = whole else {
                whole = want
                continue
            }
            if want.day > best.day {
                best = want
            } else if want.day == best.day {
                best.total = min(best.total, want.total)
            }
            whole = best
        }
        return whole
    }

    private mutating func acknowledge(_ borrowers: [LimitsBorrower]) {
        let present = Dictionary(uniqueKeysWithValues: borrowers.map { ($0.name, $0) })
        for id in lent.keys {
            guard var entry = lent[id] else { continue }
            for (name, var holding) in entry.holdings {
                guard let borrower = present[name], !borrower.isNew else {
                    entry.holdings[name] = nil
                    continue
                }
                let use = borrower.wants[id].map { $0.day == entry.day && entry.kind != .rate ? $0.use : 0 } ?? 0
                if borrower.acknowledged == version || name == me { holding.ceiling = holding.granted }
                // What is open or spent counts, whatever was granted.
                holding.ceiling = max(holding.ceiling, use)
                entry.holdings[name] = holding
            }
            lent[id] = entry
        }
    }

    /// Begins to lend a limit: each node has what it says it has.
    private mutating func list(
        _ id: UInt64, _ whole: LimitWant, _ borrowers: [LimitsBorrower], known: Int, at now: Instant
    ) {
        var entry = Lent(
            kind: whole.kind, total: whole.total, day: whole.day, wantedAt: now, changedAt: .init(nanoseconds: 0))
        for borrower in borrowers {
            let has = Lender.claim(of: borrower, id, whole, known: known)
            entry.holdings[borrower.name] = Holding(granted: has, ceiling: has, heldAt: now, since: now)
        }
        lent[id] = entry
    }

    /// What a node may be going by that this lender has not lent to yet.
    private static func claim(
        of borrower: LimitsBorrower, _ id: UInt64, _ whole: LimitWant, known: Int
    ) -> Int {
        if let want = borrower.wants[id], want.day == whole.day {
            return max(want.share, whole.kind == .rate ? 0 : want.use)
        }
        return borrower.hasBase ? whole.total / max(1, known) : 0
    }

    private func divide(
        _ entry: inout Lent, _ id: UInt64, _ wants: [LimitWant?], _ borrowers: [LimitsBorrower], known: Int,
        elsewhere: Int, at now: Instant
    ) -> Bool {
        let whole = LimitWant(kind: entry.kind, total: entry.total, day: entry.day)
        var holdings = borrowers.map { borrower in
            entry.holdings[borrower.name]
                ?? Holding(
                    granted: 0,
                    ceiling: Lender.claim(of: borrower, id, whole, known: known),
                    heldAt: Instant(nanoseconds: 0), since: now)
        }
        let targets = self.targets(entry, wants, borrowers, holdings, elsewhere: elsewhere, at: now)
        var isChanged = false
        if isWorthIt(entry, targets, holdings, wants, at: now) {
            var room = entry.total - elsewhere
            for index in holdings.indices {
                if targets[index] < holdings[index].granted {
                    holdings[index].granted = targets[index]
                    isChanged = true
                }
                if borrowers[index].name == me {
                    let open = entry.kind == .rate ? 0 : wants[index].map { $0.day == entry.day ? $0.use : 0 } ?? 0
                    holdings[index].ceiling = max(holdings[index].granted, open)
                }
                room -= holdings[index].ceiling
            }
            for index in holdings.indices where targets[index] > holdings[index].granted {
                // Up to the ceiling costs nothing: it is counted already.
                let ceiling = holdings[index].ceiling
                let raised = min(targets[index], ceiling + max(0, room))
                guard raised > holdings[index].granted else { continue }
                room -= max(0, raised - ceiling)
                if holdings[index].granted == 0 { holdings[index].since = now }
                holdings[index].granted = raised
                holdings[index].ceiling = max(ceiling, raised)
                isChanged = true
            }
            if isChanged { entry.changedAt = now }
        }
        for (index, borrower) in borrowers.enumerated() {
            if holdings[index].granted > 0 { holdings[index].heldAt = now }
            entry.holdings[borrower.name] = holdings[index]
        }
        return isChanged
    }

    /// Small differences are not worth a round; a node without any is, and so is what nobody has.
    private func isWorthIt(
        _ entry: Lent, _ targets: [Int], _ holdings: [Holding], _ wants: [LimitWant?], at now: Instant
    ) -> Bool {
        var largest = 0
        var isStarved = false
        for index in targets.indices {
            largest = max(largest, abs(targets[index] - holdings[index].granted))
            if targets[index] > 0, holdings[index].granted == 0 { isStarved = true }
        }
        guard largest > 0 else { return false }
        if isStarved || targets.reduce(0, +) > holdings.reduce(0, { $0 + $1.granted }) { return true }
        switch entry.kind {
        case .rate: return largest > entry.total / 30
        case .day:
            return largest > max(1, entry.total / 50)
                || zip(wants, holdings).contains {
                    ($0?.need ?? 0) > 0 && $1.granted - ($0?.use ?? 0) < ($0?.need ?? 0)
                }
        case .connections, .transactions:
            return largest > entry.total / 10 && now - entry.changedAt >= .seconds(2)
                || zip(targets, holdings).contains { $0 == 0 && $1.granted > 0 }
        }
    }

    private func targets(
        _ entry: Lent, _ wants: [LimitWant?], _ borrowers: [LimitsBorrower], _ holdings: [Holding], elsewhere: Int,
        at now: Instant
    ) -> [Int] {
        let counted = zip(borrowers, wants).map { borrower, want -> LimitWant? in
            borrower.isSilent || want?.day ?? 0 != entry.day ? nil : want
        }
        let speaking = borrowers.indices.filter { !borrowers[$0].isSilent }
        var targets = borrowers.map { _ in 0 }
        switch entry.kind {
        case .rate:
            let parts = Apportionment.divided(
                entry.total,
                wants: speaking.map { Double(counted[$0]?.due ?? 0) + Double(counted[$0]?.use ?? 0) / 1000 })
            for (index, part) in zip(speaking, parts) { targets[index] = part }
        case .day:
            let used = borrowers.indices.map {
                max(counted[$0]?.use ?? 0, borrowers[$0].isSilent ? holdings[$0].ceiling : 0)
            }
            var left = max(0, entry.total - elsewhere - used.reduce(0, +))
            // What waits as one is served as one: two halves of it would help nobody.
            for index in speaking {
                let need = counted[index]?.need ?? 0
                let extra = need <= left ? need : 0
                targets[index] = used[index] + extra
                left -= extra
            }
            let parts = Apportionment.divided(left, wants: speaking.map { Double(counted[$0]?.due ?? 0) })
            for (index, part) in zip(speaking, parts) { targets[index] += part }
        case .connections, .transactions:
            let parts = connections(entry, speaking.map { counted[$0] }, speaking.map { holdings[$0] }, at: now)
            for (index, part) in zip(speaking, parts) { targets[index] = part }
        }
        return targets
    }

    /// Fewer than want them go round: who has had one for its turn gives it to who has waited longest.
    private func connections(_ entry: Lent, _ wants: [LimitWant?], _ holdings: [Holding], at now: Instant) -> [Int] {
        let sizes = wants.map { want in
            want.map { $0.due == 0 && $0.use == 0 ? 0 : min(entry.total, max($0.use, $0.due)) } ?? 0
        }
        let wanting = sizes.indices.filter { sizes[$0] > 0 }
        let turn = Lender.turn(of: entry.total, among: wanting.count)
        func isInTurn(_ index: Int) -> Bool { holdings[index].granted > 0 && now - holdings[index].since < turn }
        let order = wanting.sorted { one, another in
            let keep = (isInTurn(one), isInTurn(another))
            if keep.0 != keep.1 { return keep.0 }
            let held = (holdings[one].granted > 0, holdings[another].granted > 0)
            if held.0 != held.1 { return held.1 }
            if held.0 { return (holdings[one].since, one) > (holdings[another].since, another) }
            return (holdings[one].heldAt, one) < (holdings[another].heldAt, another)
        }
        return Apportionment.connections(entry.total, wants: sizes, order: order)
    }

    /// How long one keeps its connection, so that nobody waits 5 s: half a second a hand-over is reckoned with.
    static func turn(of total: Int, among wanting: Int) -> Duration {
        guard total > 0, wanting > total else { return .seconds(2) }
        let rounds = (wanting + total - 1) / total
        return min(max(.seconds(4) / rounds - .milliseconds(500), .milliseconds(300)), .seconds(2))
    }

    /// Back to equal parts, once nobody may be going by more.
    private mutating func retire(
        _ borrowers: [LimitsBorrower], _ wanted: Set<UInt64>, known: Int, at now: Instant
    ) -> Bool {
        var isChanged = false
        for (id, var entry) in lent
        where now - entry.wantedAt >= Lender.idle && (entry.kind != .day || !wanted.contains(id)) {
            let base = entry.total / max(1, known)
            if entry.holdings.values.allSatisfy({ $0.ceiling <= base }) {
                lent[id] = nil
                isChanged = true
                continue
            }
            for (name, var holding) in entry.holdings where holding.granted > base {
                holding.granted = base
                entry.holdings[name] = holding
                isChanged = true
            }
            lent[id] = entry
        }
        return isChanged
    }

    /// This node goes by its own grants at once.
    private mutating func applyOwn() {
        for id in lent.keys {
            guard let holding = lent[id]?.holdings[me] else { continue }
            lent[id]?.holdings[me]?.ceiling = holding.granted
        }
    }
}
