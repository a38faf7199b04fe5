package import Primitives

/// How much of one node's records someone knows.
package struct GossipDigest: Hashable, Sendable {
    package var node: ReplicaID
    package var incarnation: UInt64
    package var version: UInt64
    package init(node: ReplicaID, incarnation: UInt64, version: UInt64) {
        self.node = node
        self.incarnation = incarnation
        self.version = version
    }
}

package struct GossipRecord: Hashable, Sendable {
    package var key: String
    package var version: UInt64
    package var value: [UInt8]
    package init(key: String, version: UInt64, value: [UInt8]) {
        self.key = key
        self.version = version
        self.value = value
    }
}

/// Records of one node that the receiver lacks. `version` is how far they bring it.
package struct GossipDelta: Hashable, Sendable {
    package var node: ReplicaID
    package var incarnation: UInt64
    package var version: UInt64
    package var records: [GossipRecord]
    package init(node: ReplicaID, incarnation: UInt64, version: UInt64, records: [GossipRecord]) {
        self.node = node
        self.incarnation = incarnation
        self.version = version
        self.records = records
    }
}

/// What every node says of itself, as far as this one has heard (`protocol.md`, 'Gossip').
///
/// Scuttlebutt (van Renesse et al. 2008): each node owns one map of versioned records and only it writes there. Digests
/// say how far one knows each map; the answer carries what the other lacks, oldest first, so that a bounded answer is
/// still a prefix and `version` stays true. Liveness is 'its version moved in the last L'. Nothing safe rests on it.
package struct Gossip: Sendable {
    /// One answer carries no more than this of others' records.
    static let maximumDelta = 64 << 10
    /// More nodes than any cluster has; who would be one too many is not heard of.
    static let maximumNodes = 1024
    static let maximumRecords = 256

    private struct Known: Sendable {
        var incarnation: UInt64
        var version: UInt64
        /// When, by this node's clock, the version last moved.
        var movedAt: Instant
        /// Its process was proved dead since then.
        var isDead = false
        var records: [String: GossipRecord] = [:]
    }

    package let me: ReplicaID
    private var nodes: [ReplicaID: Known] = [:]

    package init(me: ReplicaID, incarnation: UInt64, at now: Instant) {
        self.me = me
        nodes[me] = Known(incarnation: incarnation, version: 1, movedAt: now)
    }

    // MARK: This node's own records

    package mutating func set(_ key: String, to value: [UInt8]) {
        guard var own = nodes[me], own.records[key]?.value != value else { return }
        precondition(own.records[key] != nil || own.records.count < Gossip.maximumRecords)
        own.version += 1
        own.records[key] = GossipRecord(key: key, version: own.version, value: value)
        nodes[me] = own
    }

    /// Before each pulse: a version that moves is what others call alive.
    package mutating func beat(at now: Instant) {
        nodes[me]?.version += 1
        nodes[me]?.movedAt = now
    }

    // MARK: Everyone's

    package func value(_ key: String, of node: ReplicaID) -> [UInt8]? { nodes[node]?.records[key]?.value }

    /// Everything that a node says of itself.
    package func values(of node: ReplicaID) -> [String: [UInt8]] { nodes[node]?.records.mapValues(\.value) ?? [:] }

    /// What a node has said since someone looked last, and what to look from next time; all of it after a new start.
    package func news(of node: ReplicaID, since seen: GossipDigest?) -> (records: [GossipRecord], seen: GossipDigest?) {
        guard let known = nodes[node] else { return ([], nil) }
        let from = seen?.incarnation == known.incarnation ? seen?.version ?? 0 : 0
        let records = known.records.values.filter { $0.version > from }.sorted { $0.version < $1.version }
        return (records, GossipDigest(node: node, incarnation: known.incarnation, version: known.version))
    }

    /// Since its version last moved; nil when it never was heard.
    package func silence(of node: ReplicaID, at now: Instant) -> Duration? { nodes[node].map { now - $0.movedAt } }

    package var known: [ReplicaID] { nodes.keys.sorted() }

    package func isAlive(_ node: ReplicaID, within lease: Duration, at now: Instant) -> Bool {
        guard node != me else { return true }
        guard let known = nodes[node], !known.isDead else { return false }
        return now - known.movedAt < lease
    }

    package func live(within lease: Duration, at now: Instant) -> [ReplicaID] {
        known.filter { isAlive($0, within: lease, at: now) }
    }

    /// Its process is proved dead: what others still tell of that process brings it back no more.
    package mutating func died(_ node: ReplicaID) {
        guard node != me else { return }
        nodes[node]?.isDead = true
    }

    /// It speaks to this node: what proved its death was forged.
    package mutating func greeted(_ node: ReplicaID) { nodes[node]?.isDead = false }

    /// `baton node forget`.
    package mutating func forget(_ node: ReplicaID) {
        if node != me { nodes[node] = nil }
    }

    // MARK: The exchange

    package func digest() -> [GossipDigest] {
        nodes.map { GossipDigest(node: $0, incarnation: $1.incarnation, version: $1.version) }
            .sorted { $0.node < $1.node }
    }

    /// What the sender of this digest lacks.
    package func deltas(for digest: [GossipDigest]) -> [GossipDelta] {
        var theirs: [ReplicaID: GossipDigest] = [:]
        for entry in digest { theirs[entry.node] = entry }
        var room = Gossip.maximumDelta
        var deltas: [GossipDelta] = []
        for (node, mine) in nodes.sorted(by: { $0.key < $1.key }) {
            let their = theirs[node]
            if let their, (their.incarnation, their.version) >= (mine.incarnation, mine.version) { continue }
            let from = their?.incarnation == mine.incarnation ? their?.version ?? 0 : 0
            var delta = GossipDelta(
                node: node, incarnation: mine.incarnation, version: mine.version, records: [])
            for record in mine.records.values.sorted(by: { $0.version < $1.version }) where record.version > from {
                room -= record.key.utf8.count + record.value.count + 24
                guard room >= 0 else {
                    delta.version = delta.records.last?.version ?? from
                    break
                }
                delta.records.append(record)
            }
            if delta.version > from { deltas.append(delta) }
            if room < 0 { break }
        }
        return deltas
    }

    package mutating func take(_ deltas: [GossipDelta], at now: Instant) {
        for delta in deltas where delta.node != me {
            guard var known = nodes[delta.node] else {
                guard nodes.count < Gossip.maximumNodes else { continue }
                var fresh = Known(incarnation: delta.incarnation, version: delta.version, movedAt: now)
                Gossip.merge(delta.records, into: &fresh.records)
                nodes[delta.node] = fresh
                continue
            }
            guard (delta.incarnation, delta.version) > (known.incarnation, known.version) else { continue }
            if delta.incarnation > known.incarnation {
                known.records = [:]
                known.isDead = false
            }
            known.incarnation = delta.incarnation
            known.version = delta.version
            known.movedAt = now
            Gossip.merge(delta.records, into: &known.records)
            nodes[delta.node] = known
        }
    }

    private static func merge(_ records: [GossipRecord], into known: inout [String: GossipRecord]) {
        for record in records where record.version > known[record.key]?.version ?? 0 {
            guard known[record.key] != nil || known.count < maximumRecords else { continue }
            known[record.key] = record
        }
    }
}
