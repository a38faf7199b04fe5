import Foundation
import Glibc
import Node
import Primitives
import Synchronization
import Testing

@testable import EventLoop
@testable import Relay

@Suite("A node's life")
struct RunnerTests {
    private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

    private func send(_ count: Int = 1, to address: SocketAddress) async throws -> [MessageID] {
        let body = body
        let ids = Mutex<[MessageID]>([])
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            for _ in 0..<count {
                let reply = try await client.send(body)
                #expect(reply.hasPrefix("250 "))
                if let id = messageID(in: reply) { ids.withLock { $0.append(id) } }
            }
        }
        return ids.withLock { $0 }
    }

    @Test("what was accepted before everything was dropped is delivered after the next start")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        let refusing = try await TestSink { $0.isEmpty ? .reply("421 not now") : nil }
        let first = try NodeRunner(.test(directory, upstreams: [refusing.address]), options: .test)
        _ = try await send(30, to: try await first.untilReady())
        first.kill()
        refusing.stop()
        let sink = try await TestSink()
        let second = try NodeRunner(.test(directory, upstreams: [sink.address]), options: .test)
        try await sink.until(30)
        try await until("the queue is empty") { await second.handle.status().queue.messages == 0 }
        #expect(sink.count == 30)
        await second.stop()
        sink.stop()
    }

    @Test("a second process on the directory and a port in use are each one line")
    func conflicts() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink()
        let configuration = Configuration.test(directory, upstreams: [sink.address])
        let runner = try NodeRunner(configuration, options: .test)
        let address = try await runner.untilReady()
        #expect(throws: DataDirectoryError.self) { try NodeRunner(configuration, options: .test) }
        var other = configuration
        other.node.dataDirectory = directory.path + "/other"
        other.smtp.listeners[0].address = HostPort(host: "127.0.0.1", port: try #require(address.port))
        let error = #expect(throws: StartError.self) { try NodeRunner(other, options: .test) }
        #expect(error?.description.contains("in use by another process") == true)
        await runner.stop()
        // Its directory is free again at once.
        try NodeRunner(configuration, options: .test).kill()
        sink.stop()
    }

    @Test("a finished journal's messages are traced from the history")
    func history() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink()
        let configuration = Configuration.test(directory, upstreams: [sink.address])
        let first = try NodeRunner(configuration, options: .test)
        let ids = try await send(3, to: try await first.untilReady())
        try await sink.until(3)
        try await until("the queue is empty") { await first.handle.status().queue.messages == 0 }
        let live = try #require(await first.handle.trace(ids[0]))
        #expect(live.delivered == 1 && live.isFinished && live.takeovers == 0)
        await first.stop()
        // The takeover at the next start retires the journal, because nothing in it is unfinished.
        let second = try NodeRunner(configuration, options: .test)
        let history = configuration.node.dataDirectory + "/history"
        try await until("the journal was retired") {
            ((try? FileManager.default.contentsOfDirectory(atPath: history)) ?? []).contains {
                $0.hasSuffix(".journal")
            }
        }
        try await until("its file is deleted") {
            let journals = configuration.node.dataDirectory + "/journals"
            let names = (try? FileManager.default.contentsOfDirectory(atPath: journals)) ?? []
            return names.filter { $0.hasSuffix(".journal") }.count == 1
        }
        let trace = try #require(await second.handle.trace(ids[2]))
        #expect(trace.sender == "a@example.com")
        #expect(trace.recipients == ["b@example.net"])
        #expect(trace.events.contains { $0.mark == .delivered && $0.what.contains("250 2.0.0 Ok") })
        #expect(!trace.isUncertain)
        #expect(await second.handle.trace(MessageID(ULID(high: 1, low: 1))) == nil)
        await second.stop()
        sink.stop()
    }

    @Test("a content that waits can be read, and a command ends it")
    func handle() async throws {
        let directory = try TemporaryDirectory()
        let sink = try await TestSink { $0.hasPrefix("MAIL") ? .reply("451 4.3.0 later") : nil }
        var configuration = Configuration.test(directory, upstreams: [sink.address])
        configuration.delivery.retry = [.hours(1)]
        let runner = try NodeRunner(configuration, options: .test)
        let id = try #require(try await send(to: try await runner.untilReady()).first)
        let listed = await runner.handle.list(QueueFilter(), limit: 10)
        #expect(listed.matched == 1)
        #expect(listed.messages.map(\.id) == [id])
        let content = try #require(await runner.handle.readContent(id))
        #expect(content.suffix(body.count) == body[...])
        #expect(await runner.handle.command(Command(.cancel, id, by: "test")) == .done)
        #expect(await runner.handle.message(id) == nil)
        #expect(await runner.handle.command(Command(.cancel, id, by: "test")) == .notFound)
        await runner.stop()
        sink.stop()
    }

    @Test("a full disk refuses mail with 452 and loses nothing; with room again mail flows")
    func diskFull() async throws {
        let directory = try TemporaryDirectory()
        guard let small = SmallDisk(directory, mebibytes: 24) else {
            print("skipped: mounting a tmpfs is not permitted here")
            return
        }
        let sink = try await TestSink { $0.isEmpty ? .reply("421 not now") : nil }
        var configuration = Configuration.test(directory, upstreams: [sink.address])
        configuration.node.dataDirectory = small.path + "/data"
        configuration.delivery.retry = [.milliseconds(100)]
        let runner = try NodeRunner(configuration, options: .test)
        let address = try await runner.untilReady()
        let filler = small.path + "/filler"
        let large =
            Array("\r\n".utf8)
            + Array(repeatElement(Array("0123456789abcdef0123456789abcdef\r\n".utf8), count: 6000).joined())
        let accepted = Mutex(0)
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            var refused = false
            for _ in 0..<500 where !refused {
                let reply = try await client.send(large)
                if reply.hasPrefix("250 ") {
                    accepted.withLock { $0 += 1 }
                } else {
                    #expect(reply.hasPrefix("452 4.3.1 ") || reply.hasPrefix("451 4.3.2 "))
                    refused = true
                }
            }
            #expect(refused)
        }
        // And then somebody else takes the very last byte.
        small.fill(filler)
        #expect(await runner.handle.isReady() == false)
        runner.kill()
        sink.stop()
        let working = try await TestSink()
        configuration.upstreams[0].addresses = [working.address.description]
        let second = try NodeRunner(configuration, options: .test)
        // Without a byte of room for new journals, what there is is delivered from the reserve or once there is room.
        unlink(filler)
        try await working.until(accepted.withLock { $0 })
        let again = try await second.untilReady()
        _ = try await send(to: again)
        try await working.until(accepted.withLock { $0 } + 1)
        await second.stop()
        working.stop()
    }
}
