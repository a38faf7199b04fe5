package import Primitives

/// What nodes tell each other about limits.
///
/// Every node tells what it wants and by whose grants it goes. The *lender* is who says so with the highest term, and is
/// alive; when there is none, the process that has lived longest takes the next term, and begins with what each node says
/// it has. Only a node that sees a majority lends.
extension Limits {
    /// Gossip records `limits/…`, only what changed.
    package mutating func publish(at now: Now) -> [(key: String, value: [UInt8])] {
        observe(now)
        review(at: now.instant)
        dueAt = dueNext
        dueNext = dueAt.map { _ in 0 }
        let wants = ownWants(at: now.instant)
        guard known > 1 else { return [] }
        elect(at: now.instant)
        counter += 1
        var records: [(key: String, value: [UInt8])] = []
        func tell(_ key: String, _ value: [UInt8]) {
            guard told[key] != value else { return }
            told[key] = value
            records.append((key, value))
        }
        if lender != nil {
            let grants = lend(wants, at: now.instant)
            tell(LimitsGrants.key, grants.encoded())
        } else if told[LimitsGrants.key] != nil {
            var none = LimitsGrants()
            none.isLending = false
            none.term = highestTerm
            tell(LimitsGrants.key, none.encoded())
        }
        tell(LimitsDemand.key, demand(wants).encoded())
        if !paces.isEmpty || told[LimitsPace.key] != nil { tell(LimitsPace.key, pacesToTell().encoded()) }
        return records
    }

    private func demand(_ wants: [UInt64: LimitWant]) -> LimitsDemand {
        var demand = LimitsDemand()
        demand.start = start
        demand.counter = counter
        demand.hasBase = standing != .quiet
        if standing == .following, let followed {
            demand.term = followed.grants.term
            demand.lender = followed.name
            demand.version = followed.grants.version
        }
        demand.wants = wants
        return demand
    }

    /// Of the limits that anyone here wanted lately, or that are lent: what is wanted and what is had.
    private mutating func ownWants(at now: Instant) -> [UInt64: LimitWant] {
        var wants: [UInt64: LimitWant] = [:]
        var spare: [(due: Int, id: UInt64)] = []
        for index in limiters.indices {
            let (due, need) = limiters[index].demandSinceLast()
            guard known > 1 else { continue }
            let limiter = limiters[index]
            let rate = limiter.usage.rate(at: now)
            if due > 0 || limiter.open > 0 || (limiter.kind == .rate && rate > 0.01) { limiters[index].wantedAt = now }
            let isRecent = limiter.wantedAt.map { now - $0 < .seconds(10) } ?? false
            guard isRecent || (standing == .following && followed?.shares[limiter.id] != nil) else { continue }
            var want = LimitWant(kind: limiter.kind, total: limiter.total)
            want.due = due
            want.need = need
            want.share = limiter.share
            switch limiter.kind {
            case .rate: want.use = Int(min(rate * 1000, 1e12))
            case .day:
                want.day = max(0, limiter.count.day ?? 0)
                want.use = limiter.count.used
            case .connections, .transactions: want.use = limiter.open
            }
            wants[limiter.id] = want
            spare.append((due, limiter.id))
        }
        guard wants.count > LimitsDemand.maximumWants else { return wants }
        spare.sort { $0.due == $1.due ? $0.id < $1.id : $0.due > $1.due }
        for (_, id) in spare.dropFirst(LimitsDemand.maximumWants) { wants[id] = nil }
        return wants
    }

    // MARK: The lender

    /// Becomes the lender when there is none and no older node would.
    private mutating func elect(at now: Instant) {
        guard hasMajority else {
            lender = nil
            vacantSince = nil
            return
        }
        guard lender == nil else { return }
        if let followed, alive.contains(followed.name), followed.name != me,
            now - followed.signAt < Limits.lenderSilence
        {
            vacantSince = nil
            return
        }
        if followed == nil, let firstSeen, now - firstSeen < Limits.firstWait { return }
        let vacant = vacantSince ?? now
        vacantSince = vacant
        let candidates = alive.compactMap { name -> (start: UInt64, name: String)? in
            if name == me { return (start, me) }
            guard let peer = peers[name], now - peer.movedAt < Limits.silence else { return nil }
            return (peer.demand.start, name)
        }.sorted { $0 < $1 }
        // Should the oldest not do it, the next one does.
        let rank = candidates.firstIndex { $0.name == me } ?? 0
        guard now - vacant >= .milliseconds(750) * rank else { return }
        highestTerm = min(highestTerm + 1, LimitsFormat.highestTerm)
        lender = Lender(term: highestTerm, me: me, at: now)
        vacantSince = nil
    }

