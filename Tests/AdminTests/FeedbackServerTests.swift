import Feedback
import Foundation
import Relay
import Synchronization
import Testing

@testable import Admin

/// The listener for events over real HTTP, asked by curl; SNS's certificate and confirmation come from a closure.
@Suite("Feedback over HTTP")
struct FeedbackServerTests {
    /// What was asked for, and what is answered.
    private final class World: Sendable {
        let asked = Mutex<[String]>([])
        let certificate: [UInt8]

        init(_ certificate: [UInt8]) { self.certificate = certificate }

        var fetch: WebFetch {
            WebFetch { [self] url throws(WebFetch.Failure) in
                asked.withLock { $0.append(url) }
                if url.contains("unreachable") { throw WebFetch.Failure(text: "no route") }
                return url.hasSuffix(".pem") ? certificate : []
            }
        }
    }

    private struct Running {
        var url: String
        var world: World
        var runner: NodeRunner
        var directory: String

        func expect(
            _ expected: Int, _ upstream: String, _ body: String, _ headers: [String] = [],
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let (code, said) = try await post(upstream, body, headers)
            #expect(code == expected, "\(said)", sourceLocation: sourceLocation)
        }

        func post(_ upstream: String, _ body: String, _ headers: [String] = []) async throws -> (Int, String) {
            let file = "\(directory)/body"
            try Data(body.utf8).write(to: URL(fileURLWithPath: file))
            let words = headers.flatMap { ["-H", $0] }
            return try await FeedbackServerTests.curl(
                ["-X", "POST", "--data-binary", "@\(file)"] + words + ["\(url)/feedback/\(upstream)"])
        }
    }

