package import Cluster
package import Primitives
internal import SMTP

/// An address that gets no mail, or a whole domain: a cluster record `suppression/ADDRESS`.
package struct Suppression: Hashable, Sendable {
    package enum Cause: String, Hashable, Sendable, CaseIterable {
        /// By a person or a program, through the API.
        case hand
        /// An upstream said that there is no such mailbox.
        case bounce
        /// Whoever gets its mail complained about a message.
        case complaint
    }

    package static let kind = "suppression"
    package static let prefix = "suppression/"
    /// In bytes: with the prefix a key of a record.
    package static let maximumAddress = ClusterRecords.maximumKey - prefix.utf8.count

    /// As it was spelled; `@example.com` for a whole domain.
    package var address: String
    package var cause: Cause
    package var reason: String
    package var by: String
    package var upstream: String
    package var at: WallTime
    /// Nil: without end.
    package var until: WallTime?

    package init(
        address: String, cause: Cause, reason: String, by: String, upstream: String = "", at: WallTime,
        until: WallTime?
    ) {
        self.address = address
        self.cause = cause
        self.reason = reason
        self.by = by
        self.upstream = upstream
        self.at = at
        self.until = until
    }

    /// Local parts are compared without regard to case, too: hardly any system tells them apart, and mail to somebody who
    /// wants none is worse.
    package static func key(_ address: String) -> String { prefix + address.lowercased() }

    /// Nil for a record that this version does not understand.
    package init?(_ record: ClusterRecord) {
        guard record.key.hasPrefix(Suppression.prefix), let texts = RecordTexts(record.value) else { return nil }
        let spelled = texts[.address]
        address = spelled.isEmpty ? String(record.key.dropFirst(Suppression.prefix.count)) : spelled
        cause = Cause(rawValue: texts[.cause]) ?? .hand
        reason = texts[.reason]
        by = texts[.by]
        upstream = texts[.upstream]
        at = texts.at
        until = record.expiry
    }

    package var write: RecordWrite {
        var texts = RecordTexts()
        if address != address.lowercased() { texts[.address] = address }
        texts[.cause] = cause.rawValue
        texts[.reason] = String(reason.prefix(Suppression.maximumReason))
        texts[.by] = String(by.prefix(64))
        texts[.upstream] = upstream
        texts.at = at
        return RecordWrite(key: Suppression.key(address), value: texts.bytes, expiry: until)
    }

    /// In characters.
    package static let maximumReason = 400

    /// What the client, or the sender by a bounce, is told.
    var refusal: Reply {
        let why = reason.isEmpty ? "" : ": " + reason.printableASCII(160)
        let what = address.hasPrefix("@") ? "All of \(address.dropFirst())" : "This address"
        return Reply(
            550, 5, 1, 1,
            "\(what.printableASCII(280)) is on the suppression list here since \(at.rfc3339.prefix(10)) (\(cause.words))\(why)"
        )
    }
}

extension Suppression.Cause {
    var words: String {
        switch self {
        case .hand: "by hand"
        case .bounce: "after a bounce"
        case .complaint: "after a complaint"
        }
    }
}
