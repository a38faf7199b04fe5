internal import EventLoop
internal import Feedback
internal import Primitives
internal import SMTP

extension SMTPSession {
    /// What is kept of a report, in bytes: the part for programs is at its beginning, and the message that comes back behind it.
    private static let reportLimit = 1 << 20

    /// Takes a report on our own mail: no message for anybody, and never sent on.
    func collectReport(_ envelope: Envelope) async throws -> Reply {
        var collector = ContentCollector(maximumSize: server.settings.maximumMessageSize.bytes)
        var report: [UInt8] = []
        var piece: [UInt8] = []
        while try await !feed(&collector, &piece) {
            keep(&piece, of: &report)
        }
        keep(&piece, of: &report)
        if let refusal = collector.result.refusal { return refusal }
        guard let address = envelope.recipients.first, let desk = server.host.feedback else { return .onlyReports }
        return await desk.take(report: DotStuffing.unstuffed(report), to: address)
    }

    private func keep(_ piece: inout [UInt8], of report: inout [UInt8]) {
        report += piece.prefix(max(0, SMTPSession.reportLimit - report.count))
        piece.removeAll(keepingCapacity: true)
    }
}

extension SMTPServer {
    func refusal(ofReportTo address: Address) -> Reply? {
        guard let desk = host.feedback else { return .noSuchReportAddress }
        return desk.refusal(ofReportTo: address)
    }
}

extension FeedbackDesk {
    /// The domain to which reports come back; nil when none is configured.
    var reportDomain: String? { settings.withLock { $0.domain } }

    /// At RCPT: nil when a report may come there.
    func refusal(ofReportTo address: Address) -> Reply? {
        if case .valid? = tags?.read(address, at: Clock.wall()) { return nil }
        return .noSuchReportAddress
    }

    /// Takes what was mailed to a tagged sender, and says how the session answers.
    func take(report bytes: [UInt8], to address: Address) async -> Reply {
        guard case .valid(let tag)? = tags?.read(address, at: Clock.wall()) else { return .noSuchReportAddress }
        guard let report = ReceivedReport(message: bytes) else { return .onlyReports }
        let taken = await take(
            report.events(about: tag), upstream: tag.upstream, source: "report", header: report.originalHeader)
        if let reason = taken.tryAgain { return Reply(451, 4, 3, 0, "The report cannot be taken now: \(reason)") }
        return Reply(250, 2, 0, 0, "Ok: the report is taken")
    }
}

extension ReceivedReport {
    /// What it says of the transaction that a tag names. A tag of one recipient is about that one, whatever it is called
    /// where it was forwarded to.
    func events(about tag: EnvelopeTags.Tag) -> [ReportedEvent] {
        var events: [ReportedEvent] = []
        for recipient in recipients {
            guard let kind = recipient.kind else { continue }
            var event = ReportedEvent(kind, recipient: String(decoding: recipient.address, as: UTF8.self))
            event.tag = tag
            event.code = recipient.code
            event.enhanced = recipient.status
            event.text = String(decoding: recipient.text.prefix(ReportedEvent.textLimit), as: UTF8.self)
            event.remoteHost = recipient.remoteHost
            if kind == .complained { event.text = feedbackType }
            events.append(event)
        }
        if events.isEmpty, kind == .complaint, feedbackType != "not-spam" {
            var event = ReportedEvent(.complained, recipient: "")
            event.tag = tag
            event.text = feedbackType
            events = [event]
        }
        // A complaint that names nobody, about a transaction of several, names nobody.
        if tag.recipient == nil { events.removeAll { $0.recipient.isEmpty } }
        return tag.recipient == nil ? events : Array(events.prefix(1))
    }
}
