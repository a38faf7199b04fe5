/// A mailbox provider, numbered by the `Providers` that made it.
package struct ProviderID: Hashable, Comparable, Sendable {
    package var number: UInt16

    package init(number: UInt16) { self.number = number }

    /// The long tail, together.
    package static let other = ProviderID(number: 0)

    package static func < (one: ProviderID, another: ProviderID) -> Bool { one.number < another.number }
}

/// The names and numbers of mailbox providers, and which recipient domains they host.
package struct Providers: Sendable {
    package init() {}

    /// The provider of a recipient's domain, in lower case.
    package mutating func provider(of domain: String) -> ProviderID { .other }

    /// A domain's MX host is known.
    package mutating func learn(domain: String, mxHost: String) {}

    package func name(_ id: ProviderID) -> String { "other" }

    /// For what other nodes tell by name; `other` when full.
    package mutating func id(named: String) -> ProviderID { .other }
}
