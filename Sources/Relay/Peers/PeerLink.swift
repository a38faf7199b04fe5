internal import Cluster
internal import EventLoop
internal import Primitives

/// Keeps one address dialed, for as long as the node runs. Confined to its loop.
///
/// Whom it will meet is not known before it has met: several addresses may lead to one peer, then the others rest while
/// one of them reaches it.
final class PeerLink {
    let address: HostPort
    let isSeed: Bool
    private unowned let peers: Peers
    /// Who answered last, or should.
    private(set) var met: ReplicaID?
    /// This node answered.
    private(set) var isOurselves = false
    /// Why the last try came to nothing.
    private(set) var failure: String?
    private var task: Task<Void, Never>?

    init(_ address: HostPort, of peer: ReplicaID?, _ peers: Peers) {
        self.address = address
        isSeed = peer == nil
        met = peer
        self.peers = peers
    }

    func start() {
        let peers = peers
        task = peers.loop.spawnLocal { [self] in
            await run()
            withExtendedLifetime(peers) {}  // the link must not outlive what it belongs to
        }
    }

    func stop() { task?.cancel() }

    private func run() async {
        var pause = peers.limits.firstPause
        while !Task.isCancelled, !peers.isStopped {
            // One that has fallen quiet is dialed beside the connection that there is: after a cut the kernel takes as long
            // again as it lasted until it repeats what was lost.
            if let met, let peer = peers.peers[met], peer.dialed != nil, !peers.isQuiet(peer) {
                await peer.untilUndialed(or: peer.heardAt + peers.limits.quiet, on: peers.loop)
                if peer.dialed == nil { guard await rest(for: pause) else { return } }
                continue  // it may have been heard, or reached another way (a knock, another address)
            }
            switch await peers.dial(address, for: met, limits: peers.limits.dial) {
            case .greeted(let peer):
                met = peer
                failure = nil
                pause = peers.limits.firstPause
                continue
            case .ourselves:
                isOurselves = true
                return
            case .turnedAway(let reason, let who):
                failure = reason
                if let who { met = who }
            case .refused: failure = "\(address): connection refused (is its node running?)"
            case .hung(let reason), .endedEarly(let reason): failure = "\(address): \(reason)"
            }
            guard await rest(for: pause) else { return }
            pause = min(pause * 2, peers.limits.longestPause)
        }
    }

    /// False when the link has been stopped.
    private func rest(for pause: Duration) async -> Bool {
        do {
            try await peers.loop.sleep(until: Clock.instant() + peers.jitter(pause))
            return true
        } catch {
            return false
        }
    }
}
