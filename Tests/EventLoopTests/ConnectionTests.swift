import Foundation
import Glibc
import Primitives
import Testing

@testable import EventLoop

struct ConnectionTests {
    @Test("what is sent comes back")
    func echo() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let server = pair.server
            let echoing = loop.spawnLocal { try? await server.echo() }
            for round in 0..<200 {
                try await pair.client.say("round \(round)\r\n")
                #expect(try await pair.client.takeText("round \(round)\r\n".utf8.count) == "round \(round)\r\n")
            }
            pair.client.shutdownWrite()
            #expect(try await pair.client.readMore(deadline: soon()) == false)
            await echoing.value
            pair.close()
        }
    }

    @Test("both ends know their addresses")
    func addresses() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            #expect(pair.client.local == pair.server.peer)
            #expect(pair.server.local == pair.client.peer)
            #expect(pair.server.peer.address == IPAddress("127.0.0.1"))
            #expect(pair.client.tls == nil)
            pair.close()
        }
    }

    @Test("a connection is made from the local address that is asked for")
    func fromAddress() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            let client = try await Connection.connect(
                to: listener.boundAddress, from: SocketAddress("127.0.0.9:0"), on: loop, deadline: soon())
            let server = try await listener.accept()
            #expect(server.peer.host == "127.0.0.9")
            client.close()
            listener.close()
            await #expect(throws: ConnectionError.self) {
                _ = try await Connection.connect(
                    to: listener.boundAddress, from: SocketAddress("192.0.2.1:0"), on: loop, deadline: soon())
            }
        }
    }

    @Test("small writes before a read leave in one piece")
    func gathered() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            for number in 0..<10 { pair.client.write(Array("250-\(number)\r\n".utf8)) }
            #expect(pair.client.queuedOutput == 70)
            // A read that has to wait sends what is queued first.
            let client = pair.client
            let reading = loop.spawnLocal {
                await #expect(throws: ConnectionError.closed) { try await client.readMore(deadline: soon()) }
            }
            #expect(try await pair.server.readMore(deadline: soon()))
            #expect(pair.server.unread == 70)
            client.close()
            await reading.value
            pair.close()
        }
    }

    @Test("what nobody flushes goes out at the end of the turn")
    func endOfTurn() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            pair.client.write(Array("NOOP\r\n".utf8))
            #expect(try await pair.server.takeText(6) == "NOOP\r\n")
            pair.close()
        }
    }

    @Test("a slow reader holds its writer back, and gets every byte in order")
    func backpressure() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let client = pair.client
            let total = 32 << 20
            let piece = (0..<(1 << 16)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ ($0 >> 8)) }
            var sent = 0
            let writing = loop.spawnLocal {
                while sent < total {
                    client.write(piece)
                    sent += piece.count
                    #expect(client.queuedOutput <= Connection.lowWater + piece.count)
                    do { try await client.flush(deadline: soon(60)) } catch { break }
                }
                client.close()
            }
            // The kernel's buffers are full, and so the writer waits: far from everything is sent.
            try await loop.turn { client.queuedOutput > Connection.lowWater }
            #expect(sent < total / 2)
            var received = 0
            var right = true
            while try await pair.server.readMore(deadline: soon(60)) {
                let server = pair.server
                server.input.withUnreadBytes { bytes in
                    var offset = received % piece.count
                    for byte in bytes {
                        if byte != piece[offset] { right = false }
                        offset = offset + 1 == piece.count ? 0 : offset + 1
                    }
                    received += bytes.count
                }
                server.input.consumeAll()
            }
            await writing.value
            // `close` drops what the socket does not take; what was flushed before arrives.
            #expect(received >= total - Connection.lowWater - piece.count)
            #expect(right)
            pair.close()
        }
    }

    @Test("a flush until empty returns when everything is with the kernel")
    func flushEmpty() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let (client, server) = (pair.client, pair.server)
            let total = 8 << 20
            let writing = loop.spawnLocal {
                client.write([UInt8](repeating: 7, count: total))
                do { try await client.flush(until: .empty, deadline: soon()) } catch { Issue.record(error) }
                #expect(client.queuedOutput == 0)
                client.close()
            }
            var received = 0
            while try await server.readMore(deadline: soon()) {
                received += server.input.count
                server.input.consumeAll()
            }
            #expect(received == total)
            await writing.value
            pair.close()
        }
    }

    @Test("a read and a flush end at their deadline, and the connection stays usable")
    func deadlines() async throws {
        try await onLoop { loop in
            var pair = try await Pair(on: loop)
            let start = Clock.instant()
            await #expect(throws: ConnectionError.timedOut) {
                try await pair.server.readMore(deadline: start + .milliseconds(40))
            }
            #expect(Clock.instant() >= start + .milliseconds(40))
            try await pair.server.say("421 4.4.2 too slow\r\n")
            #expect(try await pair.client.takeText(20) == "421 4.4.2 too slow\r\n")
            pair.client.write([UInt8](repeating: 1, count: 32 << 20))
            await #expect(throws: ConnectionError.timedOut) {
                try await pair.client.flush(deadline: Clock.instant() + .milliseconds(40))
            }
            // A later deadline after an earlier one that did not pass.
            pair.close()
            pair = try await Pair(on: loop)
            try await pair.server.say("x")
            #expect(try await pair.client.take(1, deadline: Clock.instant() + .milliseconds(50)) == [120])
            await #expect(throws: ConnectionError.timedOut) {
                try await pair.client.readMore(deadline: Clock.instant() + .milliseconds(150))
            }
            pair.close()
        }
    }

    @Test("cancelling the task closes the connection, and the peer sees the end")
    func cancellation() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let server = pair.server
            let reading = loop.spawnLocal {
                await #expect(throws: ConnectionError.cancelled) { try await server.readMore(deadline: soon()) }
            }
            await Task.yield()
            await Task.detached { reading.cancel() }.value
            await reading.value
            #expect(!server.isOpen)
            #expect(try await pair.client.readMore(deadline: soon()) == false)
            await #expect(throws: ConnectionError.cancelled) { try await server.flush(deadline: soon()) }
            pair.close()
            server.close()
        }
    }

    @Test("the end arrives after the last bytes, even with them in one segment")
    func endOfStream() async throws {
        try await onLoop { loop in
            for _ in 0..<50 {
                let pair = try await Pair(on: loop)
                pair.client.write(Array("QUIT\r\n".utf8))
                pair.client.close()
                #expect(try await pair.server.takeText(6) == "QUIT\r\n")
                #expect(try await pair.server.readMore(deadline: soon()) == false)
                #expect(try await pair.server.readMore(deadline: soon()) == false)
                pair.close()
            }
        }
    }

    @Test("a last reply arrives although input is left unread")
    func finish() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let (client, server) = (pair.client, pair.server)
            try await client.say(String(repeating: "x", count: 100_000))
            #expect(try await server.readMore(deadline: soon()))
            server.write(Array("421 4.3.2 closing\r\n".utf8))
            let finishing = loop.spawnLocal { await server.finish(deadline: soon()) }
            #expect(try await client.takeText(19) == "421 4.3.2 closing\r\n")
            #expect(try await client.readMore(deadline: soon()) == false)
            client.close()
            await finishing.value
            #expect(!server.isOpen)
        }
    }

    @Test("nobody listening is 'refused'")
    func refused() async throws {
        try await onLoop { loop in
            let listener = try Listener(address: loopback, on: loop)
            let address = listener.boundAddress
            listener.close()
            await #expect(throws: ConnectionError.refused) {
                _ = try await Connection.connect(to: address, on: loop, deadline: soon())
            }
            await #expect(throws: ConnectionError.refused) {
                _ = try await Connection.connect(to: .unix("/nonexistent/x"), on: loop, deadline: soon())
            }
        }
    }

    @Test("an address that never answers is 'timed out', or unreachable where there is no network")
    func connectDeadline() async throws {
        try await onLoop { loop in
            // A full backlog on loopback drops the handshake.
            let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            let full = Descriptor(owning: raw)
            #expect(loopback.withRaw { bind(full.raw, $0, $1) } == 0)
            #expect(listen(full.raw, 0) == 0)
            let address = try #require(SocketAddress(of: full.raw, by: { getsockname($0, $1, $2) }))
            var held: [Connection] = []
            var error: ConnectionError?
            for _ in 0..<8 where error == nil {
                do throws(ConnectionError) {
                    let deadline = Clock.instant() + .milliseconds(60)
                    held.append(try await Connection.connect(to: address, on: loop, deadline: deadline))
                } catch let failure {
                    error = failure
                }
            }
            #expect(error == .timedOut)
            for connection in held { connection.close() }
        }
    }

    @Test("a connection that is broken off says so, and queued bytes are not sent into it for ever")
    func reset() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            try await pair.client.say("unread")
            let descriptor = pair.server.raw
            try await loop.turn {
                var unread: CInt = 0
                return ioctl(descriptor, UInt(FIONREAD), &unread) == 0 && unread > 0
            }
            pair.server.close()  // unread input: the kernel resets
            await #expect(throws: ConnectionError.reset(ECONNRESET)) {
                while try await pair.client.readMore(deadline: soon()) {}
            }
            await #expect(throws: ConnectionError.self) {
                for _ in 0..<3 { try await pair.client.say("more") }
            }
            pair.close()
        }
    }

    @Test("an idle connection holds no buffer")
    func idleHoldsNothing() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let server = pair.server
            let echoing = loop.spawnLocal { try? await server.echo() }
            try await pair.client.say("hello")
            #expect(try await pair.client.takeText(5) == "hello")
            try await loop.turn { server.inputRoom == 0 && server.outputRoom == 0 }
            pair.close()
            await echoing.value
        }
    }

    @Test("a fast peer leaves the others their share")
    func fairness() async throws {
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let (client, server) = (pair.client, pair.server)
            var moved = 0
            let reading = loop.spawnLocal {
                while (try? await server.readMore(deadline: soon())) == true {
                    moved += server.input.count
                    server.input.consumeAll()
                }
            }
            let writing = loop.spawnLocal {
                let piece = [UInt8](repeating: 5, count: 1 << 16)
                while client.isOpen {
                    client.write(piece)
                    guard (try? await client.flush(deadline: soon())) != nil else { return }
                }
            }
            // This turns too, beside those two, who always have something to do.
            var turns = 0
            try await loop.turn {
                turns += 1
                return turns > 5 && moved > 1 << 20
            }
            #expect(client.isOpen)
            client.close()
            await writing.value
            await reading.value
        }
    }
}
