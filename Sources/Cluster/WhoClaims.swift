package import Primitives

/// Who tries first for a journal without an owner, and when (`protocol.md`, 'Who claims').
///
/// Only a matter of manners: two claimants at once are slow, never unsafe. So each node decides by itself, from what its
/// own gossip holds alive.
package enum WhoClaims {
    /// The candidates in the order in which they try: by rendezvous hash, so that a dead owner's journals spread evenly and
    /// everyone agrees without a word.
    package static func order(_ candidates: some Sequence<ReplicaID>, for journal: JournalID) -> [ReplicaID] {
        candidates.map { (weight(of: $0, for: journal), $0) }
            .sorted { $0.0 == $1.0 ? $0.1 < $1.1 : $0.0 > $1.0 }
            .map(\.1)
    }

    static func weight(of candidate: ReplicaID, for journal: JournalID) -> UInt64 {
        var checksum = CRC32C()
        checksum.update(candidate.node.utf8)
        // SplitMix64's finalizer: a checksum's bits alone are too regular to rank by.
        var z = journal.ulid.low ^ journal.ulid.high &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(checksum.value) << 17
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// How long after the promise ended this candidate tries: 150 ms for each who is before it.
    package static func delay(
        of me: ReplicaID, among candidates: some Sequence<ReplicaID>, for journal: JournalID
    ) -> Duration {
        let rank = order(candidates, for: journal).firstIndex(of: me) ?? 0
        return ClusterSettings.rankDelay * rank
    }
}

/// How long to wait before the next claim of one journal.
package struct BackOff: Hashable, Sendable {
    private var failures = 0

    package init() {}

    package mutating func reset() { failures = 0 }

    /// A probe met only a promise that ends in `expiresIn`: again after 25, 50, 100 ms …, and never long after that.
    package mutating func promiseEndsSoon(in expiresIn: Duration) -> Duration {
        defer { failures += 1 }
        let step = ClusterSettings.firstRetry * (1 << min(failures, 6))
        return min(step, max(expiresIn, ClusterSettings.firstRetry))
    }

    /// Any other failure: doubling, with jitter. `chance` is from 0 up to 1.
    package mutating func failed(chance: Double) -> Duration {
        defer { failures += 1 }
        let step = min(ClusterSettings.firstRetry * (1 << min(failures + 1, 8)), ClusterSettings.maximumBackOff)
        return step / 2 + .nanoseconds(Int64(Double(step.nanoseconds) * chance))
    }
}
