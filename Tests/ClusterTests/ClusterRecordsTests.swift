import Cluster
import Primitives
import Testing

@Suite("cluster records")
struct ClusterRecordsTests {
    static let ids = (0..<4).map { ReplicaID(node: "n\($0)", disk: DiskID(ULID(high: 1, low: UInt64($0 + 1)))) }
    static func at(_ milliseconds: Int64) -> WallTime { WallTime(milliseconds: milliseconds) }

    /// A node whose disk does at once what it is asked.
    static func node(_ index: Int) -> ClusterRecords { ClusterRecords(me: ids[index]) }

    /// Both ways until nobody lacks anything. The messages that it took.
    @discardableResult
    static func exchange(_ a: inout ClusterRecords, _ b: inout ClusterRecords) -> Int {
        var messages = 0
        a.store()
        b.store()
        while pull(&a, from: &b) || pull(&b, from: &a) { messages += 1 }
        return messages
    }

    private static func pull(_ to: inout ClusterRecords, from: inout ClusterRecords) -> Bool {
        from.acknowledged(by: to.me, to.digest(for: from.me))
        to.acknowledged(by: from.me, from.digest(for: to.me))
        guard let delta = from.delta(for: to.digest(for: from.me)) else { return false }
        #expect(Wire.encode(.recordsDelta(delta)).count <= 70_000)
        if to.take(delta, from: from.me) != .wantsMore { to.store() }
        return true
    }

    @Test("a version is higher than the one it replaces and than every earlier one of its disk, whatever the clock")
    func versions() throws {
        var a = Self.node(0)
        let first = try a.set("k", to: [1], expiry: nil, at: Self.at(5000))
        let rolledBack = try a.set("k", to: [2], expiry: nil, at: Self.at(10))
        let other = try a.set("other", to: [3], expiry: nil, at: Self.at(11))
        #expect(first < rolledBack && rolledBack < other)
        #expect(a.value("k", at: Self.at(10)) == [2])
        var b = Self.node(1)
        Self.exchange(&a, &b)
        let replaced = try b.set("k", to: [4], expiry: nil, at: Self.at(1))
        #expect(replaced > rolledBack)
        Self.exchange(&a, &b)
        #expect(a.value("k", at: Self.at(1)) == [4])
    }

