import Primitives
import Testing

@testable import Journal

@Suite("Salvage of a damaged journal")
struct SalvageTests {
    private let wall = WallTime(milliseconds: 1_795_521_600_000)

    private func message(_ number: UInt64) -> MessageID { MessageID(ULID(high: number, low: number)) }

    private func accept(_ number: UInt64, recipients: Int = 1) -> Record {
        .accept(
            AcceptRecord(
                id: message(number), time: wall, reversePath: nil,
                recipients: (0..<recipients).map { [UInt8]("r\($0)@example.net".utf8) },
                content: .inline([UInt8](repeating: 65, count: 90)), size: 90))
    }

    private func attempt(_ number: UInt64, _ attempt: UInt32, _ recipients: [UInt32] = [0]) -> Record {
        .attempt(
            AttemptRecord(message: message(number), number: attempt, time: wall, upstream: "up", recipients: recipients)
        )
    }

    private func outcome(
        _ number: UInt64, _ attempt: UInt32, _ status: RecipientResult.Status, _ recipients: [UInt32] = [0]
    ) -> Record {
        .outcome(
            OutcomeRecord(
                message: message(number), attempt: attempt, time: wall, upstream: "up", remote: "",
                results: recipients.map {
                    RecipientResult(
                        recipient: $0, status: status, due: status.isFinal ? nil : wall + .minutes(5), tries: attempt)
                }))
    }

    private func command(_ number: UInt64, _ recipients: [UInt32] = []) -> CommandRecord {
        CommandRecord(message: message(number), recipients: recipients, time: wall, by: "operator")
    }

    private enum Harm { case header, body, zeros }

    /// The report after the frames at these indices were damaged.
    private func salvage(
        _ records: [Record], without lost: [Int] = [], _ harm: Harm = .header, tail: TailReading = .damaged
    ) throws -> SalvageReport {
        var recorded = RecordedJournal()
        for record in records { recorded.append(record) }
        var bytes = recorded.bytes
        for index in lost {
            let start = Int(recorded.offsets[index])
            switch harm {
            case .header: bytes[start + 9] ^= 1
            case .body: bytes[start + 40] ^= 1
            case .zeros: for byte in start..<Int(recorded.offsets[index + 1]) { bytes[byte] = 0 }
            }
        }
        let scanned = try scan(bytes + [UInt8](repeating: 0, count: 400), .resynchronize)
        var salvage = Salvage()
        for frame in scanned.frames { salvage.add(frame) }
        return salvage.finish(scanned.result, tail: tail)
    }

    @Test("finished messages are not accepted again, for each way to finish")
    func finished() throws {
        let records = [
            accept(1), attempt(1, 1), outcome(1, 1, .delivered), accept(2), outcome(2, 0, .expired), accept(3),
            attempt(3, 1), outcome(3, 1, .failed), accept(4), .cancel(command(4)), accept(5, recipients: 2),
            attempt(5, 1, [0, 1]), outcome(5, 1, .delivered, [0]), .cancel(command(5, [1])),
        ]
        #expect(try salvage(records, without: []) == SalvageReport())
    }

