internal import Primitives

/// A claim under way: from the first question to the complete copy (`protocol.md`, 'Claim', 'Takeover').
///
/// The epoch number is this claim's alone: the claimant's own promise for it is stored before anyone is asked in earnest,
/// and the next claim takes a higher one.
struct Claim: Sendable {
    enum Stage: Hashable, Sendable {
        /// Would they? The replicas that said so, this one included.
        case probing(would: Set<ReplicaID>)
        /// The own promise is on its way to the disk.
        case promising
        /// Asked in earnest.
        case asking
        /// Making the own copy equal to that of `source`, which granted `offer`.
        case fetching(from: ReplicaID, offer: ClaimAnswers.Offer)
        /// All is written; the disk has to say so.
        case completing
    }

    let epoch: UInt64
    let lease: Duration
    /// Whom it asks: `R(J)` as the copy names it so far.
    var replicas: [ReplicaID]
    var stage: Stage
    /// By this node's clock: a stage that lasts longer is given up.
    var deadline: Instant
    /// When the probe was sent.
    var probedAt: Instant
    /// When the claim was sent to each.
    var askedAt: [ReplicaID: Instant] = [:]
    var grants: [ReplicaID: ClaimAnswers.Offer] = [:]
    /// Until when each other replica counts, if this becomes an owner.
    var bound: [ReplicaID: Instant] = [:]
    /// Who refused, and how soon the promise that it kept ends; zero when that was not the reason.
    var refusals: [ReplicaID: Duration] = [:]

    /// So many refused that no majority is left.
    var isHopeless: Bool { replicas.count - refusals.count <= replicas.count / 2 }

    /// Whether the grants are enough for this set: a majority with whole copies, or all of it, whole or not.
    func isGranted(by set: [ReplicaID], _ settings: ClusterSettings) -> Bool {
        var whole = set.count(where: { grants[$0]?.isWhole == true })
        if settings.has(.minorityClaim) { whole += 1 }
        return whole > set.count / 2 || set.allSatisfy { grants[$0] != nil }
    }

    /// Who granted the best copy: the highest (last epoch, end); this node's own among equals.
    func best(_ me: ReplicaID, _ settings: ClusterSettings) -> ReplicaID {
        guard !settings.has(.bestIgnored), var offer = grants[me] else { return me }
        var best = me
        for (replica, other) in grants.sorted(by: { $0.key < $1.key }) {
            let isBetter =
                settings.has(.bestByLength)
                ? other.end > offer.end : (other.lastEpoch, other.end) > (offer.lastEpoch, offer.end)
            if isBetter {
                best = replica
                offer = other
            }
        }
        return best
    }
}
