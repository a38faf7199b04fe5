import SMTP
import Testing

/// Speaks to a `ServerSession` in text and keeps what it answered.
struct ServerDialogue {
    var session: ServerSession
    var last: ServerSession.Action?

    init(
        relay: Bool = true, size: UInt64 = 1_000_000, recipients: Int = 1000, messages: Int = .max,
        startTLS: Bool = false,
        requiresTLS: Bool = false, tls: TLSInfo? = nil
    ) {
        let policy = ServerPolicy(
            hostname: "relay.example", maximumMessageSize: size, maximumRecipients: recipients,
            maximumMessagesPerSession: messages, offersStartTLS: startTLS, requiresTLS: requiresTLS, mayRelay: relay)
        session = ServerSession(policy: policy, client: ClientInfo(address: "192.0.2.1", tls: tls))
    }

    /// The reply to a line as it goes over the wire, with ` …` for its text if `short`; a close is marked with `!`.
    @discardableResult
    mutating func say(_ line: String, refusal: Reply? = nil) -> String { say(Array(line.utf8), refusal: refusal) }

    @discardableResult
    mutating func say(_ line: [UInt8], refusal: Reply? = nil) -> String {
        let action = line.withUnsafeBytes { session.receive(line: $0, mailRefusal: { _ in refusal }) }
        last = action
        return ServerDialogue.code(action)
    }

    /// Says each line and gives the codes of the answers.
    mutating func say(all lines: String...) -> [String] { lines.map { say($0) } }

    /// `250 2.1.0`, with `!` behind it when the session closes.
    static func code(_ action: ServerSession.Action) -> String {
        switch action {
        case .reply(let reply, _), .startTLS(let reply), .collectMessage(_, let reply): code(reply)
        case .close(let reply): code(reply) + "!"
        }
    }

    static func code(_ reply: Reply) -> String { "\(reply.code)" + (reply.enhanced.map { " \($0)" } ?? "") }

    /// A session after EHLO.
    static func greeted(relay: Bool = true, size: UInt64 = 1_000_000, recipients: Int = 1000) -> ServerDialogue {
        var dialogue = ServerDialogue(relay: relay, size: size, recipients: recipients)
        dialogue.say("EHLO client.example")
        return dialogue
    }

    var lastText: String {
        switch last {
        case .reply(let reply, _), .startTLS(let reply), .collectMessage(_, let reply), .close(let reply):
            String(decoding: wire(reply), as: UTF8.self)
        case nil: ""
        }
    }

    var lastEnvelope: Envelope? {
        if case .collectMessage(let envelope, _) = last { envelope } else { nil }
    }
}

func wire(_ reply: Reply) -> [UInt8] {
    var bytes: [UInt8] = []
    reply.append(to: &bytes)
    return bytes
}
