import Foundation
import Node
import Primitives
import Routing
import SMTP
import Synchronization
import Testing

@testable import EventLoop
@testable import Relay

@Suite("Deliveries")
struct DeliveryTests {
    private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

    private func send(_ count: Int = 1, to address: SocketAddress, recipients: [String] = ["b@example.net"])
        async throws
    {
        let body = body
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            for _ in 0..<count {
                let reply = try await client.send(to: recipients, body)
                #expect(reply.hasPrefix("250 "))
            }
        }
    }

    @Test("a message that was deferred is tried again")
    func deferred() async throws {
        let directory = try TemporaryDirectory()
        let tries = Mutex(0)
        let sink = try await TestSink { line in
            guard line == "." else { return nil }
            return tries.withLock { tries in
                tries += 1
                return tries < 3 ? .reply("451 4.7.1 greylisted") : nil
            }
        }
        let runner = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        try await send(to: try await runner.untilReady())
        try await sink.until(1)
        #expect(tries.withLock { $0 } == 3)
        try await until("the queue is empty") { await runner.handle.status().queue.messages == 0 }
        await runner.stop()
        sink.stop()
    }

    @Test("each recipient has its own outcome, and a refusal bounces")
    func recipients() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink { line in line.contains("bad@") ? .reply("550 5.1.1 no such user") : nil }
        let runner = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        try await send(to: try await runner.untilReady(), recipients: ["good@example.net", "bad@example.net"])
        try await sink.until(2)
        #expect(sink.messages.contains { $0.recipients == ["good@example.net"] && $0.sender == "a@example.com" })
        let bounce = try #require(sink.messages.first { $0.sender.isEmpty })
        #expect(bounce.recipients == ["a@example.com"])
        #expect(bounce.text.contains("no such user"))
        await runner.stop()
        sink.stop()
    }

    @Test("an upstream that can't be reached is passed over")
    func failover() async throws {
        let directory = try TemporaryDirectory()
        let closed = try await TestSink()
        closed.stop()
        let refusing = try await TestSink { $0.isEmpty ? .reply("554 no service") : nil }
        let sink = try await TestSink(pipelining: false)
        var configuration = Configuration.test(directory, upstreams: [closed.address, refusing.address, sink.address])
        // Nobody listens on this one.
        configuration.upstreams[0].addresses = ["127.0.0.1:1"]
        let runner = try NodeRunner(configuration, options: .test)
        try await send(20, to: try await runner.untilReady())
        try await sink.until(20)
        await runner.stop()
        refusing.stop()
        sink.stop()
    }

    @Test("a name that does not resolve is a failure of the upstream, not of the message")
    func unresolvable() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink()
        var configuration = Configuration.test(directory, upstreams: [sink.address, sink.address])
        configuration.upstreams[0].addresses = ["no-such-host.invalid:25"]
        let runner = try NodeRunner(configuration, options: .test)
        try await send(5, to: try await runner.untilReady())
        try await sink.until(5)
        await runner.stop()
        sink.stop()
    }

    @Test("a connection that ends between messages costs no message an attempt")
    func stale() async throws {
        let directory = try TemporaryDirectory()
        let mails = Mutex(0)
        let sink = try await TestSink { line in
            guard line.hasPrefix("MAIL") else { return nil }
            return mails.withLock { mails in
                mails += 1
                return mails == 2 ? .hangUp : nil
            }
        }
        let runner = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        let address = try await runner.untilReady()
        try await send(to: address)
        try await sink.until(1)
        try await send(to: address)
        try await sink.until(2)
        await runner.stop()
        sink.stop()
    }

    @Test("what ended after the final dot and before its answer is uncertain at the next start, and sent again")
    func uncertain() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink { $0 == "." ? .wait : nil }
        let first = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        try await send(to: try await first.untilReady())
        try await until("the dot was sent") { sink.commands.contains("DATA") }
        try await until("it is under way") { await first.handle.status().queue.sending == 1 }
        first.kill()
        sink.release()
        let next = try await TestSink()
        let second = try NodeRunner(.test(directory, upstreams: [next.address]), options: .test)
        try await next.until(1)
        let id = try #require(
            next.messages[0].text.firstRange(of: "id ").flatMap { range in
                ULID(text: next.messages[0].text[range.upperBound...].prefix(26)).map(MessageID.init)
            })
        let trace = try #require(await second.handle.trace(id))
        #expect(trace.isUncertain)
        #expect(trace.takeovers == 1)
        #expect(trace.events.contains { $0.what.contains("may have been delivered") && $0.mark == .uncertain })
        await second.stop()
        sink.stop()
        next.stop()
    }

    @Test("opportunistic TLS is used where it is offered, and does without where its handshake fails")
    func opportunistic() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink { line in
            switch line {
            case _ where line.hasPrefix("EHLO"): .reply("250-sink.test\r\n250 STARTTLS")
            // Goes on in the clear, which is no handshake.
            case "STARTTLS": .reply("220 go\r\n500 what?")
            default: nil
            }
        }
        var configuration = Configuration.test(directory, upstreams: [sink.address])
        configuration.upstreams[0].tls = .opportunistic
        configuration.upstreams[0].timeouts.command = .seconds(2)
        let runner = try NodeRunner(configuration, options: .test)
        try await send(to: try await runner.untilReady())
        try await sink.until(1)
        #expect(sink.commands.contains("STARTTLS"))
        await runner.stop()
        sink.stop()
    }
}
