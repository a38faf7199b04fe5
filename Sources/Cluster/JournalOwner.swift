package import Primitives

/// One journal as its owner sees it (`protocol.md`, 'Takeover', 'Commit', 'Lease').
///
/// A claim raises the epoch: the claimant stores its own promise first, asks a majority, completes its copy, and appends
/// a frame of the new epoch. Once that frame is committed the owner is active. An offset is committed when a majority of
/// the replicas hold it durably *and* the frame that ends there is of the present epoch (Raft §5.4.2).
///
/// The lease: each replica that granted or renewed counts from when *this node sent* what it answered, for less time than
/// it is bound (`ClusterSettings.counted`). The lease holds while those that count are a majority.
///
/// A replica set of one is its own majority: its claim is granted when its own promise is on its disk.
package struct JournalOwner: Sendable {
    package enum Phase: Hashable, Sendable {
        /// The first frame of the epoch is appended and not yet committed.
        case takingOver
        case active
        /// `retire` is appended: nothing may follow.
        case retiring
    }

    package let journal: JournalID
    package let replicas: [ReplicaID]
    package let me: ReplicaID
    package private(set) var phase = Phase.takingOver
    package private(set) var epoch: UInt64
    /// Where the next frame goes.
    package private(set) var end: UInt64
    package private(set) var committed: UInt64
    /// What this epoch's claim asked for.
    package let lease: Duration
    /// Where the first frame of this epoch ends; nothing below it is committed by counting copies.
    private var firstOwnEnd = UInt64.max
    /// How far each replica holds the journal durably in this epoch, in the order of `replicas`.
    private var durable: [UInt64]
    /// Until when each replica counts as bound to this owner, in the order of `replicas`.
    private var countedUntil: [Instant]

    /// The owner that a granted claim makes: its own promise is stored and its copy complete.
    ///
    /// - Parameter bound: Until when each other replica that granted counts.
    init(
        granted journal: JournalID, replicas: [ReplicaID], me: ReplicaID, epoch: UInt64, lease: Duration, end: UInt64,
        bound: [ReplicaID: Instant]
    ) {
        self.journal = journal
        self.replicas = replicas
        self.me = me
        self.end = end
        self.epoch = epoch
        self.lease = lease
        committed = 0
        durable = Array(repeating: 0, count: replicas.count)
        countedUntil = replicas.map { bound[$0] ?? Instant(nanoseconds: .min) }
    }

    package var majority: Int { replicas.count / 2 + 1 }

    // MARK: Appending and committing

    /// Takes the place of one frame of so many bytes; returns its offset.
    package mutating func append(count: Int) -> UInt64 {
        precondition(phase == .takingOver || phase == .active, "only an owner appends, and nothing after `retire`")
        let offset = end
        end += UInt64(count)
        if firstOwnEnd == .max { firstOwnEnd = end }
        return offset
    }

    package mutating func retire() {
        precondition(phase == .active)
        phase = .retiring
    }

    /// A replica holds everything below `offset` on its disk. True when that committed something.
    package mutating func durable(at replica: ReplicaID, upTo offset: UInt64) -> Bool {
        guard let index = replicas.firstIndex(of: replica) else { return false }
        precondition(offset <= end, "durable beyond what was appended")
        durable[index] = max(durable[index], offset)
        return commit(own: firstOwnEnd)
    }

    /// A mutant's rule: any offset that a majority holds counts, whoever wrote the frame there.
    mutating func commitAnyEpoch() -> Bool { commit(own: 0) }

    private mutating func commit(own firstOwnEnd: UInt64) -> Bool {
        let held = replicas.count == 1 ? durable[0] : durable.sorted(by: >)[majority - 1]
        guard held > committed, held >= firstOwnEnd else { return false }
        committed = held
        if phase == .takingOver { phase = .active }
        return true
    }

    /// How far this replica has acknowledged in this epoch.
    package func acknowledged(by replica: ReplicaID) -> UInt64 {
        replicas.firstIndex(of: replica).map { durable[$0] } ?? 0
    }

    // MARK: The lease

    /// A replica answered what was sent at `sentAt` by this node's clock: it is bound to this epoch.
    mutating func bound(_ replica: ReplicaID, sentAt: Instant) {
        guard let index = replicas.firstIndex(of: replica) else { return }
        countedUntil[index] = max(countedUntil[index], sentAt + ClusterSettings.counted(lease))
    }

    /// Whether this node may act as the owner for this much longer (`protocol.md`, 'Lease'). It counts itself while its own
    /// stored promise is to this epoch; alone it is a majority.
    package func holdsLease(for margin: Duration, at now: Instant) -> Bool {
        guard majority > 1 else { return true }
        return counted(at: now + margin) >= majority
    }

    /// When the lease ends if nobody answers any more; nil when it never does.
    package var leaseEnd: Instant? {
        guard majority > 1 else { return nil }
        // It counts itself, so the majority is broken when the (majority − 1)th of the others is gone.
        let others = zip(replicas, countedUntil).filter { $0.0 != me }.map(\.1).sorted(by: >)
        return others[majority - 2]
    }

    private func counted(at instant: Instant) -> Int {
        var count = 0
        for (index, replica) in replicas.enumerated() where replica == me || countedUntil[index] > instant {
            count += 1
        }
        return count
    }
}
