import Node
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

@Suite("How sessions end")
struct SessionEndTests {
    @Test("a session that brought its share of messages ends after the last one, unasked")
    func messages() async throws {
        try await withNode({ $0.smtp.maximumMessagesPerSession = 2 }) { loop, address, _, _ in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            #expect(try await client.send(body).hasPrefix("250 "))
            #expect(try await client.send(body).hasPrefix("250 "))
            #expect(try await client.reply().hasPrefix("421 4.5.3 "))
            await #expect(throws: ConnectionError.self) { try await client.line() }
        }
    }

    @Test("an old session ends between transactions: at once when it is idle, else after its message")
    func age() async throws {
        try await withNode({ $0.smtp.maximumSessionAge = .milliseconds(300) }) { loop, address, _, _ in
            let busy = try await TestClient(address, on: loop)
            try await busy.begin()
            for command in ["MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>", "DATA"] {
                _ = try await busy.ask(command)
            }
            let idle = try await TestClient(address, on: loop)
            try await idle.begin()
            #expect(try await idle.reply().hasPrefix("421 4.3.2 "))
            // The first one is older still; a MAIL that is on its way behind the dot is told so, too.
            try await busy.say("\r\nx\r\n.\r\nMAIL FROM:<a@x.example>")
            #expect(try await busy.reply().hasPrefix("250 "))
            #expect(try await busy.reply().hasPrefix("421 4.3.2 "))
            await #expect(throws: ConnectionError.self) { try await busy.line() }
        }
    }

    @Test("a server that drains takes the message whose MAIL was answered, says 421 behind it, and can be opened again")
    func drainAndResume() async throws {
        try await withNode { loop, address, runner, sink in
            let server = runner.handle.server
            let idle = try await TestClient(address, on: loop)
            try await idle.begin()
            let busy = try await TestClient(address, on: loop)
            try await busy.begin()
            for command in ["MAIL FROM:<a@x.example>", "RCPT TO:<b@y.example>"] { _ = try await busy.ask(command) }
            await runner.handle.onLoop { server.drain() }
            #expect(try await idle.reply().hasPrefix("421 4.3.2 "))
            await #expect(throws: ConnectionError.self) {
                try await Connection.connect(to: address, on: loop, deadline: soon())
            }
            #expect(await runner.handle.isDraining())
            #expect(await runner.handle.isReady() == false)
            #expect(try await busy.ask("DATA").hasPrefix("354 "))
            try await busy.say("\r\nx\r\n.\r\nMAIL FROM:<a@x.example>")
            #expect(try await busy.reply().hasPrefix("250 "))
            #expect(try await busy.reply().hasPrefix("421 4.3.2 "))
            let empty = Task { await runner.loop.spawn { _ in await server.untilEmpty(within: .seconds(60)) }.value }
            busy.connection.close()
            await empty.value
            #expect(await runner.handle.smtpConnections() == 0)
            let failure = await runner.handle.onLoop { () -> ListenError? in
                do throws(ListenError) {
                    try server.resume()
                    return nil
                } catch {
                    return error
                }
            }
            #expect(failure == nil)
            #expect(await runner.handle.isReady())
            let next = try await TestClient(address, on: loop)
            try await next.begin()
            #expect(try await next.send(body).hasPrefix("250 "))
            try await sink.until(2)
        }
    }

    @Test("a port that somebody took meanwhile is told, and the server stays drained")
    func resumeWithoutPort() async throws {
        try await withNode { loop, address, runner, _ in
            let server = runner.handle.server
            await runner.handle.onLoop { server.drain() }
            let thief = try Listener(address: address, on: loop)
            let text = await runner.handle.onLoop { () -> String? in
                do throws(ListenError) {
                    try server.resume()
                    return nil
                } catch {
                    return error.description
                }
            }
            #expect(text?.contains("in use by another process") == true)
            #expect(await runner.handle.isDraining())
            thief.close()
        }
    }
}
