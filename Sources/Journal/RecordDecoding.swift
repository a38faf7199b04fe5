package import Primitives

/// What a reader wants of the contents of messages.
package enum ContentReading: Hashable, Sendable {
    /// In the record, as it was encoded.
    case kept
    /// Only where it lies in the file: an accept's content as `range`, a `body` without its bytes.
    case located
}

extension Frame {
    /// Reads a frame's body, which begins at `offset` in its file, from untrusted bytes.
    ///
    /// A kind that this version does not know is `unknown`.
    package static func decodeRecord(
        kind: UInt8, body bytes: [UInt8], in range: Range<Int>? = nil, at offset: UInt64, content: ContentReading
    ) throws(MalformedBytes) -> Record {
        guard let known = FrameKind(rawValue: kind) else { return .unknown(kind: kind) }
        var reader = RecordReader(
            fields: ByteReader(bytes, in: range ?? 0..<bytes.count), bodyOffset: offset, content: content)
        let record = try reader.record(known)
        return record
    }

    /// Where the content lies in the body of an `accept` (inline) or `body` frame; nil for others and when malformed.
    package static func contentRange(kind: UInt8, body bytes: [UInt8], in range: Range<Int>? = nil) -> Range<Int>? {
        let range = range ?? 0..<bytes.count
        guard let record = try? decodeRecord(kind: kind, body: bytes, in: range, at: 0, content: .located) else {
            return nil
        }
        switch record {
        case .accept(let accept):
            guard case .range(let offset, let count) = accept.content else { return nil }
            return range.lowerBound + Int(offset)..<range.lowerBound + Int(offset + count)
        case .body: return range.lowerBound + streamNumberLength(bytes, in: range)..<range.upperBound
        default: return nil
        }
    }

    /// How many bytes the number before a `body` frame's content takes (more than it needs, if its writer was odd).
    static func streamNumberLength(_ bytes: [UInt8], in range: Range<Int>) -> Int {
        (bytes[range].firstIndex { $0 & 0x80 == 0 } ?? range.upperBound - 1) + 1 - range.lowerBound
    }
}

/// Reads one body. Nothing that it allocates is larger than the body, whatever the counts in it claim.
private struct RecordReader {
    var fields: ByteReader
    /// Of the body in the file; the reader's range begins there.
    let bodyOffset: UInt64
    let bodyStart: Int
    let content: ContentReading

    init(fields: ByteReader, bodyOffset: UInt64, content: ContentReading) {
        self.fields = fields
        self.bodyOffset = bodyOffset
        bodyStart = fields.position
        self.content = content
    }

    mutating func record(_ kind: FrameKind) throws(MalformedBytes) -> Record {
        switch kind {
        case .open:
            let record = OpenRecord(
                cluster: try fields.readText(), origin: try replica(), replicas: try replicas(), time: try time())
            try skipFields()
            return .open(record)
        case .takeover:
            let record = TakeoverRecord(owner: try replica(), time: try time())
            try skipFields()
            return .takeover(record)
        case .replicas:
            let list = try replicas()
            try skipFields()
            return .replicas(list)
        case .seal:
            try skipFields()
            return .seal
        case .retire:
            try skipFields()
            return .retire
        case .body:
            let stream = StreamID(try fields.readVariable())
            return .body(stream, content == .kept ? Array(fields.bytes[fields.position..<fields.end]) : [])
        case .abort:
            let stream = StreamID(try fields.readVariable())
            try skipFields()
            return .abort(stream)
        case .accept: return .accept(try accept(until: fields.end))
        case .attempt: return .attempt(try attempt())
        case .outcome: return .outcome(try outcome())
        case .hold: return .hold(try command())
        case .release: return .release(try command())
        case .cancel: return .cancel(try command())
        case .redirect:
            let record = try commandFields()
            let upstream = try fields.readText()
            try skipFields()
            return .redirect(record, upstream: upstream)
        }
    }

