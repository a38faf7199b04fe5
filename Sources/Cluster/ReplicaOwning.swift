internal import Primitives

/// What an owner does (`protocol.md`, 'Append', 'Commit', 'Lease', 'Drain and stop').
///
/// It appends, sends, counts who holds what on the disk, and commits. Whatever says that its epoch is over ends it at once.
extension Replica {
    // MARK: Appending

    /// Appends whole frames of this node's epoch at the journal's end. They are sent with the turn's others (`flush`).
    mutating func append(_ bytes: [UInt8], _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role else { preconditionFailure("only an owner appends") }
        let frames = walkFrames(bytes, of: journal, at: ownership.owner.end)
        precondition(!frames.isEmpty && frames.allSatisfy { $0.epoch == ownership.owner.epoch })
        if ownership.unsent.count + bytes.count > Append.maximumBytes {
            role = .owning(ownership)
            flush(&turn)
            guard case .owning(let flushed) = role else { return }
            ownership = flushed
        }
        role = .follower  // Not two references to what is changed.
        var offset = ownership.owner.end
        for frame in frames { offset = ownership.owner.append(count: frame.length) + UInt64(frame.length) }
        precondition(offset == ownership.unsentOffset + UInt64(ownership.unsent.count + bytes.count))
        let start = copy.end
        copy.append(frames, in: bytes, at: start)
        ownership.unsent.append(contentsOf: bytes)
        if copy.retiredEnd == copy.end, ownership.owner.phase == .active { ownership.owner.retire() }
        let epoch = ownership.owner.epoch
        role = .owning(ownership)
        write(bytes, at: start, &turn)
        if turn.settings.has(.ownSyncAssumed) { return ownBytesDurable(epoch, upTo: copy.end, &turn) }
        hold(.ownBytes(epoch: epoch, end: copy.end), &turn)
    }

    /// Sends what this turn appended: one message to each replica that is in step.
    mutating func flush(_ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role, !ownership.unsent.isEmpty else { return }
        role = .follower
        let end = ownership.owner.end
        for (replica, progress) in ownership.peers.sorted(by: { $0.key < $1.key }) {
            guard progress.next == ownership.unsentOffset, !progress.isReading,
                end - progress.base <= Ownership.window
            else { continue }
            let append = Append(
                journal: journal, epoch: ownership.owner.epoch, lease: ownership.owner.lease,
                previousOffset: ownership.unsentOffset, previousEpoch: ownership.unsentPreviousEpoch,
                committed: ownership.owner.committed, ownerEnd: end, bytes: ownership.unsent)
            turn.send(.append(append), to: replica)
            ownership.peers[replica]?.next = end
            ownership.peers[replica]?.told = append.committed
        }
        ownership.unsent = []
        ownership.unsentOffset = end
        ownership.unsentPreviousEpoch = copy.lastEpoch
        role = .owning(ownership)
        for replica in ownership.peers.keys.sorted() { pump(replica, &turn) }
    }

    /// Reads for a replica that is behind; tells one that is not what is committed, at times.
    private mutating func pump(_ replica: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role, let progress = ownership.peers[replica], !progress.isReading,
            progress.next < ownership.unsentOffset, progress.next - progress.base < Ownership.window
        else { return }
        ownership.peers[replica]?.isReading = true
        role = .owning(ownership)
        turn.ask(
            .read(
                ReadRequest(
                    journal: journal, epoch: ownership.owner.epoch, generation: copy.generation, offset: progress.next,
                    count: Int(min(ownership.unsentOffset - progress.next, turn.settings.chunk)),
                    purpose: .append(to: replica))))
    }

    mutating func appendRead(_ request: ReadRequest, _ bytes: [UInt8], to replica: ReplicaID, _ turn: inout ClusterTurn)
    {
        guard case .owning(var ownership) = role, ownership.owner.epoch == request.epoch,
            request.generation == copy.generation, ownership.peers[replica]?.isReading == true
        else { return }
        let frames = walkFrames(bytes, of: journal, at: request.offset)
        guard let last = frames.last else { return readWholeFrame(request, bytes, &turn) }
        ownership.peers[replica]?.isReading = false
        let isWanted = ownership.peers[replica]?.next == request.offset
        if isWanted {
            send(bytes, frames, at: request.offset, through: last.end, to: replica, ownership.owner, &turn)
            ownership.peers[replica]?.next = last.end
        }
        role = .owning(ownership)
        pump(replica, &turn)
    }

    private func send(
        _ bytes: [UInt8], _ frames: [FrameSummary], at offset: UInt64, through end: UInt64, to replica: ReplicaID,
        _ owner: JournalOwner, _ turn: inout ClusterTurn
    ) {
        let count = Int(end - offset)
        let append = Append(
            journal: journal, epoch: owner.epoch, lease: owner.lease, previousOffset: offset,
            previousEpoch: copy.runs.epoch(endingAt: offset) ?? 0, committed: owner.committed, ownerEnd: owner.end,
            bytes: count == bytes.count ? bytes : Array(bytes[..<count]))
        turn.send(.append(append), to: replica)
    }

    // MARK: Answers

    mutating func durable(_ durable: Durable, from replica: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role, replica != me, durable.end <= ownership.owner.end,
            durable.epoch == ownership.owner.epoch || turn.settings.has(.oldAcknowledgements)
        else { return }
        role = .follower  // Not two references to what is changed.
        if var progress = ownership.peers[replica] {
            progress.base = max(progress.base, durable.end)
            progress.next = max(progress.next, durable.end)
            progress.movedAt = turn.now
            progress.isUnsure = false
            ownership.peers[replica] = progress
        }
        role = .owning(ownership)
        count(replica, upTo: durable.end, &turn)
        pump(replica, &turn)
    }

