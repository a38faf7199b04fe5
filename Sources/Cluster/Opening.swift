package import Primitives

/// Whom a new journal is opened with (`protocol.md`, 'Opening').
package enum Opening {
    /// Exactly `count` replicas, this one first; nil until so many are known. Live ones come before others, less loaded
    /// before more loaded, and other zones before zones that are taken.
    ///
    /// - Parameter known: Every (node, disk id) pair that this node has met; one node with two disks counts by its live one.
    package static func replicas(
        count: Int, me: ReplicaID, known: [ReplicaID], isAlive: (ReplicaID) -> Bool,
        load: (ReplicaID) -> UInt64 = { _ in 0 }, zone: (ReplicaID) -> String = { _ in "" }
    ) -> [ReplicaID]? {
        var chosen = [me]
        var rest = known.filter { $0.node != me.node }.sorted()
        while chosen.count < count {
            let zones = Set(chosen.map(zone).filter { !$0.isEmpty })
            let best = rest.min { a, b in
                if isAlive(a) != isAlive(b) { return isAlive(a) }
                let isNewA = !zones.contains(zone(a))
                let isNewB = !zones.contains(zone(b))
                if isNewA != isNewB { return isNewA }
                return load(a) < load(b)
            }
            guard let best else { return nil }
            chosen.append(best)
            rest.removeAll { $0.node == best.node }
        }
        return chosen
    }
}
