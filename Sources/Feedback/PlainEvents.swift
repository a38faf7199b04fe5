package import Primitives
internal import SMTP

/// Our own form, for upstreams that have none, by a program between: a list of
/// `{event, messageId | remoteId | sender, recipient, reason, at}`, and `id`, `status`, `remoteHost` if known.
///
/// `event` is `delivered`, `deferred`, `bounced` or `complained`; `reason` a reply, with its codes or without; `sender` the
/// tagged sender that the upstream saw; `at` a time of RFC 3339.
package enum PlainEvents {
    package static func read(
        _ request: EventRequest, secret: [UInt8], tags: EnvelopeTags?, at now: WallTime
    ) -> EventsReading {
        guard SharedSecret.isGiven(secret, by: request) else {
            return .forged("expected Authorization: Bearer and the secret of secretFile")
        }
        let items: [JSONValue]
        switch JSONValue(request.body) {
        case .array(let list)?: items = list
        case .object(let one)?: items = [.object(one)]
        default: return .malformed("expected a list of events such as [{\"event\": \"bounced\", …}]")
        }
        guard items.count <= EventsReading.maximumEvents else { return .malformed("too many events") }
        var found: [ReportedEvent] = []
        for (index, item) in items.enumerated() {
            guard let kind = FeedbackKind(rawValue: item["event"].text) else {
                let names = FeedbackKind.allCases.map(\.rawValue).joined(separator: ", ")
                return .malformed("[\(index)].event: expected one of \(names), got \"\(item["event"].text)\"")
            }
            var report = ReportedEvent(kind, recipient: item["recipient"].text)
            report.take(reply: item["reason"].text, status: item["status"].text)
            report.messageID = ReportedEvent.bracketed(item["messageId"].text)
            report.remoteID = item["remoteId"].text
            report.eventID = item["id"].text
            report.remoteHost = item["remoteHost"].text
            report.at = WallTime(timestamp: item["at"].text)
            if case .valid(let tag)? = tags?.read(Address(parsed: Array(item["sender"].text.utf8)), at: now) {
                report.tag = tag
            }
            guard !report.messageID.isEmpty || !report.remoteID.isEmpty || report.tag != nil else {
                return .malformed("[\(index)]: expected messageId, remoteId or a tagged sender")
            }
            guard !report.recipient.isEmpty || report.tag?.recipient != nil else {
                return .malformed("[\(index)].recipient: expected an address")
            }
            found.append(report)
        }
        return .events(found, others: 0)
    }
}
