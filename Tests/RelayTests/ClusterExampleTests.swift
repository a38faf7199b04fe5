import Foundation
import Testing

@testable import Relay

@Suite("The example configurations")
struct ClusterExampleTests {
    private let examples = URL(filePath: #filePath).appending(path: "../../../cluster/examples").standardized.path

    @Test("each of three hosts passes its check once it has the secret", arguments: ["a", "b", "c"])
    func hosts(_ name: String) throws {
        let directory = try TemporaryDirectory()
        let file = directory.path + "/baton.json5"
        try FileManager.default.copyItem(atPath: "\(examples)/\(name).json5", toPath: file)
        #expect(Configuration.load(path: file).errors.map(\.path) == ["cluster.secretFiles[0]"])
        let secret = directory.path + "/cluster.secret"
        try Data("0123456789abcdef0123456789abcdef\n".utf8).write(to: URL(filePath: secret))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: secret)
        let reading = Configuration.load(path: file)
        #expect(reading.errors == [] && reading.warnings == [])
        let configuration = try #require(reading.configuration)
        #expect(configuration.node.name == name)
        #expect(configuration.cluster.replicas == 3 && configuration.cluster.peers.count == 3)
        #expect(configuration.cluster.advertise.map(configuration.cluster.peers.contains) == true)
        #expect(configuration.smtp.listeners.allSatisfy { $0.proxyProtocol.count == 1 })
        #expect(configuration.health.listen?.host == configuration.cluster.listen?.host)
    }

    @Test("HAProxy takes the balancer's configuration")
    func balancer() throws {
        let program = "/usr/sbin/haproxy"
        guard FileManager.default.isExecutableFile(atPath: program) else {
            print("skipped: no HAProxy here")
            return
        }
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = ["-c", "-q", "-f", "\(examples)/haproxy.cfg"]
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
