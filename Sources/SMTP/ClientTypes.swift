/// Where in its dialogue with an upstream a transaction or a connection stood.
package enum Stage: UInt8, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    case connect, greeting, ehlo, startTLS, mail, rcpt, data, content, finalDot

    /// As it stands in logs and reports.
    package var description: String {
        switch self {
        case .connect: "connect"
        case .greeting: "greeting"
        case .ehlo: "EHLO"
        case .startTLS: "STARTTLS"
        case .mail: "MAIL"
        case .rcpt: "RCPT"
        case .data: "DATA"
        case .content: "content"
        case .finalDot: "final dot"
        }
    }
}

/// What an upstream's answer to EHLO offers.
package struct Capabilities: Hashable, Sendable {
    package var pipelining = false
    package var eightBitMIME = false
    package var smtputf8 = false
    package var enhancedStatusCodes = false
    package var startTLS = false
    /// SIZE was offered (RFC 1870).
    package var size = false
    /// SIZE's limit in bytes; nil when none was given, or 0, which means none.
    package var sizeLimit: UInt64?

    package init() {}

    /// Reads the lines after the first (RFC 5321 §4.1.1.1); unknown extensions are passed over.
    package init(ehlo reply: Reply) {
        for line in reply.text.split(separator: 0x0a).dropFirst() {
            let words = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d })
            guard let keyword = words.first else { continue }
            switch String(decoding: keyword, as: UTF8.self).uppercased() {
            case "PIPELINING": pipelining = true
            case "8BITMIME": eightBitMIME = true
            case "SMTPUTF8": smtputf8 = true
            case "ENHANCEDSTATUSCODES": enhancedStatusCodes = true
            case "STARTTLS": startTLS = true
            case "SIZE":
                size = true
                if words.count > 1, let limit = UInt64(String(decoding: words[1], as: UTF8.self)), limit > 0 {
                    sizeLimit = limit
                }
            default: break
            }
        }
    }
}

/// One message for some recipients over one connection.
package struct TransactionRequest: Hashable, Sendable {
    /// The caller's name for it, unique on its connection.
    package var id: UInt64
    /// Nil is the null reverse-path.
    package var reversePath: Address?
    package var recipients: [Address]
    /// For SIZE, in bytes.
    package var size: UInt64
    package var body: Envelope.Body
    /// The message needs SMTPUTF8, in its header if not in its envelope.
    package var smtputf8: Bool

    package init(
        id: UInt64, reversePath: Address?, recipients: [Address], size: UInt64, body: Envelope.Body = .sevenBit,
        smtputf8: Bool = false
    ) {
        self.id = id
        self.reversePath = reversePath
        self.recipients = recipients
        self.size = size
        self.body = body
        self.smtputf8 = smtputf8
    }
}

/// What came of one recipient in one transaction, and at which stage it was decided.
package struct RecipientResult: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        /// 2xx to the final dot, which is this reply.
        case delivered(Reply)
        case deferred(Reply)
        case failed(Reply)
        /// The transaction ended before the final dot: the upstream has nothing. With the reply, when one said so.
        case notSent(NotSent, Reply?)
        /// The final dot was sent and never answered: it may have been delivered.
        case unanswered(String)
    }

    package var outcome: Outcome
    package var stage: Stage

    package init(_ outcome: Outcome, at stage: Stage) {
        self.outcome = outcome
        self.stage = stage
    }

    /// The upstream's reply, if there was one.
    package var reply: Reply? {
        switch outcome {
        case .delivered(let reply), .deferred(let reply), .failed(let reply): reply
        case .notSent(_, let reply): reply
        case .unanswered: nil
        }
    }
}

/// Why a recipient was not sent to.
package enum NotSent: Hashable, Sendable, CustomStringConvertible {
    /// The upstream takes no more recipients in this transaction, but took at least one: open the next at once.
    case tooManyRecipients
    /// 421: the upstream closes the connection.
    case closing
    case timedOut
    case connectionLost(String)
    /// The upstream said what no SMTP server says there.
    case protocolError(String)
    /// The final dot was not permitted: the attempt could not be committed, or the message was cancelled.
    case notPermitted
    /// Never leaves a session: nothing is decided yet.
    case undecided

    package var description: String {
        switch self {
        case .tooManyRecipients: "too many recipients for one transaction"
        case .closing: "the upstream closes the connection"
        case .timedOut: "no answer in time"
        case .connectionLost(let text): "connection lost: \(text)"
        case .protocolError(let text): "protocol error: \(text)"
        case .notPermitted: "stopped before the final dot"
        case .undecided: "undecided"
        }
    }
}

package struct TransactionResult: Hashable, Sendable {
    package var id: UInt64
    /// In the order of the request's recipients.
    package var recipients: [RecipientResult]
    /// Another transaction may begin on this connection.
    package var connectionUsable: Bool
    /// A connection used before ended or said 421 before MAIL was answered: this was no attempt; once more on a new one.
    package var staleConnection: Bool

    package init(
        id: UInt64, recipients: [RecipientResult], connectionUsable: Bool, staleConnection: Bool = false
    ) {
        self.id = id
        self.recipients = recipients
        self.connectionUsable = connectionUsable
        self.staleConnection = staleConnection
    }
}

/// Why a connection never became ready. It speaks of the upstream, never of a message.
package struct UpstreamFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package var stage: Stage
    package var reply: Reply?
    /// For people; says what happened when there is no reply.
    package var text: String

    package init(stage: Stage, reply: Reply? = nil, text: String) {
        self.stage = stage
        self.reply = reply
        self.text = text
    }

    package var description: String {
        reply.map { "\(stage): \(text): \($0)" } ?? "\(stage): \(text)"
    }
}

/// How long to wait for an upstream (RFC 5321 §4.5.3.2; connect and greeting shorter, because another may be free).
package struct ClientTimeouts: Hashable, Sendable {
    package var connect = Duration.seconds(10)
    package var greeting = Duration.seconds(60)
    /// For the reply to each command and for the TLS handshake.
    package var command = Duration.minutes(2)
    /// For each piece of the content to be taken.
    package var data = Duration.minutes(3)
    package var finalDot = Duration.minutes(10)

    package init() {}

    /// Nil: the session waits for its own side, or for nothing.
    package func limit(_ deadline: ClientSession.Deadline) -> Duration? {
        switch deadline {
        case .greeting: greeting
        case .command: command
        case .data: data
        case .finalDot: finalDot
        case .none: nil
        }
    }
}
