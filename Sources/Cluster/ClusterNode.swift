package import Primitives

/// Everything that one node keeps and decides about all journals' ownership and copies, as one value (`protocol.md`).
///
/// It holds a `Replica` for each journal that this disk has a part in, the tombstones, the gossip and the watch on other
/// processes; it turns an event and the time into effects. It owns no socket, file or clock, and draws no chance: the same
/// events at the same times give the same effects.
///
/// A node of one (R = 1) goes the same way: its own stored promise is the majority, its own sync commits.
package struct ClusterNode: Sendable {
    package let settings: ClusterSettings
    package internal(set) var journals: [JournalID: Replica] = [:]
    package internal(set) var tombstones: [JournalID: Tombstone] = [:]
    package internal(set) var gossip: Gossip
    package internal(set) var lateOutcomes = LateOutcomes()
    /// Every (node, disk id) that this node has met; the shell keeps them on the disk.
    package internal(set) var acquainted: Set<ReplicaID> = []
    /// The disk that each other node was last met with: only with these are journals opened.
    private(set) var presentDisks: [String: ReplicaID] = [:]

    var burials: [JournalID: Burial] = [:]
    var recentlyBuried = RecentlyBuried()
    var watches: [ReplicaID: ProcessWatch] = [:]
    /// What was promised to a peer when the knock at its door began.
    var promisedAtKnock: [ReplicaID: [JournalID: UInt64]] = [:]
    var incarnations: [ReplicaID: UInt64] = [:]
    var nextPulse: Instant
    /// Where something was appended since the last flush.
    private var unflushed: [JournalID] = []
    var mayClaim = true

    package init(settings: ClusterSettings, at now: Instant) {
        self.settings = settings
        gossip = Gossip(me: settings.me, incarnation: settings.incarnation, at: now)
        nextPulse = now
    }

    package var me: ReplicaID { settings.me }

    // MARK: Start-up

    /// What the disk holds of one journal: its synced copy as the scan found it, and its promise.
    package mutating func recover(_ journal: JournalID, copy: JournalCopy, promise: Promise?, at now: Instant) {
        journals[journal] = Replica(
            journal: journal, me: me, copy: copy, promise: promise, settings: settings, at: now)
    }

    package mutating func recover(_ tombstone: Tombstone) {
        if !settings.has(.retiredForgotten) { tombstones[tombstone.journal] = tombstone }
    }

    package mutating func recover(acquainted: some Sequence<ReplicaID>) {
        for disk in acquainted where disk != me { meet(disk) }
    }

    /// True for one that was not known.
    @discardableResult
    mutating func meet(_ disk: ReplicaID) -> Bool {
        if disk.node != me.node { presentDisks[disk.node] = disk }
        return acquainted.insert(disk).inserted
    }

    /// Other nodes, each by the disk that it was last met with.
    package var otherNodes: [ReplicaID] { presentDisks.values.sorted() }

    // MARK: What the node asks for beside events

    /// Whom gossip holds alive, this node among them.
    package func live(at now: Instant) -> [ReplicaID] { gossip.live(within: settings.lease, at: now) }

    /// Whether this node may act as the owner of a journal for this much longer.
    package func holdsLease(_ journal: JournalID, for margin: Duration, at now: Instant) -> Bool {
        journals[journal]?.owner?.holdsLease(for: margin, at: now) ?? false
    }

    /// Something that this node says of itself to all others.
    package mutating func describe(_ key: String, _ value: [UInt8]) { gossip.set(key, to: value) }

    /// An outcome that the owner of this epoch wrote replaces it.
    package mutating func dropLateOutcome(
        of message: MessageID, recipient: UInt32, in journal: JournalID, before epoch: UInt64
    ) {
        lateOutcomes.drop(message, recipient: recipient, in: journal, before: epoch)
    }

    /// A person says that this disk is gone for good: no new journal is opened with it, no tombstone waits for it.
    package mutating func forget(_ disk: ReplicaID, at now: Instant) -> [ClusterEffect] {
        var turn = ClusterTurn(now: now, settings: settings)
        acquainted.remove(disk)
        if presentDisks[disk.node] == disk { presentDisks[disk.node] = nil }
        gossip.forget(disk)
        watches[disk] = nil
        for journal in tombstones.keys.sorted() { tombstoneAnswered(journal, by: disk, &turn) }
        return turn.effects
    }

    // MARK: Events

    package mutating func handle(_ event: ClusterEvent, at now: Instant) -> [ClusterEffect] {
        var turn = ClusterTurn(now: now, settings: settings)
        switch event {
        case .greeted(let peer, let incarnation): greeted(peer, incarnation, &turn)
        case .disconnected(let peer, let end): disconnected(peer, end, &turn)
        case .knocked(let peer, let result):
            let verdict = watches[peer]?.knocked(result, at: now) ?? .nothing
            act(on: verdict, about: peer, &turn)
        case .received(let message, let sender, let incarnation):
            guard sender != me, incarnation >= incarnations[sender] ?? 0 else { break }
            received(message, from: sender, incarnation: incarnation, &turn)
        case .stored(let journal, let mark): stored(journal, through: mark, &turn)
        case .read(let request, let bytes):
            switch request.purpose {
            case .append(let peer): journals[request.journal]?.appendRead(request, bytes, to: peer, &turn)
            case .fetch(let peer): journals[request.journal]?.fetchRead(request, bytes, by: peer, &turn)
            }
        case .open(let journal, let replicas): open(journal, replicas, &turn)
        case .append(let journal, let bytes):
            journals[journal]?.append(bytes, &turn)
            if unflushed.last != journal { unflushed.append(journal) }
        case .flush:
            for journal in unflushed { journals[journal]?.flush(&turn) }
            unflushed.removeAll(keepingCapacity: true)
        case .release(let journal): journals[journal]?.release(&turn)
        case .tellLateOutcome(let outcome): tell(outcome, &turn)
        case .mayClaim(let may): mayClaim = may
        case .tick: tick(&turn)
        }
        return merged(turn.effects)
    }

    private mutating func open(_ journal: JournalID, _ replicas: [ReplicaID], _ turn: inout ClusterTurn) {
        precondition(journals[journal] == nil && replicas.contains(me) && Set(replicas).count == replicas.count)
        var replica = Replica(
            journal: journal, me: me, copy: JournalCopy(), promise: nil, settings: settings, at: turn.now)
        replica.opening = replicas
        replica.startClaim(asksFirst: false, &turn)
        journals[journal] = replica
    }

    private mutating func stored(_ journal: JournalID, through mark: DiskMark, _ turn: inout ClusterTurn) {
        if burials[journal] != nil { return burialStored(journal, through: mark, &turn) }
        journals[journal]?.stored(through: mark, &turn)
        buryIfRetired(journal, &turn)
    }

    /// To every replica of the journal; this one keeps it too.
    private mutating func tell(_ outcome: LateOutcome, _ turn: inout ClusterTurn) {
        lateOutcomes.keep(outcome)
        for replica in journals[outcome.journal]?.replicas ?? [] where replica != me {
            turn.send(.lateOutcome(outcome), to: replica)
        }
    }

    // MARK: What travels together

    /// One probe, one claim, one answer and one release to each peer, whatever number of journals they are about.
    private func merged(_ effects: [ClusterEffect]) -> [ClusterEffect] {
        guard effects.count > 1 else { return effects }
        struct Place: Hashable {
            let peer: ReplicaID
            let kind: MessageKind
            let sentAt: Instant
        }
        var places: [Place: Int] = [:]
        var merged: [ClusterEffect] = []
        merged.reserveCapacity(effects.count)
        for effect in effects {
            guard case .request(.send(let peer, let message)) = effect, let sentAt = message.mergeableSentAt else {
                merged.append(effect)
                continue
            }
            let place = Place(peer: peer, kind: message.kind, sentAt: sentAt)
            if let index = places[place], case .request(.send(_, let earlier)) = merged[index] {
                merged[index] = .request(.send(peer, earlier.merged(with: message)))
            } else {
                places[place] = merged.count
                merged.append(effect)
            }
        }
        return merged
    }
}

extension Message {
    fileprivate var mergeableSentAt: Instant? {
        switch self {
        case .probe(let request), .claim(let request): request.sentAt
        case .claimAnswers(let answers): answers.sentAt
        case .release: Instant(nanoseconds: 0)
        default: nil
        }
    }

    fileprivate func merged(with other: Message) -> Message {
        switch (self, other) {
        case (.probe(var a), .probe(let b)):
            a.items += b.items
            return .probe(a)
        case (.claim(var a), .claim(let b)):
            a.items += b.items
            return .claim(a)
        case (.claimAnswers(var a), .claimAnswers(let b)):
            a.items += b.items
            return .claimAnswers(a)
        case (.release(let a), .release(let b)): return .release(a + b)
        default: return self
        }
    }
}
