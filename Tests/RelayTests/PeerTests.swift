import Cluster
import Foundation
import Primitives
import Testing

@testable import EventLoop
@testable import Relay

@Suite("Peers")
struct PeerTests {
    @Test("two nodes of which one knows the other greet, and exchange every kind of message both ways")
    func exchange() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a], incarnation: 20)
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            for message in everyMessage {
                a.peers.send(message, to: b.id)
                b.peers.send(message, to: a.id)
            }
            try await until("everything has come") {
                a.received.count == everyMessage.count && b.received.count == everyMessage.count
            }
            #expect(a.received == everyMessage && b.received == everyMessage)
            #expect(a.happened == ["greeted b 20", "greeted b 20"] && b.happened == ["greeted a 10", "greeted a 10"])
            #expect(a.lines == ["peer-connected peer=b address=\(b.address)"] && b.complaints.isEmpty)
            #expect(a.status(of: b)?.incarnation == 20 && a.status(of: b)?.problem == nil)
            #expect(abs(a.status(of: b)?.clockOffset?.milliseconds ?? 99) < 99)
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("a third is dialed once gossip names it, and a node does not speak to itself")
    func three() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            let c = try TestPeers("c", on: loop, seeds: [a])
            // Its own address, by another name, so that only the greeting can tell.
            let own = HostPort(host: "localhost", port: a.target.port ?? 0)
            a.peers.dial(own, of: nil)
            try await until("it knows itself") { a.peers.links[own]?.isOurselves == true }
            b.peers.acquaint(c.id, address: c.address)
            try await until("all are joined") {
                [(a, b), (b, c), (c, a)].allSatisfy { one, other in one.meets(other) && other.meets(one) }
            }
            #expect([a, b, c].allSatisfy { $0.complaints.isEmpty })
            #expect(a.peers.status.map(\.id) == [b.id, c.id])
            for node in [a, b, c] { node.peers.stop() }
        }
    }

    @Test("two addresses of one peer come to one connection")
    func aliases() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            let alias = HostPort(host: "localhost", port: a.target.port ?? 0)
            // Both at once, and neither knows yet whom it will meet: which one stays is a matter of chance.
            b.peers.dial(alias, of: nil)
            try await until("both have answered") { b.peers.links.values.allSatisfy { $0.met == a.id } }
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            #expect(b.peers.links.count == 2 && b.peers.status.count == 1)
            b.peers.send(pulse, to: a.id)
            try await until("it has come") { a.received == [pulse] }
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("an address that is in use is named")
    func inUse() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let target = a.target
            let error = #expect(throws: ListenError.self) {
                _ = try TestPeers("b", on: loop) { $0.listen = target }
            }
            #expect(error?.description.hasPrefix(a.address) == true)
            a.peers.stop()
        }
    }

    // MARK: Ends and knocks

    @Test("an ended process: its connections end, and the knock is refused; once it is back it is dialed again")
    func death() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            a.forgetEvents()
            let address = b.target
            b.peers.stop()
            try await until("the end is seen") { !a.happened.isEmpty }
            #expect(a.happened == ["disconnected b endOfFile"])
            a.peers.knock(b.id)
            try await until("the knock is answered") { a.happened.count == 2 }
            #expect(a.happened.last == "knocked b refused")
            try await until("it says why") {
                a.status(of: b)?.problem == "\(address): connection refused (is its node running?)"
            }
            let again = try TestPeers("b", on: loop, incarnation: 30, previous: 10) { $0.listen = address }
            try await until("both ways are open") { a.meets(again) && again.meets(a) }
            #expect(a.happened.suffix(2) == ["greeted b 30", "greeted b 30"])
            a.peers.stop()
            again.peers.stop()
        }
    }

    @Test("a reset counts as the other's doing too")
    func reset() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let raw = try await RawPeer(a, on: loop)
            _ = try await raw.greet(a)
            try await until("it has greeted") { a.happened == ["greeted raw 5"] }
            raw.connection.abort()
            try await until("the end is seen") { a.happened.last == "disconnected raw reset" }
            a.peers.stop()
        }
    }

    @Test("a knock at a living peer greets, and its connection is used")
    func knockAlive() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("both ways are open") { a.meets(b) && b.meets(a) }
            a.forgetEvents()
            a.peers.knock(b.id)
            try await until("the knock is answered") { a.happened.count == 2 }
            #expect(a.happened == ["greeted b 10", "knocked b greeted"])
            a.peers.send(pulse, to: b.id)
            try await until("it has come") { b.received == [pulse] }
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("a door that opens and shuts proves nothing yet, one that opens for nobody proves nothing")
    func otherDoors() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let shutting = try Listener(address: loopback, on: loop)
            loop.spawnLocal { await shutting.serve { $0.close() } }
            // Connects end in the kernel's queue: as with a process that is paused.
            let paused = try Listener(address: loopback, on: loop)
            let names = ["shut", "paused", "nowhere"]
            let ids = names.map { ReplicaID(node: $0, disk: DiskID(ULID(high: 9, low: 9))) }
            a.peers.acquaint(ids[0], address: shutting.boundAddress.description)
            a.peers.acquaint(ids[1], address: paused.boundAddress.description)
            for id in ids { a.peers.knock(id) }
            try await until("all are answered") { a.happened.count == 3 }
            #expect(Set(a.happened) == ["knocked shut endedEarly", "knocked paused hung", "knocked nowhere hung"])
            a.peers.stop()
            shutting.close()
            paused.close()
        }
    }

    @Test("a peer that says nothing for too long is hung up on, which is no death")
    func silence() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.silence = .milliseconds(200) }
            let raw = try await RawPeer(a, on: loop)
            _ = try await raw.greet(a)
            try await raw.untilEnd()
            try await until("the end is told") { a.happened == ["greeted raw 5", "disconnected raw timedOut"] }
            raw.connection.close()
            a.peers.stop()
        }
    }

    @Test("one that has fallen quiet is dialed anew, beside what there is")
    func quiet() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop) { $0.limits.quiet = .milliseconds(50) }
            let b = try TestPeers("b", on: loop, seeds: [a])
            try await until("it was dialed again and again") { a.happened.count >= 6 }
            #expect(a.happened.allSatisfy { $0 == "greeted b 10" } && a.complaints.isEmpty)
            a.peers.send(pulse, to: b.id)
            try await until("it has come") { b.received == [pulse] }
            a.peers.stop()
            b.peers.stop()
        }
    }

    @Test("a newer process silences the connections of the older, and the older is refused from then on")
    func incarnations() async throws {
        try await onLoop { loop in
            let a = try TestPeers("a", on: loop)
            let older = try await RawPeer(a, on: loop)
            _ = try await older.greet(a)
            let newer = try await RawPeer(a, on: loop)
            _ = try await newer.greet(a) {
                $0.incarnation = 6
                $0.previousIncarnation = 5
            }
            try await older.untilEnd()
            #expect(a.happened == ["greeted raw 5", "greeted raw 6"])
            let late = try await RawPeer(a, on: loop)
            let answer = try await late.greet(a)
            #expect(answer.refusal.contains("a later process of node raw has greeted node a before"))
            try await late.untilEnd()
            #expect(a.happened == ["greeted raw 5", "greeted raw 6"])
            let rolledBack = try await RawPeer(a, on: loop)
            let refused = try await rolledBack.greet(a) {
                $0.incarnation = 8
                $0.previousIncarnation = 3
            }
            #expect(refused.refusal.contains("give it an empty data directory"))
            for raw in [older, newer, late, rolledBack] { raw.connection.close() }
            a.peers.stop()
        }
    }
}
