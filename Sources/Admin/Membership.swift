internal import Node
internal import Primitives

/// The nodes that this one knows of, by name. Of a node's disks only the present one is the node; copies on its former
/// disks are lost.
struct Membership {
    struct Member: Sendable {
        var status: NodeStatus.PeerStatus
        var name: String { status.replica.node }

        func says(_ key: String) -> String? { status.says[key].map { String(decoding: $0, as: UTF8.self) } }
    }

    /// Without this node, and without those that were forgotten.
    private(set) var others: [Member] = []
    /// Gone for good (`baton node forget`), whatever their disks hold.
    private(set) var forgotten: Set<String> = []

    init(_ status: NodeStatus, me: String) {
        var byName: [String: NodeStatus.PeerStatus] = [:]
        for peer in status.peers where peer.replica.node != me && !peer.isForgotten {
            if let known = byName[peer.replica.node], !Membership.supersedes(peer, known) { continue }
            byName[peer.replica.node] = peer
        }
        forgotten = Set(status.peers.filter(\.isForgotten).map(\.replica.node)).subtracting(byName.keys)
        others = byName.values.map { Member(status: $0) }.sorted { $0.name < $1.name }
    }

    /// Of two disks of one node: who is alive; else who was heard last.
    private static func supersedes(_ a: NodeStatus.PeerStatus, _ b: NodeStatus.PeerStatus) -> Bool {
        if a.isAlive != b.isAlive { return a.isAlive }
        if a.isConnected != b.isConnected { return a.isConnected }
        let far = Duration.seconds(Int64(Int32.max))
        return (a.silentFor ?? far) < (b.silentFor ?? far)
    }
}
