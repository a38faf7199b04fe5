import Foundation
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

@Suite("TLS on both sides")
struct RelayTLSTests {
    /// A self-made certificate for `mail.test` and 127.0.0.1.
    private func certificate(_ directory: TemporaryDirectory) throws -> (certificate: String, key: String) {
        let (certificate, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=mail.test", "-addext", "subjectAltName=DNS:mail.test,IP:127.0.0.1", "-keyout", key, "-out",
            certificate,
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return (certificate, key)
    }

    @Test("a client's STARTTLS, and from one relay to the next with a verified certificate")
    func chain() async throws {
        let directory = try TemporaryDirectory()
        let files = try certificate(directory)
        let sink = try await TestSink()
        var last = Configuration.test(directory, upstreams: [sink.address])
        last.node.dataDirectory = directory.path + "/last"
        last.smtp.certificateFile = files.certificate
        last.smtp.privateKeyFile = files.key
        last.smtp.listeners[0].tls = .required
        let second = try NodeRunner(last, options: .test)
        var configuration = Configuration.test(directory, upstreams: [try await second.untilReady()])
        configuration.upstreams[0].tls = .verify
        configuration.upstreams[0].caFile = files.certificate
        configuration.smtp.certificateFile = files.certificate
        configuration.smtp.privateKeyFile = files.key
        configuration.smtp.listeners[0].tls = .optional
        let first = try NodeRunner(configuration, options: .test)
        let address = try await first.untilReady()
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            _ = try await client.reply()
            #expect(try await client.ask("EHLO client.test").contains("STARTTLS"))
            // What is sent before the handshake is thrown away (CVE-2011-0411).
            #expect(try await client.ask("STARTTLS").hasPrefix("220 "))
            try await client.connection.startTLS(
                client: try TLSClientContext(authorityFile: files.certificate), serverName: "mail.test", verify: .full,
                deadline: soon())
            #expect(try await client.ask("EHLO client.test").contains("STARTTLS") == false)
            #expect(try await client.send(Array("\r\nsecret\r\n".utf8)).hasPrefix("250 "))
        }
        try await sink.until(1)
        let trace = sink.messages[0].text
        #expect(trace.components(separatedBy: "with ESMTPS").count == 3)
        await first.stop()
        await second.stop()
        sink.stop()
    }

    @Test("an upstream whose certificate is not trusted gets no mail under verify")
    func untrusted() async throws {
        let directory = try TemporaryDirectory()
        let files = try certificate(directory)
        let sink = try await TestSink()
        var last = Configuration.test(directory, upstreams: [sink.address])
        last.node.dataDirectory = directory.path + "/last"
        last.smtp.certificateFile = files.certificate
        last.smtp.privateKeyFile = files.key
        last.smtp.listeners[0].tls = .optional
        let second = try NodeRunner(last, options: .test)
        var configuration = Configuration.test(directory, upstreams: [try await second.untilReady()])
        configuration.upstreams[0].tls = .verify
        let first = try NodeRunner(configuration, options: .test)
        let address = try await first.untilReady()
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            #expect(try await client.send(Array("\r\nsecret\r\n".utf8)).hasPrefix("250 "))
        }
        try await until("the upstream is down") {
            await first.handle.status().upstreams.first?.failure?.contains("certificate") == true
        }
        #expect(sink.count == 0)
        #expect(await first.handle.status().queue.messages == 1)
        await first.stop()
        await second.stop()
        sink.stop()
    }
}
