internal import Primitives
internal import SMTP

/// Postmark's webhooks: one event, not signed; a secret in the request says whose it is.
package enum PostmarkEvents {
    package static func read(_ request: EventRequest, secret: [UInt8]) -> EventsReading {
        guard SharedSecret.isGiven(secret, by: request) else {
            return .forged("expected the secret of secretFile: user:password of the webhook's URL, or a header")
        }
        guard let event = JSONValue(request.body) else { return .malformed("expected JSON") }
        let kind: FeedbackKind
        switch event["RecordType"].text {
        case "Delivery": kind = .delivered
        case "SpamComplaint": kind = .complained
        case "Bounce":
            switch event["Type"].text {
            case "SpamComplaint": kind = .complained
            case "Transient", "DnsError": kind = .deferred
            case "AutoResponder", "AddressChange", "Subscribe", "Unsubscribe", "ChallengeVerification", "OpenRelayTest":
                return .events([], others: 1)
            default: kind = .bounced
            }
        case "": return .malformed("expected RecordType")
        default: return .events([], others: 1)
        }
        let recipient = event["Recipient"].text.isEmpty ? event["Email"].text : event["Recipient"].text
        var report = ReportedEvent(kind, recipient: recipient)
        let details = event["Details"].text
        report.take(reply: details.isEmpty ? event["Description"].text : details)
        report.remoteID = event["MessageID"].text
        report.eventID = event["ID"].text
        report.at = ["DeliveredAt", "BouncedAt"].lazy.compactMap { WallTime(timestamp: event[$0].text) }.first
        return .events([report], others: 0)
    }
}

/// A secret that stands in the request itself.
enum SharedSecret {
    /// As `Authorization: Bearer SECRET`, as the `user:password` of `Authorization: Basic`, or as `X-Feedback-Secret`.
    static func isGiven(_ secret: [UInt8], by request: EventRequest) -> Bool {
        guard !secret.isEmpty else { return false }
        if let given = request.header("x-feedback-secret"), isSame(Array(given.utf8), secret) { return true }
        let words = (request.header("authorization") ?? "").split(separator: " ", maxSplits: 1)
        guard words.count == 2 else { return false }
        switch words[0].lowercased() {
        case "bearer": return isSame(Array(words[1].utf8), secret)
        case "basic": return Base64.decode(Array(words[1].utf8)).map { isSame($0, secret) } ?? false
        default: return false
        }
    }
}
