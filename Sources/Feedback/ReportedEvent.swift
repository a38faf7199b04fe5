package import Primitives
package import SMTP

/// What an upstream said of one recipient of one message, before it is known which message that is.
package struct ReportedEvent: Hashable, Sendable {
    package var kind: FeedbackKind
    /// As the upstream writes it.
    package var recipient: String
    /// The upstream's own name for the message, as in its 250; empty when it did not say.
    package var remoteID = ""
    /// The message's Message-ID with its angle brackets; empty when it did not say.
    package var messageID = ""
    /// What a tagged sender told; nil without one.
    package var tag: EnvelopeTags.Tag?
    /// The event's own name, the same when it comes again; empty when it has none.
    package var eventID = ""
    /// Nil when it did not say.
    package var at: WallTime?
    /// The mailbox provider's reply, as far as it is known.
    package var code: Int?
    package var enhanced: EnhancedCode?
    package var text = ""
    /// The host that gave it.
    package var remoteHost = ""

    /// What is kept of the reply's text, in bytes.
    package static let textLimit = 1024

    package init(_ kind: FeedbackKind, recipient: String) {
        self.kind = kind
        self.recipient = recipient
    }

    /// The reply as it was quoted, with or without its codes, and a status that stands beside it.
    mutating func take(reply: String, status: String = "") {
        var words = Array(reply.utf8.prefix(ReportedEvent.textLimit))[...]
        if words.starts(with: Array("smtp;".utf8)) { words = words.dropFirst(5) }
        enhanced = EnhancedCode(leading: Array(status.utf8))
        if let spoken = SpokenReply(words) {
            code = spoken.code
            enhanced = spoken.enhanced ?? enhanced
            words = spoken.text[...]
        } else if let found = EnhancedCode(leading: words.drop { $0 == 0x20 }) {
            enhanced = found
            words = words.drop { $0 == 0x20 }.drop { $0 != 0x20 }.drop { $0 == 0x20 }
        }
        text = String(decoding: words, as: UTF8.self)
    }

    /// Message-IDs with their angle brackets, as in the header.
    static func bracketed(_ messageID: String) -> String {
        messageID.isEmpty || messageID.hasPrefix("<") ? messageID : "<\(messageID)>"
    }
}

/// What came of reading a request.
package enum EventsReading: Hashable, Sendable {
    /// What it reports, and how many events tell nothing of delivery (opened, clicked …).
    case events([ReportedEvent], others: Int)
    /// Not signed as it should be, or with the wrong secret.
    case forged(String)
    /// Signed well, and not of the form.
    case malformed(String)

    /// One request's events at most; what is beyond them is a malformed request.
    package static let maximumEvents = 10_000
}

/// What a request brings, for those who read it.
package struct EventRequest: Sendable {
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(headers: [(name: String, value: String)], body: [UInt8]) {
        self.headers = headers
        self.body = body
    }

    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
}

extension WallTime {
    /// `2026-11-30T12:00:00.655Z`, with any fraction and offset; nil for anything else.
    init?(timestamp text: String) {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count, bytes[range].allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        guard bytes.count >= 19, bytes[4] == 0x2d, bytes[7] == 0x2d, bytes[13] == 0x3a, bytes[16] == 0x3a,
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        // Civil date to days (Howard Hinnant, 'chrono-Compatible Low-Level Date Algorithms', 2014).
        let y = month <= 2 ? year - 1 : year
        let era = y / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        var seconds = days * 86_400 + hour * 3600 + minute * 60 + second
        var rest = 19
        var milliseconds: Int64 = 0
        if rest < bytes.count, bytes[rest] == 0x2e {
            var scale: Int64 = 100
            rest += 1
            while rest < bytes.count, let digit = number(rest..<rest + 1) {
                milliseconds += digit * scale
                scale /= 10
                rest += 1
            }
        }
        if rest + 6 == bytes.count, bytes[rest] == 0x2b || bytes[rest] == 0x2d, let hours = number(rest + 1..<rest + 3),
            let minutes = number(rest + 4..<rest + 6)
        {
            seconds -= (bytes[rest] == 0x2b ? 1 : -1) * (hours * 3600 + minutes * 60)
        }
        self.init(milliseconds: seconds * 1000 + milliseconds)
    }

    /// Seconds since 1970; nil beyond any calendar.
    init?(seconds: Double?) {
        guard let seconds, seconds > 0, seconds < 253_402_300_800 else { return nil }
        self.init(milliseconds: Int64(seconds * 1000))
    }
}