    mutating func ownBytesDurable(_ epoch: UInt64, upTo end: UInt64, _ turn: inout ClusterTurn) {
        guard let owner, owner.epoch == epoch else { return }
        count(me, upTo: end, &turn)
    }

    private mutating func count(_ replica: ReplicaID, upTo end: UInt64, _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role else { return }
        role = .follower  // As above.
        let before = ownership.owner.phase
        var isNew = ownership.owner.durable(at: replica, upTo: end)
        if turn.settings.has(.commitAnyEpoch), ownership.owner.commitAnyEpoch() { isNew = true }
        role = .owning(ownership)
        guard isNew else { return }
        committed = max(committed, ownership.owner.committed)
        if before == .takingOver {
            turn.effects.append(.active(journal, epoch: ownership.owner.epoch))
        }
        turn.effects.append(.committed(journal, epoch: ownership.owner.epoch, upTo: committed))
    }

    /// `retire` is committed in this owner's epoch or an earlier one, and the epoch is this node's own.
    var isRetired: Bool {
        guard let owner, owner.phase == .active || owner.phase == .retiring, let retired = copy.retiredEnd else {
            return false
        }
        return retired <= owner.committed
    }

    mutating func appendMismatch(_ mismatch: Mismatch, from replica: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role, mismatch.epoch == ownership.owner.epoch,
            var progress = ownership.peers[replica]
        else { return }
        let hint = copy.runs.boundary(for: mismatch)
        progress.isUnsure = false
        guard hint < progress.next else { return }
        progress.base = hint
        progress.next = hint
        progress.movedAt = turn.now
        ownership.peers[replica] = progress
        role = .owning(ownership)
        pump(replica, &turn)
    }

    /// A process began anew on a replica's disk: it may hold less than it has acknowledged, or need to hear that it is whole.
    mutating func restarted(_ replica: ReplicaID, _ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role, ownership.peers[replica] != nil else { return }
        let end = ownership.unsentOffset
        ownership.peers[replica] = Ownership.Progress(base: end, next: end, movedAt: turn.now, isUnsure: true)
        send([], [], at: end, through: end, to: replica, ownership.owner, &turn)
        role = .owning(ownership)
    }

    /// A replica has promised a higher epoch: this one is over, and is claimed anew above it at once.
    mutating func fenced(_ epoch: UInt64, by promised: UInt64, _ turn: inout ClusterTurn) {
        highestSeen = max(highestSeen, promised)
        guard promised > epoch else { return }
        switch role {
        case .owning(let ownership) where ownership.owner.epoch == epoch:
            stepDown(.fenced(by: promised), &turn)
            notBefore = turn.now
            startClaim(&turn)
        case .claiming(let claim) where claim.epoch == epoch: giveUp(&turn)
        default: break
        }
    }

    // MARK: The lease

    /// The epoch that this node wants renewed: its own, or that of a claim which is granted and not complete.
    var renewable: UInt64? {
        switch role {
        case .follower: return nil
        case .owning(let ownership): return ownership.owner.epoch
        case .claiming(let claim):
            switch claim.stage {
            case .probing, .promising: return nil
            case .asking, .fetching, .completing: return claim.epoch
            }
        }
    }

    mutating func renewed(_ epoch: UInt64, by replica: ReplicaID, sentAt: Instant, _ turn: ClusterTurn) {
        let from = turn.settings.has(.countFromReceipt) ? turn.now : sentAt
        switch role {
        case .owning(var ownership) where ownership.owner.epoch == epoch:
            ownership.owner.bound(replica, sentAt: from)
            role = .owning(ownership)
        case .claiming(var claim) where claim.epoch == epoch:
            // Only of those who granted: another's word is not a vote.
            guard let known = claim.bound[replica] else { return }
            claim.bound[replica] = max(known, from + ClusterSettings.counted(claim.lease))
            role = .claiming(claim)
        default: break
        }
    }

    /// An owner whose lease has lapsed is a replica again at once; one that hears nothing sends again.
    mutating func ownerTick(_ turn: inout ClusterTurn) {
        guard case .owning(var ownership) = role else { return }
        guard ownership.owner.holdsLease(for: .zero, at: turn.now) else { return stepDown(.leaseLapsed, &turn) }
        for (replica, progress) in ownership.peers.sorted(by: { $0.key < $1.key }) {
            guard turn.now - progress.movedAt >= turn.settings.resendInterval else { continue }
            ownership.peers[replica]?.movedAt = turn.now
            if progress.base < ownership.unsentOffset {
                ownership.peers[replica]?.next = progress.base
                ownership.peers[replica]?.isReading = false
            } else if ownership.owner.acknowledged(by: replica) < ownership.unsentOffset
                || progress.told < ownership.owner.committed || progress.isUnsure
            {
                // Nothing to send, but something to ask or tell.
                ownership.peers[replica]?.told = ownership.owner.committed
                send([], [], at: progress.base, through: progress.base, to: replica, ownership.owner, &turn)
            }
        }
        role = .owning(ownership)
        for replica in ownership.peers.keys.sorted() { pump(replica, &turn) }
    }

    /// Stops being the owner, then says so.
    mutating func release(_ turn: inout ClusterTurn) {
        guard case .owning(let ownership) = role else { return }
        if !turn.settings.has(.releaseStillCounts) { stepDown(.released, &turn) }
        for replica in ownership.owner.replicas where replica != me {
            turn.send(.release([JournalEpoch(journal, ownership.owner.epoch)]), to: replica)
        }
    }
}
