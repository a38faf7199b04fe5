import Foundation
import Journal
import Node
import Primitives
import Synchronization
import Testing

@testable import Cluster
@testable import Relay

@Suite("The disk thread")
struct DiskThreadTests {
    private let journal = JournalID(ULID(high: 1 << 20, low: 3))
    private let other = JournalID(ULID(high: 2 << 20, low: 3))

    @Test("writes what it was handed, in order, into files that are zeroed ahead")
    func writes() async throws {
        let disk = try TestDisk()
        var jobs: [DiskThread.Job] = []
        var expected: [UInt8] = []
        for index in 0..<100 {
            let bytes = [UInt8](repeating: UInt8(index), count: 100 + index * 37)
            let mark = DiskMark(UInt64(index + 1))
            jobs.append(.write(journal, offset: UInt64(expected.count), bytes, mark))
            jobs.append(.write(other, offset: UInt64(index), [UInt8(index)], mark))
            expected += bytes
        }
        // More than one buffer holds.
        let large = [UInt8](repeating: 0xaa, count: 3 << 20)
        jobs.append(.write(journal, offset: UInt64(expected.count), large, DiskMark(101)))
        expected += large
        disk.thread.take(&jobs)
        #expect(jobs.isEmpty)
        disk.thread.stop()
        #expect(disk.stored(journal) == 101)
        #expect(disk.stored(other) == 100)
        let written = try disk.contents(of: journal)
        #expect(written.count >= expected.count)
        #expect(Array(written.prefix(expected.count)) == expected)
        #expect(written.dropFirst(expected.count).allSatisfy { $0 == 0 })
    }

    @Test("the promises for many journals are on the disk together, before what was asked behind them")
    func promises() async throws {
        let disk = try TestDisk()
        var jobs: [DiskThread.Job] = []
        var expected: [JournalID: Promise] = [:]
        for index in 1...50 {
            let journal = JournalID(ULID(high: UInt64(index) << 20, low: 7))
            let promise = Promise(epoch: UInt64(index), owner: disk.directory.replica, lease: .seconds(2))
            jobs.append(.storePromise(journal, promise, DiskMark(1)))
            expected[journal] = promise
        }
        jobs.append(.write(journal, offset: 0, [1], DiskMark(1)))
        disk.thread.take(&jobs)
        try await disk.until("all are stored") { disk in
            expected.keys.allSatisfy { disk.stored($0) == 1 } && disk.stored(journal) == 1
        }
        #expect(try disk.directory.loadLedger().promises == expected)
        // One report for all of them: they shared a sync.
        let reports = disk.reports.withLock { $0 }
        let first = try #require(reports.first { $0.contains { isStored($0) } })
        #expect(first.count { isStored($0) } == 50)
        disk.thread.stop()
    }

    private func isStored(_ event: NodeEvent) -> Bool {
        if case .cluster(.stored) = event { true } else { false }
    }

    @Test("what is asked for one journal is done in order: promise, write, cut, write, read")
    func order() async throws {
        let disk = try TestDisk()
        let promise = Promise(epoch: 3, owner: disk.directory.replica, lease: .seconds(2))
        let request = ReadRequest(
            journal: journal, epoch: 3, generation: 0, offset: 0, count: 3,
            purpose: .append(to: disk.directory.replica))
        var jobs: [DiskThread.Job] = [
            .write(journal, offset: 0, [1, 2, 3, 4], DiskMark(1)), .write(other, offset: 0, [7], DiskMark(1)),
            .storePromise(journal, promise, DiskMark(2)), .cut(journal, to: 2, DiskMark(3)),
            .write(other, offset: 1, [8], DiskMark(2)), .write(journal, offset: 2, [9], DiskMark(4)), .read(request),
        ]
        disk.thread.take(&jobs)
        try await disk.until("it was read") { $0.read(request) != nil }
        #expect(disk.read(request) == [1, 2, 9])
        #expect(disk.stored(journal) == 4)
        #expect(disk.stored(other) == 2)
        #expect(try disk.contents(of: journal).prefix(5).elementsEqual([1, 2, 9, 0, 0]))
        #expect(try disk.directory.loadLedger().promises == [journal: promise])
        disk.thread.stop()
    }

    @Test("a scan delivers the frames that were written before it")
    func scan() async throws {
        let disk = try TestDisk()
        var bytes: [UInt8] = []
        for epoch in 1...3000 {
            let record = Record.takeover(
                TakeoverRecord(owner: disk.directory.replica, time: WallTime(milliseconds: 1)))
            bytes += Frame.encode(record, epoch: UInt64(epoch), journal: journal, offset: UInt64(bytes.count))
        }
        disk.thread.take(.write(journal, offset: 0, bytes, DiskMark(1)))
        disk.thread.take(.scan(journal, scan: 5, upTo: UInt64(bytes.count)))
        try await disk.until("the last batch came") { $0.scanned(5).isLast }
        #expect(disk.scanned(5).frames.map(\.header.epoch) == Array(1...3000))
        disk.thread.take(.scan(other, scan: 6, upTo: 100))
        try await disk.until("a missing file is told") { $0.scanned(6).isLast }
        #expect(disk.scanned(6).frames.isEmpty)
        disk.thread.stop()
    }

