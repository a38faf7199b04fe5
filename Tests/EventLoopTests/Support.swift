import Foundation
import Primitives
import Synchronization
import Testing

@testable import EventLoop

/// Runs the body on a fresh loop with a thread of its own, and passes its error on.
func onLoop(_ body: @escaping @Sendable (isolated Loop) async throws -> Void) async throws {
    let loop = try Loop(name: "test")
    try loop.start()
    let failure = Box<(any Error)?>(nil)
    await loop.spawn { loop in
        do { try await body(loop) } catch { failure.set(error) }
    }.value
    loop.stop()
    if let error = failure.value { throw error }
}

/// A value that several threads share.
final class Box<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>
    init(_ value: Value) { storage = Mutex(value) }
    var value: Value { storage.withLock { $0 } }
    func set(_ value: Value) { storage.withLock { $0 = value } }
    func change(_ change: (inout Value) -> Void) {
        storage.withLock { value in change(&value) }
    }
}

/// Long enough that only a broken test meets it.
func soon(_ seconds: Int = 120) -> Instant { Clock.instant() + .seconds(seconds) }

struct NotInTime: Error {}

extension Loop {
    /// Turns until something holds that has no way to call.
    func turn(until holds: () -> Bool) async throws {
        let end = soon()
        while !holds() {
            guard Clock.instant() < end else { throw NotInTime() }
            try await sleep(until: Clock.instant() + .milliseconds(1))
        }
    }
}

let loopback = SocketAddress.ip(.v4(0x7F00_0001), port: 0)

/// Two ends of one TCP connection over loopback.
struct Pair {
    let client: Connection
    let server: Connection

    init(on loop: Loop) async throws {
        let listener = try Listener(address: loopback, on: loop)
        client = try await Connection.connect(to: listener.boundAddress, on: loop, deadline: soon())
        server = try await listener.accept()
        listener.close()
    }

    func close() {
        client.close()
        server.close()
    }
}

extension Connection {
    // `#expect` cannot look into a value that cannot be copied.
    var unread: Int { input.count }
    var inputRoom: Int { input.room }
    var outputRoom: Int { output.room }

    /// Takes exactly `count` bytes.
    func take(_ count: Int, deadline: Instant = soon()) async throws -> [UInt8] {
        while input.count < count {
            guard try await readMore(deadline: deadline) else { throw ConnectionError.closed }
        }
        let bytes = input.withUnreadBytes { Array($0.prefix(count)) }
        input.consume(count)
        return bytes
    }

    func takeText(_ count: Int) async throws -> String { String(decoding: try await take(count), as: UTF8.self) }

    func say(_ text: String) async throws {
        write(Array(text.utf8))
        try await flush(deadline: soon())
    }

    /// Sends everything back until the peer is done.
    func echo() async throws {
        while try await readMore(deadline: soon()) {
            input.withUnreadBytes { write($0) }
            input.consumeAll()
            try await flush(deadline: soon())
        }
        try await flush(until: .empty, deadline: soon())
        shutdownWrite()
    }
}

/// A self-made authority, and a certificate of it for `mail.example` and 127.0.0.1, by the `openssl` command.
struct Certificates {
    let directory: URL
    var authority: String { directory.appending(path: "ca.pem").path }
    var certificate: String { directory.appending(path: "cert.pem").path }
    var key: String { directory.appending(path: "key.pem").path }

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "baton-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        try openssl(new + ["-subj", "/CN=Test authority", "-keyout", "ca.key", "-out", "ca.pem"])
        try openssl(
            new + [
                "-subj", "/CN=mail.example", "-addext", "subjectAltName=DNS:mail.example,IP:127.0.0.1",
                "-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-keyout", "key.pem", "-out", "cert.pem",
            ])
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    private func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = directory
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw TLSConfigurationError(description: String(decoding: said, as: UTF8.self))
        }
    }
}

extension Certificates {
    func server() throws -> TLSServerContext {
        try TLSServerContext(certificateFile: certificate, keyFile: key)
    }
}
