import Journal
import Primitives

let testJournal = JournalID(ULID(high: 0x0193_5a2b_4c5d_6e7f, low: 0x8091_a2b3_c4d5_e6f7))

/// Random records that any encoder may be given.
struct RandomRecords {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func record(_ kind: FrameKind) -> Record {
        switch kind {
        case .open:
            return .open(
                OpenRecord(cluster: text(), origin: replica(), replicas: many(3) { $0.replica() }, time: time()))
        case .takeover: return .takeover(TakeoverRecord(owner: replica(), time: time()))
        case .replicas: return .replicas(many(5) { $0.replica() })
        case .seal: return .seal
        case .retire: return .retire
        case .body: return .body(stream(), bytes(600))
        case .abort: return .abort(stream())
        case .accept: return .accept(accept())
        case .attempt:
            return .attempt(
                AttemptRecord(
                    message: id(), number: number32(), time: time(), upstream: text(),
                    recipients: many(5) { $0.number32() }))
        case .outcome:
            return .outcome(
                OutcomeRecord(
                    message: id(), attempt: number32(), time: time(), upstream: text(), remote: text(),
                    results: many(4) { $0.result() }, notice: random.chance(0.3) ? accept() : nil))
        case .hold: return .hold(command())
        case .release: return .release(command())
        case .cancel: return .cancel(command())
        case .redirect: return .redirect(command(), upstream: text())
        }
    }

    mutating func anyRecord() -> Record { record(FrameKind.allCases.randomElement(using: &random) ?? .seal) }

    mutating func accept(inline: Bool? = nil) -> AcceptRecord {
        let isInline = inline ?? random.chance(0.7)
        var accept = AcceptRecord(
            id: id(), time: time(), reversePath: random.chance(0.8) ? bytes(40) : nil,
            recipients: many(4) { $0.bytes(40) },
            content: isInline
                ? .inline(bytes(500))
                : .pieces(stream(), many(4) { ContentPiece(offset: $0.number64(), count: $0.number32()) }),
            size: number64())
        accept.prefixCount = number64()
        accept.isEightBit = random.chance(0.5)
        accept.isInternationalized = random.chance(0.5)
        accept.isUncertain = random.chance(0.5)
        accept.digest = random.chance(0.5) ? bytes(32) : []
        accept.messageIDField = bytes(60)
        accept.headerFields = many(3) { $0.bytes(40) }
        accept.clientAddress = text()
        accept.helo = bytes(30)
        accept.user = text()
        accept.tls = text()
        accept.concerns = random.chance(0.3) ? id() : nil
        accept.unknownFields = many(3) { UnknownField(tag: 1000 + $0.number64() % 1_000_000, bytes: $0.bytes(20)) }
        return accept
    }

    private mutating func result() -> RecipientResult {
        let statuses: [RecipientResult.Status] = [.delivered, .deferred, .failed, .notSent, .unanswered, .expired]
        return RecipientResult(
            recipient: number32(), status: statuses.randomElement(using: &random) ?? .delivered,
            code: UInt16(truncatingIfNeeded: random.next()), enhanced: text(), reply: bytes(80),
            due: random.chance(0.5) ? time() : nil, tries: number32(), isHeld: random.chance(0.3))
    }

    private mutating func command() -> CommandRecord {
        CommandRecord(message: id(), recipients: many(4) { $0.number32() }, time: time(), by: text(), reason: text())
    }

    private mutating func replica() -> ReplicaID {
        ReplicaID(node: text(), disk: DiskID(ULID(high: number64(), low: number64())))
    }
    private mutating func stream() -> StreamID { StreamID(number64()) }
    private mutating func id() -> MessageID { MessageID(ULID(high: number64(), low: number64())) }

    private mutating func time() -> WallTime { WallTime(milliseconds: Int64(bitPattern: number64())) }

    /// All lengths are as likely.
    private mutating func number64() -> UInt64 { random.next() >> UInt64.random(in: 0..<64, using: &random) }
    private mutating func number32() -> UInt32 { UInt32(truncatingIfNeeded: number64()) }

    private mutating func bytes(_ limit: Int) -> [UInt8] {
        (0..<Int.random(in: 0...limit, using: &random)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private mutating func text() -> String {
        [
            "", "a", "mx1.example.net[192.0.2.1]:25", "пошта",
            "a name that is longer than the fifteen bytes of a small string",
        ]
        .randomElement(using: &random) ?? ""
    }

    private mutating func many<T>(_ limit: Int, _ make: (inout RandomRecords) -> T) -> [T] {
        var list: [T] = []
        for _ in 0..<Int.random(in: 0...limit, using: &random) { list.append(make(&self)) }
        return list
    }
}

/// A journal's bytes as a node writes them, and the frames in it.
struct RecordedJournal {
    var journal = testJournal
    var bytes: [UInt8] = []
    var epoch: UInt64 = 1
    /// Where each frame begins, and one more for the end.
    var offsets: [UInt64] = [0]
    var records: [Record] = []

    mutating func append(_ record: Record) {
        bytes += Frame.encode(record, epoch: epoch, journal: journal, offset: UInt64(bytes.count))
        offsets.append(UInt64(bytes.count))
        records.append(record)
    }

    /// Every kind of frame, several times, in two epochs.
    static func ofAllKinds(seed: UInt64, rounds: Int = 2, journal: JournalID = testJournal) -> RecordedJournal {
        var random = RandomRecords(seed: seed)
        var recorded = RecordedJournal(journal: journal)
        for round in 0..<rounds {
            recorded.epoch = UInt64(round + 1)
            for kind in FrameKind.allCases { recorded.append(random.record(kind)) }
        }
        return recorded
    }

    /// What a scan says of some frame: the content is only located.
    func located(_ index: Int) -> Record {
        let start = Int(offsets[index]) + FrameHeader.size
        let end = Int(offsets[index + 1])
        let record = try? Frame.decodeRecord(
            kind: records[index].kind, body: bytes, in: start..<end, at: UInt64(start), content: .located)
        return record ?? .unknown(kind: 255)
    }
}

struct Scanned: Equatable {
    var result: ScanResult
    var frames: [ScannedFrame]
    var offsets: [UInt64] { frames.map(\.offset) }
}

func scan(
    _ bytes: [UInt8], journal: JournalID = testJournal, _ afterDamage: AfterDamage = .stop, window: Int = 1 << 20
) throws -> Scanned {
    var frames: [ScannedFrame] = []
    let result = try scanJournal(
        journal, length: UInt64(bytes.count), afterDamage: afterDamage, window: window,
        read: { offset, count in Array(bytes[Int(offset)..<Int(offset) + count]) },
        frame: { frames.append($0) })
    return Scanned(result: result, frames: frames)
}
