internal import Primitives

/// Sentences for the events that people look for; the rest is told as the log tells it.
struct EventWords {
    private let name: String
    private let fields: [String: String]
    private let plain: String

    init(_ name: String, _ fields: [(key: String, value: String)]) {
        self.name = name
        self.fields = Dictionary(fields.map { ($0.key, $0.value) }) { first, _ in first }
        plain = fields.map { "\($0.key) \($0.value)" }.joined(separator: " · ")
    }

    var text: String {
        switch name {
        case "takeover":
            "took over journal \(journal) from \(value("from")), epoch \(value("epoch")): \(value("messages")) messages, "
                + "\(value("uncertain")) uncertain, after \(value("ms")) ms"
        case "reclaimed": "first delivery from journal \(journal), \(value("ms")) ms after its takeover"
        case "ownership-lost": "owns journal \(journal) no more (epoch \(value("epoch"))): \(value("reason"))"
        case "handed-over": "handed over journal \(journal), epoch \(value("epoch"))"
        case "journal-opened": "opened journal \(journal)"
        case "journal-retired": "journal \(journal) is retired: all its messages are finished"
        case "peer-up": "hears \(value("peer"))"
        case "peer-down":
            "\(value("peer")) is gone: "
                + (fields["proof"] == "port-closed" ? "its port refuses connections" : "it fell silent")
        case "upstream-down": "\(value("upstream")) takes no mail: \(value("reason")); next try in \(value("next"))"
        case "upstream-up": "\(value("upstream")) takes mail again"
        case "rule-set": "mail \(value("mail")): \(value("action"))\(rest)"
        case "rule-ended": "mail \(value("mail")): no more \(value("action"))\(rest)"
        case "suppressions-changed":
            "suppressions: \(value("added")) added, \(value("removed")) removed\(given("address", " (", ")")) by \(value("by"))"
        case "drain": "hands over its work"
        case "drained": "has handed over everything"
        case "resume": "takes part again"
        case "peer-refused": "does not speak to \(value("peer")): \(value("reason"))"
        case "refused-by-peer": "\(value("peer")) does not speak to it: \(value("reason"))"
        default: plain
        }
    }

    /// Who ruled, until when and why.
    private var rest: String {
        given("upstream", " to ") + " by \(value("by"))" + given("until", " until ") + given("reason", ": ")
    }

    private func given(_ key: String, _ before: String, _ after: String = "") -> String {
        guard let text = fields[key], !text.isEmpty, text != "-" else { return "" }
        return before + text + after
    }

    private func value(_ key: String) -> String { fields[key] ?? "?" }

    private var journal: String { String(value("journal").suffix(4)) }
}
