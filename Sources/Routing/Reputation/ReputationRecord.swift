internal import Primitives

/// What one node says of one upstream: the value of gossip record `reputation/UPSTREAM`.
///
/// Counts in sixteenths, times as ages in tenths of a second, all as variable-length numbers; providers by name, for their
/// numbers differ from node to node. The pairs that matter most come first, and what does not fit is left out.
struct ReputationRecord: Hashable, Sendable {
    struct Entry: Hashable, Sendable {
        var provider: String
        var block = Block()
        var slow = Tally()
        var recent = Tally()
        /// Of blocks only.
        var reply = ""
    }

    static let maximumBytes = 8 << 10
    static let version: UInt8 = 1
    private static let maximumName = 64

    var feedback = Reputation.Feedback()
    var entries: [Entry] = []

    // MARK: Writing

    /// `sequence` makes a record that says the same as the last another one.
    func encoded(sequence: UInt8, at now: Instant) -> [UInt8] {
        var writer = ByteWriter(reserving: 1024)
        writer.write(ReputationRecord.version)
        writer.write(sequence)
        writer.writeAge(feedback.last, now)
        writer.writeAge(feedback.lastConfirmation, now)
        for entry in entries {
            let size = writer.bytes.count
            write(entry, to: &writer, now)
            guard writer.bytes.count <= ReputationRecord.maximumBytes else {
                writer.bytes.removeSubrange(size...)
                break
            }
        }
        return writer.bytes
    }

    private func write(_ entry: Entry, to writer: inout ByteWriter, _ now: Instant) {
        let block = entry.block
        writer.writeString(entry.provider.utf8.prefix(ReputationRecord.maximumName))
        writer.write(block.phase.rawValue | block.level << 2)
        for tally in [entry.slow, entry.recent] {
            for index in 0..<4 { writer.writeCount(tally.counts[index]) }
        }
        writer.writeVariable(UInt64(block.term))
        guard block.term > 0 else { return }
        writer.writeVariable(UInt64(block.restart))
        writer.writeAge(block.since, now)
        guard block.phase != .open else { return }
        writer.writeCount(block.step.good)
        writer.writeVariable(UInt64(block.step.goodResults))
        writer.writeVariable(UInt64(block.step.refused))
        writer.writeAge(block.lastProbe, now)
        writer.writeVariable(UInt64(block.probes))
        writer.writeVariable(UInt64(block.story.results))
        writer.writeVariable(UInt64(block.story.refused))
        writer.writeVariable(UInt64(block.story.refusedLater))
        writer.writeString(entry.reply.utf8.prefix(Reputation.maximumReply))
    }

    init() {}

    // MARK: Reading

    /// Nil for anything that no node of this version writes. Never traps, whatever the bytes.
    init?(_ bytes: [UInt8], at now: Instant) {
        guard bytes.count <= ReputationRecord.maximumBytes else { return nil }
        var reader = ByteReader(bytes)
        do {
            guard try reader.read(UInt8.self) == ReputationRecord.version else { return nil }
            _ = try reader.read(UInt8.self)
            feedback.last = try reader.readAge(now)
            feedback.lastConfirmation = try reader.readAge(now)
            while !reader.isAtEnd {
                guard entries.count < Reputation.maximumProviders else { return nil }
                entries.append(try ReputationRecord.entry(&reader, now))
            }
        } catch {
            return nil
        }
    }

    private static func entry(_ reader: inout ByteReader, _ now: Instant) throws(MalformedBytes) -> Entry {
        var entry = Entry(provider: try reader.readText())
        guard !entry.provider.isEmpty, entry.provider.utf8.count <= maximumName * 3 else {
            throw MalformedBytes("no name of a provider")
        }
        let state = try reader.read(UInt8.self)
        guard let phase = Block.Phase(rawValue: state & 3) else { throw MalformedBytes("no phase of a block") }
        let level = state >> 2
        guard phase == .returning ? (1..<Block.levels).contains(level) : level == 0 else {
            throw MalformedBytes("a level out of range")
        }
        entry.block.phase = phase
        entry.block.level = level
        entry.slow = try reader.readTally()
        entry.recent = try reader.readTally()
        entry.block.term = try reader.readTerm()
        guard entry.block.term > 0 else {
            guard phase == .open else { throw MalformedBytes("a block without a term") }
            return entry
        }
        entry.block.restart = try reader.readTerm()
        guard entry.block.restart <= entry.block.term else { throw MalformedBytes("a restart yet to come") }
        entry.block.since = try reader.readAge(now) ?? now
        guard phase != .open else { return entry }
        entry.block.step.good = try reader.readCount()
        entry.block.step.goodResults = try reader.readNumber()
        entry.block.step.refused = try reader.readNumber()
        entry.block.lastProbe = try reader.readAge(now)
        entry.block.probes = UInt32(try reader.readNumber())
        entry.block.story.results = try reader.readNumber()
        entry.block.story.refused = try reader.readNumber()
        entry.block.story.refusedLater = try reader.readNumber()
        entry.reply = Reputation.shortened(try reader.readText())
        return entry
    }
}

extension ByteWriter {
    fileprivate mutating func writeCount(_ count: Double) { writeVariable(UInt64((max(0, count) * 16).rounded())) }

    fileprivate mutating func writeAge(_ instant: Instant?, _ now: Instant) {
        writeVariable(instant.map { UInt64(max(0, (now - $0).milliseconds / 100)) + 1 } ?? 0)
    }
}

extension ByteReader {
    private static let maximumNumber: UInt64 = 1 << 31
    private static let maximumSixteenths: UInt64 = 1 << 44
    private static let maximumAge: UInt64 = 1 << 34

    fileprivate mutating func readCount() throws(MalformedBytes) -> Double {
        let count = try readVariable()
        guard count <= Self.maximumSixteenths else { throw MalformedBytes("a count out of range") }
        return Double(count) / 16
    }

    fileprivate mutating func readTally() throws(MalformedBytes) -> Tally {
        Tally(SIMD4(try readCount(), try readCount(), try readCount(), try readCount()))
    }

    fileprivate mutating func readNumber() throws(MalformedBytes) -> Int {
        let number = try readVariable()
        guard number <= Self.maximumNumber else { throw MalformedBytes("a number out of range") }
        return Int(number)
    }

    fileprivate mutating func readTerm() throws(MalformedBytes) -> UInt32 {
        let term = try readVariable()
        guard term <= UInt64(Block.maximumTerm) else { throw MalformedBytes("a term out of range") }
        return UInt32(term)
    }

    fileprivate mutating func readAge(_ now: Instant) throws(MalformedBytes) -> Instant? {
        let age = try readVariable()
        guard age <= Self.maximumAge else { throw MalformedBytes("an age out of range") }
        return age == 0 ? nil : now + .milliseconds(-Int64(age - 1) * 100)
    }
}
