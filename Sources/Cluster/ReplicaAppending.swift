internal import Primitives

/// What a replica does with an owner's frames, and with a claimant's wish to read (`protocol.md`, 'Append', 'Takeover',
/// 'Damaged copy').
///
/// Log matching (Raft §5.3): what is sent follows a frame that the replica must hold already; it cuts its own tail at the
/// first frame of another epoch, and never where nothing differs. It answers how far *this message* brought it.
extension Replica {
    mutating func appended(_ append: Append, from sender: ReplicaID, incarnation: UInt64, _ turn: inout ClusterTurn) {
        guard append.epoch >= promisedEpoch || turn.settings.has(.appendNoEpoch) else {
            return hold(
                .send(sender, .fenced(Fenced(journal: journal, epoch: append.epoch, promised: promisedEpoch))), &turn)
        }
        let frames = walkFrames(append.bytes, of: journal, at: append.previousOffset)
        guard isSound(frames, in: append) else { return }
        if append.epoch > promisedEpoch || promise?.owner != sender { follow(append, sender, &turn) }
        heard = incarnation
        // An owner of this epoch that this node believed to be would be a second one.
        if case .owning = role {
            return turn.ask(.stop("journal \(journal): epoch \(append.epoch) has two owners"))
        }

        let previous = copy.runs.epoch(endingAt: append.previousOffset)
        guard let previous, previous == append.previousEpoch || turn.settings.has(.previousOffsetOnly) else {
            return hold(.send(sender, mismatch(at: append.previousOffset, append.epoch)), &turn)
        }
        take(frames, of: append.bytes, at: append.previousOffset, &turn)
        let reached = append.previousOffset + UInt64(append.bytes.count)
        if turn.settings.has(.cutAlways) { cut(to: reached, &turn) }
        committed = max(committed, min(append.committed, reached))
        if !copy.isWhole {
            let goal = turn.settings.has(.repairToCommitted) ? append.committed : append.ownerEnd
            if reached >= goal { hold(.caughtUp(generation: copy.generation), &turn) }
        }
        let end = turn.settings.has(.durableFileEnd) ? copy.end : reached
        let answer = Message.durable(Durable(journal: journal, epoch: append.epoch, end: end))
        if turn.settings.has(.acknowledgeUnsynced) { return turn.send(answer, to: sender) }
        hold(.send(sender, answer), &turn)
    }

    /// Whole frames from end to end, of epochs that never go back and never pass the owner's own.
    private func isSound(_ frames: [FrameSummary], in append: Append) -> Bool {
        var reached = append.previousOffset
        var epoch = append.previousEpoch
        for frame in frames {
            guard frame.epoch >= epoch, frame.epoch <= append.epoch else { return false }
            epoch = frame.epoch
            reached = frame.end
        }
        return reached - append.previousOffset == UInt64(append.bytes.count)
    }

    /// The sender owns this epoch: it alone is promised from now on. It counts on nothing until this replica renews, so
    /// the promise begins expired.
    private mutating func follow(_ append: Append, _ sender: ReplicaID, _ turn: inout ClusterTurn) {
        stepDown(.fenced(by: append.epoch), &turn)
        let followed = Promise(epoch: append.epoch, owner: sender, lease: append.lease)
        promise = followed
        standing = .ended(at: turn.now)
        highestSeen = max(highestSeen, append.epoch)
        if !turn.settings.has(.appendPromiseUnsynced) { store(followed, &turn) }
    }

    /// Makes the copy hold these frames: cuts where it differs, writes what it lacks.
    mutating func take(
        _ frames: [FrameSummary], of bytes: [UInt8], at offset: UInt64, _ turn: inout ClusterTurn
    ) {
        let (present, difference) = copy.compare(frames)
        if let difference { cut(to: difference, &turn) }
        let missing = frames[present...]
        guard let first = missing.first, first.offset == copy.end else { return }
        let tail = first.offset == offset ? bytes : Array(bytes[Int(first.offset - offset)...])
        copy.append(missing, in: tail, at: first.offset)
        write(tail, at: first.offset, &turn)
        turn.effects.append(.replicated(journal, offset: first.offset, tail, Array(missing)))
    }

    private func mismatch(at offset: UInt64, _ epoch: UInt64) -> Message {
        let hint = copy.runs.runStart(endingAt: offset)
        return .mismatch(
            Mismatch(
                journal: journal, epoch: epoch, end: copy.end, hint: hint,
                hintEpoch: copy.runs.epoch(endingAt: hint) ?? 0))
    }

    // MARK: Fetch

    /// Answered only while the promise is the claimant's: what it was granted stands still.
    mutating func fetching(_ fetch: Fetch, by claimant: ReplicaID, _ turn: inout ClusterTurn) {
        guard mayFetch(fetch.epoch, claimant, turn) else {
            let fenced = Fenced(journal: journal, epoch: fetch.epoch, promised: promisedEpoch)
            return hold(.send(claimant, .fenced(fenced)), &turn)
        }
        guard copy.runs.epoch(endingAt: fetch.previousOffset) == fetch.previousEpoch else {
            return turn.send(mismatch(at: fetch.previousOffset, fetch.epoch), to: claimant)
        }
        turn.ask(
            .read(
                ReadRequest(
                    journal: journal, epoch: fetch.epoch, generation: copy.generation, offset: fetch.previousOffset,
                    count: Int(min(copy.end - fetch.previousOffset, turn.settings.chunk)),
                    purpose: .fetch(by: claimant))))
    }

    mutating func fetchRead(_ request: ReadRequest, _ bytes: [UInt8], by claimant: ReplicaID, _ turn: inout ClusterTurn)
    {
        guard mayFetch(request.epoch, claimant, turn), request.generation == copy.generation else { return }
        let frames = walkFrames(bytes, of: journal, at: request.offset)
        if frames.isEmpty, request.offset < copy.end { return readWholeFrame(request, bytes, &turn) }
        let whole = Int((frames.last?.end ?? request.offset) - request.offset)
        let fetched = Fetched(
            journal: journal, epoch: request.epoch, offset: request.offset, lastEpoch: copy.lastEpoch, end: copy.end,
            isWhole: copy.isWhole, bytes: whole == bytes.count ? bytes : Array(bytes[..<whole]))
        turn.send(.fetched(fetched), to: claimant)
    }

    private func mayFetch(_ epoch: UInt64, _ claimant: ReplicaID, _ turn: ClusterTurn) -> Bool {
        turn.settings.has(.fetchUnfenced) || (promise?.epoch == epoch && promise?.owner == claimant)
    }

    /// The chunk ended within its first frame: ask for that frame's length.
    func readWholeFrame(_ request: ReadRequest, _ bytes: [UInt8], _ turn: inout ClusterTurn) {
        guard let length = frameLength(bytes, of: journal, at: request.offset), length > request.count else {
            // The scan found a frame here at start-up, or this process wrote one.
            return turn.ask(.stop("journal \(journal): bytes at \(request.offset) are not what was written"))
        }
        var longer = request
        longer.count = length
        turn.ask(.read(longer))
    }
}
