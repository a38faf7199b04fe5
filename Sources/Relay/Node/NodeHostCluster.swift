internal import Cluster
internal import EventLoop
internal import Node
internal import Primitives

/// How a wish for the whole cluster ended.
package enum RecordOutcome: Hashable, Sendable {
    /// It is on the disks of a majority of the known nodes.
    case done
    case refused(String)
    /// Too few nodes have answered so far. It stands, and spreads as they do.
    case unanswered
}

/// What the node's cluster asks of the disk and of the peers.
extension NodeHost {
    func carryOut(_ request: ClusterRequest) {
        switch request {
        case .send(let peer, let message): peers?.send(message, to: peer)
        case .write(let journal, let offset, let bytes, let mark):
            diskJobs.append(.write(journal, offset: offset, bytes, mark))
        case .storePromise(let journal, let promise, let mark):
            diskJobs.append(.storePromise(journal, promise, mark))
        case .cut(let journal, let end, let mark): diskJobs.append(.cut(journal, to: end, mark))
        case .entomb(let tombstone, let mark): diskJobs.append(.entomb(tombstone, mark))
        case .forgetTombstone(let journal): diskJobs.append(.forgetTombstone(journal))
        case .whole(let journal): diskJobs.append(.whole(journal))
        case .read(let request): diskJobs.append(.read(request))
        case .knock(let peer): peers?.knock(peer)
        case .met(let peer): met(peer)
        case .stop(let reason):
            log.log("broken-promise", .error, [.init("reason", reason)])
            mustEnd(reason)
        }
    }

    // MARK: Acquaintances

    /// What start-up found.
    func recall(_ all: [Acquaintance]) {
        acquainted = all
        for one in all { peers?.acquaint(one.replica, address: one.address) }
    }

    private func met(_ peer: ReplicaID) { keep(peer, at: peers?.address(of: peer) ?? borrow { $0.address(of: peer) }) }

    /// What the transport saw. A peer may have moved since it was met, or have taken back a disk that it had before.
    func feed(fromPeers event: ClusterEvent) {
        if case .greeted(let peer, _) = event, let place = acquainted.firstIndex(where: { $0.replica == peer }) {
            let address = peers?.address(of: peer) ?? acquainted[place].address
            let isLast = !acquainted[place...].contains { $0.replica.node == peer.node && $0.replica != peer }
            if address != acquainted[place].address || !isLast { keep(peer, at: address) }
        }
        if case .disconnected(let peer, _) = event { questions.lookAgain(peer) }
        feed(.cluster(event))
    }

    /// Nodes that this one was not told of: others tell of them, and where they listen.
    func lookAround() {
        guard let peers, !isStopped else { return }
        let now = Clock.now()
        for peer in borrow({ $0.live(at: now) }) where !peers.isConnected(to: peer) {
            if let address = borrow({ $0.address(of: peer) }) { peers.acquaint(peer, address: address) }
        }
        loop.timer(at: now.instant + .seconds(1)) { [weak self] in self?.lookAround() }
    }

    private func keep(_ peer: ReplicaID, at address: String?) {
        let known = acquainted.first { $0.replica == peer }?.address
        acquainted.removeAll { $0.replica == peer }
        acquainted.append(Acquaintance(peer, address: address ?? known ?? ""))
        diskJobs.append(.storeAcquainted(acquainted))
    }

    func forget(_ peer: ReplicaID) {
        acquainted.removeAll { $0.replica == peer }
        diskJobs.append(.storeAcquainted(acquainted))
        peers?.forget(peer)
        tell("node-forgotten", .info, [.init("peer", peer.node), .init("disk", peer.disk.description)])
    }

    // MARK: Wishes of people

    /// Waits at most so long for a majority.
    func record(within patience: Duration, _ event: (Ticket) -> NodeEvent) async -> RecordOutcome {
        guard !isStopped else { return .unanswered }
        let ticket = takeTicket()
        let timer = loop.timer(at: Clock.instant() + patience) { [weak self] in
            self?.recordings.removeValue(forKey: ticket.number)?.resume(returning: .unanswered)
        }
        defer { loop.cancel(timer) }
        return await withUnsafeContinuation { continuation in
            recordings[ticket.number] = continuation
            feed(event(ticket))
        }
    }
}
