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

    @Test("the file comes back as it was; a damaged, cut or newer one is an error that says so")
    func file() throws {
        var a = Self.node(0)
        var b = Self.node(1)
        _ = try b.set("b", to: [5], expiry: Self.at(999), at: Self.at(1))
        _ = try a.set("a", to: [1, 2, 3], expiry: nil, at: Self.at(1))
        _ = try a.set("gone", to: nil, expiry: nil, at: Self.at(1))
        Self.exchange(&a, &b)
        _ = try a.set("a", to: [4], expiry: nil, at: Self.at(1))
        let stored = a.fileToStore()
        let bytes = try #require(stored).bytes
        let read = try ClusterRecords(me: a.me, file: bytes)
        #expect(read.record("a") == a.record("a") && read.record("b") == a.record("b"))
        #expect(read.record("gone") == a.record("gone") && read.count == 3)
        #expect(read.digest(for: b.me).through(a.me) == a.record("a")?.version.wall)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 4
            #expect(throws: RecordsError.self) { try ClusterRecords(me: a.me, file: damaged) }
            #expect(throws: RecordsError.self) { try ClusterRecords(me: a.me, file: Array(bytes[..<index])) }
        }
        #expect(throws: RecordsError.unreadable("it is of format 2, and this version knows 1")) {
            try ClusterRecords(me: a.me, file: [2] + bytes.dropFirst())
        }
    }
}

extension ClusterRecords {
    /// The disk does at once what it is asked.
    mutating func store() {
        while let file = fileToStore() { stored(through: file.mark) }
    }
}