    @Test("an unfinished message keeps its unfinished recipients, tries, due time, hold and redirect")
    func unfinished() throws {
        let records = [
            accept(1, recipients: 3), attempt(1, 1, [0, 1, 2]), outcome(1, 1, .deferred, [0, 2]),
            outcome(1, 1, .delivered, [1]), .hold(command(1, [2])), .redirect(command(1, [0]), upstream: "other"),
        ]
        let report = try salvage(records)
        #expect(
            report.messages.map(\.recipients) == [
                [
                    SalvagedRecipient(index: 0, tries: 1, due: wall + .minutes(5), redirect: "other"),
                    SalvagedRecipient(index: 2, tries: 1, due: wall + .minutes(5), isHeld: true),
                ]
            ])
        #expect(report.messages.first?.isUncertain == false && report.messages.first?.accept.recipients.count == 3)
    }

    @Test("an attempt without an outcome, or one that was not answered, is uncertain without any gap")
    func open() throws {
        let records = [
            accept(1, recipients: 2), attempt(1, 1, [1]), accept(2), attempt(2, 1), outcome(2, 1, .unanswered),
            accept(3),
            attempt(3, 1), outcome(3, 1, .notSent),
        ]
        let report = try salvage(records)
        #expect(report.messages.map(\.accept.id) == [1, 2, 3].map(message))
        #expect(report.messages.map(\.isUncertain) == [true, true, false])
        #expect(report.messages.first?.recipients.map(\.isUncertain) == [false, true])
    }

    @Test("a message before a gap is uncertain, one after it is not")
    func gap() throws {
        let records = [accept(1), attempt(1, 1), accept(2), .seal]
        for harm in [Harm.header, .body, .zeros] {
            let report = try salvage(records, without: [1], harm)
            #expect(report.messages.map(\.isUncertain) == [true, false], "\(harm)")
        }
    }

    @Test("a gap that is known to be one accept makes no other message uncertain")
    func knownGap() throws {
        let records = [accept(1), accept(2), .seal]
        #expect(try salvage(records, without: [1], .body).messages.map(\.isUncertain) == [false])
        #expect(try salvage(records, without: [1], .header).messages.map(\.isUncertain) == [true])
        #expect(try salvage(records, without: [1], .header).messages.map(\.accept.id) == [message(1)])
    }

    @Test("a gap that is too short for an attempt makes nothing uncertain")
    func shortGap() throws {
        #expect(
            try salvage([accept(1), .seal, .abort(StreamID(1))], without: [1]).messages.map(\.isUncertain) == [false])
    }

    @Test("later attempts show that no attempt lay in the gap")
    func evidence() throws {
        let gap = accept(9)
        let first = [accept(1), attempt(1, 1), outcome(1, 1, .deferred), gap]
        let more: [([Record], Bool)] = [
            ([], true),
            ([attempt(1, 2), outcome(1, 2, .deferred)], false),
            ([attempt(1, 3), outcome(1, 3, .deferred)], true),
            ([outcome(1, 2, .deferred)], true),
            ([outcome(1, 2, .deferred), attempt(1, 3), outcome(1, 3, .deferred)], false),
            ([attempt(1, 2)], true),
            ([.hold(command(1))], true),
        ]
        for (records, isUncertain) in more {
            let report = try salvage(first + records, without: [3])
            #expect(report.messages.map(\.isUncertain) == [isUncertain], "\(records)")
        }
    }

    @Test("the damaged tail counts only when it may have been committed")
    func tail() throws {
        let records = [accept(1), attempt(1, 1)]
        #expect(try salvage(records, without: [1], tail: .damaged).messages.map(\.isUncertain) == [true])
        #expect(try salvage(records, without: [1], tail: .torn).messages.map(\.isUncertain) == [false])
    }

    @Test("messages whose accept is gone are named when later frames name them, unless those finished them")
    func lost() throws {
        let records = [
            accept(1), accept(2), attempt(1, 1), outcome(1, 1, .deferred), attempt(2, 1), outcome(2, 1, .delivered),
        ]
        let report = try salvage(records, without: [0, 1])
        #expect(report.lost == [message(1)] && report.messages.isEmpty)
    }

    @Test("a long message is accepted again only when all its pieces are intact")
    func pieces() throws {
        let body = Record.body(StreamID(4), [UInt8](repeating: 66, count: 100))
        let long = AcceptRecord(
            id: message(1), time: wall, reversePath: nil, recipients: [[97]],
            content: .pieces(
                StreamID(4), [ContentPiece(offset: 33, count: 100), ContentPiece(offset: 166, count: 100)]),
            size: 200)
        let records = [body, body, .accept(long)]
        #expect(try salvage(records).messages.map(\.accept) == [long])
        for index in [0, 1] {
            for harm in [Harm.header, .body] {
                let report = try salvage(records, without: [index], harm)
                #expect(report.unreadable == [message(1)] && report.messages.isEmpty)
            }
        }
    }

    @Test("punched bodies are explained by the end of their message only")
    func punched() throws {
        var recorded = RecordedJournal()
        recorded.append(.body(StreamID(4), [UInt8](repeating: 66, count: 100)))
        let long = AcceptRecord(
            id: message(1), time: wall, reversePath: nil, recipients: [[97]],
            content: .pieces(StreamID(4), [ContentPiece(offset: 33, count: 100)]), size: 100)
        recorded.append(.accept(long))
        recorded.append(attempt(1, 1))
        let unfinished = recorded.bytes.count
        recorded.append(outcome(1, 1, .delivered))
        for byte in 32..<133 { recorded.bytes[byte] = 0 }
        for (bytes, isFinished) in [(recorded.bytes, true), (Array(recorded.bytes[..<unfinished]), false)] {
            let scanned = try scan(bytes)
            var salvage = Salvage()
            for frame in scanned.frames { salvage.add(frame) }
            let report = salvage.finish(scanned.result, tail: .damaged)
            #expect(report.unexplainedPunches == (isFinished ? [] : [0..<133]))
            #expect(report.unreadable == (isFinished ? [] : [message(1)]) && report.messages.isEmpty)
        }
    }

    @Test("a notice is accepted with its outcome, and unknown kinds are named")
    func notice() throws {
        guard case .outcome(var failed) = outcome(1, 1, .failed), case .accept(let notice) = accept(2) else { return }
        failed.notice = notice
        let report = try salvage([accept(1), attempt(1, 1), .outcome(failed)])
        #expect(report.messages.map(\.accept.id) == [message(2)])
        var salvage = Salvage()
        let header = FrameHeader(kind: 99, epoch: 1, bodyLength: 0, headerChecksum: 0, bodyChecksum: 0)
        salvage.add(ScannedFrame(offset: 0, header: header, record: .unknown(kind: 99)))
        #expect(salvage.finish(try scan([]).result, tail: .torn).unknownKinds == [99])
    }

    /// A history by chance, what became of it in truth, and then some frames are lost.
    @Test("under any damage, no unfinished readable message is forgotten and none that may be delivered is certain")
    func property() throws {
        for seed in 0..<UInt64(400) {
            var random = SeededRandom(seed: seed)
            var records: [Record] = []
            var unfinished: [UInt64: Set<UInt32>] = [:]
            var numbers: [UInt64: UInt32] = [:]
            var acceptedAt: [UInt64: Int] = [:]
            for _ in 0..<Int.random(in: 5...60, using: &random) {
                if unfinished.isEmpty || random.chance(0.3) {
                    let id = UInt64(acceptedAt.count + 1)
                    let count = Int.random(in: 1...3, using: &random)
                    acceptedAt[id] = records.count
                    unfinished[id] = Set((0..<count).map { UInt32($0) })
                    records.append(accept(id, recipients: count))
                } else if let id = unfinished.keys.sorted().randomElement(using: &random), let open = unfinished[id] {
                    let tried = open.sorted().filter { _ in random.chance(0.7) }
                    if tried.isEmpty { continue }
                    numbers[id, default: 0] += 1
                    records.append(attempt(id, numbers[id] ?? 0, tried))
                    for recipient in tried {
                        let status: RecipientResult.Status = random.chance(0.5) ? .delivered : .deferred
                        records.append(outcome(id, numbers[id] ?? 0, status, [recipient]))
                        if status == .delivered { unfinished[id]?.remove(recipient) }
                    }
                    if unfinished[id]?.isEmpty == true { unfinished[id] = nil }
                }
            }
            let lost = records.indices.filter { _ in random.chance(0.1) }
            let harm: Harm = random.chance(0.5) ? .header : .body
            let report = try salvage(records, without: lost, harm)
            let again = Dictionary(uniqueKeysWithValues: report.messages.map { ($0.accept.id, $0) })
            for (id, at) in acceptedAt where !lost.contains(at) {
                let open = unfinished[id] ?? []
                let salvaged = again[message(id)]?.recipients ?? []
                #expect(Set(salvaged.map(\.index)).isSuperset(of: open), "seed \(seed), message \(id)")
                for recipient in salvaged where !open.contains(recipient.index) {
                    #expect(recipient.isUncertain, "seed \(seed), message \(id): delivered, and taken for certain")
                }
            }
        }
    }
}
