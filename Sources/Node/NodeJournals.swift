internal import Cluster
internal import Journal
internal import Primitives
internal import SMTP

/// Journals of this node's own: opening them, appending to them, and what follows once frames are committed.
extension Node {
    // MARK: Opening

    /// Sees to it that there is a journal for new mail, or soon will be: moves on to the one that was opened ahead, or
    /// opens one. Asked again at each tick while there is none.
    mutating func moveOn(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .serving, recovery.isOver else { return }
        if current == nil, let next = upcoming, journals.isActive(next) {
            current = next
            upcoming = nil
            moveDamaged(now, &effects)
        }
        if let next = upcoming, !journals.isOwned(next), now.instant - openedAt > Node.openingPatience {
            // Those that it was to have are not there: it opens without hurry and is retired. Others may be.
            upcoming = nil
        }
        guard upcoming == nil else { return }
        if let current {
            // All of its copies are better than some: a node came back with another disk, or is gone for good.
            guard isLacking(current), let replicas = replicasOfNext(now),
                Set(cluster.live(at: now.instant)).isSuperset(of: replicas)
            else { return }
        }
        openJournal(now, &effects)
    }

    /// Whether a copy of it is on a disk that is not any more what its node has.
    private func isLacking(_ id: JournalID) -> Bool {
        let present = cluster.otherNodes + [configuration.replica]
        return cluster.journals[id]?.replicas.contains { !present.contains($0) } ?? false
    }

    /// Opens a journal ahead of need, if there is room and as many live replicas as a majority of it takes.
    private mutating func openJournal(_ now: Now, _ effects: inout [NodeEffect]) {
        guard isSpaceKnown, !isDiskLow, !isDiskFull, let replicas = replicasOfNext(now) else { return }
        let id = JournalID(identifiers.next(at: now.wall))
        journals[id] = HeldJournal(id)
        upcoming = id
        openedAt = now.instant
        run(.open(id, replicas), now, &effects)
    }

    /// Whom a journal would be opened with now; nil while too few are known or live (`protocol.md`, 'Opening').
    func replicasOfNext(_ now: Now) -> [ReplicaID]? {
        let live = Set(cluster.live(at: now.instant))
        var loads: [ReplicaID: UInt64] = [:]
        for replica in cluster.journals.values {
            for member in replica.replicas { loads[member, default: 0] += 1 }
        }
        let replicas = Opening.replicas(
            count: configuration.replicas, me: configuration.replica, known: cluster.otherNodes,
            isAlive: { live.contains($0) && !isLeaving($0) }, load: { loads[$0] ?? 0 },
            zone: { text("zone", of: $0) ?? "" })
        guard let replicas, replicas.count(where: { live.contains($0) }) > replicas.count / 2 else { return nil }
        return replicas
    }

    private func isLeaving(_ peer: ReplicaID) -> Bool {
        guard let state = text("state", of: peer) else { return false }
        return state == NodeStatus.State.draining.rawValue || state == NodeStatus.State.drained.rawValue
    }

    func text(_ key: String, of peer: ReplicaID) -> String? {
        cluster.gossip.value(key, of: peer).map { String(decoding: $0, as: UTF8.self) }
    }

    /// What others want to know when they choose whom to open a journal with.
    mutating func describeSelf() {
        cluster.describe("state", Array(state.rawValue.utf8))
        cluster.describe("disk", Array((isDiskLow || isDiskFull ? "low" : "ok").utf8))
        cluster.describe("zone", Array(configuration.zone.utf8))
    }

    // MARK: Appending

    /// Appends one frame; `pending` follows when it is committed. Returns the frame and its offset.
    @discardableResult
    mutating func append(
        _ record: Record, to id: JournalID, then pending: Pending, _ now: Now, _ effects: inout [NodeEffect]
    ) -> (bytes: [UInt8], offset: UInt64) {
        let (epoch, end) = journals.nextPlace(in: id)
        let bytes = Frame.encode(record, epoch: epoch, journal: id, offset: end)
        return (bytes, appendEncoded(bytes, to: id, then: pending, now, &effects))
    }

    mutating func appendEncoded(
        _ bytes: [UInt8], to id: JournalID, then pending: Pending, _ now: Now, _ effects: inout [NodeEffect]
    ) -> UInt64 {
        let offset = journals.append(bytes.count, to: id, then: pending)
        hasAppended = true
        run(.append(id, bytes), now, &effects)
        return offset
    }

    // MARK: Committing

