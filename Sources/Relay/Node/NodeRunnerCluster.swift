internal import Cluster
internal import EventLoop
internal import Node
internal import Primitives

/// The peers of a node whose configuration says where it listens for them; nil for a cluster of one.
func makePeers(
    _ configuration: Configuration, _ directory: DataDirectory, _ resolver: Resolver, _ host: NodeHost
) throws -> Peers? {
    let cluster = configuration.cluster
    guard let secrets = try clusterSecrets(configuration), let listen = cluster.listen else { return nil }
    guard let address = SocketAddress(listen.description) else {
        throw StartError("cluster.listen: \(listen) is no address")
    }
    let settings = Peers.Settings(
        cluster: cluster.name, me: directory.replica, incarnation: directory.incarnation,
        previousIncarnation: directory.previousIncarnation, listen: address,
        // Where any free port will do, the real one is told.
        advertise: cluster.advertise.flatMap { $0.port == 0 ? nil : $0.description }, seeds: cluster.peers,
        lease: cluster.lease)
    return Peers(
        loop: host.loop, settings: settings, secrets: secrets, resolver: resolver, seed: randomBits(),
        report: { [weak host] event, level, fields in host?.tell(event, level, fields) },
        feed: { [weak host] event in host?.feed(fromPeers: event) },
        live: { [weak host] in host?.borrow { $0.live(at: Clock.now()) } ?? [] },
        address: { [weak host] peer in host?.borrow { $0.address(of: peer) } })
}

/// Nil for a cluster of one.
func clusterSecrets(_ configuration: Configuration) throws -> ClusterSecrets? {
    guard configuration.cluster.listen != nil else { return nil }
    do {
        return try ClusterSecrets(try configuration.cluster.readSecrets(), cluster: configuration.cluster.name)
    } catch let error as SecretFile.Refusal {
        throw StartError("cluster.secretFiles: \(error.text)")
    }
}

extension Configuration {
    /// What the node on this directory is told.
    func nodeConfiguration(in directory: DataDirectory) -> NodeConfiguration {
        var result = nodeConfiguration(replica: directory.replica, seed: randomBits())
        result.incarnation = directory.incarnation
        result.replicas = cluster.replicas
        result.lease = cluster.lease
        result.isFastFailover = cluster.fastFailover
        result.zone = node.zone ?? ""
        return result
    }

    /// Of what should be the same on all nodes, so that they can tell when it is not.
    var digest: String {
        let parts: [Any] = [
            cluster.name, cluster.replicas, cluster.lease, cluster.fastFailover, upstreams, routes, delivery,
        ]
        var checksum = CRC32C()
        for part in parts { checksum.update(Array("\(part)\n".utf8)) }
        return String(checksum.value, radix: 16)
    }
}

extension NodeHost {
    /// What gossip carries to all others, besides what the node says itself.
    func describeItself(_ configuration: Configuration, version: String) {
        let said = [
            "address": peers?.advertised ?? "", "version": version, "zone": configuration.node.zone ?? "",
            "protocols": "1-1", "configuration": configuration.digest,
        ]
        for (key, value) in said.sorted(by: { $0.key < $1.key }) { feed(.describe(key, Array(value.utf8))) }
    }
}
