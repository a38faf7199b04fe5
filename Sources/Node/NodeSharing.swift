internal import Cluster
internal import Primitives
internal import Routing

/// What the router learns is everyone's: each node tells what it has seen by gossip, and routes by the sum. What has to
/// outlive the processes stands in cluster records.
extension Node {
    enum SharedKey {
        static let reputation = "reputation/"
        static let health = "health/"
        static let limits = "limits/"
        /// Kinds of the router's cluster records.
        static let recorded = ["count", "spent", "warmup"]
    }

    /// Records are written about so often.
    private static let recordInterval = Duration.seconds(1)

    /// With each pulse: hear, tell, and write down.
    mutating func shareRouting(_ now: Now, _ effects: inout [NodeEffect]) {
        guard now.instant >= nextSharing else { return }
        nextSharing = now.instant + (isAlone ? Node.recordInterval : cluster.settings.pulseInterval)
        let live = cluster.live(at: now.instant)
        // A node whose disk was replaced lives with both for a moment; it is one node.
        let peers = cluster.otherNodes.filter { live.contains($0) }
        let names = (peers + [configuration.replica]).map(\.node).sorted()
        router.limits.nodes(alive: names, known: cluster.otherNodes.count + 1, at: now.instant)
        for lane in lanes.indices { router.health[lane].nodes(alive: names) }
        // A dead one's last word would look fresh.
        for peer in peers { hear(peer, now) }
        tellDemand()
        tell(now)
        if now.instant >= nextRoutingRecords {
            nextRoutingRecords = now.instant + Node.recordInterval
            writeRoutingRecords(now, &effects)
        }
        noteReputation(now, &effects)
    }

    private var isAlone: Bool { cluster.otherNodes.isEmpty }

    /// Nil where nothing is shared and no limit needs the time.
    var sharingDeadline: Instant? { isAlone && !router.needsTime ? nil : nextSharing }

    private mutating func hear(_ peer: ReplicaID, _ now: Now) {
        let (records, seen) = cluster.gossip.news(of: peer, since: heard[peer])
        heard[peer] = seen
        let name = peer.node
        for record in records {
            if record.key.hasPrefix(SharedKey.reputation) {
                router.reputation.absorb(
                    from: name, key: record.key, value: record.value, names: &router.providers, at: now.instant)
            } else if record.key.hasPrefix(SharedKey.limits) {
                router.limits.absorb(from: name, key: record.key, value: record.value, at: now)
            } else if record.key.hasPrefix(SharedKey.health) {
                let upstream = record.key.dropFirst(SharedKey.health.count)
                guard let lane = lanes.firstIndex(where: { $0.upstream.name == upstream }) else { continue }
                router.health[lane].absorb(from: name, value: record.value, at: now.instant)
            }
        }
    }

    private mutating func tell(_ now: Now) {
        for (key, value) in router.reputation.publish(names: router.providers, at: now.instant) {
            cluster.describe(key, value)
        }
        for (key, value) in router.limits.publish(at: now) { cluster.describe(key, value) }
        for lane in lanes.indices {
            guard let value = router.health[lane].publish(at: now.instant) else { continue }
            cluster.describe(SharedKey.health + lanes[lane].upstream.name, value)
        }
    }

    /// Lines of shares follow what waits.
    private mutating func tellDemand() {
        for lane in lanes.indices {
            for (provider, count) in lanes[lane].demand {
                router.limits.demand(upstream: lane, provider: provider, due: count)
            }
        }
    }

    private mutating func noteReputation(_ now: Now, _ effects: inout [NodeEffect]) {
        for event in router.reputation.events() {
            let upstream = lanes[event.upstream].upstream.name
            let provider = router.providers.name(event.provider)
            switch event.change {
            case .blocked(let reply):
                effects.append(.note(.upstreamBlocked(upstream, provider: provider, reply: reply)))
                moveBlocked(event.upstream, event.provider, now, &effects)
            case .returning(let percent):
                effects.append(.note(.upstreamReturning(upstream, provider: provider, percent: percent)))
            case .unblocked: effects.append(.note(.upstreamUnblocked(upstream, provider: provider)))
            }
        }
    }

    /// What is in line for an upstream that its provider blocks goes another way, if there is one.
    private mutating func moveBlocked(_ lane: Int, _ provider: ProviderID, _ now: Now, _ effects: inout [NodeEffect]) {
        for key in lanes[lane].remove(of: provider, where: { [jobs] in jobs[$0].provider == provider }) {
            leaveLine(key, lane)
            place(key, now, &effects)
        }
    }

    // MARK: Cluster records

    private mutating func writeRoutingRecords(_ now: Now, _ effects: inout [NodeEffect]) {
        let wanted = router.limits.recordsToWrite(at: now) + router.cost.recordsToWrite(at: now)
        guard !wanted.isEmpty else { return }
        do throws(RecordsError) {
            _ = try records.set(
                wanted.map { RecordWrite(key: $0.key, value: $0.value, expiry: $0.expiry) }, at: now.wall)
        } catch {
            // Full: it is counted on in memory, and `status` says `records-full`.
            return
        }
        recordsChanged(now, &effects)
    }

    /// Others' counts, and this node's own of before its restart.
    mutating func applyRoutingRecords(_ now: Now) {
        for kind in SharedKey.recorded where records.changes(ofKind: kind) != routingRecordsRead[kind] {
            routingRecordsRead[kind] = records.changes(ofKind: kind)
            for record in records.records(prefix: kind + "/", at: now.wall) {
                router.limits.recordChanged(key: record.key, value: record.value, at: now)
                router.cost.recordChanged(key: record.key, value: record.value, at: now)
            }
        }
    }
}
