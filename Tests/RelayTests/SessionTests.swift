import Node
import Primitives
import SMTP
import Testing

@testable import EventLoop
@testable import Relay

@Suite("SMTP sessions over real sockets")
struct SessionTests {
    @Test("a whole pipelined dialogue in one write is answered in order (RFC 2920)")
    func pipelined() async throws {
        try await withNode { loop, address, _, sink in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            let message = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n"
            let content = "\r\nhello\r\n.\r\n"
            try await client.say(message + content + message + content + "QUIT")
            var codes: [String] = []
            for _ in 0..<9 { codes.append(String(try await client.reply().prefix(3))) }
            #expect(codes == ["250", "250", "354", "250", "250", "250", "354", "250", "221"])
            try await sink.until(2)
        }
    }

    @Test("only those of relayFrom may relay; the others get 550 5.7.1")
    func relayFrom() async throws {
        try await withNode({ $0.smtp.relayFrom = [] }) { loop, address, runner, _ in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            let reply = try await client.send([])
            #expect(reply.hasPrefix("550 5.7.1 "))
            let refusals = await runner.handle.refusals()
            #expect(refusals.contains { $0.key.code == 550 && $0.key.reason == "5.7.1" })
        }
    }

    @Test("one connection too many from an address gets 421")
    func perAddress() async throws {
        try await withNode({ $0.smtp.maximumConnectionsPerAddress = 2 }) { loop, address, _, _ in
            let first = try await TestClient(address, on: loop)
            let second = try await TestClient(address, on: loop)
            try await first.begin()
            try await second.begin()
            let third = try await TestClient(address, on: loop)
            #expect(try await third.reply().hasPrefix("421 4.7.0 "))
            second.connection.close()
            try await until("the place is free") {
                guard let again = try? await TestClient(address, on: loop) else { return false }
                return (try? await again.reply().hasPrefix("220 ")) == true
            }
        }
    }

    @Test("a client that leaves in the middle of a long message leaves nothing behind")
    func leaves() async throws {
        try await withNode { loop, address, runner, sink in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            for command in ["MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>", "DATA"] {
                _ = try await client.ask(command)
            }
            let line = Array("0123456789012345678901234567890123456789\r\n".utf8)
            for _ in 0..<20_000 { client.connection.write(line) }
            try await client.connection.flush(until: .empty, deadline: soon())
            client.connection.close()
            try await until("its session ended") { await runner.handle.smtpConnections() == 0 }
            let next = try await TestClient(address, on: loop)
            try await next.begin()
            #expect(try await next.send(line).hasPrefix("250 "))
            try await sink.until(1)
            #expect(await runner.handle.status().queue.messages <= 1)
        }
    }

    @Test("a draining node says 421 to a session that is idle, and lets a transaction end first")
    func draining() async throws {
        try await withNode { loop, address, runner, sink in
            let idle = try await TestClient(address, on: loop)
            try await idle.begin()
            let busy = try await TestClient(address, on: loop)
            try await busy.begin()
            for command in ["MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>"] { _ = try await busy.ask(command) }
            let stopped = Task { await runner.stop() }
            #expect(try await idle.reply().hasPrefix("421 4.3.2 "))
            #expect(try await busy.ask("DATA").hasPrefix("354 "))
            #expect(try await busy.ask("\r\nx\r\n.").hasPrefix("250 "))
            #expect(try await busy.reply().hasPrefix("421 4.3.2 "))
            await stopped.value
        }
    }

    @Test("postmaster without a domain is whom the configuration names (RFC 5321 §4.5.1)")
    func postmaster() async throws {
        try await withNode { loop, address, _, sink in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            #expect(try await client.send(to: ["postmaster"], Array("\r\nhelp\r\n".utf8)).hasPrefix("250 "))
            try await sink.until(1)
            #expect(sink.messages[0].recipients == ["ops@example.net"])
        }
    }

    @Test("fifty sessions at once: every message arrives once, unaltered")
    func concurrency() async throws {
        try await withNode { loop, address, runner, sink in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for session in 0..<50 {
                    group.addTask {
                        try await onLoop { loop in
                            let client = try await TestClient(address, on: loop)
                            try await client.begin()
                            for number in 0..<20 {
                                let text =
                                    "Subject: \(session).\(number)\r\n\r\n" + String(repeating: "x", count: number * 40)
                                    + "\r\n"
                                #expect(try await client.send(Array(text.utf8)).hasPrefix("250 "))
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await sink.until(1000)
            let subjects = Set(sink.messages.map { $0.text.split(separator: "\r\n").first { $0.hasPrefix("Subject") } })
            #expect(subjects.count == 1000)
            #expect(sink.count == 1000)
            try await until("the queue is empty") { await runner.handle.status().queue.messages == 0 }
        }
    }

    @Test("a message of 50 MiB passes byte for byte")
    func large() async throws {
        try await withNode({ $0.smtp.maximumMessageSize = .mebibytes(60) }) { loop, address, _, sink in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            var content = Array("Date: x\r\nMessage-ID: <1@x>\r\n\r\n".utf8)
            // Blocks of a length that falls together with no buffer's, each with a number of its own.
            var block = Array(
                repeatElement(Array("0123456789abcdef0123456789abcdef0123456\r\n".utf8), count: 1237).joined())
            while content.count < 50 << 20 {
                block.replaceSubrange(0..<8, with: String(0x1000_0000 + content.count, radix: 16).utf8)
                content += block
            }
            let reply = try await client.send(content)
            #expect(reply.hasPrefix("250 "), "\(reply)")
            try await sink.until(1)
            #expect(sink.messages[0].content.suffix(content.count) == content[...])
            #expect(sink.messages[0].content.count - content.count < 400)
        }
    }
}
