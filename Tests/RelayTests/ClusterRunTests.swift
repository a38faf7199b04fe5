import Foundation
import Glibc
import Node
import Primitives
import Synchronization
import Testing

@testable import Cluster
@testable import EventLoop
@testable import Relay

@Suite("Three nodes on loopback")
struct ClusterRunTests {
    private let body = Array("Subject: x\r\n\r\nbody\r\n".utf8)

    private func send(_ count: Int = 1, to address: SocketAddress) async throws -> [MessageID] {
        let body = body
        let ids = Mutex<[MessageID]>([])
        try await onLoop { loop in
            let client = try await TestClient(address, on: loop)
            try await client.begin()
            for _ in 0..<count {
                let reply = try await client.send(body)
                #expect(reply.hasPrefix("250 "), "\(reply)")
                if let id = messageID(in: reply) { ids.withLock { $0.append(id) } }
            }
        }
        return ids.withLock { $0 }
    }

    @Test("what a killed node had accepted is delivered by another, and the node comes back")
    func takeover() async throws {
        let mode = Mutex(true)
        let sink = try await TestSink { line in
            line.isEmpty && mode.withLock { $0 } ? .reply("421 not now") : nil
        }
        let cluster = try await TestCluster(upstreams: [sink.address])
        let ids = try await send(20, to: try await cluster["a"].untilReady())
        try await until("all copies list them") {
            for name in ["b", "c"] where await cluster[name].handle.status().journals.allSatisfy({ $0.unfinished < 20 })
            {
                return false
            }
            return true
        }
        mode.withLock { $0 = false }
        cluster["a"].kill()
        try await sink.until(20)
        try await until("nothing is queued") {
            let queues = [await cluster["b"].handle.status().queue, await cluster["c"].handle.status().queue]
            return queues.allSatisfy { $0.messages == 0 }
        }
        #expect(sink.count == 20)
        let names = ["b", "c"].flatMap { cluster[$0].handle.events.events(after: 0).map(\.name) }
        #expect(names.contains("takeover"))
        var trace: Trace?
        for name in ["b", "c"] where trace == nil { trace = await cluster[name].handle.trace(ids[0]) }
        #expect(trace?.isFinished == true)
        #expect(trace?.events.first?.node == "a")
        try await cluster.start("a")
        _ = try await send(1, to: try await cluster["a"].untilReady())
        try await sink.until(21)
        await cluster.stop()
        sink.stop()
    }

    @Test("a node that stops in order hands over what it has, and nothing is sent twice")
    func handover() async throws {
        let mode = Mutex(true)
        let sink = try await TestSink { line in
            line.isEmpty && mode.withLock { $0 } ? .reply("421 not now") : nil
        }
        let cluster = try await TestCluster(upstreams: [sink.address])
        _ = try await send(20, to: try await cluster["a"].untilReady())
        let began = Clock.instant()
        await cluster["a"].stop(within: .seconds(10))
        #expect(Clock.instant() - began < .seconds(9))
        mode.withLock { $0 = false }
        try await sink.until(20)
        try await until("nothing is queued") {
            let queues = [await cluster["b"].handle.status().queue, await cluster["c"].handle.status().queue]
            return queues.allSatisfy { $0.messages == 0 }
        }
        #expect(sink.count == 20)
        await cluster.stop()
        sink.stop()
    }

    @Test("one of three refuses mail alone; a record reaches all; a drained node takes part again")
    func records() async throws {
        let sink = try await TestSink()
        let cluster = try await TestCluster(upstreams: [sink.address])
        _ = try await cluster["a"].untilReady()
        #expect(await cluster["b"].handle.record(key: "drain/a", value: Array("test".utf8)) == .done)
        try await until("a is drained") { await cluster["a"].handle.status().state == .drained }
        #expect(await cluster["a"].handle.isReady() == false)
        #expect(await cluster["c"].handle.record(key: "drain/a", value: nil) == .done)
        _ = try await send(1, to: try await cluster["a"].untilReady())
        try await sink.until(1)
        #expect(await cluster["c"].handle.forget("nobody") != .done)
        cluster["b"].kill()
        cluster["c"].kill()
        try await until("a alone takes nothing") { await cluster["a"].handle.isReady() == false }
        await cluster.stop()
        sink.stop()
    }

