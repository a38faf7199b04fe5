package import Cluster
internal import EventLoop
internal import Node
package import Primitives

/// What concerns the whole cluster: other nodes, its records, draining.
extension RelayHandle {
    /// How long a wish for the whole cluster waits for a majority.
    private static let patience = Duration.seconds(20)

    // MARK: Other nodes

    /// Brings a question to another node; nil when its whole answer did not come in time.
    package func ask(_ peer: ReplicaID, what: [UInt8], patience: Duration) async -> [UInt8]? {
        await onLoopAsync { await $0.questions.ask(peer, what, patience: patience) }
    }

    /// Who answers the questions of other nodes from now on. The same question twice is answered once.
    package func answerPeers(with answerer: @escaping @Sendable ([UInt8], ReplicaID) async -> [UInt8]) async {
        await onLoop { [host] in host.questions.answer(with: answerer) }
    }

    /// The connections with the others, and whom this node would not speak to, lately. Empty in a cluster of one.
    package func peers() async -> (connections: [PeerStatus], refusals: [PeerRefusal]) {
        await onLoop { [host] in (host.peers?.status ?? [], host.peers?.refusals ?? []) }
    }

    /// What others dial; nil in a cluster of one.
    package func advertised() async -> String? { await onLoop { [host] in host.peers?.advertised } }

    /// Says something of this node to all others.
    package func describe(_ key: String, _ value: [UInt8]) async {
        await onLoop { [host] in host.feed(.describe(key, value)) }
    }

    /// What happened after this number, and when that is nothing, what comes within so long.
    package func events(after sequence: UInt64, within patience: Duration) async -> [EventRing.Event] {
        await events.events(after: sequence, within: patience, on: loop)
    }

    // MARK: Wishes for all

    /// Writes one of the cluster's records, or removes it (nil).
    package func record(key: String, value: [UInt8]?, expiry: WallTime? = nil) async -> RecordOutcome {
        await onLoopAsync { host in
            await host.record(within: RelayHandle.patience) { .record($0, key: key, value: value, expiry: expiry) }
        }
    }

    /// Writes several of them, all or none.
    package func write(_ records: [RecordWrite], by: String) async -> RecordOutcome {
        await onLoopAsync { host in
            await host.record(within: RelayHandle.patience) { .records($0, records, by: by) }
        }
    }

    /// The records of a kind (`suppression/`) that have a value, in no order.
    package func records(prefix: String) async -> [ClusterRecord] {
        await onLoop { [host] in host.borrow { $0.records(prefix: prefix, at: Clock.now()) } }
    }

    /// This node is gone for good.
    package func forget(_ node: String) async -> RecordOutcome {
        await onLoopAsync { host in
            await host.record(within: RelayHandle.patience) { .forget($0, node) }
        }
    }

    // MARK: This node

    /// Takes no mail and hands its journals over. It returns at once: `status` tells how far it is.
    package func drain() async { await onLoop { [host] in host.feed(.drain) } }

    /// Takes part again.
    package func resume() async { await onLoop { [host] in host.feed(.resume) } }
}