    private mutating func accept(until end: Int) throws(MalformedBytes) -> AcceptRecord {
        var accept = AcceptRecord(
            id: MessageID(try fields.readULID()), time: try time(), reversePath: nil, recipients: [],
            content: .inline([]), size: 0)
        var hasContent = false
        while fields.position < end {
            let tag = try fields.readVariable()
            let range = try fields.readStringRange()
            guard range.upperBound <= end else { throw MalformedBytes("a field ends beyond its record") }
            switch tag {
            case AcceptTag.reversePath: accept.reversePath = bytes(range)
            case AcceptTag.recipient: accept.recipients.append(bytes(range))
            case AcceptTag.eightBit: accept.isEightBit = true
            case AcceptTag.internationalized: accept.isInternationalized = true
            case AcceptTag.prefixCount:
                var value = ByteReader(fields.bytes, in: range)
                accept.prefixCount = try value.readVariable()
            case AcceptTag.size:
                var value = ByteReader(fields.bytes, in: range)
                accept.size = try value.readVariable()
            case AcceptTag.digest: accept.digest = bytes(range)
            case AcceptTag.messageIDField: accept.messageIDField = bytes(range)
            case AcceptTag.clientAddress: accept.clientAddress = text(range)
            case AcceptTag.helo: accept.helo = bytes(range)
            case AcceptTag.user: accept.user = text(range)
            case AcceptTag.tls: accept.tls = text(range)
            case AcceptTag.concerns:
                var value = ByteReader(fields.bytes, in: range)
                accept.concerns = MessageID(try value.readULID())
            case AcceptTag.uncertain: accept.isUncertain = true
            case AcceptTag.headerField: accept.headerFields.append(bytes(range))
            case AcceptTag.pieces:
                accept.content = try pieces(range)
                hasContent = true
            case AcceptTag.content:
                accept.content =
                    switch content {
                    case .kept: .inline(bytes(range))
                    case .located:
                        .range(
                            offset: bodyOffset &+ UInt64(range.lowerBound - bodyStart), count: UInt64(range.count))
                    }
                hasContent = true
            default: accept.unknownFields.append(UnknownField(tag: tag, bytes: bytes(range)))
            }
        }
        // An empty message has an empty content field. Without any, this version would deliver nothing in its place.
        guard hasContent else { throw MalformedBytes("an accept without content") }
        return accept
    }

    private func pieces(_ range: Range<Int>) throws(MalformedBytes) -> AcceptRecord.Content {
        var reader = ByteReader(fields.bytes, in: range)
        let stream = StreamID(try reader.readVariable())
        let count = try counted(try reader.readVariable(), in: reader, each: 2)
        var pieces: [ContentPiece] = []
        pieces.reserveCapacity(count)
        for _ in 0..<count {
            let offset = try reader.readVariable()
            pieces.append(ContentPiece(offset: offset, count: try narrow(try reader.readVariable())))
        }
        return .pieces(stream, pieces)
    }

    private mutating func attempt() throws(MalformedBytes) -> AttemptRecord {
        let record = AttemptRecord(
            message: MessageID(try fields.readULID()), number: try narrow(try fields.readVariable()), time: try time(),
            upstream: try fields.readText(), recipients: try indices())
        try skipFields()
        return record
    }

    private mutating func outcome() throws(MalformedBytes) -> OutcomeRecord {
        var record = OutcomeRecord(
            message: MessageID(try fields.readULID()), attempt: try narrow(try fields.readVariable()), time: try time(),
            upstream: try fields.readText(), remote: try fields.readText(), results: [])
        // Each takes at least its length, an index, a status, a code and its tries.
        let count = try counted(try fields.readVariable(), in: fields, each: 5)
        record.results.reserveCapacity(count)
        for _ in 0..<count { record.results.append(try result(try fields.readStringRange())) }
        while !fields.isAtEnd {
            let tag = try fields.readVariable()
            let range = try fields.readStringRange()
            if tag == OutcomeTag.notice {
                var inner = self
                inner.fields = ByteReader(fields.bytes, in: range)
                record.notice = try inner.accept(until: range.upperBound)
            }
        }
        return record
    }

