package import Node
internal import Primitives

/// One entry of the suppression list, as JSON. The keys are stable.
package struct SuppressionAnswer: Codable, Hashable, Sendable {
    /// `ann@example.net`, or `@example.net` for a whole domain.
    package var address: String
    /// `hand`, `bounce` or `complaint`.
    package var cause: String
    package var reason: String
    package var by: String
    package var upstream: String?
    package var at: String
    /// Nil: without end.
    package var until: String?

    package init(_ entry: Suppression) {
        address = entry.address
        cause = entry.cause.rawValue
        reason = entry.reason
        by = entry.by
        upstream = entry.upstream.isEmpty ? nil : entry.upstream
        at = entry.at.rfc3339
        until = entry.until?.rfc3339
    }
}

/// `GET /api/v1/suppressions`, by address.
package struct SuppressionsAnswer: Codable, Hashable, Sendable {
    package var matched: Int
    package var suppressions: [SuppressionAnswer]
    /// The next question's `after`; nil when this is all.
    package var next: String?

    package init(matched: Int, suppressions: [SuppressionAnswer], next: String?) {
        self.matched = matched
        self.suppressions = suppressions
        self.next = next
    }
}

/// `POST /api/v1/suppressions`: adds, or replaces what is there. `POST /api/v1/suppressions/remove` looks at `address` only.
package struct SuppressionsRequest: Codable, Hashable, Sendable {
    package struct Entry: Codable, Hashable, Sendable {
        package var address: String
        package var reason: String?
        package var cause: String?
        package var until: String?
        package var upstream: String?
        package var at: String?

        package init(address: String) { self.address = address }
    }

    package var suppressions: [Entry]
    package var by: String?
    /// For those that have none of their own.
    package var reason: String?
    /// Likewise; a duration, date or time. Nil: without end.
    package var until: String?
    package var dryRun: Bool?

    package init(_ suppressions: [Entry]) { self.suppressions = suppressions }
}

/// What became of a list. Those refused are not written, the others are.
package struct SuppressionsChange: Codable, Hashable, Sendable {
    package struct Refused: Codable, Hashable, Sendable {
        /// Its place in the request, from 0.
        package var index: Int
        package var address: String
        package var text: String
    }

    package var dryRun: Bool
    /// Not on the list before.
    package var added: Int
    /// On it before, and replaced.
    package var changed: Int
    package var removed: Int
    package var refused: [Refused]
}