    mutating func committed(_ id: JournalID, upTo offset: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals.isOwned(id) else { return }
        journals.committed(id, upTo: offset)
        while let pending = journals.popCommitted(of: id) { follow(pending, in: id, now, &effects) }
        retireIfFinished(id, now, &effects)
        for damaged in damagedJournals { setAsideIfMoved(damaged, &effects) }
    }

    private mutating func follow(_ pending: Pending, in id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        switch pending {
        case .opened: opened(id, now, &effects)
        case .tookOver: tookOver(id, now, &effects)
        case .accepted(let key, let since, let origin): acceptCommitted(key, since: since, origin, now, &effects)
        case .piece(let stream, let bytes): effects.append(.streamDurable(stream, bytes: bytes))
        case .attempt(let connection, let transaction):
            guard transactions.contains(SlabKey(number: transaction)) else { return }
            transactions[SlabKey(number: transaction)].isAttemptCommitted = true
            effects.append(.mayFinish(connection, transaction: transaction))
        case .outcome(let key, let record, let delays, let notice, let ticket):
            outcomeCommitted(key, record, delays, notice: notice, ticket, now, &effects)
        case .command(let key, let verb, let record, let ticket):
            commandCommitted(key, verb, record, ticket, now, &effects)
        case .nothing: break
        }
    }

    private mutating func opened(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        effects.append(.note(.opened(id)))
        moveOn(now, &effects)
        if let current, current != id { rollIfFull(now, &effects) }
        // Opened too late, or found at start-up without a frame: only to be retired.
        sealIfUnused(id, now, &effects)
    }

    // MARK: Rolling and retiring

    /// Opens the next journal ahead of need, and moves on to it at the limit.
    mutating func rollIfFull(_ now: Now, _ effects: inout [NodeEffect]) {
        guard let id = current, state == .serving else { return }
        let limit = configuration.journalLimit.bytes
        if upcoming == nil, journals.end(of: id) >= limit / 4 * 3 { openJournal(now, &effects) }
        guard let next = upcoming, journals.isActive(next), journals.end(of: id) >= limit || isLacking(id) else {
            return
        }
        current = next
        upcoming = nil
        sealIfUnused(id, now, &effects)
    }

    /// Seals a journal that takes no accept any more, once the streams that began in it have ended.
    mutating func sealIfUnused(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard id != current, id != upcoming, let journal = journals[id], !journal.isSealed, journal.openStreams == 0,
            journal.isActive
        else { return }
        journals[id]?.isSealed = true
        append(.seal, to: id, then: .nothing, now, &effects)
    }

    mutating func retireIfFinished(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals.isFinished(id) || (has(.retireUnfinished) && journals.isActive(id) && id != current) else {
            return
        }
        // Appended before the role changes: nothing may follow it.
        append(.retire, to: id, then: .nothing, now, &effects)
        journals[id]?.role = .retiring
    }

    // MARK: The disk's space

    mutating func diskFull(_ now: Now, _ effects: inout [NodeEffect]) {
        isDiskFull = true
        noteDiskLow(&effects)
    }

    mutating func diskSpace(free: ByteCount, total: ByteCount, _ now: Now, _ effects: inout [NodeEffect]) {
        isSpaceKnown = true
        diskFree = free
        diskTotal = total
        let mark = max(
            configuration.minimumFree.bytes, UInt64(Double(total.bytes) * configuration.minimumFreeShare))
        // A small disk could never be above 2 GiB: there the share alone decides.
        // A user's own figure, without a share, is meant as it stands.
        let isSmall = configuration.minimumFreeShare > 0 && total.bytes < 10 * configuration.minimumFree.bytes
        let wanted = isSmall ? UInt64(Double(total.bytes) * configuration.minimumFreeShare) : mark
        if free.bytes < wanted {
            noteDiskLow(&effects)
        } else {
            if isDiskLow { effects.append(.note(.diskOK)) }
            isDiskLow = false
            isDiskFull = false
            describeSelf()
            moveOn(now, &effects)
        }
    }

    private mutating func noteDiskLow(_ effects: inout [NodeEffect]) {
        if !isDiskLow { effects.append(.note(.diskLow(free: diskFree))) }
        isDiskLow = true
        describeSelf()
    }

    /// Whether a majority of this journal's replicas has room for new mail (`architecture.md`, 'Storage rules').
    func hasRoom(_ id: JournalID) -> Bool {
        guard let replicas = cluster.journals[id]?.replicas, replicas.count > 1 else { return true }
        let low = replicas.count { $0 != configuration.replica && text("disk", of: $0) == "low" }
        return replicas.count - low > replicas.count / 2
    }
}
