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
