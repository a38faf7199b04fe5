import Node
import Primitives
import Routing
import Testing

@testable import Relay

/// A complete file with one piece exchanged.
private func file(
    node: String = #"name: "a""#, smtp: String = "",
    upstreams: String = #"[{ name: "own", address: ["10.0.1.5:25"] }]"#,
    rest: String = ""
) -> String {
    """
    {
      node: { \(node) },
      smtp: { hostname: "relay.example.net", listeners: [{ address: "0.0.0.0:2525" }], relayFrom: ["::1"], \(smtp) },
      upstreams: \(upstreams),
      \(rest)
    }
    """
}

private func errors(_ text: String) -> [String] { Configuration.read(Array(text.utf8)).errors.map(\.description) }

@Suite("Configuration")
struct ConfigurationTests {
    @Test("the example passes its own check")
    func example() throws {
        let reading = Configuration.read(Array(Configuration.example.utf8))
        #expect(reading.errors.map(\.description) == [])
        #expect(reading.warnings.map(\.description) == [])
        let configuration = try #require(reading.configuration)
        #expect(configuration.upstreams.map(\.name) == ["main", "own"])
        #expect(configuration.routes.count == 2)
        #expect(configuration.cluster.name == "mail")
    }

    @Test("a minimal file gets the defaults, and one route over all upstreams")
    func minimal() throws {
        let configuration = try #require(Configuration.read(Array(file().utf8)).configuration)
        #expect(configuration.smtp.postmaster == "postmaster@relay.example.net")
        #expect(configuration.routes == [Route(upstreams: ["own"])])
        #expect(configuration.delivery.uncertain == .resend)
        let replica = ReplicaID(node: "a", disk: DiskID(.zero))
        let node = configuration.nodeConfiguration(replica: replica, seed: 7)
        #expect(node.hostname == "relay.example.net")
        #expect(node.upstreams.first?.addresses == ["10.0.1.5:25"])
        #expect(node.minimumFreeShare == 0.10)
    }

