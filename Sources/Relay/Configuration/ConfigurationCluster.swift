import EventLoop
import Primitives

extension Configuration {
    /// More copies cost every message more syncs and survive nothing that is likely.
    private static let replicaRange = 1...7
    private static let leaseRange = Duration.milliseconds(500)...Duration.seconds(60)
    private static let maximumPeers = 64
    private static let maximumSecrets = 8
    private static let keys = [
        "name", "listen", "advertise", "peers", "secretFiles", "replicas", "lease", "fastFailover",
    ]

    mutating func readCluster(_ file: ConfigurationSection, _ directory: String) {
        guard let section = file.section("cluster", keys: Configuration.keys) else { return }
        readClusterName(section)
        cluster.listen = section.hostPort("listen")
        cluster.advertise = section.hostPort("advertise")
        readPeers(section)
        readSecretFiles(section, directory)
        cluster.lease = section.duration("lease", in: Configuration.leaseRange) ?? cluster.lease
        cluster.fastFailover = section.boolean("fastFailover") ?? cluster.fastFailover
        let replicas = section.integer("replicas", in: Configuration.replicaRange)
        if section.value("listen") == nil {
            refuseWithoutListen(section, replicas)
        } else if cluster.listen != nil {
            checkAddresses(section)
            settleReplicas(replicas, section)
        }
    }

    /// It travels in each connection's first message, which holds texts of so many bytes.
    private mutating func readClusterName(_ section: ConfigurationSection) {
        guard let name = section.string("name") else { return }
        if name.utf8.count <= 255 {
            cluster.name = name
        } else {
            section.error("name", "expected at most 255 bytes, got \(name.utf8.count)")
        }
    }

    private mutating func readPeers(_ section: ConfigurationSection) {
        let expectation = "an address and port of a node such as \"10.0.0.2:7400\""
        guard let items = section.strings("peers", expectation) else { return }
        if items.count > Configuration.maximumPeers {
            section.error("peers", "expected at most \(Configuration.maximumPeers) peers, got \(items.count)")
        }
        for item in items {
            guard let peer = HostPort(text: item.text), peer.isNumeric, peer.port > 0, !peer.isUnspecified else {
                let text = "expected \(expectation) (an address, because a name may change hands), got \"\(item.text)\""
                section.report.error(item.path, item.value.place, text)
                continue
            }
            if cluster.peers.contains(peer) {
                section.report.error(item.path, item.value.place, "\(peer) is listed twice")
            } else {
                cluster.peers.append(peer)
            }
        }
    }

    private mutating func readSecretFiles(_ section: ConfigurationSection, _ directory: String) {
        let items = section.strings("secretFiles", "a file's path") ?? []
        cluster.secretFiles = items.map { resolve($0.text, directory) }
        if items.count > Configuration.maximumSecrets {
            section.error("secretFiles", "expected at most \(Configuration.maximumSecrets) files, got \(items.count)")
        }
        if case .array(let given)? = section.value("secretFiles")?.kind, given.isEmpty {
            section.error("secretFiles", "expected at least one file, got none; try: \(SecretFile.recipe("FILE"))")
        }
    }

    /// Without an address of its own this node is a cluster of one: what only several nodes do must not be silently ignored.
    private func refuseWithoutListen(_ section: ConfigurationSection, _ replicas: Int?) {
        let lonely = ["advertise", "peers", "secretFiles", "lease", "fastFailover"].filter { section.value($0) != nil }
        if let first = lonely.first {
            section.error(
                "listen", "missing: cluster.\(first) needs this node's own address, such as listen: \"10.0.0.1:7400\"")
        } else if let replicas, replicas > 1 {
            section.error(
                "replicas",
                "\(replicas) copies need other nodes: add listen, peers and secretFiles, or set replicas: 1")
        }
    }

