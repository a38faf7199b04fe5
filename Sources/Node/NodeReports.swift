internal import Journal
internal import Primitives
internal import SMTP

/// Bounces and delay warnings (RFC 3464): accepted in the frame of the outcome that causes them.
extension Node {
    /// The report on what these verdicts mean to the sender; nil when there is nobody to tell, or nothing.
    mutating func report(
        on verdicts: ArraySlice<(recipient: UInt32, verdict: Verdict)>, _ settlement: Settlement, header: [UInt8],
        _ now: Now
    ) -> AcceptRecord? {
        let key = settlement.message
        let remote = settlement.remote
        let message = messages[key]
        guard configuration.bounces.send, let sender = message.reversePath else { return nil }
        var failures: [DeliveryReport.Recipient] = []
        var delays: [DeliveryReport.Recipient] = []
        let host = remote.isEmpty ? nil : String(remote.prefix { $0 != "[" && $0 != ":" })
        for (recipient, verdict) in verdicts {
            let address = message.recipients[Int(recipient)].address
            func told(_ cause: DeliveryReport.Cause) -> DeliveryReport.Recipient {
                DeliveryReport.Recipient(
                    address, cause, reply: verdict.reply, remote: host, lastAttempt: host == nil ? nil : now.wall)
            }
            switch verdict {
            case .failed, .suppressed: failures.append(told(.refused))
            case .expired: failures.append(told(.expired))
            case .givenUp(let reason): failures.append(told(.givenUp(reason)))
            case .deferred, .stillWaiting: if settlement.isLate { delays.append(told(.delayed)) }
            case .delivered, .withheld, .unanswered, .notSent: break
            }
        }
        let kind: DeliveryReport.Kind
        let told: [DeliveryReport.Recipient]
        if !failures.isEmpty {
            (kind, told) = (.failure, failures)
        } else if !delays.isEmpty {
            let route = settlement.job.flatMap { router.lifetime(route: jobs[$0].route) }
            let end = message.accepted + patience.lifetime(of: message, route: route)
            (kind, told) = (.delay(until: end), delays)
            messages[key].hasWarned = true
        } else {
            return nil
        }
        let id = MessageID(identifiers.next(at: now.wall))
        let from = configuration.bounces.from ?? "postmaster@\(configuration.hostname)"
        let content = DeliveryReport(
            kind, id: id, date: now.wall, from: Address(parsed: Array(from.utf8)), to: sender,
            reportingHost: configuration.hostname, originalID: message.id, arrival: message.accepted, recipients: told,
            originalHeader: header
        ).content()
        var record = AcceptRecord(
            id: id, time: now.wall, reversePath: nil, recipients: [sender.bytes],
            content: .inline(content.bytes), size: UInt64(content.bytes.count))
        record.isEightBit = content.body == .eightBit
        record.isInternationalized = content.smtputf8
        record.concerns = message.id
        return record
    }
}
