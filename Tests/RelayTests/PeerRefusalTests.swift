import Cluster
import Foundation
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

/// Who is not spoken to: one clear line at both ends, and no harm to those who are.
@Suite("Peers that are refused")
struct PeerRefusalTests {
    private static let other = Array("the secret of some other cluster".utf8)

    @Test("another secret: refused before the first byte of the protocol")
    func wrongSecret() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, secrets: [Self.other], seeds: [a])
            try await until("both have said so") { !a.lines.isEmpty && !b.lines.isEmpty }
            #expect(a.lines == ["peer-refused peer=127.0.0.1 reason=it does not know the cluster's secret"])
            #expect(
                b.lines == [
                    "refused-by-peer peer=\(a.address) reason=our cluster secret is not theirs: compare "
                        + "cluster.secretFiles"
                ])
            #expect(a.happened.isEmpty && b.happened.isEmpty)
            #expect(a.peers.refusals.count == 1 && b.peers.status.first?.problem?.contains("secret") == true)
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("a secret is changed without a cut: added everywhere, put first everywhere, the old one removed everywhere")
    func rotation() async throws {
        try await onLoop { loop in
            let (old, new) = (TestPeers.secret, Self.other)
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            for secrets in [[old, new], [new, old], [new]] {
                for node in [a, b] {
                    node.peers.replaceSecrets(try ClusterSecrets(secrets, cluster: "c"))
                    // Fresh connections pass at every step, both ways.
                    for (from, to) in [(a, b), (b, a)] {
                        from.forgetEvents()
                        from.peers.knock(to.id)
                        try await until("the knock is answered") {
                            from.happened.contains { $0.hasPrefix("knocked") }
                        }
                        #expect(from.happened.last == "knocked \(to.id) greeted")
                    }
                }
            }
            #expect(a.complaints.isEmpty && b.complaints.isEmpty)
            let late = try TestPeers("c", on: loop, secrets: [old], seeds: [a])
            try await until("the old one is refused") { !late.lines.isEmpty }
            #expect(late.happened.isEmpty)
            for node in [a, b, late] { node.peers.stop() }
        }
    }

    @Test("another cluster with the same secret")
    func wrongCluster() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, cluster: "d", seeds: [a])
            try await until("both have said so") { !a.lines.isEmpty && !b.lines.isEmpty }
            #expect(
                a.lines == [
                    "peer-refused peer=127.0.0.1 reason=its cluster is not called 'c' like ours: compare cluster.name"
                ])
            #expect(
                b.lines == [
                    "refused-by-peer peer=\(a.address) reason=its cluster is not called 'd' like ours: compare "
                        + "cluster.name"
                ])
            #expect(a.happened.isEmpty && b.happened.isEmpty)
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("two nodes of one name: the later one hears it from everyone")
    func sameName() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            a.live = [a.id, b.id]
            b.live = [a.id, b.id]
            let double = try TestPeers("a", disk: 2, on: loop, seeds: [b, a])
            try await until("all have said so") {
                !a.complaints.isEmpty && !b.complaints.isEmpty && double.complaints.count == 2
            }
            let words = "two nodes are called a, with different data directories: the later one must take another name"
            #expect(b.complaints == ["peer-refused peer=a (127.0.0.1) reason=\(words)"])
            #expect(a.complaints == ["peer-refused peer=a (127.0.0.1) reason=\(words)"])
            #expect(double.complaints.contains("refused-by-peer peer=b (\(b.address)) reason=\(words)"))
            #expect(double.happened.isEmpty && !b.happened.contains { $0.hasPrefix("disconnected") })
            #expect(a.meets(b) && b.meets(a))
            for node in [a, b, double] { node.peers.stop() }
        }
    }

    @Test("a node that came back with a new disk is not taken for the old one")
    func newDisk() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            let address = b.target
            b.peers.stop()
            let wiped = try TestPeers("b", disk: 2, on: loop, incarnation: 30) { $0.listen = address }
            try await until("both ways are open") { a.meets(wiped) && wiped.meets(a) }
            #expect(a.status(of: b)?.isConnected == false)
            a.peers.send(pulse, to: b.id)
            a.peers.send(everyMessage[1], to: wiped.id)
            try await until("what was meant for it has come") { !wiped.received.isEmpty }
            #expect(wiped.received == [everyMessage[1]])
            a.peers.stop()
            wiped.peers.stop()
        }
    }

    @Test("no common version, clocks far apart")
    func versionsAndClocks() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let newer = try await RawPeer(a, on: loop)
            let answer = try await newer.greet(a) { $0.protocols = 3...4 }
            #expect(answer.refusal == "node raw speaks protocol versions 3 to 4, node a 1 to 1: update the older one")
            try await newer.untilEnd()
            newer.connection.close()
            try await until("it is said here too") { a.lines.contains { $0.contains(answer.refusal) } }
            a.forgetLines()
            let ahead = try await RawPeer(a, on: loop)
            #expect(try await ahead.greet(a) { $0.wall = $0.wall + .minutes(10) }.refusal.isEmpty)
            try await until("it is said") { !a.complaints.isEmpty }
            #expect(
                a.complaints.count == 1 && a.complaints[0].hasPrefix("clock-apart peer=raw reason=its wall clock is "))
            #expect(a.complaints[0].hasSuffix("ahead of ours: set both by NTP"))
            #expect((590...610).contains(a.peers.status.first?.clockOffset?.inSeconds ?? 0))
            // Once it is put right a repeated greeting says so, both ways.
            ahead.connection.write(Wire.encode(RawPeer.hello(to: a)))
            try await until("it is known") { abs(a.peers.status.first?.clockOffset?.inSeconds ?? 99) < 5 }
            a.peers.refreshNow()
            guard case .hello(let again)? = try await ahead.next() else { throw TestFailure("no greeting") }
            #expect(again.from == a.id && again.refusal.isEmpty)
            ahead.connection.close()
            a.peers.stop()
        }
    }

    // MARK: Rubbish

    /// Sends bytes to a fresh connection, and waits for its end.
    private func throwAt(_ target: TestPeers, on loop: Loop, _ bytes: [UInt8]) async throws {
        let connection = try await Connection.connect(to: target.target, on: loop, deadline: soon())
        connection.write(bytes)
        do { while try await connection.readMore(deadline: soon()) { connection.input.consumeAll() } } catch {}
        connection.close()
    }

    @Test("plain text, rubbish, a silent visitor: one line each, nothing else")
    func rubbish() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.greeting = .milliseconds(500) }
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            a.forgetLines()
            for _ in 0..<3 { try await throwAt(a, on: loop, Array("GET / HTTP/1.0\r\n\r\n".utf8)) }
            try await until("it is said") { a.lines.count == 1 }
            #expect(a.lines[0].hasPrefix("peer-refused peer=127.0.0.1 reason=it speaks no Baton ("))
            // Whoever connects and goes was only looking.
            let visitor = try await Connection.connect(to: a.target, on: loop, deadline: soon())
            visitor.close()
            try await throwAt(a, on: loop, [])
            #expect(a.lines.last == "peer-refused peer=127.0.0.1 reason=it did not finish its handshake")
            var random = SeededRandom(seed: 3)
            for _ in 0..<20 {
                try await throwAt(a, on: loop, (0..<2000).map { _ in UInt8.random(in: 0...255, using: &random) })
            }
            #expect(a.meets(b) && b.meets(a))
            #expect(a.peers.strangerCount == 0)
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("who knows the secret and speaks no sense: oversized, damaged, out of turn")
    func nonsense() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            var damaged = Wire.encode(pulse)
            damaged[damaged.count - 1] ^= 1
            let oversized: [UInt8] = [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 3]
            // Before the greeting, and after it.
            for (bytes, words) in [
                (Wire.encode(pulse), "a message before the greeting"), (oversized, "a message of 2147483647 bytes"),
            ] {
                let raw = try await RawPeer(a, on: loop)
                raw.connection.write(bytes)
                try await raw.untilEnd()
                raw.connection.close()
                #expect(a.lines.last == "peer-refused peer=127.0.0.1 reason=it speaks no sense: \(words)")
            }
            #expect(a.happened.isEmpty)
            for (bytes, words) in [
                (oversized, "a message of 2147483647 bytes"), (damaged, "a message's checksum is wrong"),
            ] {
                a.forgetLines()
                a.forgetEvents()
                let raw = try await RawPeer(a, on: loop)
                _ = try await raw.greet(a)
                raw.connection.write(Wire.encode(everyMessage[1]) + bytes + Wire.encode(pulse))
                try await raw.untilEnd()
                raw.connection.close()
                try await until("the end is told") { a.happened == ["greeted raw 5", "disconnected raw closedByUs"] }
                #expect(a.complaints.contains("peer-refused peer=raw reason=it speaks no sense: \(words)"))
            }
            #expect(a.received == [everyMessage[1], everyMessage[1]])
            a.peers.stop()
        }
    }

    @Test("connections that say nothing make room for those that do")
    func halfOpen() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.strangers = 4 }
            var silent: [Connection] = []
            for _ in 0..<10 { silent.append(try await .connect(to: a.target, on: loop, deadline: soon())) }
            try await until("all are accepted") { a.peers.strangerCount == 4 }
            for connection in silent.prefix(6) {
                await #expect(throws: ConnectionError.self) {
                    while try await connection.readMore(deadline: soon()) {}
                }
            }
            #expect(a.complaints.count == 1)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            for connection in silent { connection.close() }
            a.peers.stop()
            b.peers.stop()
        }
    }
}
