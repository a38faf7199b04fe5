package import Primitives

/// A message from the mail system to a message's sender: it could not be delivered, or it is late (RFC 3464, in the
/// `multipart/report` of RFC 6522).
///
/// It is ASCII in every byte unless an address or the original's header is internationalised; then the parts are the
/// `message/global-…` of RFC 6533, and the report needs 8BITMIME, or SMTPUTF8 when its own header is concerned.
/// Its envelope has the null reverse-path, always, so that no report causes another (RFC 5321 §4.5.5).
package struct DeliveryReport: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case failure
        /// Still being tried, until then.
        case delay(until: WallTime)
    }

    /// What happened to one recipient.
    package enum Cause: Hashable, Sendable {
        /// The reply refuses for good.
        case refused
        /// Not delivered within the message's lifetime; the reply is the last one.
        case expired
        /// Not delivered so far; the reply is the last one.
        case delayed
        /// A person gave it up, for this reason.
        case givenUp(String)
    }

    package struct Recipient: Hashable, Sendable {
        package var address: Address
        package var cause: Cause
        package var reply: Reply?
        /// The host name or address of the upstream that gave the reply; nil when none did.
        package var remote: String?
        package var lastAttempt: WallTime?

        package init(
            _ address: Address, _ cause: Cause, reply: Reply? = nil, remote: String? = nil, lastAttempt: WallTime? = nil
        ) {
            self.address = address
            self.cause = cause
            self.reply = reply
            self.remote = remote
            self.lastAttempt = lastAttempt
        }
    }

    /// The finished report.
    package struct Content: Hashable, Sendable {
        /// Dot-stuffed, ends with CRLF, without the final dot.
        package var bytes: [UInt8]
        package var body: Envelope.Body
        package var smtputf8: Bool
    }

    package var kind: Kind
    /// Of the report itself; its Message-ID and its MIME boundary come from it.
    package var id: MessageID
    package var date: WallTime
    /// `postmaster@example.net`, as configured.
    package var from: Address
    /// The original's reverse-path.
    package var to: Address
    /// The name of the host that reports.
    package var reportingHost: String
    /// Of the original.
    package var originalID: MessageID
    package var arrival: WallTime
    package var recipients: [Recipient]
    /// The original's header as it stands in its dot-stuffed content, with or without the empty line after it.
    package var originalHeader: [UInt8]

    /// What is returned of the original's header, in bytes; whole lines.
    package static let maximumHeader = 32 * 1024
    /// The recipients that one report names; the text says how many more there were.
    package static let maximumRecipients = 1000

    package init(
        _ kind: Kind, id: MessageID, date: WallTime, from: Address, to: Address, reportingHost: String,
        originalID: MessageID, arrival: WallTime, recipients: [Recipient], originalHeader: [UInt8]
    ) {
        self.kind = kind
        self.id = id
        self.date = date
        self.from = from
        self.to = to
        self.reportingHost = reportingHost
        self.originalID = originalID
        self.arrival = arrival
        self.recipients = recipients
        self.originalHeader = originalHeader
    }

    package func content() -> Content {
        let global = named.contains { $0.address.isInternationalized }
        let header = returnedHeader
        var text = ReportText()
        writeHeader(&text)
        text.line("This is a MIME-encoded message (RFC 3464).")
        text.line("")
        writeExplanation(&text, global: global)
        writeStatus(&text, global: global)
        writeOriginal(header, &text)
        text.line("--\(boundary)--")
        let isEightBit = text.bytes.contains { $0 >= 0x80 }
        return Content(
            bytes: text.bytes, body: isEightBit ? .eightBit : .sevenBit,
            smtputf8: from.isInternationalized || to.isInternationalized)
    }

    private var named: ArraySlice<Recipient> { recipients.prefix(Self.maximumRecipients) }
    private var host: String { String(reportingHost.map { $0.isASCII && $0 > " " && $0 != "\u{7f}" ? $0 : "?" }) }
    private var boundary: String { "=_report_\(id)" }
}

// The parts, in their order.
extension DeliveryReport {
    private func writeHeader(_ text: inout ReportText) {
        let subject =
            switch kind {
            case .failure: "Undelivered Mail Returned to Sender"
            case .delay: "Delayed Mail (still being retried)"
            }
        text.line("Date: \(date.rfc5322)")
        text.line("From: Mail Delivery System <", from.bytes, ">")
        text.line("To: <", to.bytes, ">")
        text.line("Subject: \(subject)")
        text.line("Message-ID: <\(id)@\(host)>")
        text.line("Auto-Submitted: auto-replied")
        text.line("MIME-Version: 1.0")
        text.line("Content-Type: multipart/report; report-type=delivery-status;")
        text.line("\tboundary=\"\(boundary)\"")
        text.line("")
    }

    private func begin(part type: String, description: String, eightBit: Bool, _ text: inout ReportText) {
        text.line("--\(boundary)")
        text.line("Content-Type: \(type)")
        text.line("Content-Description: \(description)")
        if eightBit { text.line("Content-Transfer-Encoding: 8bit") }
        text.line("")
    }

