internal import Primitives

/// An owner's side of replication: how far each replica was sent the journal, and what was not sent yet.
///
/// The owner's newest frames travel from memory, once a turn and one message a replica. Who is behind is sent the file,
/// one chunk at a time, from where its copy agrees: found by going back one run of epochs for each mismatch.
struct Ownership: Sendable {
    /// Bytes under way to one replica. Beyond it the replica is served from the file as it acknowledges.
    static let window: UInt64 = 8 << 20

    struct Progress: Sendable {
        /// What it is sent follows from here when nothing arrives: acknowledged, or the last guess.
        var base: UInt64
        var next: UInt64
        /// When something last moved.
        var movedAt: Instant
        var isReading = false
        /// What it was last told to be committed.
        var told: UInt64 = 0
        /// Its process began anew, and has not said yet what it holds.
        var isUnsure = false
    }

    var owner: JournalOwner
    var peers: [ReplicaID: Progress] = [:]
    /// Frames appended in this turn, from `unsentOffset` to the journal's end.
    var unsent: [UInt8] = []
    var unsentOffset: UInt64
    /// The epoch of the frame before them.
    var unsentPreviousEpoch: UInt64

    init(owner: JournalOwner, lastEpoch: UInt64, at now: Instant) {
        self.owner = owner
        unsentOffset = owner.end
        unsentPreviousEpoch = lastEpoch
        for replica in owner.replicas where replica != owner.me {
            peers[replica] = Progress(base: owner.end, next: owner.end, movedAt: now)
        }
    }
}
