import Cluster
import Primitives
import Testing

@Suite("the wire format")
struct WireTests {
    static let a = ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2)))
    static let b = ReplicaID(node: "b", disk: DiskID(ULID(high: 3, low: 4)))
    static let journal = JournalID(ULID(high: 5, low: .max))

    static let messages: [Message] = {
        let item = JournalEpoch(journal, 7)
        let digest = GossipDigest(node: a, incarnation: 9, version: 10)
        let delta = GossipDelta(
            node: b, incarnation: 1, version: 2, records: [GossipRecord(key: "zone", version: 2, value: [1, 2, 3])])
        let offer = ClaimAnswers.Offer(journal: journal, epoch: 3, lastEpoch: 2, end: 1 << 40, isWhole: false)
        let request = ClaimRequest(
            sentAt: Instant(nanoseconds: -5),
            items: [ClaimRequest.Item(journal: journal, epoch: 4, lease: .seconds(2))])
        return [
            .pulse(Pulse(sentAt: Instant(nanoseconds: 1), digest: [digest, digest], renewals: [item])),
            .pulseReply(
                PulseReply(
                    sentAt: Instant(nanoseconds: 2), digest: [digest], deltas: [delta], renewed: [item],
                    lost: [PulseReply.Lost(journal: journal, epoch: 1, promised: 2)])),
            .append(
                Append(
                    journal: journal, epoch: 7, lease: .milliseconds(500), previousOffset: 10, previousEpoch: 6,
                    committed: 9, ownerEnd: 200, bytes: Array(0...199))),
            .durable(Durable(journal: journal, epoch: .max, end: .max)),
            .mismatch(Mismatch(journal: journal, epoch: 1, end: 2, hint: 3, hintEpoch: 4)),
            .fenced(Fenced(journal: journal, epoch: 1, promised: 2)),
            .buried(journal),
            .probe(request),
            .claim(request),
            .claimAnswers(
                ClaimAnswers(
                    sentAt: Instant(nanoseconds: 3),
                    items: [
                        .would(offer), .granted(offer),
                        .refused(journal, epoch: 1, promised: 2, expiresIn: .milliseconds(3)), .buried(journal),
                    ])),
            .fetch(Fetch(journal: journal, epoch: 1, previousOffset: 2, previousEpoch: 3)),
            .fetched(
                Fetched(
                    journal: journal, epoch: 1, offset: 2, lastEpoch: 3, end: 4, isWhole: true, bytes: [5, 6, 7])),
            .release([item, item]),
            .bury(journal, [a, b]),
            .lateOutcome(
                LateOutcome(
                    journal: journal, epoch: 1, message: MessageID(.zero), recipient: 2, outcome: [3])),
            .ask(Ask(id: ULID(high: 1, low: 1), patience: .seconds(5), what: [1])),
            .answer(Answer(id: ULID(high: 1, low: 1), part: 2, hasMore: true, what: [])),
            .recordsDigest(
                RecordsDigest(heads: [.init(node: a, through: WallTime(milliseconds: 4))], after: .max)),
            .recordsDelta(
                RecordsDelta(
                    claims: [.init(node: b, through: WallTime(milliseconds: 9))], after: nil, upTo: 0,
                    records: [
                        ClusterRecord(
                            key: "drain/a", value: [1],
                            version: RecordVersion(wall: WallTime(milliseconds: 9), node: b),
                            expiry: WallTime(milliseconds: 99)),
                        ClusterRecord(
                            key: "drain/b", value: [], version: RecordVersion(wall: WallTime(milliseconds: 8), node: b),
                            expiry: nil),
                    ])),
            .notHere,
        ]
    }()

    static let hello = Hello(
        cluster: "c", from: a, toNode: "b", toDisk: b.disk, incarnation: 5, previousIncarnation: 4,
        address: "127.0.0.1:2526", protocols: 1...3, formats: 1...1, wall: WallTime(milliseconds: 1))

    @Test("every message comes back as it was sent, one byte at a time")
    func roundTrip() throws {
        var reader = WireReader()
        var found: [WireReader.Item] = []
        for byte in Wire.encode(Self.hello) + Self.messages.flatMap(Wire.encode) {
            reader.push([byte])
            while let item = try reader.next() { found.append(item) }
        }
        #expect(found == [.hello(Self.hello)] + Self.messages.map { .message($0) })
        #expect(reader.buffered == 0)
    }

    @Test("a flipped bit anywhere ends the connection or waits, and never passes")
    func flips() {
        for message in Self.messages {
            let bytes = Wire.encode(message)
            for index in bytes.indices {
                var damaged = bytes
                damaged[index] ^= 0x10
                var reader = WireReader()
                reader.push(damaged)
                let item = try? reader.next()
                #expect(item == nil || item == .some(nil))
            }
        }
    }

    @Test("bodies of rubbish under a good checksum are read or refused, never trapped on")
    func rubbish() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<20_000 {
            var bytes = Wire.encode(Self.messages[Int.random(in: 0..<Self.messages.count, using: &random)])
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 8..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: 0...255, using: &random)
            }
            if random.chance(0.3) { bytes.removeLast(Int.random(in: 0...(bytes.count - 9), using: &random)) }
            Self.seal(&bytes)
            var reader = WireReader()
            reader.push(bytes)
            _ = try? reader.next()
        }
    }

    @Test("a length beyond the bound is refused before its bytes come")
    func bound() {
        var reader = WireReader()
        reader.push([0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 1])
        #expect(throws: MalformedBytes.self) { try reader.next() }
        #expect(throws: MalformedBytes.self) { try reader.next() }
    }

    @Test("fields that a newer version adds at the end are skipped")
    func newerFields() throws {
        var bytes = Wire.encode(.buried(Self.journal)) + [1, 2, 3]
        Self.seal(&bytes)
        var reader = WireReader()
        reader.push(bytes)
        #expect(try reader.next() == .message(.buried(Self.journal)))
    }

    /// Makes length and checksum right.
    static func seal(_ bytes: inout [UInt8]) {
        var checksum = CRC32C()
        checksum.update(bytes[8...])
        withUnsafeBytes(of: UInt32(bytes.count - 9).littleEndian) { bytes.replaceSubrange(0..<4, with: $0) }
        withUnsafeBytes(of: checksum.value.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
    }
}