    /// The status and the body.
    fileprivate static func curl(_ arguments: [String]) async throws -> (Int, String) {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let process = Process()
                        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
                        process.arguments =
                            ["-s", "-k", "--max-time", "20", "-H", "Expect:", "-w", "\n%{http_code}"] + arguments
                        let pipe = Pipe()
                        process.standardOutput = pipe
                        try process.run()
                        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
                        process.waitUntilExit()
                        let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
                        let body = lines.dropLast().filter { !$0.isEmpty }
                        return (Int(lines.last ?? "") ?? 0, body.joined(separator: "\n"))
                    })
            }
        }
    }

    private func withServer(tls: Bool = false, _ body: (Running) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/baton-feedback-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory)/\(name)"))
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(directory)/\(name)")
        }
        try write("secret", "user:pass word\n")
        try write("mailgun", "mailgun-signing-key\n")
        try write("ec.pub", FeedbackSamples.sendGridKey)
        try write("tls.pem", FeedbackSamples.certificate)
        try write("tls.key", FeedbackSamples.certificateKey)
        let https = tls ? #", certificateFile: "tls.pem", privateKeyFile: "tls.key""# : ""
        let text = """
            { node: { name: "a", dataDirectory: "data", minimumFree: "1MiB" }, cluster: { name: "live" },
              smtp: { hostname: "relay.test", listeners: [{ address: "127.0.0.1:0" }], relayFrom: ["127.0.0.1"] },
              upstreams: [
                { name: "ses", address: ["127.0.0.1:1"], tls: "off",
                  feedback: { type: "ses", topic: "arn:aws:sns:eu-west-1:123456789012:ses-events" } },
                { name: "sendgrid", address: ["127.0.0.1:1"], tls: "off",
                  feedback: { type: "sendgrid", publicKeyFile: "ec.pub" } },
                { name: "mailgun", address: ["127.0.0.1:1"], tls: "off", feedback: { type: "mailgun", secretFile: "mailgun" } },
                { name: "postmark", address: ["127.0.0.1:1"], tls: "off", feedback: { type: "postmark", secretFile: "secret" } },
                { name: "plain", address: ["127.0.0.1:1"], tls: "off", feedback: { type: "plain", secretFile: "secret" } },
                { name: "silent", address: ["127.0.0.1:1"], tls: "off" },
              ],
              feedback: { listen: "127.0.0.1:0"\(https) } }
            """
        let reading = Configuration.read(Array(text.utf8), directory: directory)
        let configuration = try #require(reading.configuration, "\(reading.errors)")
        var options = NodeRunner.Options()
        let quiet = open("/dev/null", O_WRONLY)
        defer { close(quiet) }
        options.logDescriptor = quiet
        let runner = try NodeRunner(configuration, options: options)
        let world = World(Array(FeedbackSamples.certificate.utf8))
        do {
            let server = try FeedbackServer(
                configuration, runner.handle, source: RelaySource(runner.handle), fetch: world.fetch)
            try await body(
                Running(
                    url: "\(tls ? "https" : "http")://127.0.0.1:\(server.port)", world: world, runner: runner,
                    directory: directory))
            await server.stop()
        } catch {
            runner.kill()
            throw error
        }
        await runner.stop(within: .seconds(1))
    }

    @Test(
        "SES: the certificate is asked for once, and a subscription is confirmed where Amazon is",
        .timeLimit(.minutes(2)))
    func ses() async throws {
        try await withServer { server in
            let (first, answer) = try await server.post("ses", FeedbackSamples.sesBounce)
            // Nobody sent it: it is matched to nothing, and never asked for again.
            #expect((first, answer) == (200, #"{"ignored":0,"known":0,"new":0,"unmatched":1}"#))
            try await server.expect(200, "ses", FeedbackSamples.sesComplaint)
            let asked = server.world.asked.withLock { $0 }
            #expect(asked == ["https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-test.pem"])
            try await server.expect(200, "ses", FeedbackSamples.subscription)
            let confirmed = server.world.asked.withLock { $0.last }
            #expect(confirmed?.contains("ConfirmSubscription") == true)
        }
    }

    @Test(
        "SES: what is not signed, of another topic or with a certificate elsewhere is refused", .timeLimit(.minutes(2)))
    func forgedSES() async throws {
        try await withServer { server in
            let good = FeedbackSamples.sesBounce
            let changes = [
                ("User unknown", "User known"), ("ses-events", "other-events"),
                ("sns.eu-west-1.amazonaws.com/Simple", "sns.evil.example/Simple"),
            ]
            for (before, after) in changes {
                let changed = good.replacingOccurrences(of: before, with: after)
                #expect(changed != good)
                try await server.expect(403, "ses", changed)
            }
            try await server.expect(403, "ses", "rubbish")
            let asked = server.world.asked.withLock { $0 }
            #expect(asked.allSatisfy { $0.hasPrefix("https://sns.eu-west-1.amazonaws.com/") })
            let lost = good.replacingOccurrences(of: "SimpleNotificationService-test", with: "unreachable")
            try await server.expect(503, "ses", lost)
        }
    }

    @Test("the other forms, each with its proof and without, over TLS", .timeLimit(.minutes(2)))
    func forms() async throws {
        try await withServer(tls: true) { server in
            let signed = [
                "X-Twilio-Email-Event-Webhook-Signature: \(FeedbackSamples.sendGridSignature)",
                "X-Twilio-Email-Event-Webhook-Timestamp: \(FeedbackSamples.sendGridTimestamp)",
            ]
            let (code, said) = try await server.post("sendgrid", FeedbackSamples.sendGrid, signed)
            #expect((code, said) == (200, #"{"ignored":2,"known":0,"new":0,"unmatched":5}"#))
            try await server.expect(403, "sendgrid", FeedbackSamples.sendGrid)
            let basic = ["Authorization: Basic dXNlcjpwYXNzIHdvcmQ="]
            try await server.expect(200, "postmark", FeedbackSamples.postmark, basic)
            try await server.expect(403, "postmark", FeedbackSamples.postmark)
            // The sample's time is long ago: a signature of then is somebody's record of it.
            try await server.expect(403, "mailgun", FeedbackSamples.mailgun)
            let event = #"[{"event": "bounced", "remoteId": "x", "recipient": "a@b.example"}]"#
            try await server.expect(200, "plain", event, ["Authorization: Bearer user:pass word"])
            try await server.expect(403, "plain", event)
            try await server.expect(400, "plain", "[7]", basic)
        }
    }

    @Test("nothing else is there, bodies are bounded, and whoever is refused too often waits", .timeLimit(.minutes(2)))
    func bounds() async throws {
        try await withServer { server in
            let secret = ["Authorization: Bearer user:pass word"]
            let (code, _) = try await FeedbackServerTests.curl(["\(server.url)/feedback/plain"])
            #expect(code == 405)
            for path in ["", "/metrics", "/healthz", "/api/v1/status", "/feedback"] {
                let (code, said) = try await FeedbackServerTests.curl(["\(server.url)\(path)"])
                #expect((code, said) == (404, ""))
            }
            let large = "[\"" + String(repeating: "x", count: 1 << 20) + "\"]"
            try await server.expect(413, "plain", large, secret)
            for _ in 0..<RefusedClients.limit { try await server.expect(404, "silent", "[]", secret) }
            try await server.expect(429, "plain", "[]", secret)
        }
    }
}
