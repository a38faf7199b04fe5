import Journal
import Primitives
import Testing

@Suite("Frames")
struct FrameTests {
    @Test("a frame of each kind is read back as it was written", arguments: FrameKind.allCases)
    func roundTrip(kind: FrameKind) throws {
        for seed in 0..<UInt64(150) {
            var random = RandomRecords(seed: seed << 8 | UInt64(kind.rawValue))
            let record = random.record(kind)
            let offset = random.random.next() >> 8
            let epoch = random.random.next()
            let bytes = Frame.encode(record, epoch: epoch, journal: testJournal, offset: offset)
            #expect(bytes.count == FrameHeader.size + Frame.bodyLength(of: record))
            guard case .header(let header) = FrameHeader.parse(bytes, journal: testJournal, offset: offset) else {
                Issue.record("seed \(seed): no header")
                return
            }
            #expect(header.kind == kind.rawValue && header.epoch == epoch && header.frameLength == bytes.count)
            let read = try Frame.decodeRecord(
                kind: header.kind, body: bytes, in: FrameHeader.size..<bytes.count, at: offset + 32, content: .kept)
            #expect(read == record, "seed \(seed)")
        }
    }

    @Test("the bytes of a frame are fixed for ever")
    func golden() {
        let id = MessageID(ULID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10))
        let attempt = AttemptRecord(
            message: id, number: 300, time: WallTime(milliseconds: 1), upstream: "up", recipients: [0, 200])
        let bytes = Frame.encode(.attempt(attempt), epoch: 7, journal: testJournal, offset: 4096)
        let hexadecimal = bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let expected =
            "fb42544e" + "01" + "21" + "0000" + "0700000000000000" + "21000000" + "87af801b" + "e7cd7c76" + "00000000"
            + "0807060504030201" + "100f0e0d0c0b0a09" + "ac02" + "0100000000000000" + "027570" + "0200c801"
        #expect(hexadecimal == expected)
    }

    @Test("an accept's content is copied from slices, found where the encoder says, and located by readers")
    func acceptWithSlices() throws {
        var random = RandomRecords(seed: 5)
        var accept = random.accept(inline: true)
        let content = [UInt8]("Subject: hello\r\n\r\nworld\r\n".utf8)
        accept.content = .inline(content)
        let whole = Frame.encode(.accept(accept), epoch: 3, journal: testJournal, offset: 100)
        accept.content = .range(offset: 1, count: 2)
        let one = Frame.encodeAccept(accept, content: content, epoch: 3, journal: testJournal, offset: 100)
        let sliced = Frame.encodeAccept(
            accept, slices: [content[..<4], content[4..<4], content[4...]], epoch: 3, journal: testJournal, offset: 100)
        #expect(one.bytes == whole && sliced.bytes == whole && one.contentStart == sliced.contentStart)
        #expect(Array(whole[one.contentStart...]) == content)
        #expect(whole.count - 32 == Frame.bodyLength(of: accept, contentCount: content.count))
        let read = try Frame.decodeRecord(
            kind: FrameKind.accept.rawValue, body: whole, in: 32..<whole.count, at: 132, content: .located)
        accept.content = .range(offset: 100 + UInt64(one.contentStart), count: UInt64(content.count))
        #expect(read == .accept(accept))
        #expect(
            Frame.contentRange(kind: FrameKind.accept.rawValue, body: whole, in: 32..<whole.count)
                == one.contentStart..<whole.count)
    }

    @Test("a notice's content within an outcome is located in the file")
    func noticeLocated() throws {
        var random = RandomRecords(seed: 9)
        var notice = random.accept(inline: true)
        notice.content = .inline([UInt8]("a bounce".utf8))
        var outcome = OutcomeRecord(
            message: notice.id, attempt: 1, time: notice.time, upstream: "u", remote: "", results: [], notice: notice)
        let bytes = Frame.encode(.outcome(outcome), epoch: 1, journal: testJournal, offset: 1000)
        outcome.notice?.content = .range(offset: 1000 + UInt64(bytes.count) - 8, count: 8)
        let read = try Frame.decodeRecord(
            kind: FrameKind.outcome.rawValue, body: bytes, in: 32..<bytes.count, at: 1032, content: .located)
        #expect(read == .outcome(outcome))
    }

    @Test("fields of a newer version are kept in an accept and skipped elsewhere")
    func newerFields() throws {
        var random = RandomRecords(seed: 1)
        for kind in FrameKind.allCases where kind != .body && kind != .accept {
            let record = random.record(kind)
            var body = Array(Frame.encode(record, epoch: 1, journal: testJournal, offset: 0).dropFirst(32))
            body += [0xff, 0x7f, 3, 1, 2, 3]
            #expect(
                try Frame.decodeRecord(kind: kind.rawValue, body: body, at: 32, content: .kept) == record, "\(kind)")
        }
        var accept = random.accept()
        accept.unknownFields = [UnknownField(tag: 99, bytes: [1, 2]), UnknownField(tag: 1 << 40, bytes: [])]
        let body = Array(Frame.encode(.accept(accept), epoch: 1, journal: testJournal, offset: 0).dropFirst(32))
        #expect(try Frame.decodeRecord(kind: 32, body: body, at: 32, content: .kept) == .accept(accept))
    }

    @Test("an unknown kind is unknown, an accept without content is malformed")
    func unknownKind() throws {
        #expect(try Frame.decodeRecord(kind: 200, body: [1, 2, 3], at: 32, content: .kept) == .unknown(kind: 200))
        #expect(throws: MalformedBytes.self) {
            try Frame.decodeRecord(kind: 32, body: [UInt8](repeating: 0, count: 24), at: 32, content: .kept)
        }
    }

    @Test("random and mutated bodies are read or refused, never a trap", arguments: FrameKind.allCases)
    func fuzz(kind: FrameKind) {
        var random = RandomRecords(seed: UInt64(kind.rawValue))
        for _ in 0..<600 {
            var body = Array(
                Frame.encode(random.record(kind), epoch: 1, journal: testJournal, offset: 0).dropFirst(32))
            for _ in 0..<Int.random(in: 1...4, using: &random.random) where !body.isEmpty {
                let index = Int.random(in: 0..<body.count, using: &random.random)
                switch Int.random(in: 0..<4, using: &random.random) {
                case 0: body[index] = UInt8(truncatingIfNeeded: random.random.next())
                case 1: body[index] = 0xff
                case 2: body.removeSubrange(index...)
                default: body.insert(UInt8(truncatingIfNeeded: random.random.next()), at: index)
                }
            }
            for content in [ContentReading.kept, .located] {
                _ = try? Frame.decodeRecord(kind: kind.rawValue, body: body, at: .max, content: content)
            }
            _ = Frame.contentRange(kind: kind.rawValue, body: body)
        }
        for count in 0..<300 {
            let body = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.random.next()) }
            _ = try? Frame.decodeRecord(kind: kind.rawValue, body: body, at: 0, content: .kept)
            if count >= 32 { #expect(FrameHeader.parse(body, journal: testJournal, offset: 0) == .bad) }
        }
    }

    @Test("a header holds only in its journal and at its offset, and no flipped bit passes")
    func seededChecksums() {
        let bytes = Frame.encode(.seal, epoch: 1, journal: testJournal, offset: 64)
        var other = testJournal
        other.ulid.low ^= 1
        #expect(FrameHeader.parse(bytes, journal: other, offset: 64) == .bad)
        #expect(FrameHeader.parse(bytes, journal: testJournal, offset: 65) == .bad)
        for bit in 0..<256 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(FrameHeader.parse(flipped, journal: testJournal, offset: 64) == .bad, "bit \(bit)")
        }
        #expect(FrameHeader.parse([UInt8](repeating: 0, count: 32), journal: testJournal, offset: 64) == .zeros)
    }
}
