internal import Node

/// What people decided about mail yet to come, among the problems of `status`: it stands until somebody takes it back.
struct RuleProblems {
    /// Told one by one; the rest in one line.
    private static let toldAlone = 10

    private let rules: [RuleAnswer]

    init(_ rules: [RuleAnswer]) { self.rules = rules }

    var problems: [ProblemAnswer] {
        var problems = rules.prefix(RuleProblems.toldAlone).map(told)
        let rest = rules.count - problems.count
        if rest > 0 {
            problems.append(
                problem(
                    "suspended", "\(rest) more rules for mail to come", effect: "as each of them says",
                    you: "see them all: baton queue suspend --list"))
        }
        return problems
    }

    private func told(_ rule: RuleAnswer) -> ProblemAnswer {
        let why = rule.reason.isEmpty ? "" : ": \(rule.reason)"
        let who = "by \(rule.by) since \(minute(rule.at))\(rule.until.map { " until \(minute($0))" } ?? "")\(why)"
        switch rule.action {
        case "redirect":
            return problem(
                "redirected", "\(rule.subject) goes by \(rule.upstream ?? "?") \(who)",
                effect: "its route is not looked at; it waits when that upstream takes no mail",
                you: "take it back: baton queue redirect --to-domain \(rule.value) --off")
        case "hold":
            return problem(
                "suspended", "\(rule.subject) is held \(who)",
                effect: "it is accepted and waits for a person; it is neither delivered nor bounced",
                you: rule.mail == "toDomain"
                    ? "take it back and let go what is held: baton queue release --to-domain \(rule.value)"
                    : "look: baton queue list --state held  ·  take it back: baton queue resume \(option(rule))")
        default:
            return problem(
                "suspended", "\(rule.subject) is refused \(who)",
                effect: rule.until == nil
                    ? "clients hear 550 5.7.1 and bounce it" : "clients hear 450 4.7.1 and try again later",
                you: "take it back: baton queue resume \(option(rule))")
        }
    }

    private func problem(_ name: String, _ summary: String, effect: String, you: String) -> ProblemAnswer {
        ProblemAnswer(
            Problem(
                name: name, severity: .warning, summary: summary, effect: effect,
                baton: "does so on all nodes, and through restarts", you: you), nodes: [])
    }

    private func option(_ rule: RuleAnswer) -> String {
        switch rule.mail {
        case "user": "--user \(rule.value)"
        case "from": "--from '\(rule.value)'"
        default: "--to-domain \(rule.value)"
        }
    }

    /// `2026-11-24T12:04Z`.
    private func minute(_ time: String) -> String { "\(time.prefix(16))Z" }
}
