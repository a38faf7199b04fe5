package import Primitives

/// The trace field that a relay puts in front of each message (RFC 5321 §4.4), and the fields that it adds where they lack.
///
///     Received: from client.example ([192.0.2.1]) by relay.example with ESMTPS
///      (TLSv1.3 TLS_AES_256_GCM_SHA384) id 01JD9Q4X7M2TB3Z1N4V8K5C6WH
///      for <ann@example.net>; Tue, 24 Nov 2026 12:04:31 +0000
package struct ReceivedField: Hashable, Sendable {
    /// How the message came (RFC 3848, RFC 6531 §4.3).
    package enum Transport: Hashable, Sendable {
        case smtp, esmtp, esmtps, utf8smtp, utf8smtps

        package init(isExtended: Bool, isTLS: Bool, smtputf8: Bool) {
            self =
                switch (isExtended, smtputf8, isTLS) {
                case (false, _, _): .smtp
                case (true, false, false): .esmtp
                case (true, false, true): .esmtps
                case (true, true, false): .utf8smtp
                case (true, true, true): .utf8smtps
                }
        }

        var name: StaticString {
            switch self {
            case .smtp: "SMTP"
            case .esmtp: "ESMTP"
            case .esmtps: "ESMTPS"
            case .utf8smtp: "UTF8SMTP"
            case .utf8smtps: "UTF8SMTPS"
            }
        }
    }

    package var hello: [UInt8]
    package var clientAddress: [UInt8]
    package var hostname: [UInt8]
    package var transport: Transport
    package var tls: TLSInfo?
    package var id: ULID
    /// Only when the message has no other: 'for' must not tell one recipient of another (RFC 5321 §7.6).
    package var recipient: Address?
    package var time: WallTime

    /// The trace of a message that this session took.
    package init(session: ServerSession, envelope: Envelope, id: ULID, time: WallTime) {
        hello = session.hello?.name ?? []
        clientAddress = session.client.address
        hostname = session.policy.hostname
        tls = session.client.tls
        transport = Transport(
            isExtended: session.hello?.isExtended ?? false, isTLS: session.client.isTLS, smtputf8: envelope.smtputf8)
        self.id = id
        recipient = envelope.recipients.count == 1 ? envelope.recipients[0] : nil
        self.time = time
    }

    /// Appends what goes in front of the content: `Received`, and `Date` and `Message-ID` where the content has none. None of
    /// these lines begins with a dot: they are their own wire form.
    package func appendPrefix(for content: ContentSummary, to output: inout [UInt8]) {
        append(to: &output)
        if !content.hasDate {
            output.append("Date: ")
            output.appendDate(time)
            output.append("\r\n")
        }
        if !content.hasMessageID {
            output.append("Message-ID: <")
            id.append(to: &output)
            output.append(0x40)
            appendName(hostname, to: &output)
            output.append(">\r\n")
        }
        if !content.beginsWithHeader { output.append("\r\n") }
    }

    /// Appends the field alone, with its last CRLF.
    package func append(to output: inout [UInt8]) {
        var folder = FieldFolder(start: output.count)
        output.append("Received: from ")
        appendName(hello, to: &output)
        output.append(clientAddress.contains(0x3a) ? " ([IPv6:" : " ([")
        appendName(clientAddress, to: &output)
        output.append("])")
        folder.endPiece(&output)
        output.append(" by ")
        appendName(hostname, to: &output)
        folder.endPiece(&output)
        output.append(" with ")
        output.append(transport.name)
        folder.endPiece(&output)
        if let tls {
            output.append(" (")
            appendName(tls.version, to: &output)
            output.append(" ")
            appendName(tls.cipher, to: &output)
            output.append(")")
            folder.endPiece(&output)
        }
        output.append(" id ")
        id.append(to: &output)
        if let recipient {
            folder.endPiece(&output)
            output.append(" for <")
            output.append(contentsOf: recipient.bytes)
            output.append(">")
        }
        output.append(";")
        folder.endPiece(&output)
        output.append(" ")
        output.appendDate(time)
        folder.endPiece(&output)
        output.append("\r\n")
    }

    /// What a peer said may hold anything printable; here only what makes a domain or an address stays.
    private func appendName(_ name: [UInt8], to output: inout [UInt8]) {
        if name.isEmpty { return output.append("unknown") }
        if name.allSatisfy(ReceivedField.isPlain) { return output.append(contentsOf: name) }
        for byte in name { output.append(ReceivedField.isPlain(byte) ? byte : 0x5f) }
    }

    /// A letter, a digit, or one of `-._:[]`.
    private static func isPlain(_ byte: UInt8) -> Bool {
        isLetter(byte) || isDigit(byte) || byte == 0x2d || byte == 0x2e || byte == 0x5f || byte == 0x3a || byte == 0x5b
            || byte == 0x5d
    }
}

/// Breaks a header field between its pieces, so that no line exceeds 78 characters where that is possible (RFC 5322
/// §2.1.1). Each piece but the first begins with the space that makes a continuation line.
private struct FieldFolder {
    private var lineStart: Int
    private var pieceStart: Int

    init(start: Int) {
        lineStart = start
        pieceStart = start
    }

    mutating func endPiece(_ output: inout [UInt8]) {
        if output.count - lineStart > 78, pieceStart > lineStart {
            output.append("\r\n")
            // The piece moves behind its line break.
            for index in stride(from: output.count - 1, to: pieceStart + 1, by: -1) {
                output[index] = output[index - 2]
            }
            output[pieceStart] = 0x0d
            output[pieceStart + 1] = 0x0a
            lineStart = pieceStart + 2
        }
        pieceStart = output.count
    }
}