    @Test("of two at one time the greater name wins, on both sides")
    func ties() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        _ = try a.set("k", to: [1], expiry: nil, at: Self.at(7))
        _ = try b.set("k", to: [2], expiry: nil, at: Self.at(7))
        Self.exchange(&a, &b)
        #expect(a.value("k", at: Self.at(7)) == [2] && b.value("k", at: Self.at(7)) == [2])
    }

    @Test("a removed record stays removed, also where the removal came late; what expired is hidden")
    func removal() throws {
        var (a, b, c) = (Self.node(0), Self.node(1), Self.node(2))
        _ = try a.set("k", to: [1], expiry: nil, at: Self.at(1))
        Self.exchange(&a, &b)
        Self.exchange(&a, &c)
        _ = try b.set("k", to: nil, expiry: nil, at: Self.at(2))
        Self.exchange(&b, &a)
        #expect(a.value("k", at: Self.at(3)) == nil && a.record("k") != nil)
        Self.exchange(&c, &a)
        #expect(c.value("k", at: Self.at(3)) == nil && a.value("k", at: Self.at(3)) == nil)

        _ = try a.set("ban", to: [1], expiry: Self.at(100), at: Self.at(50))
        #expect(a.value("ban", at: Self.at(99)) != nil && a.value("ban", at: Self.at(100)) == nil)
        #expect(a.records(prefix: "b", at: Self.at(99)).map(\.key) == ["ban"])
        let later = Self.at(200) + ClusterRecords.retention
        a.expire(at: later)
        #expect(a.count == 0)
        Self.exchange(&a, &c)
        #expect(a.count == 0, "it has been seen here, and does not come back")
        c.expire(at: later)
        #expect(c.count == 0)
    }

    @Test("nobody hears of what is not on the disk")
    func persistFirst() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        let version = try a.set("k", to: [1], expiry: nil, at: Self.at(1))
        let known = [Self.ids[1], Self.ids[2]]
        #expect(a.delta(for: b.digest(for: a.me)) == nil && a.digest(for: b.me).heads.isEmpty)
        a.store()
        #expect(!a.isHeld(version, byMajorityOf: known))
        let delta = try #require(a.delta(forPeer: b.me))
        #expect(b.take(delta, from: a.me) == .changed)
        a.acknowledged(by: b.me, b.digest(for: a.me))
        #expect(!a.isHeld(version, byMajorityOf: known))
        let stored = b.fileToStore()
        let file = try #require(stored)
        #expect(b.fileToStore() == nil)
        a.acknowledged(by: b.me, b.digest(for: a.me))
        #expect(!a.isHeld(version, byMajorityOf: known))
        b.stored(through: file.mark)
        a.acknowledged(by: b.me, b.digest(for: a.me))
        #expect(a.isHeld(version, byMajorityOf: known))
        #expect(a.isHeld(version, byMajorityOf: known + [Self.ids[0]]))
        #expect(!a.isHeld(version, byMajorityOf: known + [Self.ids[3]]))
        // A new disk of the same node is no other node.
        let again = ReplicaID(node: "n1", disk: DiskID(ULID(high: 9, low: 9)))
        #expect(a.isHeld(version, byMajorityOf: known + [again]))
        #expect(b.take(delta, from: a.me) == .nothing)
    }

    @Test("much travels in bounded parts; what changes meanwhile is not missed, and an old part proves nothing")
    func parts() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        for number in 0..<200 {
            _ = try a.set("key\(number)", to: Array(repeating: 7, count: 1500), expiry: nil, at: Self.at(1))
        }
        a.store()
        var old: [RecordsDelta] = []
        while let delta = a.delta(for: b.digest(for: a.me)) {
            if old.isEmpty {
                _ = try a.set("key3", to: [1], expiry: nil, at: Self.at(1))
                a.store()
            }
            old.append(delta)
            if b.take(delta, from: a.me) != .wantsMore { b.store() }
            #expect(old.count < 20)
        }
        #expect(old.count > 4 && b.value("key3", at: Self.at(1)) == [1] && b.count == 200)
        // Everything again: the last part of the first time must not complete the second.
        for number in 0..<200 {
            _ = try a.set("key\(number)", to: Array(repeating: 8, count: 1500), expiry: nil, at: Self.at(1))
        }
        a.store()
        let first = try #require(a.delta(for: b.digest(for: a.me)))
        #expect(b.take(first, from: a.me) == .wantsMore)
        for part in old { _ = b.take(part, from: a.me) }
        b.store()
        #expect(!b.digest(for: a.me).covers(a.digest(for: b.me)))
        Self.exchange(&a, &b)
        #expect(b.records(prefix: "", at: Self.at(1)) == a.records(prefix: "", at: Self.at(1)))
    }

    @Test("a rolled-back disk writes above what others know of it, and is given back what it wrote")
    func rollback() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        _ = try a.set("k", to: [1], expiry: nil, at: Self.at(100))
        Self.exchange(&a, &b)
        a = Self.node(0)
        a.acknowledged(by: b.me, b.digest(for: a.me))
        let version = try a.set("j", to: [1], expiry: nil, at: Self.at(1))
        #expect(version.wall > Self.at(100))
        a = Self.node(0)
        Self.exchange(&a, &b)
        #expect(a.value("k", at: Self.at(1)) == [1])
    }

    @Test("bounds are errors with words, and a full node still removes and takes what others wrote")
    func bounds() throws {
        var a = Self.node(0)
        #expect(throws: RecordsError.keyLength(0)) { try a.set("", to: [1], expiry: nil, at: Self.at(1)) }
        let long = String(repeating: "ü", count: 128)
        #expect(throws: RecordsError.keyLength(256)) { try a.set(long, to: [1], expiry: nil, at: Self.at(1)) }
        let value = [UInt8](repeating: 1, count: ClusterRecords.maximumValue)
        #expect(throws: RecordsError.valueLength(4097)) { try a.set("k", to: value + [1], expiry: nil, at: Self.at(1)) }
        #expect(throws: RecordsError.clock) {
            try a.set("k", to: [1], expiry: nil, at: ClusterRecords.latestWall + .days(1))
        }
        for number in 0..<(ClusterRecords.maximumBytes / 4200) {
            _ = try a.set("key\(number)", to: value, expiry: nil, at: Self.at(1))
        }
        #expect(throws: RecordsError.full) {
            for number in 0..<1000 { _ = try a.set("more\(number)", to: value, expiry: nil, at: Self.at(1)) }
        }
        let count = a.count
        _ = try a.set("key1", to: nil, expiry: nil, at: Self.at(1))
        var b = Self.node(1)
        _ = try b.set("b", to: value, expiry: nil, at: Self.at(1))
        Self.exchange(&b, &a)
        #expect(a.count == count + 1 && b.count == count + 1)
    }

    /// Lets a disk do all that is asked of it.
    private func store(_ records: inout ClusterRecords, onto file: inout [UInt8]) {
        while let writing = records.fileToStore() {
            #expect(writing.offset == 0 || writing.offset == UInt64(file.count))
            file = writing.offset == 0 ? writing.bytes : file + writing.bytes
            records.stored(through: writing.mark)
        }
    }

    @Test("the file comes back as it was; a damaged, cut or newer one is an error that says so")
    func file() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        _ = try b.set("b", to: [5], expiry: Self.at(999), at: Self.at(1))
        b.store()
        _ = try a.set("a", to: [4], expiry: nil, at: Self.at(1))
        _ = try a.set("gone", to: nil, expiry: nil, at: Self.at(1))
        _ = a.take(try #require(b.delta(forPeer: a.me)), from: b.me)
        var bytes: [UInt8] = []
        store(&a, onto: &bytes)
        let read = try ClusterRecords(me: a.me, file: bytes)
        #expect(read.record("a") == a.record("a") && read.record("b") == a.record("b"))
        #expect(read.record("gone") == a.record("gone") && read.count == 3)
        #expect(read.digest(for: b.me).through(a.me) == a.record("gone")?.version.wall)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 4
            #expect(throws: RecordsError.self) { try ClusterRecords(me: a.me, file: damaged) }
            #expect(throws: RecordsError.self) { try ClusterRecords(me: a.me, file: Array(bytes[..<index])) }
        }
        #expect(throws: RecordsError.unreadable("it is of format 3, and this version knows 2")) {
            try ClusterRecords(me: a.me, file: [3] + bytes.dropFirst())
        }
    }

    @Test("a change is appended; torn, it is as if it had not been; damage before the last part is an error")
    func appended() throws {
        var a = Self.node(0)
        var bytes: [UInt8] = []
        var ends: [Int] = []
        for value in UInt8(1)...3 {
            _ = try a.set("a", to: [value], expiry: nil, at: Self.at(Int64(value)))
            store(&a, onto: &bytes)
            ends.append(bytes.count)
        }
        #expect(try ClusterRecords(me: a.me, file: bytes).record("a") == a.record("a"))
        for cut in ends[0]..<bytes.count {
            let read = try ClusterRecords(me: a.me, file: Array(bytes[..<cut]))
            let value: UInt8 = cut < ends[1] ? 1 : 2
            #expect(read.value("a", at: Self.at(1)) == [value])
            #expect(read.digest(for: a.me).through(a.me) == Self.at(Int64(value)))
        }
        // From the checksum on: what a length says that reaches beyond the end can't be told from a torn part.
        for index in ends[0] + 4..<ends[1] {
            var damaged = bytes
            damaged[index] ^= 4
            #expect(throws: RecordsError.self) { try ClusterRecords(me: a.me, file: damaged) }
        }
        // After a torn part everything is written anew.
        var again = try ClusterRecords(me: a.me, file: Array(bytes.dropLast()))
        _ = try again.set("b", to: [1], expiry: nil, at: Self.at(9))
        #expect(again.fileToStore()?.offset == 0)
    }

    @Test("a list of many is one version and one write, and what single changes write stays in proportion")
    func manyWrites() throws {
        var a = Self.node(0)
        let writes = (0..<10_000).map { RecordWrite(key: "suppression/user\($0)@example.com", value: [1, 2, 3, 4]) }
        let version = try a.set(writes, at: Self.at(5000))
        #expect(version.wall == Self.at(5000))
        var bytes: [UInt8] = []
        store(&a, onto: &bytes)
        let whole = bytes.count
        var written = 0
        for index in 0..<50 {
            _ = try a.set("count/\(index)", to: [1], expiry: nil, at: Self.at(6000))
            while let writing = a.fileToStore() {
                written += writing.bytes.count
                a.stored(through: writing.mark)
            }
        }
        #expect(written < whole / 10)
        var b = Self.node(1)
        #expect(Self.exchange(&a, &b) > 5)
        #expect(b.count == a.count && b.value("suppression/user9999@example.com", at: Self.at(1)) == [1, 2, 3, 4])
        #expect(b.count(ofKind: "suppression", at: Self.at(1)) == 10_000)
        #expect(b.records(prefix: "count/1", at: Self.at(1)).count == 11)
    }

    @Test("of a list that finds no room nothing is written; its last write to a key counts")
    func allOrNone() throws {
        var a = Self.node(0)
        func writes(_ range: Range<Int>) -> [RecordWrite] { range.map { RecordWrite(key: "k\($0)", value: [1]) } }
        _ = try a.set(writes(0..<99_999), at: Self.at(1))
        #expect(throws: RecordsError.full) { try a.set(writes(99_999..<100_001), at: Self.at(2)) }
        #expect(a.count == 99_999 && a.record("k99999") == nil)
        #expect(throws: RecordsError.keyLength(0)) {
            try a.set([RecordWrite(key: "x", value: [1]), RecordWrite(key: "", value: [1])], at: Self.at(2))
        }
        #expect(a.record("x") == nil)
        _ = try a.set([RecordWrite(key: "k1", value: [2]), RecordWrite(key: "k1", value: [3])], at: Self.at(3))
        #expect(a.value("k1", at: Self.at(3)) == [3])
        #expect(a.fullness > 0.99)
    }
}

extension ClusterRecords {
    /// The disk does at once what it is asked.
    mutating func store() {
        while let file = fileToStore() { stored(through: file.mark) }
    }
}
