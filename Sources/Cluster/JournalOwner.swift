package import Primitives

/// One journal as its owner, or the claimant that would be, sees it (`protocol.md`, 'Takeover', 'Commit').
///
/// A claim raises the epoch: the claimant stores its own promise first, asks a majority, completes its copy, and appends
/// a frame of the new epoch. Once that frame is committed the owner is active. An offset is committed when a majority of
/// the replicas hold it durably *and* the frame that ends there is of the present epoch (Raft §5.4.2).
///
/// A replica set of one is its own majority: its claim is granted when its own promise is on its disk.
package struct JournalOwner: Sendable {
    package enum Phase: Hashable, Sendable {
        /// The promise to itself is being stored.
        case claiming
        /// The first frame of the epoch is appended and not yet committed.
        case takingOver
        case active
        /// `retire` is appended: nothing may follow.
        case retiring
    }

    package let journal: JournalID
    package let replicas: [ReplicaID]
    package let me: ReplicaID
    package private(set) var phase = Phase.claiming
    package private(set) var epoch: UInt64
    /// Where the next frame goes.
    package private(set) var end: UInt64
    package private(set) var committed: UInt64
    /// Where the first frame of this epoch ends; nothing below it is committed by counting copies.
    private var firstOwnEnd = UInt64.max
    /// How far each replica holds the journal durably in this epoch, in the order of `replicas`.
    private var durable: [UInt64]
    private var isOwnPromiseStored = false

    /// Begins a claim with the next epoch above what was promised. `end` is where the copy's last whole frame ends.
    package init(journal: JournalID, replicas: [ReplicaID], me: ReplicaID, promised: UInt64, end: UInt64) {
        precondition(replicas.contains(me), "a claimant is one of the replicas")
        self.journal = journal
        self.replicas = replicas
        self.me = me
        self.end = end
        epoch = promised + 1
        committed = 0
        durable = Array(repeating: 0, count: replicas.count)
    }

    package var majority: Int { replicas.count / 2 + 1 }

    /// What must be on this node's disk before it claims in earnest.
    package func promise(lease: Duration) -> Promise { Promise(epoch: epoch, owner: me, lease: lease) }

    /// The own promise is on the disk. True: a majority has granted, append the first frame of the epoch now.
    package mutating func promiseStored(epoch stored: UInt64) -> Bool {
        guard phase == .claiming, stored == epoch else { return false }
        isOwnPromiseStored = true
        guard majority == 1 else { return false }
        phase = .takingOver
        return true
    }

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
        let held = replicas.count == 1 ? durable[0] : durable.sorted(by: >)[majority - 1]
        guard held > committed, held >= firstOwnEnd else { return false }
        committed = held
        if phase == .takingOver { phase = .active }
        return true
    }

    /// Whether this node may act as the owner for this much longer (`protocol.md`, 'Lease'). It counts itself while its own
    /// stored promise is to this epoch; alone it is a majority.
    package func holdsLease(for margin: Duration, at now: Instant) -> Bool {
        isOwnPromiseStored && majority == 1
    }
}