    @Test("a tombstone takes the place of promise and copy; the history is kept first, and only then it is forgotten")
    func burial() async throws {
        let disk = try TestDisk()
        let me = disk.directory.replica
        let promise = Promise(epoch: 3, owner: me, lease: .seconds(2))
        let peer = ReplicaID(node: "b", disk: DiskID(ULID(high: 5, low: 5)))
        let tombstone = Tombstone(journal: journal, disks: [me, peer], me: me)
        var jobs: [DiskThread.Job] = [
            .storePromise(journal, promise, DiskMark(1)), .write(journal, offset: 0, [1, 2], DiskMark(2)),
            .entomb(tombstone, DiskMark(3)),
        ]
        disk.thread.take(&jobs)
        try await disk.until("it is buried") { $0.stored(journal) == 3 }
        try await disk.until("its history is kept") { $0.kept.withLock { $0 } == [journal] }
        let path = disk.directory.journalPath(journal)
        try await disk.until("the file is gone") { _ in !FileManager.default.fileExists(atPath: path) }
        var ledger = try disk.directory.loadLedger()
        #expect(ledger.promises.isEmpty)
        #expect(ledger.tombstones == [journal: [me, peer]])
        disk.thread.take(.forgetTombstone(journal))
        try await disk.until("it is forgotten") { ((try? $0.directory.loadLedger()) ?? ledger).tombstones.isEmpty }
        disk.thread.stop()
        ledger = try disk.directory.loadLedger()
        #expect(ledger == Ledger())
    }

    @Test("a journal that was buried and not removed yet goes at the next start")
    func leftovers() async throws {
        let temporary = try TemporaryDirectory()
        var ledger = Ledger()
        let path: String
        do {
            let disk = try TestDisk(in: temporary)
            path = disk.directory.journalPath(journal)
            ledger.tombstones[journal] = [disk.directory.replica]
            disk.thread.take(.write(journal, offset: 0, [1], DiskMark(1)))
            disk.thread.stop()
            try disk.directory.store(ledger)
        }
        #expect(FileManager.default.fileExists(atPath: path))
        let disk = try TestDisk(in: temporary, ledger: ledger)
        try await disk.until("the file is gone") { _ in !FileManager.default.fileExists(atPath: path) }
        #expect(disk.kept.withLock { $0 } == [journal])
        disk.thread.stop()
    }

    @Test("sets journals aside, keeps the newest records, and drops the mark of a copy that is whole again")
    func smallFiles() async throws {
        var ledger = Ledger()
        ledger.damaged = [other]
        let disk = try TestDisk(ledger: ledger)
        let promise = Promise(epoch: 3, owner: disk.directory.replica, lease: .seconds(2))
        var jobs: [DiskThread.Job] = [
            .storePromise(journal, promise, DiskMark(1)), .write(journal, offset: 0, [1], DiskMark(2)),
            .setAside(journal), .storeRecords([1], at: 0, version: 1), .storeRecords([2], at: 0, version: 2),
            .whole(other),
            .storeAcquainted([Acquaintance(disk.directory.replica, address: "x:1")]),
        ]
        disk.thread.take(&jobs)
        try await disk.until("the records are stored") { $0.recordsStored == [2] }
        jobs = [.storeRecords([3, 4], at: 1, version: 3)]
        disk.thread.take(&jobs)
        try await disk.until("a part is appended") { $0.recordsStored == [2, 3] }
        disk.thread.stop()
        #expect(try disk.directory.loadRecords() == [2, 3, 4])
        #expect(try disk.directory.loadAcquainted()?.map(\.address) == ["x:1"])
        let names = try FileManager.default.contentsOfDirectory(atPath: disk.directory.journalsPath)
        #expect(names.filter { !$0.hasPrefix("spare") } == ["\(journal).journal.damaged"])
        #expect(try disk.directory.loadLedger() == Ledger())
    }

    @Test("a new journal takes the spare file, and another is made")
    func spare() async throws {
        let disk = try TestDisk()
        let spare = disk.directory.sparePath
        func inode(_ path: String) -> UInt64? {
            (try? FileManager.default.attributesOfItem(atPath: path)[.systemFileNumber] as? NSNumber)?.uint64Value
        }
        var number: UInt64 = 1
        // It is named before it is full of zeros: only then it is taken.
        try await disk.until("a journal was made of it") { disk in
            let before = inode(spare)
            let journal = JournalID(ULID(high: number << 20, low: 1))
            number += 1
            disk.thread.take(.write(journal, offset: 0, [1], DiskMark(1)))
            while disk.stored(journal) == nil { usleep(1000) }
            return before != nil && inode(disk.directory.journalPath(journal)) == before
        }
        try await disk.until("there is another") { _ in inode(spare) != nil }
        disk.thread.stop()
    }

