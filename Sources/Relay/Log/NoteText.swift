internal import Cluster
internal import Node
internal import Primitives

/// What the rarer notes are called, in the log and among the events, and what they tell. Names and keys are stable.
extension Note {
    var level: LogWriter.Level {
        switch self {
        case .accepted, .result, .done, .upstreamUp, .takeover, .reclaimed, .handedOver, .peerUp, .opened, .diskOK,
            .suppressed, .suppressionsChanged, .ruled, .ruleEnded:
            .info
        case .lateOutcome, .retired: .debug
        case .upstreamDown, .ownershipLost, .peerDown, .clockStepped, .bounceDropped, .diskLow: .warning
        case .damage: .error
        }
    }

    var described: (StaticString, [LogWriter.Field]) {
        switch self {
        case .accepted, .result, .done: ("mail", [])
        case .upstreamDown(let name, let reason, let next):
            ("upstream-down", [.init("upstream", name), .init("reason", reason), .init("next", next.short)])
        case .upstreamUp(let name): ("upstream-up", [.init("upstream", name)])
        case .takeover(let journal, let epoch, let from, let messages, let uncertain, let took):
            (
                "takeover",
                [
                    .init("journal", journal.description), .init("epoch", "\(epoch)"), .init("from", from),
                    .init("messages", "\(messages)"), .init("uncertain", "\(uncertain)"), .milliseconds(took),
                ]
            )
        case .reclaimed(let journal, let after):
            ("reclaimed", [.init("journal", journal.description), .milliseconds(after)])
        case .ownershipLost(let journal, let epoch, let reason):
            (
                "ownership-lost",
                [.init("journal", journal.description), .init("epoch", "\(epoch)"), .init("reason", reason.words)]
            )
        case .handedOver(let journal, let epoch):
            ("handed-over", [.init("journal", journal.description), .init("epoch", "\(epoch)")])
        case .peerUp(let peer): ("peer-up", [.init("peer", peer.node), .init("disk", peer.disk.description)])
        case .peerDown(let peer, let isProved):
            (
                "peer-down",
                [
                    .init("peer", peer.node), .init("disk", peer.disk.description),
                    .init("proof", isProved ? "port-closed" : "silence"),
                ]
            )
        case .lateOutcome(let message, let isUsed):
            ("late-outcome", [.init("id", message.description), .init("used", isUsed ? "yes" : "no")])
        case .opened(let journal): ("journal-opened", [.init("journal", journal.description)])
        case .retired(let journal): ("journal-retired", [.init("journal", journal.description)])
        case .damage(let journal, let at, let reason):
            ("damage", [.init("journal", journal.description), .init("at", "\(at)"), .init("reason", reason)])
        case .clockStepped(let by): ("clock-stepped", [.init("by", by.short)])
        case .bounceDropped(let message, let reason):
            ("bounce-dropped", [.init("id", message.description), .init("reason", reason)])
        case .suppressed(let entry):
            (
                "suppressed",
                [
                    .init("to", entry.address), .init("cause", entry.cause.rawValue), .init("upstream", entry.upstream),
                    .init("reason", entry.reason), .init("until", entry.until?.rfc3339 ?? "-"),
                ]
            )
        case .suppressionsChanged(let added, let removed, let address, let by):
            (
                "suppressions-changed",
                [
                    .init("added", "\(added)"), .init("removed", "\(removed)"), .init("address", address),
                    .init("by", by),
                ]
            )
        case .ruled(let rule): ("rule-set", rule.fields)
        case .ruleEnded(let rule): ("rule-ended", rule.fields)
        case .diskLow(let free): ("disk-low", [.init("free", free.description)])
        case .diskOK: ("disk-ok", [])
        }
    }
}

extension MailRule {
    fileprivate var fields: [LogWriter.Field] {
        var upstream = ""
        if case .redirect(let name) = action { upstream = name }
        return [
            .init("mail", subject.words), .init("action", action.word), .init("upstream", upstream), .init("by", by),
            .init("until", until?.rfc3339 ?? "-"), .init("reason", reason),
        ]
    }
}

extension LogWriter.Field {
    fileprivate static func milliseconds(_ duration: Duration) -> LogWriter.Field {
        .init("ms", "\(duration.milliseconds)")
    }
}

extension LossReason {
    fileprivate var words: String {
        switch self {
        case .leaseLapsed: "lease-lapsed"
        case .fenced(let epoch): "fenced-by-\(epoch)"
        case .grantedToOther: "granted-to-other"
        case .released: "released"
        case .buried: "buried"
        case .claimFailed: "claim-failed"
        }
    }
}
