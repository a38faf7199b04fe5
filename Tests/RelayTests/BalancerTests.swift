import Foundation
import Node
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

/// A node behind a balancer on loopback, which lets a network of examples relay.
private func run(
    balancers: String = "127.0.0.0/8", _ change: (inout Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (Loop, SocketAddress, NodeRunner, TestSink) async throws -> Void
) async throws -> [String] {
    let directory = try TemporaryDirectory()
    let sink = try await TestSink()
    var configuration = Configuration.test(directory, upstreams: [sink.address])
    configuration.smtp.listeners[0].proxyProtocol = [AddressRange(balancers)].compactMap { $0 }
    configuration.smtp.relayFrom = ["203.0.113.0/24", "2001:db8::/32"].compactMap { AddressRange($0) }
    configuration.log.level = .debug
    change(&configuration)
    var options = NodeRunner.Options.test
    options.logDescriptor = open(directory.path + "/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    let runner = try NodeRunner(configuration, options: options)
    let address = try await runner.untilReady()
    try await onLoop { loop in try await body(loop, address, runner, sink) }
    await runner.stop()
    sink.stop()
    return try String(contentsOfFile: directory.path + "/log", encoding: .utf8).split(separator: "\n").map(String.init)
}

private let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

/// For a client at 203.0.113.`host`, port 4711.
private func header(_ host: UInt8) -> [UInt8] {
    signature + [0x21, 0x11, 0, 12, 203, 0, 113, host, 10, 0, 0, 1, 0x12, 0x67, 0x09, 0xdd]
}

private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

@Suite("Behind a balancer")
struct BalancerTests {
    @Test("the client that the header names is whose rights count, and who stands in Received and in the log")
    func named() async throws {
        let log = try await run { loop, address, _, sink in
            let client = try await TestClient(address, on: loop)
            // Byte by byte, and the client's first command right behind it.
            for byte in header(5) + Array("EHLO client.test\r\n".utf8) {
                client.connection.write([byte])
                try await client.connection.flush(until: .empty, deadline: soon())
            }
            #expect(try await client.reply().hasPrefix("220 "))
            #expect(try await client.reply().hasPrefix("250"))
            #expect(try await client.send(body).hasPrefix("250 "))
            let six = try await TestClient(address, on: loop)
            try await six.say("PROXY TCP6 2001:db8::5 ::1 4712 2525")
            try await six.begin()
            #expect(try await six.send(body).hasPrefix("250 "))
            let stranger = try await TestClient(address, on: loop)
            try await stranger.say("PROXY TCP4 198.51.100.1 10.0.0.1 4711 2525")
            try await stranger.begin()
            #expect(try await stranger.send(body).hasPrefix("550 5.7.1 "))
            try await sink.until(2)
            #expect(sink.messages.contains { $0.text.contains("([203.0.113.5])") })
            #expect(sink.messages.contains { $0.text.contains("([IPv6:2001:db8::5])") })
        }
        #expect(log.contains { $0.contains(" accepted ") && $0.contains("client=203.0.113.5:4711") })
        #expect(log.contains { $0.contains("client=203.0.113.5:4711 via=127.0.0.1:") })
        #expect(log.contains { $0.contains(" refused client=198.51.100.1 stage=rcpt code=550") })
    }

    @Test(
        "a connection for nobody has the balancer's own rights, and may look whether the node answers",
        arguments: [signature + [0x20, 0, 0, 0], Array("PROXY UNKNOWN\r\n".utf8)])
    func nobody(_ header: [UInt8]) async throws {
        _ = try await run { loop, address, _, _ in
            let client = try await TestClient(address, on: loop)
            client.connection.write(header)
            try await client.begin()
            #expect(try await client.send(body).hasPrefix("550 5.7.1 "))
            #expect(try await client.ask("QUIT").hasPrefix("221 "))
        }
    }

    @Test("a balancer that sends no header is turned away with one line, and one that only knocks with none")
    func withoutHeader() async throws {
        let log = try await run { loop, address, runner, _ in
            let silent = try await TestClient(address, on: loop)
            silent.connection.close()
            let client = try await TestClient(address, on: loop)
            #expect(try await client.ask("EHLO client.test").hasPrefix("421 4.3.5 "))
            await #expect(throws: ConnectionError.self) { try await client.line() }
            try await until("both are gone") { await runner.handle.smtpConnections() == 0 }
        }
        let refusals = log.filter { $0.contains(" refused ") }
        #expect(refusals.count == 1)
        #expect(refusals.first?.contains("client=127.0.0.1 stage=proxy code=421") == true)
    }

    @Test("half a header is waited for, but not for ever")
    func halfHeader() async throws {
        let log = try await run { loop, address, _, _ in
            let client = try await TestClient(address, on: loop)
            client.connection.write(Array("PROXY TCP4 203.0.113.5".utf8))
            #expect(try await client.reply().hasPrefix("421 4.3.5 "))
        }
        #expect(log.filter { $0.contains(" stage=proxy ") }.count == 1)
    }

    @Test("a reload changes who the balancers are, without a restart")
    func reload() async throws {
        _ = try await run { loop, address, runner, _ in
            var configuration = runner.handle.configuration
            configuration.smtp.listeners[0].proxyProtocol = []
            try await runner.handle.reload(configuration)
            let client = try await TestClient(address, on: loop)
            #expect(try await client.reply().hasPrefix("220 "))
        }
    }

    @Test("whoever is not listed may not name another: its header is an unknown command")
    func unlisted() async throws {
        _ = try await run(balancers: "127.0.0.9/32") { loop, address, _, _ in
            let client = try await TestClient(address, on: loop)
            #expect(try await client.reply().hasPrefix("220 "))
            #expect(try await client.ask("PROXY TCP4 203.0.113.5 10.0.0.1 4711 2525").hasPrefix("500 5.5.1 "))
            _ = try await client.ask("EHLO client.test")
            #expect(try await client.send(body).hasPrefix("550 5.7.1 "))
            let binary = try await TestClient(address, on: loop)
            _ = try await binary.reply()
            binary.connection.write(header(5))
            #expect(try await binary.ask("EHLO x").hasPrefix("500 "))
        }
    }

    @Test("connections are counted by client, not by balancer")
    func counting() async throws {
        _ = try await run(balancers: "127.0.0.0/8", { $0.smtp.maximumConnectionsPerAddress = 1 }) {
            loop, address, _, _ in
            var clients: [TestClient] = []
            for host: UInt8 in 1...3 {
                let client = try await TestClient(address, on: loop)
                client.connection.write(header(host))
                #expect(try await client.reply().hasPrefix("220 "))
                clients.append(client)
            }
            let again = try await TestClient(address, on: loop)
            again.connection.write(header(3))
            #expect(try await again.reply().hasPrefix("421 4.7.0 "))
        }
    }
}
