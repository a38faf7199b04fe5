package import Primitives

/// What this node handed to upstreams that report later: found again by the names that a report may use, for seven days.
///
/// Only hashes of names are kept, each with the recipient's, since a report is about one; what else is to be known of a
/// message is read from its journal or the history. A delivery takes about 150 bytes; the oldest make room beyond the limit.
package struct SentIndex: Sendable {
    /// A name under which a report may ask for a message.
    package enum Name: Hashable, Sendable {
        case remoteID(String, upstream: String)
        case messageID(String, upstream: String)
        case message(MessageID)
        /// As a tagged sender tells.
        case index(MessageID, Int)
    }

    package struct Sent: Hashable, Sendable {
        package var message: MessageID
        package var journal: JournalID
        /// Index among the message's recipients.
        package var recipient: Int
        package var at: WallTime
        /// It was this node that sent it; what others sent is known from copies of their journals.
        package var isOwn: Bool

        package init(message: MessageID, journal: JournalID, recipient: Int, at: WallTime, isOwn: Bool) {
            self.message = message
            self.journal = journal
            self.recipient = recipient
            self.at = at
            self.isOwn = isOwn
        }
    }

    package static let limit = 1_000_000
    package static let lifetime = Duration.days(7)
    /// Of one delivery.
    package static let maximumNames = 4

    private struct Entry: Sendable {
        var message: ULID
        var journal: ULID
        var milliseconds: Int64
        var recipient: UInt32
        var isOwn: Bool
        var names: (Int, Int, Int, Int)
    }

    private let limit: Int
    private var entries = Deque<Entry>()
    /// Of the first entry that is still there; the entries have consecutive numbers.
    private var first: UInt32 = 0
    private var places: [Int: UInt32] = [:]

    package init(limit: Int = SentIndex.limit) { self.limit = limit }

    package var count: Int { entries.count }

    package mutating func add(_ sent: Sent, to address: some Collection<UInt8>, names: [Name]) {
        forget(before: sent.at)
        var hashes = [0, 0, 0, 0]
        let number = first &+ UInt32(truncatingIfNeeded: entries.count)
        for (position, name) in names.prefix(SentIndex.maximumNames).enumerated() {
            let hash = SentIndex.hash(name, address)
            hashes[position] = hash
            places[hash] = number
        }
        entries.append(
            Entry(
                message: sent.message.ulid, journal: sent.journal.ulid, milliseconds: sent.at.milliseconds,
                recipient: UInt32(clamping: sent.recipient), isOwn: sent.isOwn,
                names: (hashes[0], hashes[1], hashes[2], hashes[3])))
    }

    /// The delivery that this name and recipient mean; nil when it is none of those that are remembered.
    package func find(_ name: Name, to address: some Collection<UInt8>, at now: WallTime) -> Sent? {
        guard let number = places[SentIndex.hash(name, address)] else { return nil }
        let position = Int(number &- first)
        guard position < entries.count else { return nil }
        let entry = entries[position]
        let at = WallTime(milliseconds: entry.milliseconds)
        guard now - at <= SentIndex.lifetime else { return nil }
        return Sent(
            message: MessageID(entry.message), journal: JournalID(entry.journal), recipient: Int(entry.recipient),
            at: at,
            isOwn: entry.isOwn)
    }

    private mutating func forget(before now: WallTime) {
        while let oldest = entries.first,
            entries.count >= limit || now - WallTime(milliseconds: oldest.milliseconds) > SentIndex.lifetime
        {
            _ = entries.popFirst()
            for name in [oldest.names.0, oldest.names.1, oldest.names.2, oldest.names.3]
            where places[name] == first {
                places[name] = nil
            }
            first &+= 1
        }
    }

    /// A tag that tells the index needs no address: the same for whatever the report calls the recipient.
    private static func hash(_ name: Name, _ address: some Collection<UInt8>) -> Int {
        var hasher = Hasher()
        hasher.combine(name)
        if case .index = name { return hasher.finalize() }
        for byte in address { hasher.combine(lower(byte)) }
        return hasher.finalize()
    }
}

/// Which events were taken before, for seven days; the oldest make room beyond the limit.
package struct HeardEvents: Sendable {
    package static let limit = 1_000_000

    private let limit: Int
    private var heard: Set<Int> = []
    private var order = Deque<(hash: Int, at: WallTime)>()

    package init(limit: Int = HeardEvents.limit) { self.limit = limit }

    /// Whether the event, by its own name, or its kind of this recipient and message is known.
    package func knows(_ record: FeedbackRecord) -> Bool {
        HeardEvents.hashes(record).contains { heard.contains($0) }
    }

    package mutating func add(_ record: FeedbackRecord) {
        for hash in HeardEvents.hashes(record) where heard.insert(hash).inserted { order.append((hash, record.heard)) }
        while let oldest = order.first, order.count > limit || record.heard - oldest.at > SentIndex.lifetime {
            _ = order.popFirst()
            heard.remove(oldest.hash)
        }
    }

    /// It could not be written after all.
    package mutating func remove(_ record: FeedbackRecord) {
        for hash in HeardEvents.hashes(record) { heard.remove(hash) }
    }

    /// Adds what was heard before this began.
    package mutating func merge(_ earlier: HeardEvents) {
        var all = earlier
        for position in 0..<order.count where all.heard.insert(order[position].hash).inserted {
            all.order.append(order[position])
        }
        self = all
    }

    private static func hashes(_ record: FeedbackRecord) -> [Int] {
        var outcome = Hasher()
        outcome.combine(record.message)
        outcome.combine(record.kind)
        for byte in record.recipient { outcome.combine(lower(byte)) }
        guard !record.eventID.isEmpty else { return [outcome.finalize()] }
        var name = Hasher()
        name.combine(record.upstream)
        name.combine(record.eventID)
        return [outcome.finalize(), name.finalize()]
    }
}
