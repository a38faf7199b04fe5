import Glibc
import Testing

@testable import Relay

/// A directory that is gone afterwards.
private func withDirectory(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/baton-configuration-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let path = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
    defer {
        for name in ["baton.json5", "token", "key", "certificate"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }
    try body(path)
}

private func write(_ text: String, to path: String, mode: mode_t = 0o600) {
    let descriptor = creat(path, mode)
    _ = text.withCString { Glibc.write(descriptor, $0, strlen($0)) }
    fchmod(descriptor, mode)
    close(descriptor)
}

@Suite("Configuration files and secrets")
struct ConfigurationFileTests {
    private let text = """
        { node: { name: "a" }, admin: { listen: "127.0.0.1:0", tokenFile: "token" },
          smtp: { hostname: "relay.example.net", listeners: [{ address: "127.0.0.1:0" }], relayFrom: ["127.0.0.1"] },
          upstreams: [{ name: "own", address: ["127.0.0.1:25"] }] }
        """

    @Test("a secret beside the file is found from anywhere, and taken when only its owner can read it")
    func goodSecret() throws {
        try withDirectory { directory in
            write(text, to: "\(directory)/baton.json5")
            write("  open sesame \nmore\n", to: "\(directory)/token")
            let reading = Configuration.load(path: "\(directory)/baton.json5")
            #expect(reading.errors == [])
            let file = try #require(reading.configuration?.admin.tokenFile)
            #expect(try SecretFile.read(file) == Array("open sesame".utf8))
        }
    }

    @Test("a secret that others can read is refused, with the command that mends it")
    func openSecret() throws {
        try withDirectory { directory in
            write(text, to: "\(directory)/baton.json5")
            write("secret", to: "\(directory)/token", mode: 0o644)
            let reading = Configuration.load(path: "\(directory)/baton.json5")
            #expect(
                reading.errors.map(\.description) == [
                    "admin.tokenFile: \(directory)/token can be read or changed by every user of this machine; "
                        + "try: chmod o= \(directory)/token"
                ])
            #expect(reading.configuration == nil)
        }
    }

    @Test("a missing or empty secret and a missing file are told")
    func missing() throws {
        try withDirectory { directory in
            write(text, to: "\(directory)/baton.json5")
            #expect(
                Configuration.load(path: "\(directory)/baton.json5").errors.map(\.text) == [
                    "\(directory)/token cannot be read: No such file or directory"
                ])
            write("", to: "\(directory)/token")
            #expect(
                Configuration.load(path: "\(directory)/baton.json5").errors.first?.text.contains("is empty") == true)
            #expect(
                Configuration.load(path: "\(directory)/nothing").errors.map(\.description) == [
                    "cannot be read: No such file or directory"
                ])
        }
    }
}

@Suite("Cluster secrets")
struct ClusterSecretTests {
    private func text(_ files: String) -> String {
        """
        { node: { name: "a" }, cluster: { listen: "10.0.0.1:7400", peers: ["10.0.0.2:7400"], secretFiles: \(files) },
          smtp: { hostname: "relay.example.net", listeners: [{ address: "127.0.0.1:0" }], relayFrom: ["127.0.0.1"] },
          upstreams: [{ name: "own", address: ["127.0.0.1:25"] }] }
        """
    }

    @Test("secrets beside the file are read in order, and anew at each reading")
    func good() throws {
        try withDirectory { directory in
            write(text(#"["new", "old"]"#), to: "\(directory)/baton.json5")
            write("0123456789abcdef\n", to: "\(directory)/new")
            write("fedcba9876543210", to: "\(directory)/old")
            let reading = Configuration.load(path: "\(directory)/baton.json5")
            #expect(reading.errors == [])
            let cluster = try #require(reading.configuration?.cluster)
            #expect(try cluster.readSecrets() == [Array("0123456789abcdef".utf8), Array("fedcba9876543210".utf8)])
            write("ffffffffffffffff\n", to: "\(directory)/new")
            #expect(try cluster.readSecrets().first == Array("ffffffffffffffff".utf8))
        }
    }

    @Test("a short, open or missing secret is refused with its file and what mends it")
    func bad() throws {
        try withDirectory { directory in
            write(text(#"["short", "open", "none"]"#), to: "\(directory)/baton.json5")
            write("0123456789abcde\nmore\n", to: "\(directory)/short")
            write("0123456789abcdef", to: "\(directory)/open", mode: 0o644)
            func recipe(_ name: String) -> String {
                "; a new one: head -c 32 /dev/urandom | base64 > \(directory)/\(name); chmod 600 \(directory)/\(name)"
            }
            let reading = Configuration.load(path: "\(directory)/baton.json5")
            #expect(
                reading.errors.map(\.description) == [
                    "cluster.secretFiles[0]: \(directory)/short holds a secret of 15 bytes in its first line: expected at "
                        + "least 16" + recipe("short"),
                    "cluster.secretFiles[1]: \(directory)/open can be read or changed by every user of this machine; "
                        + "try: chmod o= \(directory)/open" + recipe("open"),
                    "cluster.secretFiles[2]: \(directory)/none cannot be read: No such file or directory"
                        + recipe("none"),
                ])
        }
    }
}
