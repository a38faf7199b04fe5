package import Primitives

/// What happens to the cluster's core. Each is handed to `ClusterNode.handle` with the time read after it happened.
package enum ClusterEvent: Sendable {
    // Peers. A peer is one disk of one node; the transport speaks to no other disk in its place.
    /// A connection has greeted, and the greeting was believed (`Acquaintances`).
    case greeted(ReplicaID, incarnation: UInt64)
    /// The last connection to a peer has ended.
    case disconnected(ReplicaID, ProcessWatch.End)
    case knocked(ReplicaID, ProcessWatch.Knock)
    /// From the process that greeted with this incarnation.
    case received(Message, from: ReplicaID, incarnation: UInt64)

    // The disk.
    case stored(JournalID, through: DiskMark)
    case read(ReadRequest, [UInt8])

    // The node.
    /// Open a journal with these replicas, this one among them.
    case open(JournalID, [ReplicaID])
    /// Append whole frames of this epoch at the end of a journal that this node owns.
    case append(JournalID, [UInt8])
    /// The turn is over: send what it appended.
    case flush
    /// Stop being the owner, and say so.
    case release(JournalID)
    /// A final outcome was learned after the journal was lost.
    case tellLateOutcome(LateOutcome)
    /// Whether this node claims (it does not while it stops, or when its disk fails).
    case mayClaim(Bool)

    case tick
}
