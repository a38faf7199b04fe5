internal import Primitives

/// Reads each kind of message's body from untrusted bytes. A list costs what its bytes cost: nothing is reserved by a count.
extension Message {
    init(kind: MessageKind, from reader: inout ByteReader) throws(MalformedBytes) {
        switch kind {
        case .pulse:
            self = .pulse(
                Pulse(
                    sentAt: try reader.readInstant(),
                    digest: try reader.readList { reader throws(MalformedBytes) in try reader.readDigest() },
                    renewals: try reader.readList { reader throws(MalformedBytes) in try reader.readJournalEpoch() }))
        case .pulseReply: self = .pulseReply(try reader.readPulseReply())
        case .append: self = .append(try reader.readAppend())
        case .durable:
            let (journal, epoch, end) = try reader.readTriple()
            self = .durable(Durable(journal: journal, epoch: epoch, end: end))
        case .mismatch:
            let (journal, epoch, end) = try reader.readTriple()
            self = .mismatch(
                Mismatch(
                    journal: journal, epoch: epoch, end: end, hint: try reader.readVariable(),
                    hintEpoch: try reader.readVariable()))
        case .fenced:
            let (journal, epoch, promised) = try reader.readTriple()
            self = .fenced(Fenced(journal: journal, epoch: epoch, promised: promised))
        case .buried: self = .buried(JournalID(try reader.readULID()))
        case .probe: self = .probe(try reader.readClaimRequest())
        case .claim: self = .claim(try reader.readClaimRequest())
        case .claimAnswers:
            self = .claimAnswers(
                ClaimAnswers(
                    sentAt: try reader.readInstant(),
                    items: try reader.readList { reader throws(MalformedBytes) in try reader.readClaimAnswer() }))
        case .fetch:
            let (journal, epoch, offset) = try reader.readTriple()
            self = .fetch(
                Fetch(
                    journal: journal, epoch: epoch, previousOffset: offset, previousEpoch: try reader.readVariable()))
        case .fetched:
            let (journal, epoch, offset) = try reader.readTriple()
            self = .fetched(
                Fetched(
                    journal: journal, epoch: epoch, offset: offset, lastEpoch: try reader.readVariable(),
                    end: try reader.readVariable(), isWhole: try reader.readFlag(), bytes: try reader.readBytes()))
        case .release:
            self = .release(try reader.readList { reader throws(MalformedBytes) in try reader.readJournalEpoch() })
        case .bury:
            self = .bury(
                JournalID(try reader.readULID()),
                try reader.readList { reader throws(MalformedBytes) in try reader.readReplica() })
        case .lateOutcome:
            let (journal, epoch, recipient) = try reader.readTriple()
            guard let recipient = UInt32(exactly: recipient) else { throw MalformedBytes("a recipient's number") }
            self = .lateOutcome(
                LateOutcome(
                    journal: journal, epoch: epoch, message: MessageID(try reader.readULID()), recipient: recipient,
                    outcome: try reader.readBytes()))
        case .ask:
            self = .ask(
                Ask(
                    id: try reader.readULID(), patience: try reader.readDuration(), what: try reader.readBytes()))
        case .answer:
            self = .answer(
                Answer(
                    id: try reader.readULID(), part: try reader.read(), hasMore: try reader.readFlag(),
                    what: try reader.readBytes()))
        case .recordsDigest: self = .recordsDigest(try RecordsDigest(from: &reader))
        case .recordsDelta: self = .recordsDelta(try RecordsDelta(from: &reader))
        case .notHere: self = .notHere
        }
    }
}

extension ByteReader {
    mutating func readList<T>(
        _ read: (inout ByteReader) throws(MalformedBytes) -> T
    ) throws(MalformedBytes) -> [T] {
        let count = try readVariable()
        // No item takes less than a byte.
        guard count <= UInt64(remaining) else { throw MalformedBytes("a list is longer than the message") }
        var items: [T] = []
        for _ in 0..<count { items.append(try read(&self)) }
        return items
    }

