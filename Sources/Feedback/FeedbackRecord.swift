package import Primitives
package import SMTP

/// An outcome that came after the 250, as it is kept and shown.
package struct FeedbackRecord: Hashable, Sendable {
    package var message: MessageID
    package var kind: FeedbackKind
    /// As the message names it.
    package var recipient: [UInt8]
    package var upstream: String
    /// When it happened, by whoever reports it; never before the message nor after it was heard.
    package var at: WallTime
    package var heard: WallTime
    package var code: Int?
    package var enhanced: EnhancedCode?
    package var text: [UInt8]
    package var remoteHost: String
    package var eventID: String
    /// `event` or `report`: by HTTP or by mail.
    package var source: String

    package init(
        message: MessageID, recipient: [UInt8], upstream: String, event: ReportedEvent, heard: WallTime, source: String
    ) {
        self.message = message
        kind = event.kind
        self.recipient = recipient
        self.upstream = upstream
        at = min(heard, max(event.at ?? heard, message.ulid.time))
        self.heard = heard
        code = event.code
        enhanced = event.enhanced
        text = Array(event.text.utf8.prefix(ReportedEvent.textLimit))
        remoteHost = String(event.remoteHost.prefix(255))
        eventID = String(event.eventID.prefix(255))
        self.source = source
    }

    // MARK: Bytes

    private enum Tag: UInt64 {
        case message = 1, kind, recipient, upstream, at, heard, code, enhanced, text, remoteHost, eventID, source
    }

    /// Tagged fields, so that a newer version's are passed over.
    package func encode() -> [UInt8] {
        var writer = ByteWriter(reserving: 128 + text.count)
        func number(_ value: UInt64) -> [UInt8] {
            var inner = ByteWriter(reserving: 8)
            inner.write(value)
            return inner.bytes
        }
        var id = ByteWriter(reserving: 16)
        id.write(message.ulid)
        writer.writeField(Tag.message.rawValue, id.bytes)
        writer.writeField(Tag.kind.rawValue, kind.rawValue.utf8)
        writer.writeField(Tag.recipient.rawValue, recipient)
        writer.writeField(Tag.upstream.rawValue, upstream.utf8)
        writer.writeField(Tag.at.rawValue, number(UInt64(bitPattern: at.milliseconds)))
        writer.writeField(Tag.heard.rawValue, number(UInt64(bitPattern: heard.milliseconds)))
        if let code { writer.writeField(Tag.code.rawValue, number(UInt64(code))) }
        if let enhanced { writer.writeField(Tag.enhanced.rawValue, enhanced.description.utf8) }
        writer.writeField(Tag.text.rawValue, text)
        writer.writeField(Tag.remoteHost.rawValue, remoteHost.utf8)
        writer.writeField(Tag.eventID.rawValue, eventID.utf8)
        writer.writeField(Tag.source.rawValue, source.utf8)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(MalformedBytes) {
        var reader = ByteReader(bytes)
        message = MessageID(.zero)
        kind = .delivered
        (recipient, upstream, text, remoteHost, eventID, source) = ([], "", [], "", "", "")
        (at, heard) = (WallTime(milliseconds: 0), WallTime(milliseconds: 0))
        var hasMessage = false
        while !reader.isAtEnd {
            let tag = try reader.readVariable()
            let value = try reader.readBytes()
            var inner = ByteReader(value)
            switch Tag(rawValue: tag) {
            case .message:
                message = MessageID(try inner.readULID())
                hasMessage = true
            case .kind:
                guard let known = FeedbackKind(rawValue: String(decoding: value, as: UTF8.self)) else {
                    throw MalformedBytes("an unknown kind")
                }
                kind = known
            case .recipient: recipient = value
            case .upstream: upstream = String(decoding: value, as: UTF8.self)
            case .at: at = WallTime(milliseconds: Int64(bitPattern: try inner.read(UInt64.self)))
            case .heard: heard = WallTime(milliseconds: Int64(bitPattern: try inner.read(UInt64.self)))
            case .code: code = Int(truncatingIfNeeded: try inner.read(UInt64.self) & 0xfff)
            case .enhanced: enhanced = EnhancedCode(leading: value)
            case .text: text = value
            case .remoteHost: remoteHost = String(decoding: value, as: UTF8.self)
            case .eventID: eventID = String(decoding: value, as: UTF8.self)
            case .source: source = String(decoding: value, as: UTF8.self)
            case nil: break
            }
        }
        guard hasMessage else { throw MalformedBytes("no message") }
    }
}
