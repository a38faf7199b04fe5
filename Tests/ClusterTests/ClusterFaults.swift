import Cluster
import Primitives

/// What goes wrong, and its end (`protocol.md`, 'Faults to inject').
extension ClusterSimulation {
    func fault() {
        guard !isHealing else { return }
        schedule(.fault, after: Int64.random(in: 50_000_000...900_000_000, using: &random))
        let node = nodes[Int.random(in: 0..<nodes.count, using: &random)]
        switch Int.random(in: 0..<16, using: &random) {
        case 0, 1: partition()
        case 2:
            network.heal()
            tell("the network heals")
        case 3, 4, 5: end(node, losesPower: false)
        case 6, 7: end(node, losesPower: true)
        case 8, 9: pause(node)
        case 10:
            network.stragglers = random.chance(0.5) ? 0.1 : 0.02
            network.straggler = random.chance(0.5) ? 1_500_000_000 : 400_000_000
            network.loss = random.chance(0.5) ? 0.2 : 0
            network.copies = random.chance(0.5) ? 0.2 : 0
        case 11: node.syncDelay = random.chance(0.5) ? 1_000_000...150_000_000 : 200_000...3_000_000
        case 12: closeConnections(node)
        case 13: if mayDamage(node) { damage(node) }
        case 14: if mayWipe(node), random.chance(0.3) { wipe(node) }
        default: if plan.forgesDeath { forge(node) } else { end(node, losesPower: false) }
        }
    }

