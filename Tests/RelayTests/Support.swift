import Foundation
import Primitives
import Routing
import Synchronization
import Testing

@testable import EventLoop
@testable import Relay

/// A directory of the test's own, removed when the last reference goes.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString.prefix(13))")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

let loopback = SocketAddress.ip(.v4(0x7f00_0001), port: 0)

func soon(_ seconds: Int = 120) -> Instant { Clock.instant() + .seconds(seconds) }

struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

extension Configuration {
    /// One node on loopback with these upstreams, quick to give up and to retry.
    static func test(_ directory: TemporaryDirectory, upstreams: [SocketAddress]) -> Configuration {
        var configuration = Configuration()
        configuration.node.name = "a"
        configuration.node.dataDirectory = directory.path + "/data"
        configuration.node.minimumFree = ByteCount.mebibytes(1)
        configuration.smtp.hostname = "relay.test"
        configuration.smtp.postmaster = "ops@example.net"
        configuration.smtp.relayFrom = [AddressRange("127.0.0.0/8")].compactMap { $0 }
        configuration.smtp.listeners = [Listener(address: HostPort(host: "127.0.0.1", port: 0))]
        configuration.upstreams = upstreams.enumerated().map { index, address in
            var upstream = Upstream(name: "up\(index)", addresses: [address.description])
            upstream.tls = .off
            return upstream
        }
        configuration.routes = [Route(upstreams: configuration.upstreams.map(\.name))]
        configuration.delivery.retry = [.milliseconds(200)]
        return configuration
    }
}

extension NodeRunner.Options {
    static var test: NodeRunner.Options {
        var options = NodeRunner.Options()
        options.logDescriptor = open("/dev/null", O_WRONLY | O_CLOEXEC)
        options.zeroedAhead = ByteCount.mebibytes(1)
        return options
    }
}

extension NodeRunner {
    /// Waits until it takes mail; returns where.
    func untilReady() async throws -> SocketAddress {
        try await until("the node is ready") { await self.handle.isReady() }
        guard let address = await handle.smtpAddresses().first else { throw TestFailure("it listens nowhere") }
        return address
    }
}

/// Looks again and again until something holds. Polls, because what is waited for has no way to call.
func until(_ what: String, within seconds: Int = 120, _ holds: () async -> Bool) async throws {
    let end = soon(seconds)
    while Clock.instant() < end {
        if await holds() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    throw TestFailure("\(what): not within \(seconds) s")
}

/// A client's connection, reply by reply.
final class TestClient {
    let connection: Connection

    init(_ address: SocketAddress, on loop: Loop) async throws {
        connection = try await Connection.connect(to: address, on: loop, deadline: soon())
    }

    /// All lines of the next reply.
    func reply() async throws -> String {
        var text = ""
        while true {
            let line = try await line()
            text += line + "\n"
            if line.utf8.count < 4 || Array(line.utf8)[3] == 0x20 { return text }
        }
    }

    func line() async throws -> String {
        while true {
            let found = connection.input.withUnreadBytes { $0.firstIndex(of: 0x0a) }
            if let found {
                let line = connection.input.withUnreadBytes { String(decoding: $0[..<found], as: UTF8.self) }
                connection.input.consume(found + 1)
                return line.trimmingCharacters(in: .newlines)
            }
            guard try await connection.readMore(deadline: soon()) else { throw ConnectionError.closed }
        }
    }

    func say(_ text: String) async throws {
        connection.write(Array((text + "\r\n").utf8))
        try await connection.flush(deadline: soon())
    }

    func ask(_ text: String) async throws -> String {
        try await say(text)
        return try await reply()
    }

    /// Greeting and EHLO.
    func begin() async throws {
        _ = try await reply()
        _ = try await ask("EHLO client.test")
    }

    /// One message; the last reply. `content` is in wire form, without the final dot.
    func send(from: String = "a@example.com", to: [String] = ["b@example.net"], _ content: [UInt8]) async throws
        -> String
    {
        for command in ["MAIL FROM:<\(from)>"] + to.map({ "RCPT TO:<\($0)>" }) + ["DATA"] {
            let reply = try await ask(command)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        var sent = 0
        while sent < content.count {
            let end = min(content.count, sent + 65536)
            connection.write(content[sent..<end])
            try await connection.flush(deadline: soon())
            sent = end
        }
        return try await ask(".")
    }
}

/// Runs the body on a loop of its own.
func onLoop(_ body: @escaping @Sendable (Loop) async throws -> Void) async throws {
    let loop = try Loop(name: "test")
    try loop.start()
    let failure = Mutex<(any Error)?>(nil)
    await loop.spawn { loop in
        do { try await body(loop) } catch { failure.withLock { $0 = error } }
    }.value
    loop.stop()
    if let error = failure.withLock({ $0 }) { throw error }
}

/// Runs the body against a node whose only upstream is a sink, on a loop of its own.
func withNode(
    _ change: (inout Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (Loop, SocketAddress, NodeRunner, TestSink) async throws -> Void
) async throws {
    let directory = try TemporaryDirectory()
    let sink = try await TestSink()
    var configuration = Configuration.test(directory, upstreams: [sink.address])
    change(&configuration)
    let runner = try NodeRunner(configuration, options: .test)
    let address = try await runner.untilReady()
    try await onLoop { loop in try await body(loop, address, runner, sink) }
    await runner.stop()
    sink.stop()
}

func messageID(in reply: String) -> MessageID? {
    reply.split(separator: " ").last.flatMap { ULID(text: $0.prefix(26)) }.map(MessageID.init)
}
