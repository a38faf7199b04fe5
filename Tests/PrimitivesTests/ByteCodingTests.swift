import Primitives
import Testing

@Suite("Bytes")
struct ByteCodingTests {
    @Test("CRC-32C of known inputs (RFC 3720 B.4)")
    func knownChecksums() {
        func checksum(_ bytes: [UInt8]) -> UInt32 {
            var checksum = CRC32C()
            checksum.update(bytes)
            return checksum.value
        }
        #expect(checksum(Array("123456789".utf8)) == 0xe306_9283)
        #expect(checksum([]) == 0)
        #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(checksum([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(checksum((0..<32).map { UInt8($0) }) == 0x46dd_794e)
        #expect(checksum((0..<32).reversed().map { UInt8($0) }) == 0x113f_db5c)
    }

    @Test("CRC-32C goes on from any place, over arrays, slices, spans and lazy sequences")
    func incrementalChecksum() {
        var random = SeededRandom(seed: 4)
        let bytes = (0..<1000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        var whole = CRC32C()
        whole.update(bytes)
        for _ in 0..<200 {
            let a = Int.random(in: 0...1000, using: &random)
            let b = Int.random(in: a...1000, using: &random)
            var parts = CRC32C()
            parts.update(bytes[..<a])
            bytes[a..<b].withUnsafeBytes { parts.update($0.bytes) }
            var rest = CRC32C(parts.value)
            rest.update(bytes[b...].lazy.map { $0 })
            #expect(rest == whole)
        }
    }

    @Test("what is written is read back")
    func roundTrip() throws {
        var random = SeededRandom(seed: 5)
        for _ in 0..<500 {
            let number = random.next() >> UInt64.random(in: 0..<64, using: &random)
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8(truncatingIfNeeded: random.next())
            }
            let id = ULID(high: random.next(), low: random.next())
            var writer = ByteWriter(reserving: 10)
            writer.writeVariable(number)
            writer.write(UInt16(truncatingIfNeeded: number))
            writer.write(Int64(bitPattern: number))
            writer.write(Int32(truncatingIfNeeded: number))
            writer.write(id)
            writer.writeString(bytes)
            writer.writeString("пошта")
            writer.writeField(3, bytes)
            var reader = ByteReader([9] + writer.bytes + [9], in: 1..<writer.bytes.count + 1)
            #expect(try reader.readVariable() == number)
            #expect(try reader.read(UInt16.self) == UInt16(truncatingIfNeeded: number))
            #expect(try reader.read(Int64.self) == Int64(bitPattern: number))
            #expect(try reader.read(Int32.self) == Int32(truncatingIfNeeded: number))
            #expect(try reader.readULID() == id)
            #expect(try reader.readBytes() == bytes)
            #expect(try reader.readText() == "пошта")
            #expect(try reader.readVariable() == 3)
            #expect(try reader.readBytes() == bytes)
            #expect(reader.isAtEnd && reader.remaining == 0)
        }
    }

    @Test("numbers are little-endian, and the variable ones take as few bytes as they can")
    func layout() {
        var writer = ByteWriter()
        writer.write(UInt32(0x0102_0304))
        for number in [0, 127, 128, 16_383, 16_384, UInt64.max] { writer.writeVariable(number) }
        #expect(
            writer.bytes == [4, 3, 2, 1, 0, 127, 128, 1, 255, 127, 128, 128, 1] + [UInt8](repeating: 255, count: 9) + [
                1
            ])
    }

    @Test(
        "malformed numbers and lengths are refused",
        arguments: [
            [], [0x80], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        ] as [[UInt8]])
    func malformed(bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        #expect(throws: MalformedBytes.self) { try reader.readVariable() }
        var string = ByteReader(bytes)
        #expect(throws: MalformedBytes.self) { try string.readStringRange() }
        var beyond = ByteReader([5, 1, 2, 3, 4])
        #expect(throws: MalformedBytes.self) { try beyond.readBytes() }
    }

    @Test("random bytes are read or refused within their range, never a trap")
    func fuzz() {
        var random = SeededRandom(seed: 6)
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                random.chance(0.3) ? 0xff : UInt8(truncatingIfNeeded: random.next() & 0x8f)
            }
            let start = Int.random(in: 0...bytes.count, using: &random)
            let end = Int.random(in: start...bytes.count, using: &random)
            var reader = ByteReader(bytes, in: start..<end)
            for _ in 0..<10 {
                do {
                    switch Int.random(in: 0..<7, using: &random) {
                    case 0: _ = try reader.readVariable()
                    case 1: _ = try reader.readULID()
                    case 2: _ = try reader.readBytes()
                    case 3: _ = try reader.readText()
                    case 4: _ = try reader.read(UInt8.self)
                    case 5: _ = try reader.read(Int16.self)
                    default: #expect((start...end).contains(try reader.readStringRange().upperBound))
                    }
                } catch {}
                #expect((start...end).contains(reader.position) && reader.remaining == end - reader.position)
            }
        }
    }
}
