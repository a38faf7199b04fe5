import Routing
import Testing

@testable import Relay

@Suite("Configuration of feedback")
struct ConfigurationFeedbackTests {
    private func read(_ upstream: String, _ feedback: String) -> Configuration.Reading {
        Configuration.read(
            Array(
                """
                { node: { name: "a" }, smtp: { hostname: "relay.example.net", listeners: [{ address: "0.0.0.0:2525" }] },
                  upstreams: [{ name: "own", address: ["10.0.1.5:25"], \(upstream) }], \(feedback) }
                """.utf8), directory: "/etc/baton")
    }

    @Test("values arrive, and paths are relative to the file")
    func values() throws {
        let reading = read(
            #"feedback: { type: "plain", secretFile: "plain" }, envelopeSender: "b+{id}@B.example.net""#,
            #"feedback: { listen: "127.0.0.1:7443", domain: "b.example.NET", secretFile: "tags" }"#)
        #expect(reading.errors.map(\.description) == [])
        let configuration = try #require(reading.configuration)
        let upstream = try #require(configuration.upstreams.first)
        #expect(upstream.feedback?.form == .plain)
        #expect(upstream.feedback?.secretFile == "/etc/baton/plain")
        #expect(upstream.envelopeSender == "b+{id}@B.example.net")
        #expect(upstream.isConfirmed)
        #expect(configuration.feedback.domain == "b.example.net")
        #expect(configuration.feedback.secretFile == "/etc/baton/tags")
    }

    @Test("an upstream without either is not confirmed")
    func blind() throws {
        let configuration = try #require(read("", "").configuration)
        #expect(configuration.upstreams.first?.isConfirmed == false)
    }

    @Test(
        "what is missing or contradicts is said with its place and its remedy",
        arguments: [
            (#"feedback: { type: "ses" }"#, "", "feedback.topic"),
            (#"feedback: { type: "plain", secretFile: "x" }"#, "", "feedback.listen"),
            (#"feedback: { type: "sendgrid", secretFile: "x" }"#, "", "publicKeyFile"),
            (#"feedback: { type: "mailgun", secretFile: "x", topic: "y" }"#, "", "no meaning with type"),
            (#"feedback: { type: "mandrill" }"#, "", #""postmark""#),
            (#"feedback: { secretFile: "x" }"#, "", "feedback.type"),
            (#"envelopeSender: "b+{id}@b.example.net""#, "", "feedback.domain is missing"),
            (#"envelopeSender: "b+{id}@c.example.net""#, #"feedback: { domain: "b.example.net" }"#, "c.example.net"),
            (#"envelopeSender: "b+{id}@b.example.net""#, #"feedback: { domain: "b.example.net" }"#, "head -c 32"),
            (#"envelopeSender: "b@b.example.net""#, "", "{id} in its local part"),
            (#"envelopeSender: "a-much-longer-name+{id}@b.example.net""#, "", "at most 16 octets"),
            ("", #"feedback: { domain: "no domain" }"#, "expected a domain"),
            ("", #"feedback: { listen: "127.0.0.1:1", certificateFile: "x" }"#, "privateKeyFile"),
            ("", #"feedback: { listn: "127.0.0.1:1" }"#, "did you mean listen?"),
        ])
    func errors(_ upstream: String, _ feedback: String, _ expected: String) {
        let said = read(upstream, feedback).errors.map(\.description)
        #expect(said.contains { $0.contains(expected) }, "\(said)")
    }

    @Test("a listener for the world without TLS, or for nobody, is warned of")
    func warnings() {
        let open = read(
            #"feedback: { type: "plain", secretFile: "plain" }"#, #"feedback: { listen: "0.0.0.0:7443" }"#)
        #expect(open.warnings.contains { $0.description.contains("unencrypted") })
        let idle = read("", #"feedback: { listen: "127.0.0.1:7443" }"#)
        #expect(idle.warnings.contains { $0.description.contains("no upstream") })
    }
}