    /// Whether a node is dead is found out by a knock at its advertised address: it must be this node's and no other's.
    private mutating func checkAddresses(_ section: ConfigurationSection) {
        guard let listen = cluster.listen else { return }
        let own = "peers knock there to see whether this node is dead, so it must be an address of this node's own"
        if section.value("advertise") == nil {
            if listen.isUnspecified {
                section.error(
                    "advertise",
                    "missing: \(listen) is every address of this machine; expected one that peers reach, such as "
                        + "\"10.0.0.1:\(listen.port)\"; \(own)")
            } else {
                cluster.advertise = listen
            }
        } else if let advertise = cluster.advertise, advertise.isUnspecified || advertise.port == 0 {
            section.error(
                "advertise",
                "expected an address that peers reach, such as \"10.0.0.1:7400\", got \"\(advertise)\"; \(own)"
            )
            cluster.advertise = nil
        }
        if let advertise = cluster.advertise, advertise.isLoopback, cluster.peers.contains(where: { !$0.isLoopback }) {
            let key = section.value("advertise") == nil ? "listen" : "advertise"
            section.warning(key, "\(advertise) is a loopback address: peers on other machines cannot reach this node")
        }
        if section.value("secretFiles") == nil {
            section.error(
                "secretFiles",
                "missing: nodes know each other by a secret that all have; try: \(SecretFile.recipe("FILE"))")
        }
    }

    private mutating func settleReplicas(_ given: Int?, _ section: ConfigurationSection) {
        let nodes = cluster.nodeCount
        cluster.replicas = given ?? min(3, nodes)
        let replicas = cluster.replicas
        if replicas > nodes {
            let known = nodes == 1 ? "this node alone is known" : "peers name \(nodes) nodes"
            section.error("replicas", "\(replicas) copies need \(replicas) nodes, but \(known): add peers, or lower it")
        } else if nodes == 2 {
            section.warning("peers", "two nodes: two copies but no failover; a third node makes one failure harmless")
        } else if replicas == 2 {
            section.warning("replicas", "two copies but no failover: both their nodes must be up; 3 survives a failure")
        } else if replicas == 1, nodes > 1 {
            section.warning("replicas", "one copy: mail waits while its node is down, and is lost with its disk; use 3")
        } else if replicas > 1, replicas.isMultiple(of: 2) {
            section.warning("replicas", "\(replicas) copies survive no more failures than \(replicas - 1)")
        }
        if cluster.peers.isEmpty {
            section.warning("peers", "none: until other nodes join, this one keeps the only copy of its mail")
        }
    }
}

extension Configuration.Cluster {
    /// A shorter secret can be guessed.
    private static let minimumSecret = 16

    /// How many nodes the file names: the peers, and this node if it is not among them.
    package var nodeCount: Int {
        guard let advertise else { return max(1, peers.count) }
        return peers.contains(advertise) ? peers.count : peers.count + 1
    }

    /// Reads the secrets anew, in the order of `secretFiles`: the first is offered to peers, all are accepted.
    package func readSecrets() throws(SecretFile.Refusal) -> [[UInt8]] {
        var secrets: [[UInt8]] = []
        for file in secretFiles { secrets.append(try Configuration.Cluster.secret(file)) }
        return secrets
    }

    /// What is wrong with one of the files; nil when it will do.
    static func problem(of file: String) -> String? {
        do throws(SecretFile.Refusal) {
            _ = try secret(file)
            return nil
        } catch {
            return error.text
        }
    }

    private static func secret(_ file: String) throws(SecretFile.Refusal) -> [UInt8] {
        let secret: [UInt8]
        do throws(SecretFile.Refusal) {
            secret = try SecretFile.read(file)
        } catch {
            throw SecretFile.Refusal(text: "\(error.text); a new one: \(SecretFile.recipe(file))")
        }
        guard secret.count >= minimumSecret else {
            throw SecretFile.Refusal(
                text: "\(file) holds a secret of \(secret.count) bytes in its first line: expected at least "
                    + "\(minimumSecret); a new one: \(SecretFile.recipe(file))")
        }
        return secret
    }
}

extension SecretFile {
    /// A command that makes a secret which only its owner can read.
    static func recipe(_ file: String) -> String {
        "head -c 32 /dev/urandom | base64 > \(file); chmod 600 \(file)"
    }
}