    mutating func readReplica() throws(MalformedBytes) -> ReplicaID {
        ReplicaID(node: try readText(), disk: DiskID(try readULID()))
    }

    fileprivate mutating func readInstant() throws(MalformedBytes) -> Instant {
        Instant(nanoseconds: try read())
    }

    /// Never negative.
    mutating func readDuration() throws(MalformedBytes) -> Duration {
        let nanoseconds: Int64 = try read()
        guard nanoseconds >= 0 else { throw MalformedBytes("a negative duration") }
        return .nanoseconds(nanoseconds)
    }

    fileprivate mutating func readFlag() throws(MalformedBytes) -> Bool {
        let value: UInt8 = try read()
        guard value < 2 else { throw MalformedBytes("neither yes nor no") }
        return value == 1
    }

    fileprivate mutating func readTriple() throws(MalformedBytes) -> (JournalID, UInt64, UInt64) {
        (JournalID(try readULID()), try readVariable(), try readVariable())
    }

    fileprivate mutating func readJournalEpoch() throws(MalformedBytes) -> JournalEpoch {
        JournalEpoch(JournalID(try readULID()), try readVariable())
    }

    fileprivate mutating func readDigest() throws(MalformedBytes) -> GossipDigest {
        GossipDigest(node: try readReplica(), incarnation: try readVariable(), version: try readVariable())
    }

    fileprivate mutating func readDelta() throws(MalformedBytes) -> GossipDelta {
        GossipDelta(
            node: try readReplica(), incarnation: try readVariable(), version: try readVariable(),
            records: try readList { reader throws(MalformedBytes) in
                GossipRecord(
                    key: try reader.readText(), version: try reader.readVariable(), value: try reader.readBytes())
            })
    }

    fileprivate mutating func readPulseReply() throws(MalformedBytes) -> PulseReply {
        PulseReply(
            sentAt: try readInstant(),
            digest: try readList { reader throws(MalformedBytes) in try reader.readDigest() },
            deltas: try readList { reader throws(MalformedBytes) in try reader.readDelta() },
            renewed: try readList { reader throws(MalformedBytes) in try reader.readJournalEpoch() },
            lost: try readList { reader throws(MalformedBytes) in
                let (journal, epoch, promised) = try reader.readTriple()
                return PulseReply.Lost(journal: journal, epoch: epoch, promised: promised)
            })
    }

    fileprivate mutating func readAppend() throws(MalformedBytes) -> Append {
        Append(
            journal: JournalID(try readULID()), epoch: try readVariable(), lease: try readDuration(),
            previousOffset: try readVariable(), previousEpoch: try readVariable(), committed: try readVariable(),
            ownerEnd: try readVariable(), bytes: try readBytes())
    }

    fileprivate mutating func readClaimRequest() throws(MalformedBytes) -> ClaimRequest {
        ClaimRequest(
            sentAt: try readInstant(),
            items: try readList { reader throws(MalformedBytes) in
                ClaimRequest.Item(
                    journal: JournalID(try reader.readULID()), epoch: try reader.readVariable(),
                    lease: try reader.readDuration())
            })
    }

    fileprivate mutating func readOffer() throws(MalformedBytes) -> ClaimAnswers.Offer {
        let (journal, epoch, lastEpoch) = try readTriple()
        return ClaimAnswers.Offer(
            journal: journal, epoch: epoch, lastEpoch: lastEpoch, end: try readVariable(), isWhole: try readFlag())
    }

    fileprivate mutating func readClaimAnswer() throws(MalformedBytes) -> ClaimAnswers.Item {
        switch try read(UInt8.self) {
        case 1: return .would(try readOffer())
        case 2: return .granted(try readOffer())
        case 3:
            let (journal, epoch, promised) = try readTriple()
            return .refused(journal, epoch: epoch, promised: promised, expiresIn: try readDuration())
        case 4: return .buried(JournalID(try readULID()))
        case let other: throw MalformedBytes("a claim's answer of kind \(other)")
        }
    }
}