    private func result(_ range: Range<Int>) throws(MalformedBytes) -> RecipientResult {
        var reader = ByteReader(fields.bytes, in: range)
        let recipient: UInt32 = try narrow(try reader.readVariable())
        guard let status = RecipientResult.Status(rawValue: try reader.read()) else {
            throw MalformedBytes("an unknown status of a recipient")
        }
        var result = RecipientResult(
            recipient: recipient, status: status, code: try narrow(try reader.readVariable()),
            tries: try narrow(try reader.readVariable()))
        while !reader.isAtEnd {
            let tag = try reader.readVariable()
            let value = try reader.readStringRange()
            switch tag {
            case ResultTag.enhanced: result.enhanced = text(value)
            case ResultTag.reply: result.reply = bytes(value)
            case ResultTag.due:
                var number = ByteReader(fields.bytes, in: value)
                result.due = WallTime(milliseconds: Int64(bitPattern: try number.read(UInt64.self)))
            case ResultTag.held: result.isHeld = true
            case ResultTag.suppressed: result.isSuppressed = true
            default: break
            }
        }
        return result
    }

    private mutating func command() throws(MalformedBytes) -> CommandRecord {
        let record = try commandFields()
        try skipFields()
        return record
    }

    private mutating func commandFields() throws(MalformedBytes) -> CommandRecord {
        let message = MessageID(try fields.readULID())
        let time = try time()
        return CommandRecord(
            message: message, recipients: try indices(), time: time, by: try fields.readText(),
            reason: try fields.readText())
    }

    private mutating func replica() throws(MalformedBytes) -> ReplicaID {
        ReplicaID(node: try fields.readText(), disk: DiskID(try fields.readULID()))
    }

    private mutating func replicas() throws(MalformedBytes) -> [ReplicaID] {
        let count = try counted(try fields.readVariable(), in: fields, each: 17)
        var list: [ReplicaID] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try replica()) }
        return list
    }

    private mutating func indices() throws(MalformedBytes) -> [UInt32] {
        let count = try counted(try fields.readVariable(), in: fields, each: 1)
        var list: [UInt32] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try narrow(try fields.readVariable())) }
        return list
    }

    private mutating func time() throws(MalformedBytes) -> WallTime {
        WallTime(milliseconds: Int64(bitPattern: try fields.read(UInt64.self)))
    }

    /// Reads past what newer versions added; what is not made of fields is malformed.
    private mutating func skipFields() throws(MalformedBytes) {
        while !fields.isAtEnd {
            _ = try fields.readVariable()
            _ = try fields.readStringRange()
        }
    }

    /// Refuses a count that the bytes left can't hold, before anything is reserved for it.
    private func counted(_ count: UInt64, in reader: ByteReader, each size: Int) throws(MalformedBytes) -> Int {
        guard count <= UInt64(reader.remaining / size) else { throw MalformedBytes("a count is beyond the end") }
        return Int(count)
    }

    private func narrow<T: FixedWidthInteger>(_ value: UInt64) throws(MalformedBytes) -> T {
        guard let narrow = T(exactly: value) else { throw MalformedBytes("a number is too large") }
        return narrow
    }

    private func bytes(_ range: Range<Int>) -> [UInt8] { range.isEmpty ? [] : Array(fields.bytes[range]) }

    private func text(_ range: Range<Int>) -> String { String(decoding: fields.bytes[range], as: UTF8.self) }
}

extension Frame {
    /// The frame that `range` of these bytes holds, with its content left where it lies; nil when it is not one.
    package static func located(
        _ bytes: [UInt8], in range: Range<Int>, of journal: JournalID, at offset: UInt64
    ) -> ScannedFrame? {
        guard range.count >= FrameHeader.size,
            case .header(let header) = FrameHeader.parse(
                bytes, at: range.lowerBound, journal: journal, offset: offset),
            header.frameLength == range.count,
            let record = try? decodeRecord(
                kind: header.kind, body: bytes, in: range.lowerBound + FrameHeader.size..<range.upperBound,
                at: offset + UInt64(FrameHeader.size), content: .located)
        else { return nil }
        return ScannedFrame(offset: offset, header: header, record: record)
    }
}
