import Cluster
import Foundation
import Journal
import Primitives
import Testing

@testable import Relay

@Suite("The data directory")
struct DataDirectoryTests {
    @Test("keeps its disk id, and its incarnation only grows")
    func identity() throws {
        let temporary = try TemporaryDirectory()
        var first: DataDirectory? = try DataDirectory(path: temporary.path + "/x/y", cluster: "mail", node: "a")
        let replica = first?.replica
        let incarnation = try #require(first?.incarnation)
        first = nil
        let second = try DataDirectory(path: temporary.path + "/x/y", cluster: "mail", node: "a")
        #expect(second.replica == replica)
        #expect(second.incarnation > incarnation)
        #expect(second.previousIncarnation == incarnation)
    }

    @Test("refuses a second process, and another cluster's or node's name, in one line that says what to do")
    func refusals() throws {
        let temporary = try TemporaryDirectory()
        var directory: DataDirectory? = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        let inUse = #expect(throws: DataDirectoryError.self) {
            try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        }
        #expect(inUse?.description.contains("in use by another process") == true)
        #expect(directory != nil)
        directory = nil
        for (cluster, node) in [("other", "a"), ("mail", "b")] {
            let error = #expect(throws: DataDirectoryError.self) {
                try DataDirectory(path: temporary.path, cluster: cluster, node: node)
            }
            #expect(error?.description.contains("belongs to") == true)
            #expect(error?.description.contains("\n") == false)
        }
    }

    @Test("a damaged node.json is said to be damaged")
    func damagedIdentity() throws {
        let temporary = try TemporaryDirectory()
        _ = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        try Data("{".utf8).write(to: URL(filePath: temporary.path + "/node.json"))
        let error = #expect(throws: DataDirectoryError.self) {
            try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        }
        #expect(error?.description.contains("damaged") == true)
    }

    @Test("a missing or damaged ledger makes this a lost disk, and one line says what to do")
    func lostLedger() throws {
        let temporary = try TemporaryDirectory()
        let directory = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        #expect(try directory.loadLedger() == Ledger())
        let path = temporary.path + "/ledger"
        try Data([1, 2, 3]).write(to: URL(filePath: path))
        let damaged = #expect(throws: DataDirectoryError.self) { try directory.loadLedger() }
        #expect(damaged?.description.contains("move \(temporary.path) away") == true)
        try FileManager.default.removeItem(atPath: path)
        let missing = #expect(throws: DataDirectoryError.self) { try directory.loadLedger() }
        #expect(missing?.isConfiguration == true)
    }

    @Test("a directory of format 1 keeps its promises")
    func migration() throws {
        let temporary = try TemporaryDirectory()
        var directory: DataDirectory? = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        let promise = Promise(
            epoch: 7, owner: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2))), lease: .seconds(2))
        let journal = JournalID(ULID(high: 1 << 20, low: 3))
        directory = nil
        // As format 1 wrote it.
        var body = ByteWriter()
        body.write(promise.epoch)
        body.writeString(promise.owner.node)
        body.write(promise.owner.disk.bits)
        body.write(UInt64(promise.lease.nanoseconds))
        let file = temporary.path + "/journals/\(journal).promise"
        try Data(Sealed.seal(body.bytes, magic: 0x5052_4d31)).write(to: URL(filePath: file))
        let name = URL(filePath: temporary.path + "/node.json")
        let text = try String(contentsOf: name, encoding: .utf8).replacing("\"format\" : 2", with: "\"format\" : 1")
        try Data(text.utf8).write(to: name)
        try FileManager.default.removeItem(atPath: temporary.path + "/ledger")
        directory = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        #expect(try directory?.loadLedger().promises == [journal: promise])
        #expect(!FileManager.default.fileExists(atPath: file))
        #expect(try String(contentsOf: name, encoding: .utf8).contains("\"format\" : 2"))
    }
}

@Suite("The ledger")
struct LedgerTests {
    private var ledger: Ledger {
        let (a, b) = (
            ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2))),
            ReplicaID(node: "b", disk: DiskID(ULID(high: 3, low: 4)))
        )
        var ledger = Ledger()
        for index in 1...3 {
            ledger.promises[JournalID(ULID(high: UInt64(index) << 20, low: 3))] = Promise(
                epoch: UInt64(index), owner: a, lease: .seconds(2))
        }
        ledger.tombstones[JournalID(ULID(high: 9 << 20, low: 3))] = [a, b]
        ledger.damaged = [JournalID(ULID(high: 1 << 20, low: 3))]
        return ledger
    }

    @Test("comes back as it was")
    func roundTrip() { #expect(Ledger(ledger.encoded) == ledger) }

    @Test("is not believed with a flipped bit or cut short, wherever")
    func damage() {
        let bytes = ledger.encoded
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 1
            #expect(Ledger(flipped) == nil)
            #expect(Ledger(Array(bytes[..<index])) == nil)
        }
    }

    @Test("acquaintances come back with their addresses, and damaged ones are not believed")
    func acquaintances() {
        let all = [Acquaintance(ReplicaID(node: "b", disk: DiskID(ULID(high: 3, low: 4))), address: "10.0.0.2:7400")]
        var bytes = Acquaintance.encode(all)
        #expect(Acquaintance.decode(bytes) == all)
        bytes[9] ^= 1
        #expect(Acquaintance.decode(bytes) == nil)
    }
}
