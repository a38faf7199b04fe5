package import SMTP

/// Says what a reply means, by the rules of reply-rules.tsv and perhaps a user's: of the rules that match, the first.
package struct ReplyClassifier: Sendable {
    package static let standard: ReplyClassifier = {
        do throws(ReplyRuleError) { return try ReplyClassifier(extending: "", named: "") } catch {
            // The file is part of the program, and a test reads it.
            preconditionFailure("\(error)")
        }
    }()

    private var vocabulary: ReplyVocabulary
    private var lists: ReplyLists
    private var rules: [ReplyRule]
    /// For each symbol, which rules to look at when it occurs: the rules of which one element can be nothing but this
    /// symbol and a few others.
    private var rulesOfSymbol: [[UInt16]]
    /// The rules without a pattern.
    private var rulesWithoutPattern: [UInt16]

    /// With a user's rules, which come before our own; `file` is its name, for errors and for `Classification.rule`.
    package init(extending rules: String, named file: String) throws(ReplyRuleError) {
        let standard = String(decoding: PackageResources.reply_rules_tsv, as: UTF8.self)
        try self.init(files: [(rules, file), (standard, "reply-rules.tsv")])
    }

    /// Rules of several files, in this order; a list may be extended by any of them.
    package init(files: [(text: String, name: String)]) throws(ReplyRuleError) {
        var reading = ReplyRuleReading()
        for file in files.reversed() { try reading.readLists(file.text, named: file.name) }
        for file in files { try reading.readRules(file.text, named: file.name) }
        self.init(reading, reading.rules)
    }

    private init(_ reading: ReplyRuleReading, _ rules: [ReplyRule]) {
        vocabulary = reading.vocabulary
        lists = reading.lists
        self.rules = rules
        rulesOfSymbol = []
        rulesWithoutPattern = []
        index()
    }

    /// Without the rules that know one provider's words or are for one provider.
    package var generalRulesOnly: ReplyClassifier {
        var general = self
        general.rules.removeAll { $0.conditions.isProviderSpecific }
        general.index()
        return general
    }

    /// Each rule under the symbols of its rarest element.
    private mutating func index() {
        var uses = Array(repeating: 0, count: vocabulary.count)
        let elements = rules.map { rule in
            rule.terms.flatMap(\.elements).compactMap { element in
                if case .one(let symbols) = element { symbols } else { nil }
            }
        }
        for symbol in elements.joined().joined() { uses[Int(symbol)] += 1 }
        rulesOfSymbol = Array(repeating: [], count: vocabulary.count)
        rulesWithoutPattern = []
        for (index, elements) in elements.enumerated() {
            let cost = { (symbols: [ReplyVocabulary.Symbol]) in symbols.reduce(0) { $0 + uses[Int($1)] } }
            guard let rarest = elements.min(by: { cost($0) < cost($1) }) else {
                rulesWithoutPattern.append(UInt16(index))
                continue
            }
            for symbol in Set(rarest) { rulesOfSymbol[Int(symbol)].append(UInt16(index)) }
        }
    }

    package func classify(_ reply: Reply, at stage: Stage, provider: String?) -> Classification {
        classify(reply.code, reply.enhanced, reply.text, ReplyStage(stage), provider)
    }

    /// A reply as a table has it: `enhanced` may be empty, `stage` is a word of the rule files or anything else for unknown.
    package func classify(code: Int?, enhanced: String, text: String, provider: String?, stage: String?)
        -> Classification
    {
        classify(
            code, EnhancedCode(leading: Array(enhanced.utf8)), Array(text.utf8),
            stage.flatMap { ReplyStage(rawValue: $0) }, provider)
    }

    private func classify(
        _ code: Int?, _ enhanced: EnhancedCode?, _ text: [UInt8], _ stage: ReplyStage?, _ provider: String?
    ) -> Classification {
        let folded = ReplyWords.fold(text)
        let text = ReplyText(folded, vocabulary, lists)
        let enhanced = enhanced ?? Self.enhancedCode(within: folded)
        var candidates = rulesWithoutPattern
        text.eachSymbol { candidates += rulesOfSymbol[Int($0)] }
        candidates.sort()
        var last: UInt16?
        for index in candidates where index != last {
            last = index
            // In place: a rule is a dozen references to count up and down.
            guard rules[Int(index)].matches(text),
                rules[Int(index)].conditions.hold(code: code, enhanced: enhanced, stage: stage, provider: provider)
            else { continue }
            let rule = rules[Int(index)]
            return Classification(replyClass: rule.replyClass, against: rule.against, rule: rule.name)
        }
        return Classification(replyClass: .other, against: .nothing, rule: "no rule matches")
    }

    /// Servers that know no enhanced codes at the beginning of a line put them elsewhere: `(#5.1.1)`, `[5.7.606]`.
    private static func enhancedCode(within folded: [UInt8]) -> EnhancedCode? {
        for index in folded.indices.dropLast(4) where folded[index + 1] == 0x2e {
            guard [0x32, 0x34, 0x35].contains(folded[index]) else { continue }
            if index > 0, ReplyWords.isAlphanumeric(folded[index - 1]) || folded[index - 1] == 0x2e { continue }
            let code = folded[index...].prefix { (0x30...0x39).contains($0) || $0 == 0x2e }
            let after = code.endIndex
            if after < folded.count, ReplyWords.isAlphanumeric(folded[after]) { continue }
            if let enhanced = EnhancedCode(leading: code.last == 0x2e ? code.dropLast() : code) { return enhanced }
        }
        return nil
    }
}