    @Test("a full disk loses nothing: what was asked is done once there is room")
    func full() async throws {
        let temporary = try TemporaryDirectory()
        guard let small = SmallDisk(temporary, mebibytes: 8) else {
            print("skipped: mounting a tmpfs is not permitted here")
            return
        }
        let disk = try TestDisk(at: small.path + "/data", in: temporary)
        try await disk.until("the space was looked at") { $0.looks > 0 }
        let filler = small.path + "/filler"
        small.fill(filler)
        var jobs: [DiskThread.Job] = []
        let promise = Promise(epoch: 3, owner: disk.directory.replica, lease: .seconds(2))
        for index in 0..<4 {
            let offset = UInt64(index) << 20
            jobs.append(
                .write(journal, offset: offset, [UInt8](repeating: 1, count: 1 << 20), DiskMark(UInt64(index + 1))))
        }
        jobs += [.storePromise(other, promise, DiskMark(1)), .write(other, offset: 0, [1, 2, 3], DiskMark(2))]
        disk.thread.take(&jobs)
        try await disk.until("it is reported") { $0.fulls > 0 }
        #expect(disk.stored(journal) == nil)
        unlink(filler)
        try await disk.until("all is stored") { $0.stored(journal) == 4 && $0.stored(other) == 2 }
        #expect(try disk.contents(of: journal).prefix(4 << 20).allSatisfy { $0 == 1 })
        #expect(try disk.contents(of: other).prefix(3).elementsEqual([1, 2, 3]))
        #expect(try disk.directory.loadLedger().promises == [other: promise])
        disk.thread.stop()
    }
}

/// A disk thread on a directory of its own, and what it reported.
private final class TestDisk: Sendable {
    let temporary: TemporaryDirectory
    let directory: DataDirectory
    let thread: DiskThread
    let reports = Mutex<[[NodeEvent]]>([])
    let kept = Mutex<[JournalID]>([])

    private final class Box: Sendable {
        let sink = Mutex<(@Sendable ([NodeEvent]) -> Void)?>(nil)
        let keep = Mutex<(@Sendable (JournalID) -> Void)?>(nil)
    }

    init(at path: String? = nil, in temporary: TemporaryDirectory? = nil, ledger: Ledger = Ledger()) throws {
        let temporary = try temporary ?? TemporaryDirectory()
        self.temporary = temporary
        directory = try DataDirectory(path: path ?? temporary.path + "/data", cluster: "mail", node: "a")
        let box = Box()
        thread = DiskThread(
            directory: directory, ledger: ledger, files: JournalFiles(), chunk: 1 << 20,
            helpers: DiskThread.Helpers(
                reader: WorkThread("reader"), background: WorkThread("background"),
                keepHistory: { journal, _ in box.keep.withLock { $0 }?(journal) },
                report: { events in box.sink.withLock { $0 }?(events) },
                broken: { error in Issue.record("the disk broke: \(error)") }))
        box.sink.withLock { $0 = { [weak self] events in self?.reports.withLock { $0.append(events) } } }
        box.keep.withLock { $0 = { [weak self] journal in self?.kept.withLock { $0.append(journal) } } }
        thread.start()
    }

    deinit {
        thread.helpers.reader.stop()
        thread.helpers.background.stop()
    }

    func until(_ what: String, _ holds: (TestDisk) throws -> Bool) async throws {
        let end = soon()
        while try !holds(self) {
            guard soon(0) < end else { throw TestFailure("\(what): not in time") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    var events: [NodeEvent] { reports.withLock { $0.flatMap { $0 } } }

    func stored(_ journal: JournalID) -> UInt64? {
        events.reduce(nil) { highest, event in
            if case .cluster(.stored(journal, through: let mark)) = event { mark.number } else { highest }
        }
    }

    func read(_ request: ReadRequest) -> [UInt8]? {
        for case .cluster(.read(request, let bytes)) in events { return bytes }
        return nil
    }

    func scanned(_ number: UInt64) -> (frames: [ScannedFrame], isLast: Bool) {
        var all: [ScannedFrame] = []
        var isOver = false
        for case .scanned(_, number, let frames, let isLast) in events {
            all += frames
            isOver = isLast
        }
        return (all, isOver)
    }

    var recordsStored: [UInt64] {
        events.compactMap { if case .recordsStored(let version) = $0 { version } else { nil } }
    }
    var looks: Int { events.count { if case .diskSpace = $0 { true } else { false } } }
    var fulls: Int { events.count { if case .diskFull = $0 { true } else { false } } }

    func contents(of journal: JournalID) throws -> Data {
        try Data(contentsOf: URL(filePath: directory.journalPath(journal)))
    }
}

/// A file system of its own for a test, in memory; nil where mounting is not permitted.
final class SmallDisk {
    let path: String

    init?(_ directory: TemporaryDirectory, mebibytes: Int) {
        path = directory.path + "/disk"
        guard mkdir(path, 0o700) == 0, mount("tmpfs", path, "tmpfs", UInt(0), "size=\(mebibytes)m") == 0 else {
            return nil
        }
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }

    func fill(_ file: String) {
        let descriptor = open(file, O_WRONLY | O_CREAT, 0o600)
        let bytes = [UInt8](repeating: 1, count: 4096)
        while write(descriptor, bytes, bytes.count) > 0 {}
        close(descriptor)
    }
}