    /// What a person reads.
    private func writeExplanation(_ text: inout ReportText, global: Bool) {
        let charset = global ? "utf-8" : "us-ascii"
        begin(part: "text/plain; charset=\(charset)", description: "Notification", eightBit: global, &text)
        text.line("This is the mail system at host \(host).")
        text.line("")
        switch kind {
        case .failure:
            text.paragraph("I'm sorry to have to inform you that your message could not be delivered to:")
        case .delay(let until):
            text.paragraph("THIS IS A WARNING ONLY. YOU DO NOT NEED TO SEND YOUR MESSAGE AGAIN.")
            text.line("")
            text.paragraph("Your message could not be delivered yet. It will be tried until \(until.rfc5322).")
        }
        for recipient in named {
            text.line("")
            text.line("<", recipient.address.bytes, ">")
            text.paragraph(recipient.explanation, indent: 4)
            if let reply = recipient.reply {
                text.paragraph((recipient.remote.map { "\($0) said: " } ?? "") + reply.description, indent: 4)
            }
        }
        if recipients.count > named.count {
            text.line("")
            text.line("and \(recipients.count - named.count) more recipients.")
        }
        text.line("")
        text.paragraph("The message arrived here on \(arrival.rfc5322) and had the queue id \(originalID).")
        text.line("")
    }

    /// What a program reads (RFC 3464 §2).
    private func writeStatus(_ text: inout ReportText, global: Bool) {
        begin(
            part: global ? "message/global-delivery-status" : "message/delivery-status",
            description: "Delivery report", eightBit: global, &text)
        text.field("Reporting-MTA", "dns; \(host)")
        text.field("X-Baton-Queue-ID", originalID.description)
        text.field("Arrival-Date", arrival.rfc5322)
        for recipient in named {
            text.line("")
            let type = recipient.address.isInternationalized ? "utf-8" : "rfc822"
            text.line("Final-Recipient: \(type); ", recipient.address.bytes, "")
            switch kind {
            case .failure: text.field("Action", "failed")
            case .delay: text.field("Action", "delayed")
            }
            text.field("Status", recipient.status(kind).description)
            if let remote = recipient.remote { text.field("Remote-MTA", "dns; \(remote)") }
            if let reply = recipient.reply { text.field("Diagnostic-Code", "smtp; \(reply)") }
            if let last = recipient.lastAttempt { text.field("Last-Attempt-Date", last.rfc5322) }
            if case .delay(let until) = kind { text.field("Will-Retry-Until", until.rfc5322) }
        }
        text.line("")
    }

    /// Which message it was (RFC 6522 §4).
    private func writeOriginal(_ header: [UInt8], _ text: inout ReportText) {
        let global = header.contains { $0 >= 0x80 }
        begin(
            part: global ? "message/global-headers" : "text/rfc822-headers", description: "Undelivered Message Headers",
            eightBit: global, &text)
        text.append(wire: header)
        text.line("")
    }

    /// The original's header made fit to be returned: bounded, its lines within RFC 5322's limit, no control bytes, and
    /// ASCII unless it is UTF-8.
    private var returnedHeader: [UInt8] {
        let isText = String(validating: originalHeader, as: UTF8.self) != nil
        var header: [UInt8] = []
        for line in originalHeader.split(separator: 0x0a, omittingEmptySubsequences: false) {
            let words = line.last == 0x0d ? line.dropLast() : line
            if words.isEmpty || header.count + words.count + 2 > Self.maximumHeader { break }
            // In wire form no line begins with one dot alone; were it another form, the dot must not end the report.
            if words.first == 0x2e, words.dropFirst().first != 0x2e { header.append(0x2e) }
            ReportText.append(words, keepingUTF8: isText, limit: ReportText.maximumLine, to: &header)
            header.append(text: "\r\n")
        }
        return header
    }
}

extension DeliveryReport.Recipient {
    fileprivate var explanation: String {
        switch cause {
        case .refused where reply == nil: "It was refused."
        case .refused: "It was refused, and the refusal is final:"
        case .expired where reply == nil: "No server for it could be reached in all the time that I tried."
        case .expired: "It was tried for as long as a message is tried here. The last answer was:"
        case .delayed where reply == nil: "No server for it could be reached so far."
        case .delayed: "The last answer was:"
        case .givenUp(let reason):
            "It was given up by an administrator" + (reason.isEmpty ? "." : ": \(reason)")
                + (reply == nil ? "" : " The last answer was:")
        }
    }

    /// RFC 3463; a failed recipient never has a code of success or of delay but 'delivery time expired'.
    fileprivate func status(_ kind: DeliveryReport.Kind) -> EnhancedCode {
        if let enhanced = reply?.enhanced {
            switch kind {
            case .failure where enhanced.class == 5: return enhanced
            case .delay where enhanced.class == 4: return enhanced
            default: break
            }
        }
        if case .delay = kind { return EnhancedCode(4, 0, 0) }
        switch cause {
        case .expired, .delayed: return EnhancedCode(5, 4, 7)
        case .refused: return EnhancedCode(5, 0, 0)
        case .givenUp: return EnhancedCode(5, 7, 0)
        }
    }
}
