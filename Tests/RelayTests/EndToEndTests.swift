import Node
import Primitives
import SMTP
import Testing

@testable import EventLoop
@testable import Relay

@Suite("Mail through a node, over real sockets")
struct EndToEndTests {
    @Test("an accepted message arrives byte for byte, behind its Received field")
    func happyPath() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink()
        let runner = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        let address = try await runner.untilReady()
        let body = Array("Date: now\r\nMessage-ID: <1@x>\r\nSubject: hello\r\n\r\n..dots\r\n8-bit \u{e9}\r\n".utf8)
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            let reply = try await client.send(body)
            #expect(reply.hasPrefix("250 2.0.0 Ok: queued as "))
            #expect(messageID(in: reply) != nil)
        }
        try await sink.until(1)
        let message = sink.messages[0]
        #expect(message.sender == "a@example.com")
        #expect(message.recipients == ["b@example.net"])
        #expect(message.text.hasPrefix("Received: from client.test ([127.0.0.1])"))
        #expect(message.content.suffix(body.count - 1) == DotStuffing.unstuffed(body)[...])
        await runner.stop()
        sink.stop()
    }
}