    private func partition() {
        network.heal()
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            return cutOff(Int.random(in: 0..<nodes.count, using: &random))
        case 1:
            let from = Int.random(in: 0..<nodes.count, using: &random)
            for other in nodes.indices where other != from && random.chance(0.7) {
                if random.chance(0.5) { network.isCut[from][other] = true } else { network.isCut[other][from] = true }
            }
            tell("one-way cuts around n\(from)")
        default:
            for a in nodes.indices { for b in nodes.indices where a != b { network.isCut[a][b] = random.chance(0.25) } }
            tell("partial cuts")
        }
        endByTimeout()
    }

    private func cutOff(_ alone: Int) {
        for other in nodes.indices where other != alone {
            network.isCut[alone][other] = true
            network.isCut[other][alone] = true
        }
        tell("n\(alone) is cut off")
        endByTimeout()
    }

    /// What is cut for long ends by time-out, which proves nothing.
    private func endByTimeout() {
        for a in nodes.indices {
            for b in nodes.indices where network.isCut[b][a] {
                if let connection = nodes[a].connections[b] {
                    schedule(
                        .ended(a, peer: b, name: nodes[b].id, connection: connection, .timedOut), after: 3_000_000_000)
                }
            }
        }
    }

    /// A promise is under way to the disk, or a claim was won: what happens now, between two steps, hurts most.
    func tryFate(of node: SimulatedClusterNode, chance: Double) {
        guard !isHealing, plan.hasFaults, node.isUp, random.chance(chance) else { return }
        schedule(.fate(node.index), after: Int64.random(in: 0...3_000_000, using: &random))
    }

    func fate(of node: SimulatedClusterNode) {
        guard !isHealing else { return }
        switch Int.random(in: 0..<8, using: &random) {
        case 0, 1, 2: end(node, losesPower: true)
        case 3, 4: end(node, losesPower: false)
        case 5: pause(node)
        case 6: closeConnections(node)
        default: cutOff(node.index)
        }
    }

    func end(_ node: SimulatedClusterNode, losesPower: Bool) {
        guard node.isUp else { return }
        tell("\(node.name) \(losesPower ? "loses power" : "is killed")")
        stop(node, losesPower: losesPower)
        let longest: Int64 = random.chance(0.5) ? 100_000_000 : 2_500_000_000
        schedule(.start(node.index), after: Int64.random(in: 5_000_000...longest, using: &random))
    }

    func stop(_ node: SimulatedClusterNode, losesPower: Bool) {
        node.core = nil
        node.isPaused = false
        node.inbox = []
        for journal in node.disk.keys.sorted() {
            if losesPower {
                node.disk[journal]?.crash(&random)
            } else if plan.mutations.contains(.restartUnsynced) {
                node.disk[journal]?.leaveUnsynced()
                continue
            } else {
                node.disk[journal]?.kill()
            }
            node.disk[journal]?.scan(takesFlipsForTorn: plan.mutations.contains(.flipTakenForTorn))
            invariants.touched(journal)
        }
        if losesPower { poweredOff.insert(node.index) } else { poweredOff.remove(node.index) }
        for (peer, connection) in node.connections.sorted(by: { $0.key < $1.key }) {
            let isSilent = losesPower || network.isCut[node.index][peer]
            let end: ProcessWatch.End = isSilent ? .timedOut : random.chance(0.5) ? .endOfFile : .reset
            schedule(
                .ended(peer, peer: node.index, name: node.id, connection: connection, end),
                after: isSilent ? 3_000_000_000 : Int64.random(in: 0...20_000_000, using: &random))
        }
        node.connections = [:]
    }

    private func pause(_ node: SimulatedClusterNode) {
        guard node.isUp, !node.isPaused else { return }
        tell("\(node.name) pauses")
        node.isPaused = true
        schedule(.resume(node.index), after: Int64.random(in: 20_000_000...2_000_000_000, using: &random))
    }

    /// A device resets connections: both ends see an end, and both processes live.
    private func closeConnections(_ node: SimulatedClusterNode) {
        for (peer, connection) in node.connections.sorted(by: { $0.key < $1.key }) where random.chance(0.5) {
            schedule(
                .ended(node.index, peer: peer, name: nodes[peer].id, connection: connection, .reset), after: delay())
            schedule(.ended(peer, peer: node.index, name: node.id, connection: connection, .reset), after: delay())
        }
    }

    /// The negative test: resets, and then refusals, in the name of a process that lives.
    private func forge(_ victim: SimulatedClusterNode) {
        tell("someone forges the death of \(victim.name)")
        for peer in victim.connections.keys.sorted() where random.chance(0.8) {
            nodes[peer].connections[victim.index] = nil
            give(peer, .disconnected(victim.id, .reset))
            give(peer, .knocked(victim.id, .refused))
            retryConnect(peer, victim.index)
        }
    }

    // MARK: Disks

    /// Damage and loss stay below a majority of every replica set: of three, one.
    private var isBroken: Int {
        nodes.count { node in node.isWiped || node.disk.values.contains { !$0.durable.isWhole } }
    }

    private func mayDamage(_ node: SimulatedClusterNode) -> Bool { isBroken == 0 && node.isUp }
    private func mayWipe(_ node: SimulatedClusterNode) -> Bool {
        isBroken == 0 && node.isUp && !nodes.contains(where: \.isWiped)
    }

    private func damage(_ node: SimulatedClusterNode) {
        stop(node, losesPower: false)
        for journal in node.disk.keys.sorted() where random.chance(0.7) {
            node.disk[journal]?.kill()
            if node.disk[journal]?.flipBit(&random) == true { tell("a bit of \(journal.short) flips on \(node.name)") }
            node.disk[journal]?.scan(takesFlipsForTorn: plan.mutations.contains(.flipTakenForTorn))
            invariants.touched(journal)
        }
        schedule(.start(node.index), after: Int64.random(in: 5_000_000...1_500_000_000, using: &random))
    }

    private func wipe(_ node: SimulatedClusterNode) {
        tell("\(node.name)'s disk is wiped")
        stop(node, losesPower: false)
        for journal in node.disk.keys { invariants.touched(journal) }
        node.disk = [:]
        node.acquainted = []
        node.isWiped = true
        node.id = ReplicaID(node: node.name, disk: DiskID(freshULID()))
        schedule(.start(node.index), after: Int64.random(in: 5_000_000...1_500_000_000, using: &random))
    }

    func heal() {
        isHealing = true
        tell("everything heals")
        network.heal()
        for node in nodes {
            node.syncDelay = 200_000...3_000_000
            if node.isPaused { schedule(.resume(node.index), after: 0) }
            if !node.isUp { schedule(.start(node.index), after: 10_000_000) }
            for other in nodes where other.index != node.index && node.connections[other.index] == nil {
                retryConnect(node.index, other.index)
            }
        }
    }
}
