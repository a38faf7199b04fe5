import Foundation
import Glibc
import Primitives
import Testing

@testable import EventLoop

struct ListenerTests {
    @Test("a port in use is named, with what to do")
    func inUse() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            let address = listener.boundAddress
            let error = try #require(throws: ListenError.self) { _ = try Listener(address: address, on: loop) }
            #expect(error.description == "\(address): in use by another process (stop it, or choose another port)")
            listener.close()
            let again = try Listener(address: address, on: loop)
            again.close()
        }
    }

    @Test("an address of another machine is named")
    func foreignAddress() async throws {
        try await onLoop { loop in
            let address = try #require(SocketAddress("192.0.2.1:0"))
            let error = try #require(throws: ListenError.self) { _ = try Listener(address: address, on: loop) }
            #expect(error.description == "192.0.2.1:0: not an address of this machine")
        }
    }

    @Test("a Unix socket serves, replaces a dead one's file, respects a living one's, and removes its own")
    func unixSocket() async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "baton-\(UUID().uuidString.prefix(8)).sock")
            .path
        defer { unlink(path) }
        try await onLoop { loop in
            let address = SocketAddress.unix(path)
            // A dead process's socket: bound, and closed without removing the file.
            do {
                let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                let dead = Descriptor(owning: raw)
                #expect(address.withRaw { bind(dead.raw, $0, $1) } == 0)
            }
            let listener = try Listener(address: address, on: loop)
            var status = stat()
            #expect(stat(path, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(throws: ListenError.self) { _ = try Listener(address: address, on: loop) }
            // The probe that found it alive left a connection that ended.
            let probe = try await listener.accept()
            #expect(try await probe.readMore(deadline: soon()) == false)
            let client = try await Connection.connect(to: address, on: loop, deadline: soon())
            let server = try await listener.accept()
            try await client.say("hello")
            #expect(try await server.takeText(5) == "hello")
            #expect(server.peer.description == "unix")
            client.close()
            server.close()
            listener.close()
            #expect(stat(path, &status) != 0)
        }
    }

    @Test("close ends a waiting accept; cancelling the task does too, and leaves the listener open")
    func endOfAccept() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            let cancelled = loop.spawnLocal {
                await #expect(throws: ConnectionError.cancelled) { _ = try await listener.accept() }
            }
            await Task.yield()
            cancelled.cancel()
            await cancelled.value
            let closed = loop.spawnLocal {
                await #expect(throws: ConnectionError.closed) { _ = try await listener.accept() }
            }
            await Task.yield()
            listener.close()
            listener.close()
            await closed.value
        }
    }

    @Test("serve runs a task per connection, no more than the limit at once, and waits for the last")
    func serve() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            var running = 0
            var most = 0
            var served = 0
            let serving = loop.spawnLocal {
                await listener.serve(limit: 3) { connection in
                    #expect(loop.isCurrent)
                    running += 1
                    most = max(most, running)
                    try? await connection.echo()
                    running -= 1
                    served += 1
                }
            }
            var clients: [Task<Void, Never>] = []
            for number in 0..<12 {
                let address = listener.boundAddress
                clients.append(
                    loop.spawnLocal {
                        do {
                            let client = try await Connection.connect(to: address, on: loop, deadline: soon())
                            try await client.say("hello \(number)")
                            #expect(try await client.takeText("hello \(number)".utf8.count) == "hello \(number)")
                            client.close()
                        } catch {
                            Issue.record(error)
                        }
                    })
            }
            for client in clients { await client.value }
            listener.close()
            await serving.value
            #expect(served == 12)
            #expect(most == 3)
        }
    }

    @Test("cancelling serve closes every connection")
    func cancelServe() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            var served = 0
            let serving = loop.spawnLocal {
                await listener.serve { connection in
                    served += 1
                    await #expect(throws: ConnectionError.cancelled) { try await connection.readMore(deadline: soon()) }
                }
            }
            let client = try await Connection.connect(to: listener.boundAddress, on: loop, deadline: soon())
            try await loop.turn { served == 1 }
            serving.cancel()
            await serving.value
            #expect(try await client.readMore(deadline: soon()) == false)
            client.close()
            listener.close()
        }
    }

    @Test("2,000 idle connections hold no buffer, and answer when spoken to")
    func manyIdle() async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            var servers: [Connection] = []
            let serving = loop.spawnLocal {
                await listener.serve {
                    servers.append($0)
                    try? await $0.echo()
                }
            }
            var clients: [Connection] = []
            for _ in 0..<2000 {
                clients.append(try await Connection.connect(to: listener.boundAddress, on: loop, deadline: soon()))
            }
            for round in 1...2 as ClosedRange<UInt8> {
                for client in clients { client.write([round]) }
                for client in clients { #expect(try await client.take(1) == [round]) }
                #expect(servers.count == 2000)
                try await loop.turn { servers.allSatisfy { $0.inputRoom == 0 && $0.outputRoom == 0 } }
            }
            for client in clients { client.close() }
            listener.close()
            await serving.value
        }
    }
}
