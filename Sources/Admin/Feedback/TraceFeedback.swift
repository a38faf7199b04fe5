internal import Feedback
internal import Primitives
internal import Relay
internal import SMTP

extension TraceAnswer {
    /// Of a message of which this node knows nothing else; nil when it knows not even that.
    init?(of id: MessageID, outcomes: [FeedbackRecord]) {
        guard !outcomes.isEmpty else { return nil }
        self.init(
            id: id.description, accepted: id.ulid.time.rfc3339, sender: "", recipients: [], bytes: 0, messageId: "",
            delivered: 0, finished: true, takeovers: 0, uncertain: false, message: nil, events: [], knownBy: [],
            silent: [])
    }

    mutating func add(_ outcomes: [FeedbackRecord], heardBy node: String) {
        for outcome in outcomes {
            var said = feedback ?? Feedback()
            let (words, mark): (String, String?)
            switch outcome.kind {
            case .delivered:
                (words, mark) = ("delivered there", "confirmed")
                said.delivered += 1
            case .deferred:
                (words, mark) = ("deferred after 250", nil)
                said.deferred += 1
            case .bounced:
                (words, mark) = ("bounced after 250", "failed")
                said.bounced += 1
            case .complained:
                (words, mark) = ("complained", "complained")
                said.complained += 1
            }
            feedback = said
            events.append(
                Event(
                    time: outcome.at.rfc3339, node: node,
                    text: "\(String(decoding: outcome.recipient, as: UTF8.self)): \(words), by "
                        + "\(outcome.source == "report" ? "a report on" : "an event of") \(outcome.upstream)"
                        + outcome.words, mark: mark))
        }
        events = events.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }
            .map(\.element)
    }
}

extension FeedbackRecord {
    /// `: 550 5.1.1 no such user (mx.example.com)`
    fileprivate var words: String {
        let codes = [code.map { "\($0)" }, enhanced?.description].compactMap { $0 }
        let line = (codes + [String(decoding: text, as: UTF8.self)]).filter { !$0.isEmpty }.joined(separator: " ")
        let host = remoteHost.isEmpty ? "" : " (\(remoteHost))"
        return line.isEmpty ? host : ": " + line.replacing("\n", with: " ") + host
    }
}
