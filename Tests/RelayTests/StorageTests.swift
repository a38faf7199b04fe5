import Cluster
import Foundation
import Journal
import Node
import Primitives
import Synchronization
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
}

@Suite("Promises on the disk")
struct PromiseFileTests {
    private let promise = Promise(
        epoch: 7, owner: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2))), lease: .seconds(2))

    @Test("come back as they were")
    func roundTrip() { #expect(PromiseFile.decode(PromiseFile.encode(promise)) == promise) }

    @Test("are not believed with a flipped bit or cut short, wherever")
    func damage() {
        let bytes = PromiseFile.encode(promise)
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 1
            #expect(PromiseFile.decode(flipped) == nil)
            #expect(PromiseFile.decode(Array(bytes[..<index])) == nil)
        }
    }
}

@Suite("The disk thread")
struct DiskThreadTests {
    private let journal = JournalID(ULID(high: 1 << 20, low: 3))
    private let other = JournalID(ULID(high: 2 << 20, low: 3))

    private final class Events: Sendable {
        let all = Mutex<[NodeEvent]>([])
        func durable(_ journal: JournalID) -> UInt64 {
            all.withLock { events in
                events.reduce(0) { highest, event in
                    if case .durable(journal, let offset) = event { offset } else { highest }
                }
            }
        }
        func hasDeleted(_ journal: JournalID) -> Bool {
            all.withLock { $0.contains { if case .journalDeleted(journal) = $0 { true } else { false } } }
        }
    }

    private func start(_ temporary: TemporaryDirectory, _ events: Events) throws -> (DiskThread, DataDirectory) {
        let directory = try DataDirectory(path: temporary.path, cluster: "mail", node: "a")
        let thread = DiskThread(
            directory: directory, files: JournalFiles(), chunk: 1 << 20,
            report: { new in events.all.withLock { $0.append(contentsOf: new) } },
            broken: { error in Issue.record("the disk broke: \(error)") })
        thread.start()
        return (thread, directory)
    }

    @Test("writes what it was handed, in order, into files that are zeroed ahead")
    func writes() async throws {
        let temporary = try TemporaryDirectory()
        let events = Events()
        let (thread, directory) = try start(temporary, events)
        var jobs: [DiskThread.Job] = [.create(journal), .create(other)]
        var expected: [UInt8] = []
        for index in 0..<100 {
            let bytes = [UInt8](repeating: UInt8(index), count: 100 + index * 37)
            jobs.append(.append(journal, offset: UInt64(expected.count), bytes))
            jobs.append(.append(other, offset: UInt64(index), [UInt8(index)]))
            expected += bytes
        }
        // More than one buffer holds.
        let large = [UInt8](repeating: 0xaa, count: 3 << 20)
        jobs.append(.append(journal, offset: UInt64(expected.count), large))
        expected += large
        thread.take(&jobs)
        #expect(jobs.isEmpty)
        thread.stop()
        #expect(events.durable(journal) == UInt64(expected.count))
        #expect(events.durable(other) == 100)
        let written = try Data(contentsOf: URL(filePath: directory.journalPath(journal)))
        #expect(written.count >= expected.count)
        #expect(Array(written.prefix(expected.count)) == expected)
        #expect(written.dropFirst(expected.count).allSatisfy { $0 == 0 })
    }

    @Test("keeps promises, cuts, sets aside and deletes")
    func files() async throws {
        let temporary = try TemporaryDirectory()
        let events = Events()
        let (thread, directory) = try start(temporary, events)
        let promise = Promise(epoch: 3, owner: directory.replica, lease: .seconds(2))
        var jobs: [DiskThread.Job] = [
            .create(journal), .storePromise(journal, promise), .append(journal, offset: 0, [1, 2, 3, 4]),
            .cut(journal, to: 2), .append(journal, offset: 2, [9]), .create(other),
        ]
        thread.take(&jobs)
        try await until("it is durable") { events.durable(journal) == 3 }
        let bytes = try Data(contentsOf: URL(filePath: directory.journalPath(journal)))
        #expect(Array(bytes.prefix(5)) == [1, 2, 9, 0, 0])
        let stored = try Data(contentsOf: URL(filePath: directory.promisePath(journal)))
        #expect(PromiseFile.decode(Array(stored)) == promise)
        thread.take(.setAside(other))
        thread.take(.delete(journal))
        try await until("it is deleted") { events.hasDeleted(journal) }
        thread.stop()
        let names = try FileManager.default.contentsOfDirectory(atPath: directory.journalsPath)
        #expect(names == ["\(other).journal.damaged"])
    }
}
