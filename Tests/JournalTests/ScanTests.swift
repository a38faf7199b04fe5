import Journal
import Primitives
import Testing

@Suite("Scanning a journal")
struct ScanTests {
    @Test("an intact journal is read whole, with any window, and zeros after it are its clean end")
    func intact() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 1)
        for window in [1, 33, 100, 1000, 1 << 20] {
            for zeros in [0, 1, 31, 32, 33, 5000] {
                for mode in [AfterDamage.stop, .resynchronize] {
                    let scanned = try scan(recorded.bytes + [UInt8](repeating: 0, count: zeros), mode, window: window)
                    #expect(scanned.offsets == recorded.offsets.dropLast())
                    #expect(scanned.result.end == UInt64(recorded.bytes.count) && scanned.result.epoch == 2)
                    #expect(scanned.result.gaps.isEmpty && !scanned.result.framesAfterDamage)
                    for (index, frame) in scanned.frames.enumerated() {
                        #expect(frame.record == recorded.located(index) && frame.end == recorded.offsets[index + 1])
                    }
                }
            }
        }
    }

    @Test("an empty file and one of zeros hold nothing")
    func empty() throws {
        for count in [0, 1, 32, 100_000] {
            let scanned = try scan([UInt8](repeating: 0, count: count), window: 1000)
            #expect(scanned.frames.isEmpty && scanned.result.end == 0 && scanned.result.damage == nil)
        }
    }

    @Test("content lies where the scan says")
    func content() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 8, rounds: 6)
        let scanned = try scan(recorded.bytes)
        for (frame, record) in zip(scanned.frames, recorded.records) {
            let found = frame.content.map { Array(recorded.bytes[Int($0.lowerBound)..<Int($0.upperBound)]) }
            switch record {
            case .body(_, let bytes): #expect(found == bytes)
            case .accept(let accept):
                if case .inline(let bytes) = accept.content { #expect(found == bytes) } else { #expect(found == nil) }
            default: #expect(found == nil)
            }
        }
    }

    @Test("cut at every byte: exactly the whole frames before the cut", arguments: [0, 700] as [Int])
    func cut(zeros: Int) throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 2)
        for count in 0..<recorded.bytes.count {
            var bytes = Array(recorded.bytes[..<count])
            // Preallocated: the lost end is zeros.
            bytes += [UInt8](repeating: 0, count: zeros == 0 ? 0 : recorded.bytes.count - count + zeros)
            // What was cut may have been zeros itself.
            let same = bytes.prefix(recorded.bytes.count) == recorded.bytes[..<min(bytes.count, recorded.bytes.count)]
            let lost = zeros > 0 && same ? recorded.bytes.count : count
            let whole = recorded.offsets.filter { $0 <= UInt64(lost) }.dropLast()
            for mode in [AfterDamage.stop, .resynchronize] {
                let scanned = try scan(bytes, mode)
                let end = recorded.offsets.last { $0 <= UInt64(lost) } ?? 0
                if zeros > 0, scanned.offsets.count > whole.count {
                    // A frame that ends in zeros is whole although its zeros were cut.
                    let index = scanned.offsets.count - 1
                    let restored = Array(bytes[..<Int(recorded.offsets[index + 1])])
                    #expect(restored == Array(recorded.bytes[..<restored.count]))
                    continue
                }
                #expect(scanned.offsets == Array(whole), "cut at \(count)")
                #expect(scanned.result.end == end)
                #expect(scanned.result.lastEnd == end)
                #expect((scanned.result.damage == nil) == (UInt64(lost) == end), "cut at \(count)")
                if let damage = scanned.result.damage { #expect(damage.at == end) }
            }
        }
    }

    @Test("a bit flipped at every byte: the frames before it, those after it when asked, and a report")
    func flip() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 3)
        let zeros = [UInt8](repeating: 0, count: 100)
        var random = SeededRandom(seed: 3)
        for index in 0..<recorded.bytes.count {
            var bytes = recorded.bytes + zeros
            bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            let hit = (recorded.offsets.firstIndex { $0 > UInt64(index) } ?? 1) - 1
            let start = recorded.offsets[hit]
            let next = recorded.offsets[hit + 1]
            let before = recorded.offsets.dropLast().filter { $0 < start }
            let after = recorded.offsets.dropLast().filter { $0 > start }

            let stopped = try scan(bytes)
            #expect(stopped.offsets == before, "byte \(index)")
            #expect(stopped.result.end == start && stopped.result.damage?.at == start)

            let scanned = try scan(bytes, .resynchronize)
            #expect(scanned.offsets == before + after, "byte \(index)")
            #expect(scanned.result.end == start && scanned.result.gaps.count == 1)
            let isLast = after.isEmpty
            let end = scanned.result.damage?.end ?? 0
            // Which zeros behind the last frame were its own can't be told.
            #expect(scanned.result.damage?.at == start && (isLast ? (start...next).contains(end) : end == next))
            #expect(scanned.result.framesAfterDamage == !after.isEmpty)
            let isBody = UInt64(index) >= start + 32
            #expect(scanned.result.damage?.kinds == (isBody ? [recorded.records[hit].kind] : nil))
            for frame in scanned.frames {
                let which = try #require(recorded.offsets.firstIndex(of: frame.offset))
                #expect(frame.record == recorded.located(which))
            }
        }
    }

    @Test("a bit flipped in the zeros after the end is damage, and loses no frame")
    func flippedZeros() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 4, rounds: 1)
        for index in 0..<200 {
            var bytes = recorded.bytes + [UInt8](repeating: 0, count: 200)
            bytes[recorded.bytes.count + index] = 4
            for mode in [AfterDamage.stop, .resynchronize] {
                let scanned = try scan(bytes, mode)
                #expect(scanned.offsets == recorded.offsets.dropLast())
                #expect(scanned.result.damage?.at == recorded.offsets.last, "zero \(index)")
            }
        }
    }

    @Test("pages of zeros, garbage or old content anywhere: nothing is invented, and what is intact is found")
    func pages() throws {
        for seed in 0..<UInt64(60) {
            let recorded = RecordedJournal.ofAllKinds(seed: seed)
            let old = RecordedJournal.ofAllKinds(seed: seed + 1000, journal: JournalID(ULID(high: 1, low: 2)))
            var random = SeededRandom(seed: seed)
            var bytes = recorded.bytes + [UInt8](repeating: 0, count: 600)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let page = Int.random(in: 0..<bytes.count / 256, using: &random) * 256
                let way = Int.random(in: 0..<3, using: &random)
                for index in page..<min(page + 256, bytes.count) {
                    switch way {
                    case 0: bytes[index] = 0
                    case 1: bytes[index] = UInt8(truncatingIfNeeded: random.next())
                    default: bytes[index] = old.bytes[index % old.bytes.count]
                    }
                }
            }
            let intact = recorded.offsets.indices.dropLast().filter { index in
                let range = Int(recorded.offsets[index])..<Int(recorded.offsets[index + 1])
                return bytes[range] == recorded.bytes[range]
            }
            let scanned = try scan(bytes, .resynchronize, window: Int.random(in: 32...3000, using: &random))
            let found = scanned.frames.filter { !$0.isPunched }
            #expect(found.map(\.offset) == intact.map { recorded.offsets[$0] }, "seed \(seed)")
            let isWhole = bytes[..<recorded.bytes.count] == recorded.bytes[...]
            if !isWhole { #expect(scanned.result.damage != nil || scanned.frames.contains { $0.isPunched }) }
            // The gaps and the frames cover the file once, up to the zeros.
            var position: UInt64 = 0
            let ranges =
                scanned.frames.map { ($0.offset, $0.end) } + scanned.result.gaps.map { ($0.at, $0.end) }
            for range in ranges.sorted(by: { $0.0 < $1.0 }) {
                #expect(range.0 == position, "seed \(seed)")
                position = range.1
            }
        }
    }

    @Test("frames of another journal, of another offset and of an older epoch never pass")
    func stale() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 5, rounds: 1)
        let end = recorded.bytes.count
        var other = RecordedJournal(journal: JournalID(ULID(high: 1, low: 2)))
        var older = RecordedJournal()
        // An older epoch's frames that were cut away by writing only a few new ones over them.
        older.epoch = 0
        var padding = Frame.bodyLength(of: .body(StreamID(1), []))
        padding = end - FrameHeader.size - padding
        for index in 0..<2 {
            let record = Record.body(StreamID(1), [UInt8](repeating: 7, count: index == 0 ? padding : 50))
            other.append(record)
            older.append(record)
        }
        #expect(other.offsets[1] == UInt64(end))
        let rests: [([UInt8], Damage.Reason)] = [
            (Array(other.bytes[end...]), .badHeader),
            (Array(older.bytes[end...]), .epochWentBack),
            (Array(recorded.bytes), .badHeader),
        ]
        for (rest, reason) in rests {
            for mode in [AfterDamage.stop, .resynchronize] {
                let scanned = try scan(recorded.bytes + rest, mode)
                #expect(scanned.offsets == recorded.offsets.dropLast())
                #expect(scanned.result.damage?.reason == reason && scanned.result.damage?.at == UInt64(end))
            }
        }
    }

    @Test("content that imitates frames is never taken for one, not even behind damage")
    func imitation() throws {
        let inner = RecordedJournal.ofAllKinds(seed: 6, rounds: 1)
        var recorded = RecordedJournal()
        recorded.append(.body(StreamID(1), inner.bytes))
        recorded.append(.seal)
        var bytes = recorded.bytes
        bytes[0] ^= 1
        let scanned = try scan(bytes, .resynchronize)
        #expect(scanned.offsets == [recorded.offsets[1]])
    }

    @Test("a body that was given back is a punched frame; zeros in place of any other body are damage")
    func punched() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 7, rounds: 1)
        for (index, record) in recorded.records.enumerated() {
            var bytes = recorded.bytes
            let body = Int(recorded.offsets[index]) + 32..<Int(recorded.offsets[index + 1])
            guard !body.isEmpty else { continue }
            for byte in body { bytes[byte] = 0 }
            let scanned = try scan(bytes, .resynchronize)
            if record.kind == FrameKind.body.rawValue {
                #expect(scanned.result.gaps.isEmpty && scanned.offsets == recorded.offsets.dropLast())
                #expect(scanned.frames.filter(\.isPunched).map(\.offset) == [recorded.offsets[index]])
                #expect(scanned.frames[index].record == .body(StreamID(0), []))
            } else {
                #expect(scanned.result.damage?.reason == .badBody && scanned.frames.allSatisfy { !$0.isPunched })
            }
        }
    }

    @Test("zeros in place of the last frames' bodies are a torn write, not a punch")
    func punchedTail() throws {
        var recorded = RecordedJournal()
        recorded.append(.seal)
        for _ in 0..<3 { recorded.append(.body(StreamID(1), [1, 2, 3])) }
        var bytes = recorded.bytes + [UInt8](repeating: 0, count: 100)
        for frame in 1...3 {
            bytes.replaceSubrange(
                Int(recorded.offsets[frame]) + 32..<Int(recorded.offsets[frame + 1]), with: [0, 0, 0, 0])
        }
        for mode in [AfterDamage.stop, .resynchronize] {
            let scanned = try scan(bytes, mode)
            #expect(scanned.offsets == [0] && scanned.result.end == 32 && scanned.result.lastEnd == 32)
            #expect(scanned.result.damage?.reason == .badBody && scanned.result.damage?.at == 32)
            #expect(scanned.result.damage?.kinds == [16, 16, 16])
        }
    }

    @Test("a body frame's zeros that its checksum covers are no punch")
    func zerosAsContent() throws {
        var recorded = RecordedJournal()
        recorded.append(.body(StreamID(0), [UInt8](repeating: 0, count: 5000)))
        let scanned = try scan(recorded.bytes)
        #expect(scanned.frames.map(\.isPunched) == [false])
        #expect(scanned.frames.first?.content == 33..<5033)
    }

    @Test("a scan goes on from any frame, and a file that is shorter than said ends there")
    func partial() throws {
        let recorded = RecordedJournal.ofAllKinds(seed: 11)
        for (index, offset) in recorded.offsets.dropLast().enumerated() {
            var offsets: [UInt64] = []
            let result = try scanJournal(
                testJournal, from: offset, epoch: 1, length: UInt64(recorded.bytes.count) + 1_000_000,
                afterDamage: .stop,
                read: { start, count in
                    Array(recorded.bytes[min(Int(start), recorded.bytes.count)...].prefix(count))
                }, frame: { offsets.append($0.offset) })
            #expect(offsets == Array(recorded.offsets.dropLast()[index...]))
            #expect(result.end == UInt64(recorded.bytes.count) && result.damage == nil)
        }
    }

    @Test("a newer format stops the scan: what follows is not ours to judge")
    func newerFormat() throws {
        var recorded = RecordedJournal()
        recorded.append(.seal)
        recorded.append(.seal)
        recorded.append(.retire)
        var bytes = recorded.bytes
        bytes[36] = 2
        // The header's checksum over (journal, offset, header without it).
        var checksum = CRC32C()
        checksum.update(ByteWriter.seed(testJournal, 32))
        checksum.update(bytes[32..<52])
        checksum.update(bytes[56..<64])
        withUnsafeBytes(of: checksum.value.littleEndian) { bytes.replaceSubrange(52..<56, with: $0) }
        let scanned = try scan(bytes, .resynchronize)
        #expect(scanned.offsets == [0] && scanned.result.damage?.reason == .newerFormat(2))
    }

    @Test("frames of unknown kinds and with unknown flags are kept in their place")
    func unknown() throws {
        var bytes = RecordedJournal.ofAllKinds(seed: 1, rounds: 1).bytes
        let offset = UInt64(bytes.count)
        for (kind, flags) in [(UInt8(77), UInt8(0)), (FrameKind.seal.rawValue, UInt8(1))] {
            var frame = Frame.encode(.seal, epoch: 1, journal: testJournal, offset: UInt64(bytes.count))
            frame[5] = kind
            frame[6] = flags
            var checksum = CRC32C()
            checksum.update(ByteWriter.seed(testJournal, UInt64(bytes.count)))
            checksum.update(frame[0..<20])
            checksum.update(frame[24..<32])
            withUnsafeBytes(of: checksum.value.littleEndian) { frame.replaceSubrange(20..<24, with: $0) }
            bytes += frame
        }
        let scanned = try scan(bytes)
        #expect(
            scanned.frames.suffix(2).map(\.record) == [.unknown(kind: 77), .unknown(kind: FrameKind.seal.rawValue)])
        #expect(scanned.frames.suffix(2).map(\.offset) == [offset, offset + 32] && scanned.result.damage == nil)
    }

    @Test("frames of the largest size pass through the window")
    func largest() throws {
        var recorded = RecordedJournal()
        for stream in 1...3 {
            recorded.append(
                .body(StreamID(UInt64(stream)), [UInt8](repeating: UInt8(stream), count: FrameHeader.maximumBody - 1)))
        }
        let scanned = try scan(recorded.bytes + [0, 0, 0], window: 64)
        #expect(scanned.offsets == recorded.offsets.dropLast() && scanned.result.damage == nil)
    }
}

extension ByteWriter {
    /// What both checksums of a frame begin with.
    static func seed(_ journal: JournalID, _ offset: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(journal.ulid)
        writer.write(offset)
        return writer.bytes
    }
}
