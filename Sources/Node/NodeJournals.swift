internal import Cluster
internal import Journal
internal import Primitives
internal import SMTP

/// Frames: appending them, and what follows once they are committed.
extension Node {
    // MARK: Opening and claiming

    mutating func openJournal(_ now: Now, _ effects: inout [NodeEffect]) -> JournalID {
        let id = JournalID(identifiers.next(at: now.wall))
        let replica = configuration.replica
        let owner = JournalOwner(journal: id, replicas: [replica], me: replica, promised: 0, end: 0)
        journals[id] = HeldJournal(owner: owner)
        effects.append(.createJournal(id))
        effects.append(.storePromise(id, owner.promise(lease: Node.lease)))
        return id
    }

    mutating func promiseStored(_ id: JournalID, epoch: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals[id]?.owner.promiseStored(epoch: epoch) == true else { return }
        if journals[id]?.owner.end == 0 {
            let open = OpenRecord(
                cluster: configuration.cluster, origin: configuration.replica, replicas: [configuration.replica],
                time: now.wall)
            append(.open(open), to: id, then: .opened, &effects)
        } else {
            append(
                .takeover(TakeoverRecord(owner: configuration.replica, time: now.wall)), to: id, then: .tookOver,
                &effects)
        }
    }

    // MARK: Appending

    /// Appends one frame; `pending` follows when it is committed. Returns the frame and its offset.
    @discardableResult
    mutating func append(
        _ record: Record, to id: JournalID, then pending: Pending, _ effects: inout [NodeEffect]
    ) -> (bytes: [UInt8], offset: UInt64) {
        let (epoch, end) = journals.nextPlace(in: id)
        let bytes = Frame.encode(record, epoch: epoch, journal: id, offset: end)
        return (bytes, appendEncoded(bytes, to: id, then: pending, &effects))
    }

    mutating func appendEncoded(
        _ bytes: [UInt8], to id: JournalID, then pending: Pending, _ effects: inout [NodeEffect]
    ) -> UInt64 {
        let offset = journals.append(bytes.count, to: id, then: pending)
        effects.append(.append(id, offset: offset, bytes))
        return offset
    }

    // MARK: Committing

    mutating func durable(_ id: JournalID, upTo offset: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals.durable(id, at: configuration.replica, upTo: offset) else { return }
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
        case .retired:
            effects.append(.deleteJournal(id))
            effects.append(.note(.retired(id)))
        case .nothing: break
        }
    }

    private mutating func opened(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        effects.append(.note(.opened(id)))
        // Found at start-up without a frame: claimed only to be retired, never for new mail.
        guard journals[id]?.isSealed == false else { return }
        if current == nil {
            current = id
            if upcoming == id { upcoming = nil }
            if state == .starting { state = .serving }
            moveDamaged(now, &effects)
        } else {
            rollIfFull(now, &effects)
        }
    }

    // MARK: Rolling and retiring

    /// Opens the next journal ahead of need, and moves on to it at the limit.
    mutating func rollIfFull(_ now: Now, _ effects: inout [NodeEffect]) {
        guard let id = current, state != .draining else { return }
        let limit = configuration.journalLimit.bytes
        if upcoming == nil, journals.end(of: id) >= limit / 4 * 3, !isDiskFull {
            upcoming = openJournal(now, &effects)
        }
        guard journals.end(of: id) >= limit, let next = upcoming, journals.isActive(next) else { return }
        current = next
        upcoming = nil
        sealIfUnused(id, now, &effects)
    }

    /// Seals a journal that takes no accept any more, once the streams that began in it have ended.
    mutating func sealIfUnused(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard id != current, id != upcoming, let journal = journals[id], !journal.isSealed, journal.openStreams == 0,
            journal.owner.phase == .active
        else { return }
        journals[id]?.isSealed = true
        append(.seal, to: id, then: .nothing, &effects)
    }

    mutating func retireIfFinished(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard journals.isFinished(id) else { return }
        // Appended before the phase changes: nothing may follow it.
        append(.retire, to: id, then: .retired, &effects)
        journals[id]?.owner.retire()
    }

    // MARK: The disk's space

    mutating func diskFull(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        isDiskFull = true
        if upcoming == id, journals[id]?.owner.phase == .claiming {
            journals[id] = nil
            upcoming = nil
            // Without a journal for new mail what is queued is delivered all the same: only that makes room.
            if state == .starting { state = .serving }
        }
        noteDiskLow(&effects)
    }

    mutating func diskSpace(free: ByteCount, total: ByteCount, _ now: Now, _ effects: inout [NodeEffect]) {
        diskFree = free
        diskTotal = total
        let mark = max(
            configuration.minimumFree.bytes, UInt64(Double(total.bytes) * configuration.minimumFreeShare))
        // A small disk could never be above 2 GiB: there the share alone decides.
        let wanted =
            total.bytes < 10 * configuration.minimumFree.bytes
            ? UInt64(Double(total.bytes) * configuration.minimumFreeShare) : mark
        if free.bytes < wanted {
            noteDiskLow(&effects)
        } else {
            if isDiskLow { effects.append(.note(.diskOK)) }
            isDiskLow = false
            isDiskFull = false
            if current == nil, upcoming == nil, state != .draining, recovery.isOver {
                upcoming = openJournal(now, &effects)
            }
        }
    }

    private mutating func noteDiskLow(_ effects: inout [NodeEffect]) {
        if !isDiskLow { effects.append(.note(.diskLow(free: diskFree))) }
        isDiskLow = true
    }
}
