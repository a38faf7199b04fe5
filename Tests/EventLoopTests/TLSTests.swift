import Foundation
import Primitives
import Testing

@testable import EventLoop

struct TLSTests {
    /// Both ends go over to TLS; returns what each of them says of it.
    private func shake(
        _ pair: Pair, _ certificates: Certificates, on loop: Loop, name: String? = "mail.example",
        verify: TLSVerification = .full, authority: String? = nil
    ) async throws {
        let context = try certificates.server()
        let server = pair.server
        let serving = loop.spawnLocal { try? await server.startTLS(server: context, deadline: soon()) }
        let client = try TLSClientContext(authorityFile: authority ?? certificates.authority)
        do {
            try await pair.client.startTLS(client: client, serverName: name, verify: verify, deadline: soon())
        } catch {
            await serving.value
            throw error
        }
        await serving.value
    }

    @Test("what is sent comes back, under TLS 1.3 and with a verified certificate")
    func echo() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            try await shake(pair, certificates, on: loop)
            let (client, server) = (pair.client, pair.server)
            #expect(client.tls?.protocolVersion == "TLSv1.3")
            #expect(client.tls?.verified == true)
            #expect(server.tls?.serverName == "mail.example")
            #expect(server.tls?.cipher == client.tls?.cipher)
            let echoing = loop.spawnLocal { try? await server.echo() }
            for round in 0..<200 {
                try await client.say("round \(round)\r\n")
                #expect(try await client.takeText("round \(round)\r\n".utf8.count) == "round \(round)\r\n")
            }
            #expect(server.inputRoom == 0)
            client.shutdownWrite()
            #expect(try await client.readMore(deadline: soon()) == false)
            await echoing.value
            pair.close()
        }
    }

    @Test("a large stream goes through in both directions at once")
    func large() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            try await shake(pair, certificates, on: loop)
            let (client, server) = (pair.client, pair.server)
            let piece = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 17) }
            let rounds = 80
            let echoing = loop.spawnLocal { try? await server.echo() }
            let writing = loop.spawnLocal {
                do {
                    for _ in 0..<rounds {
                        client.write(piece)
                        try await client.flush(deadline: soon(60))
                    }
                    try await client.flush(until: .empty, deadline: soon(60))
                } catch { Issue.record(error) }
            }
            for _ in 0..<rounds { #expect(try await client.take(piece.count, deadline: soon(60)) == piece) }
            await writing.value
            client.close()
            await echoing.value
        }
    }

    @Test("a certificate is verified by address too")
    func byAddress() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            try await shake(pair, certificates, on: loop, name: "127.0.0.1")
            #expect(pair.client.tls?.verified == true)
            #expect(pair.server.tls?.serverName == nil)
            pair.close()
        }
    }

    @Test("a certificate for another name, or of an unknown authority, is refused when asked for and taken when not")
    func untrusted() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        let others = try Certificates()
        defer { others.remove() }
        try await onLoop { loop in
            var pair = try await Pair(on: loop)
            await #expect(throws: ConnectionError.tls("the server's certificate is not trusted (hostname mismatch)")) {
                try await shake(pair, certificates, on: loop, name: "other.example")
            }
            #expect(!pair.client.isOpen)
            #expect(!pair.server.isOpen)
            pair = try await Pair(on: loop)
            await #expect(throws: ConnectionError.self) {
                try await shake(pair, certificates, on: loop, authority: others.authority)
            }
            pair = try await Pair(on: loop)
            try await shake(
                pair, certificates, on: loop, name: "other.example", verify: .none, authority: others.authority)
            #expect(pair.client.tls?.verified == false)
            pair.close()
        }
    }

    @Test("input in the clear before the handshake is dropped, on both sides (RFC 3207 §6, CVE-2011-0411)")
    func injection() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let (client, server) = (pair.client, pair.server)
            try await client.say("STARTTLS\r\nMAIL FROM:<mallory@example.com>\r\n")
            #expect(try await server.takeText(10) == "STARTTLS\r\n")
            #expect(server.unread > 0)
            server.write(Array("220 2.0.0 ready\r\n250 2.1.0 injected\r\n".utf8))
            try await server.flush(deadline: soon())
            #expect(try await client.takeText(17) == "220 2.0.0 ready\r\n")
            #expect(client.unread > 0)
            try await shake(pair, certificates, on: loop)
            #expect(client.unread == 0)
            #expect(server.unread == 0)
            try await client.say("EHLO a\r\n")
            #expect(try await server.takeText(8) == "EHLO a\r\n")
            try await server.say("250 ok\r\n")
            #expect(try await client.takeText(8) == "250 ok\r\n")
            pair.close()
        }
    }

    @Test("plaintext instead of a handshake ends the connection with a reason")
    func garbage() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            let context = try certificates.server()
            try await pair.client.say("EHLO no handshake\r\n")
            do throws(ConnectionError) {
                try await pair.server.startTLS(server: context, deadline: soon())
                Issue.record("a handshake out of nothing")
            } catch {
                #expect(error.description.hasPrefix("TLS failed: "))
                #expect(!error.description.contains("no reason"))
            }
            #expect(!pair.server.isOpen)
            pair.close()
        }
    }

    @Test("a handshake ends at its deadline, by cancellation, and when the peer leaves")
    func interrupted() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let context = try certificates.server()
            var pair = try await Pair(on: loop)
            await #expect(throws: ConnectionError.timedOut) {
                try await pair.server.startTLS(server: context, deadline: Clock.instant() + .milliseconds(30))
            }
            #expect(!pair.server.isOpen)
            pair = try await Pair(on: loop)
            pair.client.close()
            await #expect(throws: ConnectionError.self) {
                try await pair.server.startTLS(server: context, deadline: soon())
            }
            pair = try await Pair(on: loop)
            let server = pair.server
            let waiting = loop.spawnLocal {
                await #expect(throws: ConnectionError.cancelled) {
                    try await server.startTLS(server: context, deadline: soon())
                }
            }
            await Task.yield()
            waiting.cancel()
            await waiting.value
            pair.close()
        }
    }

    @Test("a read under TLS ends at its deadline, and the connection stays usable")
    func deadline() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let pair = try await Pair(on: loop)
            try await shake(pair, certificates, on: loop)
            await #expect(throws: ConnectionError.timedOut) {
                try await pair.server.readMore(deadline: Clock.instant() + .milliseconds(30))
            }
            try await pair.server.say("421 bye\r\n")
            pair.server.close()
            #expect(try await pair.client.takeText(9) == "421 bye\r\n")
            #expect(try await pair.client.readMore(deadline: soon()) == false)
            pair.close()
        }
    }

    @Test("files that are no certificate or no key are named")
    func badFiles() throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        let others = try Certificates()
        defer { others.remove() }
        let missing = #expect(throws: TLSConfigurationError.self) {
            _ = try TLSServerContext(certificateFile: "/nonexistent/cert.pem", keyFile: certificates.key)
        }
        #expect(missing?.description == "/nonexistent/cert.pem: no usable certificate (No such file or directory)")
        let wrong = #expect(throws: TLSConfigurationError.self) {
            _ = try TLSServerContext(certificateFile: certificates.certificate, keyFile: others.key)
        }
        #expect(wrong?.description.contains(others.key) == true)
        #expect(throws: TLSConfigurationError.self) { _ = try TLSClientContext(authorityFile: certificates.key) }
    }
}
