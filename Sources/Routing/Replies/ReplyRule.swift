internal import SMTP

/// One rule: when its conditions hold and its pattern matches, the reply is of its class.
struct ReplyRule: Sendable {
    var replyClass: ReplyClass
    var against: Against
    var conditions = ReplyConditions()
    /// All of these must occur, in any order; none: the conditions suffice.
    var terms: [ReplyPattern] = []
    /// None of these may occur.
    var exclusions: [ReplyPattern] = []
    /// `file:line: pattern`, for people.
    var name: String

    func matches(_ text: ReplyText) -> Bool {
        for index in terms.indices where !terms[index].occurs(in: text) { return false }
        for index in exclusions.indices where exclusions[index].occurs(in: text) { return false }
        return true
    }
}

/// Words in a row.
struct ReplyPattern: Sendable {
    enum Element: Sendable {
        /// One of these symbols.
        case one(of: [ReplyVocabulary.Symbol])
        /// `...`: up to `ReplyPattern.maximumGap` words of any kind.
        case gap
    }

    static let maximumGap = 6

    /// Neither first nor last is a gap.
    var elements: [Element] = []
    /// `^`: at the beginning of the text only.
    var isAtBeginning = false
    /// `$`: up to the end of the text only.
    var isAtEnd = false

    func occurs(in text: ReplyText) -> Bool {
        // Most rules that are looked at lack a word: this needs no walk along the text.
        for case .one(let symbols) in elements where !text.has(anyOf: symbols) { return false }
        if isAtBeginning { return matches(text, from: 0, at: 0, slack: 0) }
        return (0..<text.count).contains { matches(text, from: 0, at: $0, slack: 0) }
    }

    private func matches(_ text: ReplyText, from index: Int, at position: Int, slack: Int) -> Bool {
        guard index < elements.count else { return !isAtEnd || position == text.count }
        guard case .one(let symbols) = elements[index] else {
            return matches(text, from: index + 1, at: position, slack: Self.maximumGap)
        }
        var skipped = 0
        while skipped <= slack, position + skipped < text.count {
            for entry in text.entries(at: position + skipped) where symbols.contains(entry.symbol) {
                if matches(text, from: index + 1, at: position + skipped + Int(entry.length), slack: 0) { return true }
            }
            skipped += 1
        }
        return false
    }
}

/// What else must hold of a reply.
struct ReplyConditions: Sendable {
    /// Lowest and highest code.
    var codes: [ClosedRange<Int>] = []
    var codesAreExcluded = false
    var enhanced: [EnhancedPattern] = []
    var enhancedAreExcluded = false
    var stages: [ReplyStage] = []
    var stagesAreExcluded = false
    /// The beginnings of providers' names.
    var providers: [String] = []
    var providersAreExcluded = false
    /// The words are one provider's own, whoever says them; for people, and for those who ask for general rules alone.
    var wording: String?

    /// A part is nil where any number will do; `none` stands for a reply without an enhanced code.
    struct EnhancedPattern: Sendable {
        var isNone = false
        var `class`: UInt8?
        var subject: UInt16?
        var detail: UInt16?

        func matches(_ code: EnhancedCode?) -> Bool {
            guard let code else { return isNone }
            return !isNone && `class` ?? code.class == code.class && subject ?? code.subject == code.subject
                && detail ?? code.detail == code.detail
        }
    }

    /// Whether the rule is for one provider, or knows its words.
    var isProviderSpecific: Bool { wording != nil || !providers.isEmpty && !providersAreExcluded }

    func hold(code: Int?, enhanced code3463: EnhancedCode?, stage: ReplyStage?, provider: String?) -> Bool {
        if !codes.isEmpty, code.map({ code in codes.contains { $0.contains(code) } }) ?? false == codesAreExcluded {
            return false
        }
        if !enhanced.isEmpty, enhanced.contains(where: { $0.matches(code3463) }) == enhancedAreExcluded { return false }
        if !stages.isEmpty, stage.map(stages.contains) ?? false == stagesAreExcluded { return false }
        guard !providers.isEmpty else { return true }
        return provider.map { name in providers.contains { name.hasPrefix($0) } } ?? false != providersAreExcluded
    }
}

/// Where in the dialogue, in the words of rule files.
enum ReplyStage: String, CaseIterable, Hashable, Sendable {
    case connect, helo, mail, rcpt, data, eod, auth

    init(_ stage: Stage) {
        self =
            switch stage {
            case .connect, .greeting: .connect
            case .ehlo, .startTLS: .helo
            case .mail: .mail
            case .rcpt: .rcpt
            case .data, .content: .data
            case .finalDot: .eod
            }
    }
}
