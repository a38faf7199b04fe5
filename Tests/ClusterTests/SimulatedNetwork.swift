import Cluster
import Journal
import Primitives

/// A message under way.
struct SimulatedLetter {
    let message: Message
    let from: Int
    let sender: ReplicaID
    let to: Int
    let receiver: ReplicaID
    let connection: UInt64
    let incarnation: UInt64
}

/// What stands between the nodes: cuts in each direction, loss, delay, copies, disorder.
struct SimulatedNetwork {
    /// `isCut[from][to]`: nothing passes.
    var isCut: [[Bool]]
    var loss = 0.0
    var copies = 0.0
    /// True nanoseconds.
    var delay: ClosedRange<Int64> = 100_000...2_000_000
    /// How many messages take much longer, up to this, and are overtaken.
    var stragglers = 0.02
    var straggler: Int64 = 400_000_000

    init(nodes: Int) { isCut = Array(repeating: Array(repeating: false, count: nodes), count: nodes) }

    mutating func heal() { self = SimulatedNetwork(nodes: isCut.count) }
}

extension ClusterSimulation {
    func delay() -> Int64 {
        if !isHealing, plan.hasFaults, random.chance(network.stragglers) {
            return Int64.random(in: 0...network.straggler, using: &random)
        }
        return Int64.random(in: network.delay, using: &random)
    }

    func carryOut(_ effects: [ClusterEffect], of node: SimulatedClusterNode) {
        for effect in effects {
            switch effect {
            case .request(let request): carryOut(request, of: node)
            case .won(let journal, let epoch, let isEmpty, _):
                tell("\(node.name) owns \(journal.short) at epoch \(epoch)")
                invariants.won(journal, epoch, by: node)
                guard invariants.violation == nil else { return }
                tryFate(of: node, chance: 0.1)
                let wall = WallTime(milliseconds: 1_790_000_000_000)
                if isEmpty {
                    let replicas = node.core?.journals[journal]?.replicas ?? []
                    append(
                        .open(OpenRecord(cluster: "s", origin: node.id, replicas: replicas, time: wall)),
                        to: journal, of: node)
                } else {
                    append(.takeover(TakeoverRecord(owner: node.id, time: wall)), to: journal, of: node)
                }
                give(node.index, .flush)
            case .active(let journal, let epoch): tell("\(node.name) is active on \(journal.short), epoch \(epoch)")
            case .committed(let journal, let epoch, let end):
                invariants.committed(journal, epoch: epoch, upTo: end, by: node)
            case .lost(let journal, let epoch, let reason):
                tell("\(node.name) loses \(journal.short) epoch \(epoch): \(reason)")
            case .replicated, .unwound, .retired, .lateOutcome, .died, .asked, .answered: break
            }
        }
    }

    private func carryOut(_ request: ClusterRequest, of node: SimulatedClusterNode) {
        switch request {
        case .send(let peer, let message): send(message, to: peer, from: node)
        case .storePromise(let journal, let promise, let mark):
            tell("\(node.name) stores promise of \(journal.short): epoch \(promise.epoch) to \(promise.owner)")
            invariants.promised(promise, journal, by: node)
            tryFate(of: node, chance: 0.04)
            ask(.promise(promise), journal, mark, node)
        case .write(let journal, let offset, let bytes, let mark):
            ask(.write(offset: Int(offset), bytes), journal, mark, node)
        case .cut(let journal, let length, let mark):
            tell("\(node.name) cuts \(journal.short) to \(length)")
            invariants.cut(journal, to: length, by: node)
            ask(.cut(Int(length)), journal, mark, node)
        case .entomb(let tombstone, let mark):
            tell("\(node.name) entombs \(tombstone.journal.short)")
            invariants.entombed(tombstone.journal, by: node)
            ask(.entomb(tombstone), tombstone.journal, mark, node)
        case .forgetTombstone(let journal): node.disk[journal] = nil
        case .whole(let journal):
            tell("\(node.name)'s copy of \(journal.short) is whole again")
            node.disk[journal]?.cache.isWhole = true
            node.disk[journal]?.durable.isWhole = true
            invariants.touched(journal)
        case .read(let request):
            schedule(
                .read(node.index, request, incarnation: node.incarnation),
                after: Int64.random(in: 50_000...2_000_000, using: &random))
        case .met(let peer): node.acquainted.insert(peer)
        case .knock(let peer): knock(peer, by: node)
        case .stop(let reason): invariants.fail("\(node.name) stops: \(reason)")
        }
    }

    private func ask(
        _ operation: SimulatedJournalFiles.Operation, _ journal: JournalID, _ mark: DiskMark,
        _ node: SimulatedClusterNode
    ) {
        node.disk[journal, default: SimulatedJournalFiles(journal: journal)].ask(operation, mark)
        scheduleSync(node, journal)
    }

    private func send(_ message: Message, to peer: ReplicaID, from node: SimulatedClusterNode) {
        invariants.says(message, by: node)
        guard let other = nodes.first(where: { $0.id == peer }), let connection = node.connections[other.index],
            !network.isCut[node.index][other.index], !random.chance(network.loss)
        else { return }
        if case .claimAnswers(let answers) = message { invariants.answered(answers, by: node) }
        repeat {
            let letter = SimulatedLetter(
                message: message, from: node.index, sender: node.id, to: other.index, receiver: peer,
                connection: connection, incarnation: node.incarnation)
            if let isHeld, isHeld(letter) { held.append(letter) } else { schedule(.deliver(letter), after: delay()) }
        } while random.chance(network.copies)
    }

    // MARK: Connections

    func isReachable(_ a: Int, _ b: Int) -> Bool { !network.isCut[a][b] && !network.isCut[b][a] }

    func connect(_ a: Int, _ b: Int) {
        guard nodes[a].isUp, nodes[a].connections[b] == nil else { return }
        guard nodes[b].isUp, isReachable(a, b), !nodes[a].isPaused, !nodes[b].isPaused else {
            return retryConnect(a, b)
        }
        order(a, b)
    }

    private func order(_ a: Int, _ b: Int) {
        let connection = random.next()
        nodes[a].connections[b] = connection
        nodes[b].connections[a] = connection
        give(a, .greeted(nodes[b].id, incarnation: nodes[b].incarnation))
        give(b, .greeted(nodes[a].id, incarnation: nodes[a].incarnation))
    }

    func retryConnect(_ a: Int, _ b: Int) {
        schedule(.connect(a, b), after: Int64.random(in: 50_000_000...150_000_000, using: &random))
    }

    /// A connect to where that process listened: refused only by a machine that is up and has no such process.
    private func knock(_ peer: ReplicaID, by node: SimulatedClusterNode) {
        let result: ProcessWatch.Knock
        var after = delay()
        if let other = nodes.first(where: { $0.name == peer.node }) {
            if !isReachable(node.index, other.index) || poweredOff.contains(other.index) || other.isPaused {
                result = .hung
                after += ProcessWatch.connectLimit.nanoseconds
            } else if other.isUp {
                result = random.chance(0.2) ? .endedEarly : .greeted
            } else {
                result = random.chance(0.2) ? .endedEarly : .refused
            }
        } else {
            result = .hung
        }
        tell("\(node.name) knocks at \(peer): \(result)")
        schedule(.knocked(node.index, peer: peer, result, incarnation: node.incarnation), after: after)
    }
}