    private mutating func lend(_ wants: [UInt64: LimitWant], at now: Instant) -> LimitsGrants {
        guard var lender else { return LimitsGrants() }
        var borrowers: [LimitsBorrower] = []
        var heard = 1
        for name in alive.prefix(LimitsGrants.maximumNodes) {
            var borrower = LimitsBorrower(name: name)
            if name == me {
                borrower.acknowledged = lender.version
                borrower.hasBase = standing != .quiet
                borrower.wants = wants
            } else {
                guard let peer = peers[name], now - peer.movedAt < Limits.release else { continue }
                heard += 1
                borrower.isSilent = now - peer.movedAt >= Limits.silence
                borrower.isNew = peer.isNew
                borrower.hasBase = peer.demand.hasBase
                borrower.wants = peer.demand.wants
                if peer.demand.lender == me, peer.demand.term == lender.term {
                    borrower.acknowledged = peer.demand.version
                }
                peers[name]?.isNew = false
            }
            borrowers.append(borrower)
        }
        let present = Set(borrowers.map(\.name))
        let keys = Dictionary(limiters.map { ($0.id, $0.key) }, uniquingKeysWith: { first, _ in first })
        _ = lender.lend(
            to: borrowers, known: known,
            elsewhere: { id, day in
                guard let key = keys[id] else { return 0 }
                return counts[key]?[day]?.reduce(0) { present.contains($1.key) ? $0 : $0 + $1.value } ?? 0
            }, at: now)
        self.lender = lender
        var grants = lender.grants
        grants.counter = counter
        // Who hears of no majority (it was stopped, or cut off) must not go by what it lends itself.
        if heard * 2 > known || followed?.name != me {
            let signAt = followed?.name == me && heard * 2 <= known ? followed?.signAt ?? now : now
            followed = Followed(name: me, grants: grants, me: me, at: signAt)
            review(at: now)
        }
        return grants
    }

    // MARK: What others tell

    package mutating func absorb(from node: String, key: String, value: [UInt8], at now: Now) {
        guard node != me, known > 1, peers[node] != nil || peers.count < LimitsGrants.maximumNodes else { return }
        observe(now)
        do throws(MalformedBytes) {
            switch key {
            case LimitsDemand.key: absorb(try LimitsDemand(reading: value), from: node, at: now.instant)
            case LimitsGrants.key: absorb(try LimitsGrants(reading: value), from: node, at: now.instant)
            case LimitsPace.key: absorb(try LimitsPace(reading: value), from: node, at: now.instant)
            default: break
            }
        } catch {
            // Of a version that this one cannot read: it is without a share until it says something else.
        }
    }

    private mutating func absorb(_ demand: LimitsDemand, from node: String, at now: Instant) {
        var peer = peers[node] ?? LimitsPeer(movedAt: now)
        let before = peer.demand
        if before.counter != 0 {
            guard demand != before else { return }
            if demand.start != before.start || demand.counter < before.counter {
                peer.isNew = true
                peer.paces = [:]
            }
        }
        highestTerm = max(highestTerm, demand.term)
        peer.demand = demand
        peer.movedAt = now
        peers[node] = peer
    }

    private mutating func absorb(_ grants: LimitsGrants, from node: String, at now: Instant) {
        highestTerm = max(highestTerm, grants.term)
        // What still comes of a dead lender's says nothing.
        guard alive.contains(node) else { return }
        guard grants.isLending else {
            if followed?.name == node { vacantSince = vacantSince ?? now }
            return
        }
        if let lender {
            guard (grants.term, node) > (lender.term, me) else { return }
            self.lender = nil
        }
        if let followed {
            let isSame = followed.name == node && followed.grants.term == grants.term
            guard isSame || (grants.term, node) > (followed.grants.term, followed.name) else { return }
            guard !isSame || grants.counter > followed.grants.counter else { return }
            if isSame, grants.version == followed.grants.version {
                self.followed?.grants.counter = grants.counter
                self.followed?.signAt = now
                vacantSince = nil
                if standing == .following {
                    reviewAt = min(dayEnd ?? .distantFuture, now + Limits.validity)
                } else {
                    review(at: now)
                }
                return
            }
        }
        followed = Followed(name: node, grants: grants, me: me, at: now)
        vacantSince = nil
        review(at: now)
    }
}
