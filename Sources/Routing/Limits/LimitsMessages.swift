internal import Primitives

/// What one node wants of one limit and has of it.
struct LimitWant: Hashable, Sendable {
    var kind: Limiter.Kind
    /// What there is to lend, in the kind's units.
    var total: Int
    /// The day that it speaks of, for day limits.
    var day = 0
    /// Recipients or messages that wait.
    var due = 0
    /// Rates: thousandths per second. Days: the count so far. Others: how many are open.
    var use = 0
    /// The largest transaction that was refused.
    var need = 0
    /// What it goes by now.
    var share = 0

    var isActive: Bool { due > 0 || (kind != .day && use > 0) }
}

/// `limits/demand`: what a node wants of each limit, and by whose grants it goes.
struct LimitsDemand: Hashable, Sendable {
    static let key = "limits/demand"
    static let maximumWants = 256

    var start: UInt64 = 0
    var counter: UInt64 = 0
    /// It goes by its equal part of the known nodes, or waits without any (`false`).
    var hasBase = false
    var term: UInt64 = 0
    var lender = ""
    var version: UInt64 = 0
    var wants: [UInt64: LimitWant] = [:]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 64 + wants.count * 28)
        writer.write(LimitsFormat.version)
        writer.writeVariable(start)
        writer.writeVariable(counter)
        writer.write(UInt8(hasBase ? 1 : 0))
        writer.writeVariable(term)
        writer.writeString(lender)
        writer.writeVariable(version)
        for (id, want) in wants.sorted(by: { $0.key < $1.key }).prefix(LimitsDemand.maximumWants) {
            writer.write(id)
            writer.write(want.kind.rawValue)
            for number in [want.total, want.day, want.due, want.use, want.need, want.share] {
                writer.writeVariable(UInt64(max(0, number)))
            }
        }
        return writer.bytes
    }

    init() {}

    init(reading bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        try LimitsFormat.check(&reader)
        start = try reader.readVariable()
        counter = try reader.readVariable()
        hasBase = try reader.read(UInt8.self) != 0
        term = try LimitsFormat.term(&reader)
        lender = try reader.readText()
        version = try reader.readVariable()
        while !reader.isAtEnd, wants.count < LimitsDemand.maximumWants {
            let id = try reader.read(UInt64.self)
            let kind = Limiter.Kind(rawValue: try reader.read())
            var numbers: [Int] = []
            for _ in 0..<6 { numbers.append(try LimitsFormat.number(&reader)) }
            // Of a newer version: its length is known, its meaning is not.
            guard let kind else { continue }
            wants[id] = LimitWant(
                kind: kind, total: numbers[0], day: numbers[1], due: numbers[2], use: numbers[3], need: numbers[4],
                share: numbers[5])
        }
    }
}

/// `limits/grants`: what the lender lends of each limit to each node. A limit that is not in it is divided equally.
struct LimitsGrants: Hashable, Sendable {
    static let key = "limits/grants"
    static let maximumLimits = 256
    static let maximumNodes = 64
    /// Gossip carries no value that does not fit into one answer.
    static let maximumBytes = 24 << 10

    struct Entry: Hashable, Sendable {
        var day = 0
        /// In the order of `nodes`.
        var shares: [Int]
    }

    var isLending = true
    var term: UInt64 = 0
    var counter: UInt64 = 0
    var version: UInt64 = 0
    var nodes: [String] = []
    var entries: [UInt64: Entry] = [:]

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 64 + entries.count * (12 + nodes.count * 4))
        writer.write(LimitsFormat.version)
        writer.write(UInt8(isLending ? 1 : 0))
        writer.writeVariable(term)
        writer.writeVariable(counter)
        writer.writeVariable(version)
        writer.writeVariable(UInt64(nodes.count))
        for node in nodes { writer.writeString(node) }
        for (id, entry) in entries.sorted(by: { $0.key < $1.key }) {
            writer.write(id)
            writer.writeVariable(UInt64(max(0, entry.day)))
            for share in entry.shares { writer.writeVariable(UInt64(max(0, share))) }
        }
        return writer.bytes
    }

    init() {}

    init(reading bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        try LimitsFormat.check(&reader)
        isLending = try reader.read(UInt8.self) != 0
        term = try LimitsFormat.term(&reader)
        counter = try reader.readVariable()
        version = try reader.readVariable()
        let count = try reader.readVariable()
        guard count <= UInt64(LimitsGrants.maximumNodes) else { throw MalformedBytes("too many nodes") }
        for _ in 0..<count { nodes.append(try reader.readText()) }
        while !reader.isAtEnd, entries.count < LimitsGrants.maximumLimits {
            let id = try reader.read(UInt64.self)
            var entry = Entry(day: try LimitsFormat.number(&reader), shares: [])
            for _ in 0..<count { entry.shares.append(try LimitsFormat.number(&reader)) }
            entries[id] = entry
        }
    }
}

/// `limits/pace`: which upstreams said 'too fast', and how fast the cluster goes there now.
struct LimitsPace: Hashable, Sendable {
    static let key = "limits/pace"
    static let maximumEntries = 128

    struct Entry: Hashable, Sendable {
        /// The upstream's or account's.
        var scope: String
        /// Nil for all its mail.
        var provider: String?
        /// Thousandths of a recipient per second, of the whole cluster.
        var ceiling: Int
        /// What was used when it was too fast.
        var peak: Int
    }

    var entries: [Entry] = []

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.write(LimitsFormat.version)
        for entry in entries.prefix(LimitsPace.maximumEntries) {
            writer.writeString(entry.scope)
            writer.write(UInt8(entry.provider == nil ? 0 : 1))
            if let provider = entry.provider { writer.writeString(provider) }
            writer.writeVariable(UInt64(max(0, entry.ceiling)))
            writer.writeVariable(UInt64(max(0, entry.peak)))
        }
        return writer.bytes
    }

    init() {}

    init(reading bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        try LimitsFormat.check(&reader)
        while !reader.isAtEnd, entries.count < LimitsPace.maximumEntries {
            let scope = try reader.readText()
            let provider = try reader.read(UInt8.self) == 0 ? nil : try reader.readText()
            entries.append(
                Entry(
                    scope: scope, provider: provider, ceiling: try LimitsFormat.number(&reader),
                    peak: try LimitsFormat.number(&reader)))
        }
    }
}

enum LimitsFormat {
    static let version: UInt8 = 1
    /// No cluster changes its lender so often; a higher one is garbage, and must not end what can be counted.
    static let highestTerm: UInt64 = 1 << 40
    /// Sums of these stay far from overflow.
    static let highestNumber = 1_000_000_000_000

    static func check(_ reader: inout ByteReader) throws(MalformedBytes) {
        guard try reader.read(UInt8.self) == version else { throw MalformedBytes("another version") }
    }

    static func term(_ reader: inout ByteReader) throws(MalformedBytes) -> UInt64 {
        let term = try reader.readVariable()
        guard term <= highestTerm else { throw MalformedBytes("a term beyond all") }
        return term
    }

    static func number(_ reader: inout ByteReader) throws(MalformedBytes) -> Int {
        Int(min(try reader.readVariable(), UInt64(highestNumber)))
    }
}
