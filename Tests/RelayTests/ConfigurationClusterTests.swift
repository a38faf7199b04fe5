import Testing

@testable import Relay

/// A complete file with this `cluster` section, on line 1, and these listeners.
private func file(_ cluster: String, listener: String = "", relayFrom: String = #""::1""#, rest: String = "") -> String
{
    """
    { cluster: { \(cluster) },
      node: { name: "a" },
      smtp: { hostname: "relay.example.net", listeners: [{ address: "0.0.0.0:2525", \(listener) }],
              relayFrom: [\(relayFrom)] },
      upstreams: [{ name: "own", address: ["10.0.1.5:25"] }], \(rest) }
    """
}

private func read(_ text: String) -> Configuration.Reading { Configuration.read(Array(text.utf8)) }

private let three = #"peers: ["10.0.0.1:7400", "10.0.0.2:7400", "10.0.0.3:7400"], secretFiles: ["s"]"#

@Suite("Configuration of a cluster")
struct ConfigurationClusterTests {
    @Test("three peers make three copies, and the rest has its defaults")
    func defaults() throws {
        let reading = read(file(#"name: "mail", listen: "10.0.0.1:7400", "# + three))
        #expect(reading.errors == [] && reading.warnings == [])
        let cluster = try #require(reading.configuration?.cluster)
        #expect(cluster.listen == HostPort(host: "10.0.0.1", port: 7400))
        #expect(cluster.advertise == cluster.listen)
        #expect(cluster.peers.map(\.description) == ["10.0.0.1:7400", "10.0.0.2:7400", "10.0.0.3:7400"])
        #expect(cluster.secretFiles == ["s"])
        #expect(cluster.replicas == 3 && cluster.nodeCount == 3)
        #expect(cluster.lease == .seconds(2) && cluster.fastFailover)
    }

    @Test("without a section, or without listen, a node is a cluster of one")
    func alone() throws {
        let cluster = try #require(read(file(#"name: "mail", replicas: 1"#)).configuration?.cluster)
        #expect(cluster.listen == nil && cluster.replicas == 1 && cluster.peers.isEmpty)
    }

    @Test("a node that does not list itself counts all the same; five nodes keep three copies")
    func counting() {
        let others = #"peers: ["10.0.0.2:7400", "10.0.0.3:7400"], secretFiles: ["s"]"#
        #expect(read(file(#"listen: "10.0.0.1:7400", "# + others)).configuration?.cluster.replicas == 3)
        let five = (1...5).map { "\"10.0.0.\($0):7400\"" }.joined(separator: ", ")
        let wide = read(file(#"listen: "10.0.0.1:7400", secretFiles: ["s"], peers: [\#(five)]"#))
        #expect(wide.configuration?.cluster.replicas == 3)
        #expect(wide.warnings == [])
    }

    @Test("values arrive: lease, failover, copies, an address of its own behind 0.0.0.0, the drain's time")
    func values() throws {
        let text = file(
            #"listen: "0.0.0.0:7400", advertise: "10.0.0.1:7400", replicas: 1, lease: "500ms", fastFailover: false, "#
                + three, rest: #"delivery: { drainTimeout: "1m" }, health: { listen: "10.0.0.1:7481" }"#)
        let configuration = try #require(read(text).configuration)
        #expect(configuration.cluster.advertise == HostPort(host: "10.0.0.1", port: 7400))
        #expect(configuration.cluster.replicas == 1 && !configuration.cluster.fastFailover)
        #expect(configuration.cluster.lease == .milliseconds(500))
        #expect(configuration.delivery.drainTimeout == .minutes(1))
        #expect(configuration.health.listen?.port == 7481)
        #expect(Configuration().delivery.drainTimeout == .seconds(25))
    }

    static let wrong: [(text: String, message: String)] = [
        (
            file(three),
            "cluster.listen: line 1: missing: cluster.peers needs this node's own address, such as listen: "
                + "\"10.0.0.1:7400\""
        ),
        (
            file(#"listen: "a:7400", "# + three),
            "cluster.listen: line 1: expected an address and port such as \"127.0.0.1:7480\" or \"[::1]:7480\", got \"a:7400\""
        ),
        (
            file(#"listen: "0.0.0.0:7400", "# + three),
            "cluster.advertise: line 1: missing: 0.0.0.0:7400 is every address of this machine; expected one that peers "
                + "reach, such as \"10.0.0.1:7400\"; peers knock there to see whether this node is dead, so it must be an "
                + "address of this node's own"
        ),
        (
            file(#"listen: "10.0.0.1:7400", advertise: "[::]:7400", "# + three),
            "cluster.advertise: line 1: expected an address that peers reach, such as \"10.0.0.1:7400\", got "
                + "\"[::]:7400\"; peers knock there to see whether this node is dead, so it must be an address of this "
                + "node's own"
        ),
        (
            file(#"listen: "10.0.0.1:7400", peers: ["b:7400"], secretFiles: ["s"]"#),
            "cluster.peers[0]: line 1: expected an address and port of a node such as \"10.0.0.2:7400\" (an address, because "
                + "a name may change hands), got \"b:7400\""
        ),
        (
            file(#"listen: "10.0.0.1:7400", peers: ["10.0.0.2:1", "10.0.0.2:1"], secretFiles: ["s"]"#),
            "cluster.peers[1]: line 1: 10.0.0.2:1 is listed twice"
        ),
        (
            file(#"listen: "10.0.0.1:7400", replicas: 5, "# + three),
            "cluster.replicas: line 1: 5 copies need 5 nodes, but peers name 3 nodes: add peers, or lower it"
        ),
        (
            file(#"listen: "10.0.0.1:7400", replicas: 3, secretFiles: ["s"]"#),
            "cluster.replicas: line 1: 3 copies need 3 nodes, but this node alone is known: add peers, or lower it"
        ),
        (
            file(#"listen: "10.0.0.1:7400", peers: ["10.0.0.2:7400"]"#),
            "cluster.secretFiles: line 1: missing: nodes know each other by a secret that all have; try: "
                + "head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE"
        ),
        (
            file(#"listen: "10.0.0.1:7400", lease: "100ms", "# + three),
            "cluster.lease: line 1: expected a duration from 500 ms to 1m 00s, got \"100ms\""
        ),
        (file(#"listem: "10.0.0.1:7400""#), "cluster.listem: line 1: unknown key; did you mean listen?"),
        (
            file("", listener: #"proxyProtocol: ["10.0.0.9/33"]"#),
            "smtp.listeners[0].proxyProtocol[0]: line 3: expected a balancer's address or network such as \"10.0.0.9/32\", "
                + "got \"10.0.0.9/33\""
        ),
        (
            file("", rest: #"delivery: { drainTimeout: "11m" }"#),
            "delivery.drainTimeout: line 5: expected a duration from 1.0 s to 10m 00s, got \"11m\""
        ),
    ]

    @Test("what cannot work is told by path, with what was expected", arguments: wrong)
    func error(_ text: String, _ message: String) {
        #expect(read(text).errors.map(\.description).contains(message))
    }

    static let questionable: [(text: String, warning: String)] = [
        (
            file(#"listen: "10.0.0.1:7400", peers: ["10.0.0.1:7400", "10.0.0.2:7400"], secretFiles: ["s"]"#),
            "cluster.peers: line 1: two nodes: two copies but no failover; a third node makes one failure harmless"
        ),
        (
            file(#"listen: "10.0.0.1:7400", replicas: 2, "# + three),
            "cluster.replicas: line 1: two copies but no failover: both their nodes must be up; 3 survives a failure"
        ),
        (
            file(#"listen: "10.0.0.1:7400", replicas: 1, "# + three),
            "cluster.replicas: line 1: one copy: mail waits while its node is down, and is lost with its disk; use 3"
        ),
        (
            file(#"listen: "10.0.0.1:7400", secretFiles: ["s"]"#),
            "cluster.peers: line 1: none: until other nodes join, this one keeps the only copy of its mail"
        ),
        (
            file(#"listen: "127.0.0.1:7400", "# + three),
            "cluster.listen: line 1: 127.0.0.1:7400 is a loopback address: peers on other machines cannot reach this node"
        ),
        (
            file("", listener: #"proxyProtocol: "10.0.0.9""#, relayFrom: #""10.0.0.0/8""#),
            "smtp.relayFrom: line 4: takes in the balancer 10.0.0.9/32: a connection whose client it does not name "
                + "(LOCAL, UNKNOWN) may then send mail anywhere"
        ),
        (
            file("", listener: #"proxyProtocol: ["::/0"]"#),
            "smtp.listeners[0].proxyProtocol: line 3: ::/0 is everybody: any client may then claim to be any other"
        ),
    ]

    @Test("what works but is seldom meant is warned of", arguments: questionable)
    func warning(_ text: String, _ message: String) {
        let reading = read(text)
        #expect(reading.errors == [])
        #expect(reading.warnings.map(\.description).contains(message))
    }

    @Test("the commented cluster of the example works once its marks are gone")
    func example() throws {
        let lines = Configuration.example.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let isKey = [
                "listen: \"10", "advertise:", "peers:", "secretFiles:", "replicas:", "lease:", "fastFailover:",
            ]
            .contains { line.contains("// \($0)") }
            let isListener = line.contains("// { address:")
            return isKey || isListener ? String(line.replacing("// ", with: "", maxReplacements: 1)) : String(line)
        }
        let reading = read(lines.joined(separator: "\n"))
        #expect(reading.errors == [] && reading.warnings == [])
        let configuration = try #require(reading.configuration)
        #expect(configuration.cluster.replicas == 3 && configuration.cluster.peers.count == 3)
        #expect(configuration.smtp.listeners.last?.proxyProtocol.count == 1)
    }
}
