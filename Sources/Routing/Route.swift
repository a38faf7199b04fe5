package import Primitives
package import SMTP

/// Which upstreams a recipient's mail may take. The first route that matches counts.
///
/// Each list that is not empty must match, by one of its entries.
package struct Route: Hashable, Sendable {
    /// What its sender says of a message's urgency: `X-Priority` (1 and 2 high, 4 and 5 low), `Priority` (`urgent`,
    /// `non-urgent`) or `Importance` (`high`, `low`), the first of them that says something; otherwise normal.
    package enum Priority: String, Hashable, Sendable, CaseIterable { case low, normal, high }

    /// One field whose value, unfolded and without white space around it, matches one of the patterns.
    package struct Header: Hashable, Sendable {
        /// In lower case.
        package var name: String
        package var patterns: [Glob]

        package init(name: String, patterns: [Glob]) {
            self.name = name.lowercased()
            self.patterns = patterns
        }
    }

    /// Lower-case domains, `*.example.com` for all below one; empty matches any.
    package var recipientDomains: [String] = []
    package var senderDomains: [String] = []
    /// Whole addresses in lower case; `<>` is the null reverse-path; empty matches any.
    package var senders: [String] = []
    /// Who logged in.
    package var users: [Glob] = []
    /// Where it came from; a balancer's client, not the balancer.
    package var clients: [ClientRange] = []
    /// All of them must match.
    package var headers: [Header] = []
    /// Of the content as it came: larger than this.
    package var sizeOver: ByteCount?
    /// At most this.
    package var sizeUpTo: ByteCount?
    package var priorities: [Priority] = []

    /// Names of upstreams, and what is used while none of them is usable, in tiers.
    package var upstreams: [String]
    package var fallback: [[String]] = []

    /// Instead of the whole configuration's.
    package var retry: [Duration]?
    package var lifetime: Duration?

    package init(upstreams: [String]) { self.upstreams = upstreams }

    /// No message passes it by.
    package var takesAll: Bool {
        recipientDomains.isEmpty && senderDomains.isEmpty && senders.isEmpty && !asksOfMessage
    }

    /// Whether it looks at more than sender and recipient.
    package var asksOfMessage: Bool {
        !users.isEmpty || !clients.isEmpty || !headers.isEmpty || sizeOver != nil || sizeUpTo != nil
            || !priorities.isEmpty
    }

    /// What a priority is read from, in this order.
    package static let priorityFields = ["x-priority", "priority", "importance"]

    /// The header fields that some route looks at, in lower case: only these are kept with a message.
    package static func headerFields(of routes: [Route]) -> [String] {
        var names = Set(routes.flatMap { $0.headers.map(\.name) })
        if routes.contains(where: { !$0.priorities.isEmpty }) { names.formUnion(priorityFields) }
        return names.sorted()
    }
}

/// What routes ask of a message as a whole.
package struct RouteFacts: Hashable, Sendable {
    /// Who logged in; empty for nobody.
    package var user: String
    /// `10.0.0.9:51422`, `[2001:db8::1]:25`, or without the port.
    package var client: String
    /// Of the content as it came, in bytes.
    package var size: UInt64
    /// `name:value`, the name in lower case.
    package var headerFields: [[UInt8]]

    package init(user: String = "", client: String = "", size: UInt64 = 0, headerFields: [[UInt8]] = []) {
        self.user = user
        self.client = client
        self.size = size
        self.headerFields = headerFields
    }

    package var priority: Route.Priority {
        for name in Route.priorityFields {
            for value in values(of: name) {
                let word = String(decoding: value, as: UTF8.self).lowercased()
                switch (name, word.first) {
                case ("x-priority", "1"), ("x-priority", "2"): return .high
                case ("x-priority", "3"): return .normal
                case ("x-priority", "4"), ("x-priority", "5"): return .low
                case ("priority", _) where word == "urgent", ("importance", _) where word == "high": return .high
                case ("priority", _) where word == "normal", ("importance", _) where word == "normal": return .normal
                case ("priority", _) where word == "non-urgent", ("importance", _) where word == "low": return .low
                default: break
                }
            }
        }
        return .normal
    }

    fileprivate func values(of name: String) -> [ArraySlice<UInt8>] {
        let start = Array(name.utf8) + [0x3a]
        return headerFields.filter { $0.starts(with: start) }.map { $0[start.count...] }
    }
}

/// Everything that decides the route of one recipient.
package struct RouteSubject: Hashable, Sendable {
    package var sender: Address?
    package var recipient: Address
    package var facts: RouteFacts

    package init(sender: Address?, recipient: Address, facts: RouteFacts = RouteFacts()) {
        self.sender = sender
        self.recipient = recipient
        self.facts = facts
    }
}

extension Route {
    /// What it asks of the message as a whole.
    func matches(_ facts: RouteFacts, priority: Priority, client: ClientRange?) -> Bool {
        if !users.isEmpty, facts.user.isEmpty || !users.contains(where: { $0.matches(facts.user.utf8) }) {
            return false
        }
        if !clients.isEmpty {
            guard let client, clients.contains(where: { $0.contains(client) }) else { return false }
        }
        if let sizeOver, facts.size <= sizeOver.bytes { return false }
        if let sizeUpTo, facts.size > sizeUpTo.bytes { return false }
        if !priorities.isEmpty, !priorities.contains(priority) { return false }
        return headers.allSatisfy { header in
            facts.values(of: header.name).contains { value in header.patterns.contains { $0.matches(value) } }
        }
    }

    /// What it asks of one recipient; sender and domains in lower case.
    func matches(sender: String, senderDomain: String, recipientDomain: String) -> Bool {
        (senders.isEmpty || senders.contains(sender))
            && (senderDomains.isEmpty || senderDomains.contains { Route.domain(senderDomain, matches: $0) })
            && (recipientDomains.isEmpty || recipientDomains.contains { Route.domain(recipientDomain, matches: $0) })
    }

    private static func domain(_ domain: String, matches pattern: String) -> Bool {
        if pattern.hasPrefix("*.") { return domain.hasSuffix(pattern.dropFirst()) }
        return domain == pattern
    }
}
