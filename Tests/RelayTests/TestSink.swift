import Primitives
import Synchronization
import Testing

@testable import EventLoop
@testable import Relay
@testable import SMTP

/// An upstream that answers as told and keeps what it took.
final class TestSink: Sendable {
    struct Message: Sendable {
        var sender: String
        var recipients: [String]
        /// Without dot-stuffing, `Received` and all.
        var content: [UInt8]
        var text: String { String(decoding: content, as: UTF8.self) }
    }

    enum Answer: Sendable {
        case reply(String)
        /// Closes the connection instead.
        case hangUp
        /// Waits until `release`.
        case wait
    }

    /// A command line, or `.` for the end of a message, or an empty line for the connection; nil: the usual reply.
    typealias Script = @Sendable (String) -> Answer?

    let loop: Loop
    let address: SocketAddress
    private let taken = Mutex<[Message]>([])
    private let seen = Mutex<[String]>([])
    private let released = Mutex(false)
    let pipelining: Bool

    init(pipelining: Bool = true, at wanted: SocketAddress? = nil, _ script: @escaping Script = { _ in nil })
        async throws
    {
        loop = try Loop(name: "sink")
        try loop.start()
        self.pipelining = pipelining
        let bound = Mutex<SocketAddress?>(nil)
        let listening = Mutex<(@Sendable (TestSink) -> Void)?>(nil)
        await loop.spawn { [loop] _ in
            guard let listener = try? Listener(address: wanted ?? loopback, on: loop) else {
                return
            }
            bound.withLock { $0 = listener.boundAddress }
            let handed = Handed(listener: listener)
            listening.withLock { start in
                start = { sink in
                    loop.post { _ in
                        loop.spawnLocal {
                            await handed.listener.serve { connection in try? await sink.serve(connection, script) }
                        }
                    }
                }
            }
        }.value
        guard let address = bound.withLock({ $0 }) else { throw TestFailure("the sink can't listen") }
        self.address = address
        listening.withLock { $0 }?(self)
    }

    // Sendable: used on the sink's loop alone.
    private struct Handed: @unchecked Sendable { let listener: Listener }

    var messages: [Message] { taken.withLock { $0 } }
    var count: Int { taken.withLock { $0.count } }
    var commands: [String] { seen.withLock { $0 } }
    func release() { released.withLock { $0 = true } }
    func stop() { loop.stop() }

    func until(_ count: Int, within seconds: Int = 60) async throws {
        try await RelayTests.until("\(count) messages arrived, \(self.count) so far", within: seconds) {
            self.count >= count
        }
    }

    private func serve(_ connection: Connection, _ script: Script) async throws {
        let client = SinkConnection(connection)
        guard try await answer(client, script(""), "220 sink.test ESMTP") else { return }
        var message = Message(sender: "", recipients: [], content: [])
        while true {
            let line = try await client.line()
            seen.withLock { $0.append(line) }
            let verb = line.prefix { $0 != " " && $0 != ":" }.uppercased()
            let told = script(line)
            switch verb {
            case "EHLO":
                let usual =
                    "250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n" + (pipelining ? "250-PIPELINING\r\n" : "")
                    + "250 SIZE"
                guard try await answer(client, told, usual) else { return }
            case "MAIL":
                message = Message(sender: Self.path(line), recipients: [], content: [])
                guard try await answer(client, told, "250 2.1.0 Ok") else { return }
            case "RCPT":
                if told == nil { message.recipients.append(Self.path(line)) }
                guard try await answer(client, told, "250 2.1.5 Ok") else { return }
            case "DATA":
                guard try await answer(client, told, message.recipients.isEmpty ? "554 5.5.1 none" : "354 go") else {
                    return
                }
                if told != nil || message.recipients.isEmpty { continue }
                message.content = try await client.content()
                let verdict = script(".")
                if verdict == nil { taken.withLock { $0.append(message) } }
                guard try await answer(client, verdict, "250 2.0.0 Ok: queued as \(count)") else { return }
            case "QUIT":
                client.say("221 bye")
                return
            default: guard try await answer(client, told, "250 Ok") else { return }
            }
        }
    }

    private func answer(_ client: SinkConnection, _ answer: Answer?, _ usual: String) async throws -> Bool {
        switch answer {
        case nil: client.say(usual)
        case .reply(let text): client.say(text)
        case .hangUp: return false
        case .wait:
            while !released.withLock({ $0 }) { try await loop.sleep(until: Clock.instant() + .milliseconds(5)) }
            client.say(usual)
        }
        return true
    }

    private static func path(_ line: String) -> String {
        String(line.drop { $0 != "<" }.dropFirst().prefix { $0 != ">" })
    }
}

private final class SinkConnection {
    let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    func say(_ text: String) { connection.write(Array((text + "\r\n").utf8)) }

    func line() async throws -> String {
        while true {
            let end = connection.input.withUnreadBytes { $0.firstIndex(of: 0x0a) }
            if let end {
                let line = connection.input.withUnreadBytes {
                    String(decoding: $0[..<end].filter { $0 != 0x0d }, as: UTF8.self)
                }
                connection.input.consume(end + 1)
                return line
            }
            guard try await connection.readMore(deadline: soon(60)) else { throw ConnectionError.closed }
        }
    }

    func content() async throws -> [UInt8] {
        var collector = ContentCollector(maximumSize: .max)
        var stuffed: [UInt8] = []
        while true {
            if connection.input.isEmpty {
                guard try await connection.readMore(deadline: soon(60)) else { throw ConnectionError.closed }
            }
            let (used, isComplete) = feed(&collector, &stuffed)
            connection.input.consume(used)
            if isComplete { return DotStuffing.unstuffed(stuffed) }
        }
    }

    private func feed(_ collector: inout ContentCollector, _ stuffed: inout [UInt8]) -> (Int, Bool) {
        let fed = connection.input.withUnreadBytes { collector.feed($0, into: &stuffed) }
        return (fed.consumed, fed.isComplete)
    }
}
