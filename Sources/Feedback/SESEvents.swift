internal import Primitives
internal import SMTP

/// Amazon SES: event publishing (`eventType`) and feedback notifications (`notificationType`), which have the same parts.
package enum SESEvents {
    /// What a notification whose signature is good reports.
    package static func read(_ message: SNSMessage) -> EventsReading {
        guard let event = JSONValue(Array(message.message.utf8)) else {
            return .malformed("the notification holds no JSON: is raw message delivery off, and the topic one of SES?")
        }
        let type = event["eventType"].text.isEmpty ? event["notificationType"].text : event["eventType"].text
        var found: [ReportedEvent] = []
        switch type {
        case "Bounce":
            let bounce = event["bounce"]
            for one in bounce?["bouncedRecipients"].elements ?? [] {
                var report = ReportedEvent(.bounced, recipient: one["emailAddress"].text)
                report.take(reply: one["diagnosticCode"].text, status: one["status"].text)
                if report.text.isEmpty {
                    report.text = "\(bounce?["bounceType"].text ?? "") bounce: \(bounce?["bounceSubType"].text ?? "")"
                }
                report.at = WallTime(timestamp: bounce?["timestamp"].text ?? "")
                found.append(report)
            }
        case "Complaint":
            let complaint = event["complaint"]
            for one in complaint?["complainedRecipients"].elements ?? [] {
                var report = ReportedEvent(.complained, recipient: one["emailAddress"].text)
                report.text = complaint?["complaintFeedbackType"].text ?? ""
                report.at = WallTime(timestamp: complaint?["timestamp"].text ?? "")
                found.append(report)
            }
        case "Delivery":
            let delivery = event["delivery"]
            for one in delivery?["recipients"].elements ?? [] {
                var report = ReportedEvent(.delivered, recipient: one.text)
                report.take(reply: delivery?["smtpResponse"].text ?? "")
                report.at = WallTime(timestamp: delivery?["timestamp"].text ?? "")
                found.append(report)
            }
        case "DeliveryDelay":
            let delay = event["deliveryDelay"]
            for one in delay?["delayedRecipients"].elements ?? [] {
                var report = ReportedEvent(.deferred, recipient: one["emailAddress"].text)
                report.take(reply: one["diagnosticCode"].text, status: one["status"].text)
                if report.text.isEmpty { report.text = delay?["delayType"].text ?? "" }
                report.at = WallTime(timestamp: delay?["timestamp"].text ?? "")
                found.append(report)
            }
        case "Reject":
            // SES itself found a virus: nobody got it.
            for one in event["mail"]?["destination"].elements ?? [] {
                var report = ReportedEvent(.bounced, recipient: one.text)
                report.text = "rejected by SES: \(event["reject"]?["reason"].text ?? "")"
                found.append(report)
            }
        case "": return .malformed("the notification is none of SES's")
        default: return .events([], others: 1)
        }
        guard found.count <= EventsReading.maximumEvents else { return .malformed("too many recipients") }
        let mail = event["mail"]
        let header = mail?["headers"].elements.first { $0["name"].text.lowercased() == "message-id" }
        for index in found.indices {
            found[index].remoteID = mail?["messageId"].text ?? ""
            found[index].messageID = ReportedEvent.bracketed(header?["value"].text ?? "")
            found[index].eventID = "\(message.id) \(index)"
        }
        return .events(found, others: 0)
    }
}
