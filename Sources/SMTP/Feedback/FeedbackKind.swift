/// What the receiving side said of a message after an upstream had taken it.
package enum FeedbackKind: String, Hashable, Sendable, CaseIterable {
    /// The mailbox provider took it.
    case delivered
    /// It was put off, and is still being tried there.
    case deferred
    /// It is given up there.
    case bounced
    /// Its recipient, or the provider in the recipient's name, called it unwanted.
    case complained
}
