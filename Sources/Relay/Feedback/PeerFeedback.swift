internal import Feedback
internal import FoundationEssentials
internal import Primitives
internal import SMTP

/// What nodes say to each other of events: whose message is it, who has heard of it before, and 'it is yours'.
enum PeerFeedback {
    enum Verb: String, Codable { case match, record }

    struct Question: Codable {
        var verb: Verb
        var upstream: String
        var source: String
        var events: [WireEvent]
        /// The returned header of the message, for the bounce that its sender gets.
        var header: String
    }

    enum Knowledge: String, Codable {
        /// That node sent it.
        case own
        /// That node has a copy of the journal in which it was sent.
        case copy
        case none
    }

    struct Match: Codable {
        var knowledge: Knowledge
        var isHeard: Bool
    }

    struct Answer: Codable {
        /// One for each event, to `match`.
        var matches: [Match]?
        /// To `record`.
        var taken: Taken?
    }

    /// Events in one question.
    static let batch = 50

    static func encode(_ value: some Encodable) -> [UInt8] {
        (try? JSONEncoder().encode(value)).map { Array($0) } ?? []
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8], as: Value.Type = Value.self) -> Value? {
        try? JSONDecoder().decode(Value.self, from: Data(bytes))
    }
}

/// An event as it travels between nodes.
struct WireEvent: Codable {
    var kind: String
    var recipient: String
    var remoteID: String
    var messageID: String
    var tagMessage: String?
    var tagRecipient: Int?
    var eventID: String
    var at: Int64?
    var code: Int?
    var enhanced: String?
    var text: String
    var remoteHost: String

    init(_ event: ReportedEvent) {
        kind = event.kind.rawValue
        recipient = event.recipient
        remoteID = event.remoteID
        messageID = event.messageID
        tagMessage = event.tag?.message.description
        tagRecipient = event.tag?.recipient
        eventID = event.eventID
        at = event.at?.milliseconds
        code = event.code
        enhanced = event.enhanced?.description
        text = event.text
        remoteHost = event.remoteHost
    }

    /// Nil for a kind that this version does not know.
    func event(upstream: String) -> ReportedEvent? {
        guard let kind = FeedbackKind(rawValue: kind) else { return nil }
        var event = ReportedEvent(kind, recipient: recipient)
        event.remoteID = remoteID
        event.messageID = messageID
        if let id = tagMessage.flatMap({ ULID(text: $0) }) {
            event.tag = EnvelopeTags.Tag(message: MessageID(id), recipient: tagRecipient, upstream: upstream)
        }
        event.eventID = eventID
        event.at = at.map { WallTime(milliseconds: $0) }
        event.code = code
        event.enhanced = enhanced.flatMap { EnhancedCode(leading: $0.utf8) }
        event.text = text
        event.remoteHost = remoteHost
        return event
    }
}
