internal import Primitives

/// How `baton sink` was told to answer: for each stage the rules in their order, the first whose chance comes up.
struct SinkReplies {
    enum Stage: String, CaseIterable { case connect, ehlo, mail, rcpt, data, dot }

    enum Answer {
        case reply([UInt8], code: Int)
        /// Closes the connection without a word.
        case drop
        /// At the final dot: takes the message, and closes the connection without saying so.
        case lose
        /// Never answers.
        case silence
    }

    private struct Rule {
        let chance: Double
        let answer: Answer
    }

    private var rules = [[Rule]](repeating: [], count: Stage.allCases.count)
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// Adds `rcpt=450 4.7.1 text@20%`, `dot=drop@1%`, `data=silence`; false when it is none of these.
    mutating func add(_ text: String) -> Bool {
        let halves = text.split(separator: "=", maxSplits: 1)
        guard halves.count == 2, let stage = Stage(rawValue: String(halves[0])) else { return false }
        var answer = halves[1]
        var chance = 1.0
        if answer.hasSuffix("%"), let at = answer.lastIndex(of: "@") {
            guard let percent = Double(answer[answer.index(after: at)...].dropLast()), percent <= 100 else {
                return false
            }
            chance = percent / 100
            answer = answer[..<at]
        }
        let rule: Rule
        switch answer {
        case "drop": rule = Rule(chance: chance, answer: .drop)
        case "lose":
            guard stage == .dot else { return false }
            rule = Rule(chance: chance, answer: .lose)
        case "silence": rule = Rule(chance: chance, answer: .silence)
        default:
            guard let code = Int(answer.prefix(3)), (200..<600).contains(code) else { return false }
            let line = answer.utf8.count < 5 ? "\(answer) as told" : String(answer)
            rule = Rule(chance: chance, answer: .reply(Array((line + "\r\n").utf8), code: code))
        }
        rules[SinkReplies.index(stage)].append(rule)
        return true
    }

    /// The answer that a rule wants here, or nil for the usual one.
    mutating func answer(at stage: Stage) -> Answer? {
        let list = rules[SinkReplies.index(stage)]
        if list.isEmpty { return nil }
        for rule in list where rule.chance >= 1 || random.chance(rule.chance) { return rule.answer }
        return nil
    }

    private static func index(_ stage: Stage) -> Int {
        switch stage {
        case .connect: 0
        case .ehlo: 1
        case .mail: 2
        case .rcpt: 3
        case .data: 4
        case .dot: 5
        }
    }
}
