import Feedback
import Primitives
import SMTP
import Testing

struct SentIndexTests {
    private func id(_ number: UInt64) -> MessageID { MessageID(ULID(high: 1 << 60, low: number)) }
    private let journal = JournalID(ULID(high: 1, low: 1))
    private let now = WallTime(milliseconds: 1_760_000_000_000)

    private func sent(_ number: UInt64, _ at: WallTime, recipient: Int = 0) -> SentIndex.Sent {
        SentIndex.Sent(message: id(number), journal: journal, recipient: recipient, at: at, isOwn: true)
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    @Test("a delivery is found by each of its names together with its recipient")
    func find() {
        var index = SentIndex()
        index.add(
            sent(1, now, recipient: 4), to: bytes("Ann@Example.com"),
            names: [.remoteID("X1", upstream: "ses"), .messageID("<1@a>", upstream: "ses"), .index(id(1), 4)])
        let (ann, bob) = (bytes("ann@example.COM"), bytes("bob@example.com"))
        #expect(index.find(.remoteID("X1", upstream: "ses"), to: ann, at: now) == sent(1, now, recipient: 4))
        #expect(index.find(.messageID("<1@a>", upstream: "ses"), to: ann, at: now)?.recipient == 4)
        #expect(index.find(.index(id(1), 4), to: bob, at: now)?.recipient == 4)
        #expect(index.find(.remoteID("X1", upstream: "ses"), to: bob, at: now) == nil)
        #expect(index.find(.remoteID("X1", upstream: "own"), to: ann, at: now) == nil)
        #expect(index.find(.remoteID("x1", upstream: "ses"), to: ann, at: now) == nil)
        #expect(index.find(.messageID("<1@a>", upstream: "ses"), to: ann, at: now + .days(8)) == nil)
    }

    @Test("beyond its limit and after seven days the oldest make room, and their names are free again")
    func bounds() {
        var index = SentIndex(limit: 100)
        let address = bytes("a@example.com")
        for number in 0..<1000 as Range<UInt64> {
            index.add(
                sent(number, now), to: address, names: [.remoteID("\(number)", upstream: "u"), .message(id(number))])
        }
        #expect(index.count == 100)
        #expect(index.find(.remoteID("899", upstream: "u"), to: address, at: now) == nil)
        #expect(index.find(.remoteID("900", upstream: "u"), to: address, at: now)?.message == id(900))
        #expect(index.find(.message(id(999)), to: address, at: now)?.message == id(999))
        index.add(sent(5000, now + .days(8)), to: address, names: [.message(id(5000))])
        #expect(index.count == 1)
    }

    @Test("a name that is used again means the later delivery, also when the earlier one is forgotten")
    func again() {
        var index = SentIndex(limit: 2)
        let address = bytes("a@example.com")
        for number in 1...3 as ClosedRange<UInt64> {
            index.add(sent(number, now), to: address, names: [.remoteID("same", upstream: "u")])
        }
        #expect(index.find(.remoteID("same", upstream: "u"), to: address, at: now)?.message == id(3))
    }

    private func record(
        _ kind: FeedbackKind = .bounced, _ message: UInt64 = 1, _ recipient: String = "a@b.example", event: String = "",
        heard: WallTime? = nil
    ) -> FeedbackRecord {
        var reported = ReportedEvent(kind, recipient: recipient)
        reported.eventID = event
        reported.code = 550
        reported.enhanced = EnhancedCode(5, 7, 1)
        reported.text = "blocked"
        return FeedbackRecord(
            message: id(message), recipient: bytes(recipient), upstream: "ses", event: reported, heard: heard ?? now,
            source: "event")
    }

    @Test("the same outcome is heard once, by whichever name")
    func heard() {
        var heard = HeardEvents()
        heard.add(record(event: "e1"))
        #expect(heard.knows(record(event: "e1")))
        #expect(heard.knows(record(event: "e2")))
        #expect(heard.knows(record(.bounced, 1, "A@B.example")))
        #expect(heard.knows(record(.complained, 2, "x@y.example", event: "e1")))
        #expect(!heard.knows(record(.complained, event: "e3")))
        #expect(!heard.knows(record(.bounced, 2)))
        heard.add(record(.delivered, 9, heard: now + .days(8)))
        #expect(!heard.knows(record(event: "e1")))
    }

    @Test("a record is read as it was written, and rubbish is refused")
    func coding() throws {
        let written = record(event: "e1")
        let bytes = written.encode()
        #expect(try FeedbackRecord(decoding: bytes) == written)
        for count in 1..<bytes.count {
            guard let cut = try? FeedbackRecord(decoding: Array(bytes.prefix(count))) else { continue }
            #expect(cut.message == written.message)
        }
        #expect(throws: MalformedBytes.self) { try FeedbackRecord(decoding: []) }
    }
}
