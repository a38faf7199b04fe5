/// What another mail system reports of a message that it took from us: a delivery status (RFC 3464) or a complaint
/// (RFC 5965), both in a `multipart/report` (RFC 6522).
///
/// Read from whatever anybody sends: lenient with form, bounded in everything, and believed in nothing but what it says.
package struct ReceivedReport: Hashable, Sendable {
    package enum Kind: Hashable, Sendable { case deliveryStatus, complaint }

    /// What it says of one recipient.
    package struct Recipient: Hashable, Sendable {
        /// As we named it; empty when the report does not say.
        package var original: [UInt8] = []
        /// As the reporting system names it, which may have forwarded the message.
        package var final: [UInt8] = []
        /// Nil for what is neither success nor failure: `relayed`, `expanded`.
        package var kind: FeedbackKind?
        package var status: EnhancedCode?
        /// The remote server's reply, when the diagnostic code is one of SMTP.
        package var code: Int?
        /// The diagnostic code's text without its type and its codes; at most 1 KiB.
        package var text: [UInt8] = []
        /// Host name of the server that gave the diagnostic; empty when the report does not say.
        package var remoteHost = ""

        package init() {}

        /// The name to look for among the message's recipients.
        package var address: [UInt8] { original.isEmpty ? final : original }
    }

    package var kind: Kind
    /// Not empty in a delivery status; in a complaint those whom it names, if any.
    package var recipients: [Recipient] = []
    /// Of the message it is about, with its angle brackets; empty when it does not say.
    package var originalMessageID: [UInt8] = []
    /// The sender of the message it is about, as in its envelope; empty when it does not say.
    package var originalSender: [UInt8] = []
    /// RFC 3461's ENVID; empty when it does not say.
    package var originalEnvelopeID = ""
    package var reportingHost = ""
    /// `abuse`, `not-spam` …; empty for a delivery status.
    package var feedbackType = ""
    /// The header of the message it is about, as returned; at most `DeliveryReport.maximumHeader` bytes, unstuffed.
    package var originalHeader: [UInt8] = []

    package static let maximumRecipients = 1000

    /// Reads a message without dot-stuffing; nil when it is no such report.
    package init?(message: [UInt8]) {
        let message = MessageParts(message)
        // Inside, `multipart/mixed` of a list or a gateway may stand around it; but it says what it is.
        guard message.type.type.hasPrefix("multipart/") else { return nil }
        if let status = message.parts.first(where: { ReceivedReport.statusTypes.contains($0.type) }) {
            kind = .deliveryStatus
            readStatus(status.content)
            guard !recipients.isEmpty else { return nil }
        } else if let report = message.parts.first(where: { $0.type == "message/feedback-report" }) {
            kind = .complaint
            guard readComplaint(report.content) else { return nil }
        } else {
            return nil
        }
        if let original = message.parts.last(where: { ReceivedReport.originalTypes.contains($0.type) }) {
            readOriginal(original.content)
        }
    }

    private static let statusTypes = ["message/delivery-status", "message/global-delivery-status"]
    private static let originalTypes = [
        "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers",
    ]

    // MARK: Delivery status

    /// Groups of fields: the message's, then one for each recipient (RFC 3464 §2.1).
    private mutating func readStatus(_ bytes: [UInt8]) {
        var position = 0
        while position < bytes.count, recipients.count < ReceivedReport.maximumRecipients {
            let group = HeaderFields(bytes, in: position..<bytes.count)
            guard group.end > position else { return }
            position = group.end
            if group.value("final-recipient") != nil || group.value("original-recipient") != nil
                || group.value("action") != nil
            {
                recipients.append(ReceivedReport.recipient(group))
            } else if let host = group.value("reporting-mta") {
                reportingHost = String(ReceivedReport.untyped(host).prefix(255))
                originalEnvelopeID = group.value("original-envelope-id") ?? ""
            }
        }
    }

    private static func recipient(_ fields: HeaderFields) -> Recipient {
        var recipient = Recipient()
        recipient.original = mailbox(untyped(fields.value("original-recipient") ?? ""))
        recipient.final = mailbox(untyped(fields.value("final-recipient") ?? ""))
        recipient.status = fields.value("status").flatMap { EnhancedCode(leading: $0.utf8) }
        recipient.remoteHost = host(untyped(fields.value("remote-mta") ?? ""))
        switch fields.value("action")?.split(separator: " ").first?.lowercased() {
        case "failed": recipient.kind = .bounced
        case "delayed": recipient.kind = .deferred
        case "delivered": recipient.kind = .delivered
        case nil:
            // The field is required, and its meaning is in the status too.
            recipient.kind = recipient.status.flatMap { [2: .delivered, 4: .deferred, 5: .bounced][$0.class] }
        default: recipient.kind = nil
        }
        if let diagnostic = fields.value("diagnostic-code") { read(diagnostic, into: &recipient) }
        return recipient
    }

    /// `smtp; 550 5.1.1 <x@example.com>: user unknown`, or words of another kind.
    private static func read(_ diagnostic: String, into recipient: inout Recipient) {
        let isSMTP = diagnostic.lowercased().hasPrefix("smtp")
        let words = Array(untyped(diagnostic).utf8.prefix(1024))
        recipient.text = words
        guard isSMTP, let spoken = SpokenReply(words) else { return }
        recipient.code = spoken.code
        if let enhanced = spoken.enhanced { recipient.status = enhanced }
        recipient.text = spoken.text
    }

    // MARK: Complaints

    /// RFC 5965 §3; false without the fields that make it one.
    private mutating func readComplaint(_ bytes: [UInt8]) -> Bool {
        let fields = HeaderFields(bytes, in: 0..<bytes.count)
        guard let type = fields.value("feedback-type"), !type.isEmpty else { return false }
        feedbackType = String(type.lowercased().prefix(64))
        originalSender = ReceivedReport.mailbox(fields.value("original-mail-from") ?? "")
        originalEnvelopeID = fields.value("original-envelope-id") ?? ""
        reportingHost = ReceivedReport.host(ReceivedReport.untyped(fields.value("reporting-mta") ?? ""))
        for named in fields.values("original-rcpt-to").prefix(ReceivedReport.maximumRecipients) {
            var recipient = Recipient()
            recipient.original = ReceivedReport.mailbox(named)
            // `not-spam` takes back what was complained of, and other types (fraud, virus) are complaints.
            recipient.kind = feedbackType == "not-spam" ? nil : .complained
            recipients.append(recipient)
        }
        return true
    }

    // MARK: The original

    private mutating func readOriginal(_ bytes: [UInt8]) {
        let fields = HeaderFields(bytes, in: 0..<bytes.count)
        originalMessageID = Array((fields.value("message-id") ?? "").utf8.prefix(998))
        if originalSender.isEmpty { originalSender = ReceivedReport.mailbox(fields.value("return-path") ?? "") }
        originalHeader = Array(bytes[..<min(fields.end, bytes.count, DeliveryReport.maximumHeader)])
    }

    // MARK: Pieces

    /// Behind `rfc822;`, `dns;`, `smtp;`; the whole without one.
    private static func untyped(_ value: String) -> Substring {
        guard let semicolon = value.firstIndex(of: ";") else { return value[...] }
        return value[value.index(after: semicolon)...].drop { $0 == " " || $0 == "\t" }
    }

    /// An address without angle brackets and what is around them; empty when it is none.
    private static func mailbox(_ text: some StringProtocol) -> [UInt8] {
        var bytes = Array(text.utf8)
        if let open = bytes.firstIndex(of: 0x3c), let close = bytes[open...].firstIndex(of: 0x3e) {
            bytes = Array(bytes[(open + 1)..<close])
        }
        let words = bytes.drop(while: isBlank).prefix { !isBlank($0) }
        do throws(PathError) {
            return try Address(path: words).bytes
        } catch {
            return []
        }
    }

    /// A host name, without the address that some put behind it.
    private static func host(_ text: some StringProtocol) -> String {
        let name = text.prefix { $0 != " " && $0 != "(" && $0 != "[" && $0 != "\t" && $0 != "|" }
        return String(name.prefix(255)).lowercased()
    }
}
