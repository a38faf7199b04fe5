internal import EventLoop
internal import Feedback
internal import Node
internal import Primitives
internal import SMTP

/// A failure after the 250, of a message whose sender's address was replaced: only this node can tell the sender.
struct SenderNotice: Sendable {
    var record: FeedbackRecord
    var envelope: SentHistory.Envelope
    var sender: Address
    /// The message's, as it came back; empty when it did not.
    var header: [UInt8]

    /// As a session would hand it in, with the null sender.
    func submission(_ id: MessageID, _ settings: FeedbackSettings) -> Submission {
        let reply = Reply(record.code ?? 550, record.enhanced, text: record.text)
        let recipient = DeliveryReport.Recipient(
            Address(parsed: record.recipient), .refused, reply: reply,
            remote: record.remoteHost.isEmpty ? record.upstream : record.remoteHost, lastAttempt: record.at)
        var header = header
        if header.isEmpty, !envelope.messageIDField.isEmpty {
            header = Array("Message-ID: ".utf8) + envelope.messageIDField + Array("\r\n".utf8)
        }
        let from = settings.bounces.from ?? "postmaster@\(settings.hostname)"
        let content = DeliveryReport(
            .failure, id: id, date: record.heard, from: Address(parsed: Array(from.utf8)), to: sender,
            reportingHost: settings.hostname, originalID: record.message, arrival: envelope.accepted,
            recipients: [recipient], originalHeader: header
        ).content()
        let report = Envelope(
            reversePath: nil, recipients: [sender], body: content.body, smtputf8: content.smtputf8)
        return Submission(
            id: id, envelope: report, prefix: [], content: .inline(content.bytes), size: UInt64(content.bytes.count),
            hasEightBit: content.body == .eightBit, clientAddress: "baton")
    }
}

extension FeedbackDesk {
    /// Ties the desk to the node, before the first session.
    func start(with host: NodeHost) {
        let loop = host.loop
        start(
            Outlets(
                learn: { event in loop.post { _ in host.feed(.feedback(event)) } },
                tellSender: { [self] notice in
                    let settings = settings.withLock { $0 }
                    return await withUnsafeContinuation { continuation in
                        loop.spawn { _ in
                            let submission = notice.submission(host.allotMessageID(), settings)
                            if case .queued = await host.submit(submission) {
                                continuation.resume(returning: true)
                            } else {
                                continuation.resume(returning: false)
                            }
                        }
                    }
                },
                log: { record in host.log.log("feedback", .info, record.fields) }))
    }
}

extension FeedbackRecord {
    /// Stable names, as in the other log lines.
    fileprivate var fields: [LogWriter.Field] {
        var fields: [LogWriter.Field] = [
            .init("id", message.description), .init("to", String(decoding: recipient, as: UTF8.self)),
            .init("upstream", upstream), .init("event", kind.rawValue), .init("by", source),
        ]
        if let code { fields.append(.init("code", "\(code)")) }
        if let enhanced { fields.append(.init("enhanced", enhanced.description)) }
        if !text.isEmpty { fields.append(.init("reply", String(decoding: text, as: UTF8.self))) }
        if !remoteHost.isEmpty { fields.append(.init("remote", remoteHost)) }
        return fields
    }
}
