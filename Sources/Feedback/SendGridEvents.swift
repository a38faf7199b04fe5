internal import Primitives
internal import SMTP

/// SendGrid's event webhook, signed (ECDSA P-256 over the timestamp's header and the body).
package enum SendGridEvents {
    package static func read(_ request: EventRequest, key: PublicKey) -> EventsReading {
        guard let given = request.header("x-twilio-email-event-webhook-signature"),
            let timestamp = request.header("x-twilio-email-event-webhook-timestamp"),
            let signature = Base64.decode(Array(given.utf8)),
            key.verifies(signature, of: Array(timestamp.utf8) + request.body, .sha256)
        else { return .forged("the signature is missing, or not made with the key of publicKeyFile") }
        guard case .array(let items)? = JSONValue(request.body) else { return .malformed("expected a list of events") }
        guard items.count <= EventsReading.maximumEvents else { return .malformed("too many events") }
        var found: [ReportedEvent] = []
        for item in items {
            let kind: FeedbackKind
            switch item["event"].text {
            case "delivered": kind = .delivered
            case "deferred": kind = .deferred
            case "bounce", "dropped": kind = .bounced
            case "spamreport": kind = .complained
            default: continue
            }
            var report = ReportedEvent(kind, recipient: item["email"].text)
            let words = item["reason"].text.isEmpty ? item["response"].text : item["reason"].text
            report.take(reply: words, status: item["status"].text)
            report.at = WallTime(seconds: item["timestamp"]?.number)
            report.eventID = item["sg_event_id"].text
            report.remoteID = remoteID(item["sg_message_id"].text)
            report.messageID = ReportedEvent.bracketed(item["smtp-id"].text)
            found.append(report)
        }
        return .events(found, others: items.count - found.count)
    }

    /// Behind the id that the 250 named come the machines that worked on it.
    private static func remoteID(_ text: String) -> String {
        for mark in [".filter", ".recvd"] {
            if let end = text.firstRange(of: mark) { return String(text[..<end.lowerBound]) }
        }
        return text
    }
}
