package import Primitives

/// One journal's copy on one node: what it has promised, what it holds, what it is to the journal, and what follows from
/// each message (`protocol.md`, 'What a replica keeps' and 'Rules').
///
/// Pure: the caller supplies time and carries out the effects, in order. *Persist before answering*: an answer that depends
/// on the disk is held back until everything asked of the disk before it is durable (`hold`, `stored`).
///
/// The rules stand in: `ReplicaGranting` (probe, claim, release, death), `ReplicaAppending` (append, fetch), `ReplicaClaiming`
/// (probe to takeover), `ReplicaOwning` (append, commit, lease).
package struct Replica: Sendable {
    /// How long the promise binds.
    enum Standing: Hashable, Sendable {
        /// Nothing was ever promised.
        case free
        case binding(until: Instant)
        /// It binds nobody since then.
        case ended(at: Instant)
    }

    enum Role: Sendable {
        case follower
        case claiming(Claim)
        case owning(Ownership)
    }

    /// What waits for the disk.
    enum Consequence: Sendable {
        case send(ReplicaID, Message)
        case ownPromise(epoch: UInt64)
        case ownBytes(epoch: UInt64, end: UInt64)
        case caughtUp(generation: UInt64)
        case copyComplete(epoch: UInt64)
    }

    package let journal: JournalID
    let me: ReplicaID
    /// When this process began: what it promised before is forgotten, so it waits.
    let upSince: Instant
    package internal(set) var copy: JournalCopy
    package internal(set) var promise: Promise?
    var standing: Standing
    /// The process that was last heard to use the promised epoch; 0 when none was since this one began.
    var heard: UInt64 = 0
    var role = Role.follower
    /// Known to be committed; never beyond what this copy holds.
    package internal(set) var committed: UInt64 = 0
    /// Who a journal that has no frame yet is opened with.
    var opening: [ReplicaID]?

    // Who claims.
    var backOff = BackOff()
    var notBefore = Instant(nanoseconds: .min)
    var spokeForOtherAt: Instant?
    /// The highest epoch that anyone was heard to have promised.
    var highestSeen: UInt64 = 0
    /// The epoch that was released last, as far as this process has heard, while its owner is not known to be dead.
    var lastRelease: (epoch: UInt64, owner: ReplicaID)?

    private var asked = DiskMark(0)
    private var durable = DiskMark(0)
    /// What the promise waits for.
    private var promiseMark = DiskMark(0)
    private var held = Deque<(mark: DiskMark, what: Consequence)>()

    /// As start-up found it: a promise to oneself binds nobody, one to another binds for its whole lease again.
    package init(
        journal: JournalID, me: ReplicaID, copy: JournalCopy, promise: Promise?, settings: ClusterSettings,
        at now: Instant
    ) {
        self.journal = journal
        self.me = me
        self.copy = copy
        self.promise = promise
        upSince = now
        standing =
            switch promise {
            case nil: .free
            case let promise? where promise.owner == me || settings.has(.noBootWait): .ended(at: now)
            case let promise?: .binding(until: now + promise.lease)
            }
    }

    package var promisedEpoch: UInt64 { promise?.epoch ?? 0 }

    /// `R(J)`: as the copy names it, or as it is being opened.
    package var replicas: [ReplicaID] { copy.replicas ?? opening ?? [] }

    /// The owner's view, while this node is the owner.
    package var owner: JournalOwner? {
        if case .owning(let ownership) = role { ownership.owner } else { nil }
    }

    /// How long the owner's lease lasts if nobody answers any more, or the promise to another binds; nil when it never ends
    /// or there is none.
    package func leaseLeft(at now: Instant) -> Duration? {
        if let owner { return owner.leaseEnd.map { max(.zero, $0 - now) } }
        guard case .binding(let until) = standing else { return nil }
        return max(.zero, until - now)
    }

    package var isClaiming: Bool {
        if case .claiming = role { true } else { false }
    }

    // MARK: The disk

    private mutating func nextMark() -> DiskMark {
        asked.number += 1
        return asked
    }

    mutating func store(_ promise: Promise, _ turn: inout ClusterTurn) {
        promiseMark = nextMark()
        turn.ask(.storePromise(journal, promise, promiseMark))
    }

    var isPromiseDurable: Bool { durable >= promiseMark }

    mutating func write(_ bytes: [UInt8], at offset: UInt64, _ turn: inout ClusterTurn) {
        turn.ask(.write(journal, offset: offset, bytes, nextMark()))
    }

    mutating func cut(to offset: UInt64, _ turn: inout ClusterTurn) {
        guard offset >= committed else {
            return turn.ask(
                .stop("journal \(journal): asked to cut at \(offset), below what is committed (\(committed))"))
        }
        guard offset < copy.end else { return }
        copy.cut(to: offset)
        if !turn.settings.has(.noCut) { turn.ask(.cut(journal, to: offset, nextMark())) }
        turn.effects.append(.unwound(journal, to: offset))
    }

    mutating func entomb(_ tombstone: Tombstone, _ turn: inout ClusterTurn) -> DiskMark {
        let mark = nextMark()
        turn.ask(.entomb(tombstone, mark))
        return mark
    }

    /// Lets this happen once everything that was asked of the disk is durable.
    mutating func hold(_ what: Consequence, _ turn: inout ClusterTurn) {
        if durable == asked { return follow(what, &turn) }
        held.append((asked, what))
    }

    /// Everything asked up to `mark` is durable.
    package mutating func stored(through mark: DiskMark, _ turn: inout ClusterTurn) {
        durable = max(durable, min(mark, asked))
        while let first = held.first, first.mark <= durable {
            _ = held.popFirst()
            follow(first.what, &turn)
        }
    }

    private mutating func follow(_ what: Consequence, _ turn: inout ClusterTurn) {
        switch what {
        case .send(let peer, let message): turn.send(message, to: peer)
        case .ownPromise(let epoch): ownPromiseStored(epoch, &turn)
        case .ownBytes(let epoch, let end): ownBytesDurable(epoch, upTo: end, &turn)
        case .caughtUp(let generation):
            if generation == copy.generation { becomeWhole(&turn) }
        case .copyComplete(let epoch): copyCompleted(epoch, &turn)
        }
    }

    mutating func becomeWhole(_ turn: inout ClusterTurn) {
        guard !copy.isWhole else { return }
        copy.isWhole = true
        turn.ask(.whole(journal))
    }

    // MARK: Time

    /// When the promise ended; nil while it binds. After a restart nothing has ended before the lease that it was made with.
    func endedAt(_ now: Instant) -> Instant? {
        switch standing {
        case .free: return upSince
        case .ended(let at): return at
        case .binding(let until):
            guard let promise else { return upSince }
            let end = max(until, upSince + promise.lease)
            return end <= now ? end : nil
        }
    }

    /// Ends being owner or claimant. The promise stays; to oneself it binds nobody from now on.
    mutating func stepDown(_ reason: LossReason, _ turn: inout ClusterTurn) {
        let former = role
        role = .follower
        if let promise, promise.owner == me { standing = .ended(at: turn.now) }
        switch former {
        case .follower: break
        case .claiming(let claim):
            // Stopped first, released then: whoever granted is free for others.
            for replica in claim.askedAt.keys.sorted() {
                turn.send(.release([JournalEpoch(journal, claim.epoch)]), to: replica)
            }
            turn.effects.append(.lost(journal, epoch: claim.epoch, reason))
        case .owning(let ownership):
            turn.effects.append(.lost(journal, epoch: ownership.owner.epoch, reason))
        }
    }
}