    @Test("a damaged copy is cut at the damage, which is kept for a person, and becomes whole again from the others")
    func damage() async throws {
        let sink = try await TestSink { line in line.isEmpty ? .reply("421 not now") : nil }
        let cluster = try await TestCluster(upstreams: [sink.address])
        _ = try await send(20, to: try await cluster["a"].untilReady())
        let journal = try #require(await cluster["a"].handle.status().journals.first { $0.unfinished == 20 }?.id)
        let path = cluster["c"].handle.directory.journalPath(journal)
        let reference = cluster["a"].handle.directory.journalPath(journal)
        func copy(_ path: String) -> Data? { try? Data(contentsOf: URL(filePath: path)) }
        let end = Int(try #require(await cluster["a"].handle.status().journals.first { $0.id == journal }).committed)
        try await until("c holds it") { copy(path)?.prefix(end) == copy(reference)?.prefix(end) }
        cluster["c"].kill()
        var bytes = try #require(copy(path))
        bytes[end / 2] ^= 1
        try bytes.write(to: URL(filePath: path))
        try await cluster.start("c")
        #expect(FileManager.default.fileExists(atPath: path + ".damaged"))
        try await until("its copy is whole again") {
            let ledger = try? cluster["c"].handle.directory.loadLedger()
            return ledger?.damaged.isEmpty == true && copy(path)?.prefix(end) == copy(reference)?.prefix(end)
        }
        let status = await cluster["c"].handle.status().journals.first { $0.id == journal }
        #expect(status?.isWhole == true)
        await cluster.stop()
        sink.stop()
    }

    @Test("a node with a new disk is remembered last, behind the disk that it had")
    func newDisk() async throws {
        let sink = try await TestSink()
        let cluster = try await TestCluster(upstreams: [sink.address])
        _ = try await cluster["a"].untilReady()
        let old = cluster["b"].handle.directory.replica
        cluster["b"].kill()
        try FileManager.default.removeItem(atPath: cluster["b"].handle.directory.path)
        try await cluster.start("b")
        let new = cluster["b"].handle.directory.replica
        #expect(new != old)
        try await until("a has met it") {
            let all = try? cluster["a"].handle.directory.loadAcquainted()
            return all?.filter { $0.replica.node == "b" }.map(\.replica) == [old, new]
        }
        // It takes mail at once, and its journals get all their copies.
        _ = try await send(1, to: try await cluster["b"].untilReady())
        try await sink.until(1)
        await cluster.stop()
        sink.stop()
    }

    @Test("questions travel between nodes, long answers in parts, and each is answered once")
    func questions() async throws {
        let sink = try await TestSink()
        let cluster = try await TestCluster(upstreams: [sink.address])
        _ = try await cluster["a"].untilReady()
        let asked = Mutex(0)
        var bytes = [UInt8](repeating: 7, count: 20 << 20)
        for index in stride(from: 0, to: bytes.count, by: 4001) {
            bytes[index] = UInt8(truncatingIfNeeded: index / 4001)
        }
        let long = bytes
        await cluster["b"].handle.answerPeers { what, peer in
            asked.withLock { $0 += 1 }
            #expect(peer.node == "a")
            return what == [1] ? long : what
        }
        let b = cluster["b"].handle.directory.replica
        let handle = cluster["a"].handle
        #expect(await handle.ask(b, what: [7], patience: .seconds(20)) == [7])
        #expect(await handle.ask(b, what: [1], patience: .seconds(60)) == long)
        #expect(asked.withLock { $0 } == 2)
        // Nobody answers there.
        let c = cluster["c"].handle.directory.replica
        #expect(await handle.ask(c, what: [7], patience: .milliseconds(200)) == nil)
        cluster["b"].kill()
        #expect(await handle.ask(b, what: [7], patience: .seconds(20)) == nil)
        await cluster.stop()
        sink.stop()
    }
}

/// Nodes a, b, c … of one cluster, in this process.
final class TestCluster {
    private let directory: TemporaryDirectory
    private let upstreams: [SocketAddress]
    private var runners: [String: NodeRunner] = [:]
    private var addresses: [String: HostPort] = [:]

    init(_ names: [String] = ["a", "b", "c"], upstreams: [SocketAddress]) async throws {
        directory = try TemporaryDirectory()
        self.upstreams = upstreams
        let secret = directory.path + "/secret"
        try Data("a secret of more than sixteen bytes\n".utf8).write(to: URL(filePath: secret))
        chmod(secret, 0o600)
        for name in names { try await start(name) }
    }

    subscript(name: String) -> NodeRunner {
        guard let runner = runners[name] else { preconditionFailure("no node \(name)") }
        return runner
    }

    /// Starts a node on its directory, where it listened before if it ran.
    func start(_ name: String) async throws {
        var configuration = Configuration.test(directory, upstreams: upstreams)
        configuration.node.name = name
        configuration.node.dataDirectory = directory.path + "/" + name
        configuration.cluster.listen = addresses[name] ?? HostPort(host: "127.0.0.1", port: 0)
        configuration.cluster.advertise = addresses[name]
        configuration.cluster.peers = addresses.values.sorted { $0.port < $1.port }
        configuration.cluster.secretFiles = [directory.path + "/secret"]
        configuration.cluster.replicas = 3
        let runner = try NodeRunner(configuration, options: .test)
        runners[name] = runner
        let advertised = await runner.handle.advertised()
        addresses[name] = advertised.flatMap { HostPort(text: $0) }
    }

    func stop() async {
        for runner in runners.values { await runner.stop(within: .seconds(1)) }
    }
}
