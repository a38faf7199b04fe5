import Primitives
import Testing

@testable import EventLoop

struct PresharedTLSTests {
    private static let first = Array("a secret that is long enough".utf8)
    private static let second = Array("another that is long enough".utf8)

    private static func context(_ secrets: [UInt8]..., context: String = "test") throws -> PresharedTLSContext {
        try PresharedTLSContext(secrets.map { try PresharedKey(secret: $0, context: context) })
    }

    /// How the two ends fared: nil is success.
    private func shake(
        client: PresharedTLSContext, server: PresharedTLSContext, on loop: Loop,
        then use: (Pair) async throws -> Void = { _ in }
    ) async throws -> (client: PresharedTLSError?, server: PresharedTLSError?) {
        let pair = try await Pair(on: loop)
        let serverEnd = pair.server
        var failure: PresharedTLSError?
        let serving = loop.spawnLocal {
            do throws(PresharedTLSError) {
                try await serverEnd.startTLS(preshared: server, as: .server, deadline: soon())
            } catch { failure = error }
        }
        do throws(PresharedTLSError) {
            try await pair.client.startTLS(preshared: client, as: .client, deadline: soon())
        } catch {
            await serving.value
            return (error, failure)
        }
        await serving.value
        try await use(pair)
        pair.close()
        return (nil, failure)
    }

    @Test("both ends with the same secret speak TLS 1.3")
    func same() async throws {
        try await onLoop { loop in
            let context = try Self.context(Self.first)
            let result = try await shake(client: context, server: context, on: loop) { pair in
                #expect(pair.client.tls?.protocolVersion == "TLSv1.3")
                #expect(pair.client.tls?.cipher == "TLS_AES_128_GCM_SHA256")
                try await pair.client.say("hello")
                #expect(try await pair.server.takeText(5) == "hello")
                try await pair.server.say("hello too")
                #expect(try await pair.client.takeText(9) == "hello too")
            }
            #expect(result.client == nil && result.server == nil)
        }
    }

    @Test("the first secret is offered, any is taken")
    func rotation() async throws {
        try await onLoop { loop in
            let old = try Self.context(Self.first)
            let both = try Self.context(Self.first, Self.second)
            let swapped = try Self.context(Self.second, Self.first)
            let new = try Self.context(Self.second)
            for (client, server) in [(old, both), (both, old), (swapped, both), (both, swapped), (new, swapped)] {
                let result = try await shake(client: client, server: server, on: loop)
                #expect(result.client == nil && result.server == nil)
            }
            for (client, server) in [(old, new), (new, old), (swapped, old)] {
                let result = try await shake(client: client, server: server, on: loop)
                #expect(result.client == .noSharedKey && result.server == .noSharedKey)
            }
        }
    }

    @Test("the same secret for another purpose is told from another secret")
    func purpose() async throws {
        try await onLoop { loop in
            let result = try await shake(
                client: Self.context(Self.first), server: Self.context(Self.first, context: "other"), on: loop)
            #expect(result.client == .otherContext && result.server == .otherContext)
        }
        let here = try PresharedKey(secret: Self.first, context: "here")
        let there = try PresharedKey(secret: Self.first, context: "there")
        #expect(here.name == there.name && here.key != there.key)
        #expect(here.name.utf8.count == 16 && !here.key.starts(with: here.name.utf8))
    }

    @Test("a client without a key, a server with a certificate instead of one, and plain text are refused")
    func others() async throws {
        let certificates = try Certificates()
        defer { certificates.remove() }
        try await onLoop { loop in
            let context = try Self.context(Self.first)
            // A usual client.
            var pair = try await Pair(on: loop)
            let server = pair.server
            var failure: PresharedTLSError?
            let serving = loop.spawnLocal {
                do throws(PresharedTLSError) {
                    try await server.startTLS(preshared: context, as: .server, deadline: soon())
                } catch { failure = error }
            }
            await #expect(throws: ConnectionError.self) {
                try await pair.client.startTLS(
                    client: TLSClientContext(), serverName: nil, verify: .none, deadline: soon())
            }
            await serving.value
            #expect(failure == .noSharedKey)
            // A usual server.
            pair = try await Pair(on: loop)
            let usual = pair.server
            let usualContext = try certificates.server()
            let answering = loop.spawnLocal { try? await usual.startTLS(server: usualContext, deadline: soon()) }
            await #expect(throws: PresharedTLSError.noSharedKey) {
                try await pair.client.startTLS(preshared: context, as: .client, deadline: soon())
            }
            await answering.value
            // No TLS at all.
            pair = try await Pair(on: loop)
            try await pair.client.say("EHLO client.example\r\n")
            let error = await #expect(throws: PresharedTLSError.self) {
                try await pair.server.startTLS(preshared: context, as: .server, deadline: soon())
            }
            guard case .otherProtocol? = error else { throw TLSConfigurationError(description: "\(error as Any)") }
            pair.client.close()
        }
    }
}
