package import Primitives
internal import SMTP

/// Mailgun's webhooks: one event, with an HMAC over a timestamp and a token.
package enum MailgunEvents {
    /// A signature that is older can be somebody's record of it; Mailgun itself tries again for eight hours.
    static let age = Duration.hours(24)

    package static func read(_ request: EventRequest, secret: [UInt8], at now: WallTime) -> EventsReading {
        guard let json = JSONValue(request.body), let signature = json["signature"] else {
            return .forged("no signature")
        }
        let (timestamp, token) = (signature["timestamp"].text, signature["token"].text)
        guard let expected = hmac(secret, Array((timestamp + token).utf8)),
            isSame(Array(hexadecimal(expected).utf8), Array(signature["signature"].text.lowercased().utf8))
        else { return .forged("the signature is not made with the key of secretFile") }
        guard let made = WallTime(seconds: Double(timestamp)), now - made <= age, made - now <= .hours(1) else {
            return .forged("the signature is of \(timestamp), which is not now")
        }
        guard let event = json["event-data"] else { return .malformed("expected event-data") }
        let kind: FeedbackKind
        switch event["event"].text {
        case "delivered": kind = .delivered
        case "failed": kind = event["severity"].text == "temporary" ? .deferred : .bounced
        case "rejected": kind = .bounced
        case "complained": kind = .complained
        default: return .events([], others: 1)
        }
        var report = ReportedEvent(kind, recipient: event["recipient"].text)
        let status = event["delivery-status"]
        let words = status?["message"].text ?? ""
        report.take(
            reply: words.isEmpty ? status?["description"].text ?? "" : words,
            status: status?["enhanced-code"].text ?? "")
        // Codes from 600 on are Mailgun's own.
        if report.code == nil, let code = status?["code"]?.number.flatMap({ Int(exactly: $0) }),
            (200..<600).contains(code)
        {
            report.code = code
        }
        if report.text.isEmpty { report.text = event["reject"]?["reason"].text ?? event["reason"].text }
        report.remoteHost = status?["mx-host"].text ?? ""
        report.messageID = ReportedEvent.bracketed(event["message"]?["headers"]?["message-id"].text ?? "")
        report.eventID = event["id"].text
        report.at = WallTime(seconds: event["timestamp"]?.number)
        return .events([report], others: 0)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