@Suite("greetings")
struct AcquaintancesTests {
    static func hello(_ change: (inout Hello) -> Void = { _ in }) -> Hello {
        var hello = WireTests.hello
        change(&hello)
        return hello
    }

    static func refusal(_ hello: Hello, live: [ReplicaID] = [], after earlier: [Hello] = []) -> Acquaintances.Refusal? {
        var acquaintances = Acquaintances(me: WireTests.b, cluster: "c", protocols: 2...4)
        do {
            for earlier in earlier { try acquaintances.greet(earlier, live: []) }
            try acquaintances.greet(hello, live: live)
            return nil
        } catch {
            return error
        }
    }

    @Test("who may greet")
    func refusals() {
        #expect(Self.refusal(Self.hello()) == nil)
        #expect(Self.refusal(Self.hello { $0.toDisk = nil }) == nil)
        #expect(Self.refusal(Self.hello { $0.cluster = "d" }) == .otherCluster("d"))
        #expect(Self.refusal(Self.hello { $0.toNode = "c" }) == .notHere)
        #expect(Self.refusal(Self.hello { $0.toDisk = WireTests.a.disk }) == .notHere)
        #expect(Self.refusal(Self.hello { $0.from = WireTests.b }) == .ourselves)
        #expect(Self.refusal(Self.hello { $0.protocols = 5...6 }) == .noSharedProtocol(5...6))
        let other = ReplicaID(node: "a", disk: DiskID(ULID(high: 8, low: 8)))
        #expect(Self.refusal(Self.hello(), live: [other]) == .nameTaken(by: other))
        #expect(Self.refusal(Self.hello { $0.incarnation = 3 }, after: [Self.hello()]) == .olderProcess(known: 5))
        let rolledBack = Self.hello {
            $0.incarnation = 9
            $0.previousIncarnation = 2
        }
        #expect(Self.refusal(rolledBack, after: [Self.hello()]) == .rolledBack(known: 5))
        let next = Self.hello {
            $0.incarnation = 9
            $0.previousIncarnation = 5
        }
        #expect(Self.refusal(next, after: [Self.hello()]) == nil)
    }

    @Test("the newest protocol that both know is spoken")
    func versions() {
        #expect(Self.hello().sharedProtocol(with: 2...4) == 3)
        #expect(Self.hello().sharedProtocol(with: 1...2) == 2)
        #expect(Self.hello().sharedProtocol(with: 4...9) == nil)
    }
}
