package import SMTP

/// A line of a file of reply rules that cannot be read.
package struct ReplyRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// From 1.
    package var line: Int
    /// What was expected and what was found.
    package var text: String

    package var description: String { "\(file):\(line): \(text)" }
}

/// Says what a reply means.
package struct ReplyClassifier: Sendable {
    package static let standard = ReplyClassifier()

    private init() {}

    /// With a user's rules, which come before our own; `file` is its name, for errors and for `Classification.rule`.
    package init(extending rules: String, named file: String) throws(ReplyRuleError) {}

    package func classify(_ reply: Reply, at stage: Stage, provider: String?) -> Classification {
        classify(code: reply.code, enhanced: "", text: "", provider: provider, stage: nil)
    }

    package func classify(code: Int?, enhanced: String, text: String, provider: String?, stage: String?)
        -> Classification
    {
        Classification(replyClass: .other, against: .nothing, rule: "none")
    }
}