    @Test("values arrive with their units")
    func values() throws {
        let text = file(
            node: #"name: "a", dataDirectory: "data", minimumFree: "1MiB""#,
            smtp: #"maximumMessageSize: "5MiB", maximumSessionAge: "90s""#,
            upstreams:
                #"[{ name: "o", address: "[::1]:25", tls: "off", weight: 0.5, timeouts: { connect: "1500ms" } }]"#,
            rest: #"delivery: { retry: ["1s", "2m"], delayWarning: "4h", uncertain: "hold" }, log: { format: "json" }"#)
        let reading = Configuration.read(Array(text.utf8), directory: "/etc/baton")
        #expect(reading.errors == [])
        let configuration = try #require(reading.configuration)
        #expect(configuration.node.dataDirectory == "/etc/baton/data")
        #expect(configuration.adminSocketPath == "/etc/baton/data/admin.sock")
        #expect(configuration.smtp.maximumMessageSize == .mebibytes(5))
        #expect(configuration.smtp.maximumSessionAge == .seconds(90))
        #expect(configuration.upstreams[0].addresses == ["[::1]:25"])
        #expect(configuration.upstreams[0].timeouts.connect == .milliseconds(1500))
        #expect(configuration.delivery.retry == [.seconds(1), .minutes(2)])
        #expect(configuration.delivery.delayWarning == .hours(4))
        #expect(configuration.delivery.uncertain == .hold)
        #expect(configuration.log.format == .json)
    }

    static let wrong: [(text: String, message: String)] = [
        (file(node: #"nane: "a""#), "node.nane: line 2: unknown key; did you mean name?"),
        (file(node: #"nane: "a""#), "node.name: line 2: missing: expected a short name of this node, such as \"a\""),
        (file(node: #"name: "A b""#), "node.name: line 2: expected up to 32 of a-z, 0-9 and -, got \"A b\""),
        (file(smtp: #"usersFile: "x""#), "smtp.usersFile: line 3: not in this version; remove the key"),
        (
            file(smtp: "wombats: 1, addMissingHeaders: 1"),
            "smtp.addMissingHeaders: line 3: expected true or false, got 1"
        ),
        (
            file(smtp: "maximumMessageSize: 5"),
            "smtp.maximumMessageSize: line 3: expected a size such as \"50MiB\", got 5"
        ),
        (
            file(smtp: #"maximumSessionAge: "1s""#),
            "smtp.maximumSessionAge: line 3: expected a duration from 10.0 s to 7d 00h, got \"1s\""
        ),
        (
            file(smtp: "maximumRecipients: 10"),
            "smtp.maximumRecipients: line 3: expected a whole number from 100 to 50000, got 10"
        ),
        (
            file(smtp: #"postmaster: "ops""#),
            "smtp.postmaster: line 3: expected a mail address such as \"ops@example.net\", got \"ops\""
        ),
        (
            file(smtp: #"certificateFile: "x""#),
            "smtp.privateKeyFile: line 3: missing: certificateFile needs its private key"
        ),
        (file(upstreams: "[]"), "upstreams: line 4: expected at least one upstream, got none"),
        (
            file(upstreams: #"[{ name: "own", address: ["mail.example.com"] }]"#),
            "upstreams[0].address[0]: line 4: expected a host and port such as \"smtp.example.com:587\", got \"mail.example.com\""
        ),
        (
            file(upstreams: #"[{ name: "own", address: ["h:70000"] }]"#),
            "upstreams[0].address[0]: line 4: expected a host and port such as \"smtp.example.com:587\", got \"h:70000\""
        ),
        (
            file(upstreams: #"[{ name: "o", address: ["h:25"] }, { name: "o", address: ["h:25"] }]"#),
            "upstreams[1].name: line 4: two upstreams are named \"o\"; names are unique"
        ),
        (
            file(upstreams: #"[{ name: "o", address: ["h:25"], user: "x" }]"#),
            "upstreams[0].user: line 4: not in this version; remove the key"
        ),
        (
            file(upstreams: #"[{ name: "o", address: ["10.0.0.1:25"], tls: "verify" }]"#),
            "upstreams[0].serverName: line 4: missing: tls \"verify\" with 10.0.0.1:25 needs the name that its certificate bears"
        ),
        (
            file(rest: #"routes: [{ upstreams: ["owm"] }]"#),
            "routes[0].upstreams[0]: line 5: no upstream is named \"owm\"; did you mean \"own\"?"
        ),
        (
            file(rest: #"routes: [{ client: "x", upstreams: ["own"] }]"#),
            "routes[0].client: line 5: expected an address or range such as \"10.0.3.0/24\", got \"x\""
        ),
        (
            file(rest: #"delivery: { uncertain: "drop" }"#),
            "delivery.uncertain: line 5: expected one of \"resend\", \"hold\", got \"drop\""
        ),
        (
            file(rest: "cluster: { replicas: 3 }"),
            "cluster.replicas: line 5: 3 copies need other nodes: add listen, peers and secretFiles, or set replicas: 1"
        ),
        (
            file(rest: #"health: { listen: "localhost" }"#),
            "health.listen: line 5: expected an address and port such as \"127.0.0.1:7480\" or \"[::1]:7480\", got \"localhost\""
        ),
        (
            file(rest: #"admin: { listen: "127.0.0.1:7480" }"#),
            "admin.tokenFile: line 5: missing: admin.listen needs a token; try: (umask 077; openssl rand -hex 32 > FILE)"
        ),
    ]

    @Test("an error names the path, the line, what was expected and what stands there", arguments: wrong)
    func error(_ text: String, _ message: String) {
        #expect(errors(text).contains(message))
    }

    @Test("implicit TLS on a listener is a value of a later version")
    func laterValue() {
        let text = #"{ smtp: { listeners: [{ address: "0.0.0.0:465", tls: "implicit" }] } }"#
        #expect(
            errors(text).contains(
                #"smtp.listeners[0].tls: line 1: "implicit" is not in this version; one of "off", "optional", "required""#
            ))
    }

    @Test("all errors are told at once")
    func allErrors() {
        let found = errors("{ nodes: {}, log: { level: 3 },\n upstreams: 4 }")
        #expect(found.count == 5)
        #expect(found.contains("nodes: line 1: unknown key; did you mean node?"))
        #expect(found.contains("upstreams: line 2: expected a list […], got 4"))
    }

    @Test("a relay that everybody or nobody may use is warned of")
    func warnings() {
        let open = Configuration.read(Array(file().utf8)).warnings
        #expect(open.isEmpty)
        let all = file().replacing(#"["::1"]"#, with: #"["0.0.0.0/0"]"#)
        #expect(Configuration.read(Array(all.utf8)).warnings.first?.text.hasPrefix("0.0.0.0/0 is everybody") == true)
        let none = file().replacing(#"["::1"]"#, with: "[]")
        #expect(Configuration.read(Array(none.utf8)).warnings.first?.path == "smtp.relayFrom")
    }
}
