import Cluster
import Foundation
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

/// Much to send: what waits is bounded, and the urgent does not wait behind it.
@Suite("Much for a peer")
struct PeerFlowTests {
    @Test("a peer that takes nothing is dropped once as much waits for it as may, and the node goes on")
    func slow() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.queued = 16 << 20 }
            let b = try TestPeers("b", on: loop, seeds: [a])
            let raw = try await RawPeer(a, on: loop)
            _ = try await raw.greet(a)
            try await until("both are there") { a.meets(b) && a.peers.status.count == 2 }
            a.forgetEvents()
            let id = RawPeer.hello(to: a).from
            var most = 0
            for _ in 0..<200 {
                a.peers.send(append(256 << 10), to: id)
                most = max(most, a.peers.status.first { $0.id == id }?.queued ?? 0)
            }
            #expect(most <= 16 << 20 && most > 15 << 20)
            try await until("the end is told") { a.happened == ["disconnected raw closedByUs"] }
            #expect(a.complaints.contains { $0.hasPrefix("peer-slow peer=raw reason=it takes too little") })
            a.peers.send(pulse, to: b.id)
            try await until("the other hears all") { b.received == [pulse] }
            raw.connection.close()
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("64 MiB of copies under way do not delay a pulse by more than what the connection holds")
    func bulk() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.queued = 128 << 20 }
            let raw = try await RawPeer(a, on: loop)
            _ = try await raw.greet(a)
            let id = RawPeer.hello(to: a).from
            let total = 256
            for _ in 0..<total { a.peers.send(append(256 << 10), to: id) }
            var appends = 0
            // In messages of 256 KiB: how many came between the sending of a pulse and its coming.
            var delays: [Int] = []
            var sentAt: Int?
            while appends < total || sentAt != nil {
                guard case .message(let message)? = try await raw.next() else { throw TestFailure("it ended") }
                if message == pulse {
                    delays.append(appends - (sentAt ?? 0))
                    sentAt = nil
                } else {
                    appends += 1
                    if appends % 32 == 16 {
                        a.peers.send(pulse, to: id)
                        sentAt = appends
                    }
                }
            }
            #expect(delays.count == 8)
            // The kernel's two buffers, one window and one frame: 6 MiB at most where Linux has its defaults.
            #expect(delays.allSatisfy { $0 <= 24 }, "\(delays)")
            raw.connection.close()
            a.peers.stop()
        }
    }

    @Test("bulk keeps its order, and so does the rest")
    func order() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            let journal = JournalID(ULID(high: 1, low: 1))
            for number in 0..<2000 {
                a.peers.send(append(5000 + number), to: b.id)
                a.peers.send(.durable(Durable(journal: journal, epoch: 1, end: UInt64(number))), to: b.id)
            }
            try await until("all has come") { b.received.count == 4000 }
            let sizes = b.received.compactMap { if case .append(let append) = $0 { append.bytes.count } else { nil } }
            let ends = b.received.compactMap { if case .durable(let durable) = $0 { durable.end } else { nil } }
            #expect(sizes == (0..<2000).map { 5000 + $0 } && ends == (0..<2000).map(UInt64.init))
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("what was sent before the end goes out: drain, then stop")
    func drain() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            for _ in 0..<60 { a.peers.send(append(256 << 10), to: b.id) }
            await a.peers.drain(within: .seconds(60))
            a.peers.stop()
            try await until("all has come") { b.received.count == 60 }
            try await until("the end is told") { b.happened.last == "disconnected a endOfFile" }
            b.peers.stop()
        }
    }
}
