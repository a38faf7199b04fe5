internal import SMTP

/// A line of a file of reply rules that cannot be read.
package struct ReplyRuleError: Error, Hashable, Sendable, CustomStringConvertible {
    package var file: String
    /// From 1.
    package var line: Int
    /// What was expected, and what stands there.
    package var text: String

    package init(file: String, line: Int, text: String) {
        self.file = file
        self.line = line
        self.text = text
    }

    package var description: String { "\(file):\(line): \(text)" }
}

/// Reads rule files (the format: at the head of reply-rules.tsv), one after another into one set of rules.
struct ReplyRuleReading {
    private(set) var vocabulary = ReplyVocabulary()
    private(set) var lists = ReplyLists()
    private(set) var rules: [ReplyRule] = []
    private var listSymbols: [String: ReplyVocabulary.Symbol] = [:]
    /// The phrases of each list so far, for lists that take in another.
    private var phrases: [String: [[[ReplyVocabulary.Symbol]]]] = [:]

    /// Rules of all files together.
    static let maximumRules = 10_000

    /// What is wrong with a line; the caller knows which.
    fileprivate struct Complaint: Error {
        var text: String
        init(_ text: String) { self.text = text }
    }

    init() {
        for word in Self.droppedWords { vocabulary.insert(word, ReplyVocabulary.dropped) }
        if let not = vocabulary.symbol(of: "not") { for word in Self.wordsForNot { vocabulary.insert(word, not) } }
    }

    /// The lists of a file first, wherever they stand; then its rules.
    mutating func readLists(_ text: String, named file: String) throws(ReplyRuleError) {
        for (line, fields) in Self.lines(text) where fields[0].hasPrefix("@") {
            do throws(Complaint) { try readList(fields) } catch {
                throw ReplyRuleError(file: file, line: line, text: error.text)
            }
        }
    }

    mutating func readRules(_ text: String, named file: String) throws(ReplyRuleError) {
        for (line, fields) in Self.lines(text) where !fields[0].hasPrefix("@") {
            do throws(Complaint) {
                guard rules.count < Self.maximumRules else {
                    throw Complaint("more than \(Self.maximumRules) rules")
                }
                rules.append(try rule(fields, place: "\(file):\(line)"))
            } catch {
                throw ReplyRuleError(file: file, line: line, text: error.text)
            }
        }
    }

    /// The lines that say something, with their numbers from 1, cut at tabs.
    private static func lines(_ text: String) -> [(line: Int, fields: [String])] {
        var result: [(Int, [String])] = []
        for (index, line) in text.utf8.split(separator: 0x0a, omittingEmptySubsequences: false).enumerated() {
            let fields = line.split(separator: 0x09).map { trimmed(String(decoding: $0, as: UTF8.self)) }
            guard let first = fields.first, !first.isEmpty || fields.count > 1, !first.hasPrefix("#") else { continue }
            result.append((index + 1, fields))
        }
        return result
    }

    private static func trimmed(_ text: String) -> String {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x0d }
        let tail = text.utf8.drop(while: isBlank)
        return String(decoding: tail.prefix(tail.count - tail.reversed().prefix(while: isBlank).count), as: UTF8.self)
    }

    // MARK: Lists

    private mutating func readList(_ fields: [String]) throws(Complaint) {
        guard fields.count == 2 else {
            throw Complaint("expected @LIST, a tab and its phrases, got \(fields.count) fields")
        }
        let name = fields[0]
        guard name.utf8.count > 1, name.utf8.dropFirst().allSatisfy({ (0x61...0x7a).contains($0) || $0 == 0x2d }) else {
            throw Complaint("expected @ and lower-case letters as the name of a list, got \(name)")
        }
        let list = if let known = listSymbols[name] { known } else { try newList(name) }
        for phrase in Self.split(fields[1], " | ") {
            if phrase.hasPrefix("@"), !phrase.contains(" ") {
                guard let included = phrases[phrase] else { throw Complaint("the list \(phrase) is not defined above") }
                for elements in included { add(elements, to: list, named: name) }
                continue
            }
            var elements: [[ReplyVocabulary.Symbol]] = []
            for word in phrase.split(separator: " ") {
                guard !word.hasPrefix("@"), word != "..." else {
                    throw Complaint("expected words in a list's phrase, got \(word)")
                }
                elements += try positions(String(word))
            }
            guard !elements.isEmpty else { throw Complaint("'\(phrase)' has no word that counts") }
            guard elements.count <= 20 else { throw Complaint("'\(phrase)' has more than 20 words") }
            add(elements, to: list, named: name)
        }
    }

    private mutating func newList(_ name: String) throws(Complaint) -> ReplyVocabulary.Symbol {
        guard let symbol = vocabulary.newSymbol() else { throw Complaint("too many words in all rules together") }
        listSymbols[name] = symbol
        return symbol
    }

    private mutating func add(
        _ elements: [[ReplyVocabulary.Symbol]], to list: ReplyVocabulary.Symbol, named name: String
    ) {
        phrases[name, default: []].append(elements)
        lists.add(elements, to: list)
    }

    // MARK: Rules

    private mutating func rule(_ fields: [String], place: String) throws(Complaint) -> ReplyRule {
        guard fields.count == 3 else {
            throw Complaint("expected CLASS, CONDITIONS and PATTERN with tabs between, got \(fields.count) fields")
        }
        let words = fields[0].split(separator: "/", maxSplits: 1).map(String.init)
        guard let replyClass = words.first.flatMap(ReplyClass.init(rawValue:)) else {
            let known = ReplyClass.allCases.map(\.rawValue).joined(separator: ", ")
            throw Complaint("expected a class (\(known)), got \(fields[0])")
        }
        var against = replyClass.usuallyAgainst
        if words.count == 2 {
            guard let named = Against(rawValue: words[1]) else {
                let known = Against.allCases.map(\.rawValue).joined(separator: ", ")
                throw Complaint("expected after the class what it speaks against (\(known)), got \(words[1])")
            }
            against = named
        }
        let said = fields[2] == "-" ? fields[1] : fields[2]
        var rule = ReplyRule(replyClass: replyClass, against: against, name: "\(place): \(said)")
        if fields[1] != "-" {
            for condition in fields[1].split(separator: " ") {
                try rule.conditions.add(String(condition))
            }
        }
        if fields[2] != "-" {
            for term in Self.split(fields[2], " & ") {
                if term.hasPrefix("!") {
                    rule.exclusions.append(try pattern(String(term.dropFirst())))
                } else {
                    rule.terms.append(try pattern(term))
                }
            }
        }
        guard fields[2] == "-" || !rule.terms.isEmpty else { throw Complaint("expected a pattern without ! first") }
        return rule
    }

    private mutating func pattern(_ text: String) throws(Complaint) -> ReplyPattern {
        var pattern = ReplyPattern()
        var words = text.split(separator: " ").map(String.init)[...]
        if let first = words.first, first.hasPrefix("^") {
            pattern.isAtBeginning = true
            words[words.startIndex].removeFirst()
        }
        if let last = words.last, last.hasSuffix("$") {
            pattern.isAtEnd = true
            words[words.endIndex - 1].removeLast()
        }
        for word in words where !word.isEmpty {
            if word == "..." {
                guard !pattern.elements.isEmpty else { throw Complaint("expected a word before '...' in '\(text)'") }
                pattern.elements.append(.gap)
                continue
            }
            pattern.elements += try positions(word).map { .one(of: $0) }
        }
        guard let last = pattern.elements.last else { throw Complaint("'\(text)' has no word that counts") }
        if case .gap = last { throw Complaint("expected a word after '...' in '\(text)'") }
        return pattern
    }

    /// What may stand at each position: one, or more for words with hyphens and in Chinese, or none for a word that counts
    /// for nothing.
    private mutating func positions(_ text: String) throws(Complaint) -> [[ReplyVocabulary.Symbol]] {
        if !text.contains("|"), !text.contains("*"), !text.hasPrefix("/"), !text.hasPrefix("<"), !text.hasPrefix("@") {
            let words = Self.words(text)
            if words.count > 1 {
                var positions: [[ReplyVocabulary.Symbol]] = []
                for canonical in words { positions.append(try word(canonical)) }
                return positions.filter { !$0.isEmpty }
            }
        }
        let symbols = try alternatives(text)
        return symbols.isEmpty ? [] : [symbols]
    }

    /// `full|@quota|exceed*`; empty when it is a word that counts for nothing.
    private mutating func alternatives(_ text: String) throws(Complaint) -> [ReplyVocabulary.Symbol] {
        var symbols: [ReplyVocabulary.Symbol] = []
        for name in text.split(separator: "|").map(String.init) {
            if name.hasPrefix("@") {
                guard let list = listSymbols[name] else { throw Complaint("no list is named \(name)") }
                symbols.append(list)
            } else if name.hasPrefix("<") {
                guard Self.things.contains(name) else {
                    throw Complaint("expected one of \(Self.things.joined(separator: " ")), got \(name)")
                }
                symbols.append(try symbol(of: name))
            } else {
                symbols += try word(name)
            }
        }
        return symbols
    }

    private mutating func word(_ name: String) throws(Complaint) -> [ReplyVocabulary.Symbol] {
        let isInURL = name.hasPrefix("/")
        let isBeginning = name.hasSuffix("*")
        let stem = String(name.dropFirst(isInURL ? 1 : 0).dropLast(isBeginning ? 1 : 0))
        let words = Self.words(stem)
        guard words.count == 1, let canonical = words.first else {
            throw Complaint("expected one word, got '\(name)' (\(words.count) words)")
        }
        if !isInURL, !isBeginning {
            if Self.droppedWords.contains(canonical) { return [] }
            if Self.wordsForNot.contains(canonical) { return [try symbol(of: "not")] }
        }
        return [try symbol(of: (isInURL ? "/" : "") + canonical + (isBeginning ? "*" : ""))]
    }

    private mutating func symbol(of name: String) throws(Complaint) -> ReplyVocabulary.Symbol {
        guard let symbol = vocabulary.symbol(of: name) else { throw Complaint("too many words in all rules together") }
        return symbol
    }

    /// A text's words as replies are cut.
    private static func words(_ text: String) -> [String] {
        var census = WordCensus()
        ReplyWords.cut(ReplyWords.fold(text.utf8), into: &census)
        return census.words
    }

    private static func split(_ text: String, _ separator: String) -> [String] {
        text.split(separator: separator).map { trimmed(String($0)) }
    }

    private static let things = ["<address>", "<ip>", "<host>", "<url>"]

    /// Words that say nothing of the cause.
    private static let droppedWords: Set<String> = [
        "a", "an", "the", "is", "are", "was", "were", "be", "been", "being", "am", "has", "have", "had", "having", "do",
        "does", "did", "can", "could", "will", "would", "shall", "should", "may", "might", "must", "to", "of", "it",
        "its", "i", "we", "he", "they", "my", "our", "their", "this", "that", "these", "those", "there",
        "please", "sorry", "e", "est", "ist", "esta", "le", "la", "les", "der", "die", "das", "den", "dem", "el", "los",
        "las", "il", "lo",
    ]

    /// Contractions, and other ways to say not.
    private static let wordsForNot: Set<String> = [
        "cannot", "cant", "couldnt", "doesnt", "dont", "didnt", "isnt", "arent", "wasnt", "werent", "hasnt", "havent",
        "wont", "wouldnt", "shouldnt", "dosnt", "nicht", "nao", "nie", "niet",
    ]
}

/// The words of a pattern's word: there must be one.
private struct WordCensus: ReplyWordSink {
    var words: [String] = []
    let isFull = false

    mutating func word(_ bytes: ArraySlice<UInt8>) { words.append(String(decoding: bytes, as: UTF8.self)) }
    mutating func thing(_ name: StaticString) {}
    mutating func hostPart(_ bytes: ArraySlice<UInt8>) { word(bytes) }
    mutating func urlPart(_ bytes: ArraySlice<UInt8>) { word(bytes) }
}

extension ReplyConditions {
    /// `code=4*|550`, `enhanced!=*.1.1`, `stage=rcpt`, `provider=google`, `wording=google`.
    fileprivate mutating func add(_ text: String) throws(ReplyRuleReading.Complaint) {
        let isExcluded = text.contains("!=")
        let parts = text.split(separator: isExcluded ? "!=" : "=", maxSplits: 1).map(String.init)
        guard parts.count == 2 else { throw .init("expected KEY=VALUE or KEY!=VALUE as a condition, got \(text)") }
        let values = parts[1].split(separator: "|").map(String.init)
        switch parts[0] {
        case "code":
            codesAreExcluded = isExcluded
            for value in values { codes.append(try Self.codes(value)) }
        case "enhanced":
            enhancedAreExcluded = isExcluded
            for value in values { enhanced.append(try Self.enhanced(value)) }
        case "stage":
            stagesAreExcluded = isExcluded
            for value in values {
                guard let stage = ReplyStage(rawValue: value) else {
                    let known = ReplyStage.allCases.map(\.rawValue).joined(separator: ", ")
                    throw .init("expected a stage (\(known)), got \(value)")
                }
                stages.append(stage)
            }
        case "provider":
            providersAreExcluded = isExcluded
            providers += values
        case "wording" where !isExcluded: wording = parts[1]
        default: throw .init("expected code, enhanced, stage, provider or wording as a condition, got \(text)")
        }
    }

    /// `550`, `55*`, `5*`.
    private static func codes(_ text: String) throws(ReplyRuleReading.Complaint) -> ClosedRange<Int> {
        let digits = text.hasSuffix("*") ? String(text.dropLast()) : text
        guard let value = Int(digits), value > 0, digits.utf8.count <= 3, text.utf8.count <= 3,
            digits.utf8.count == 3 || text.hasSuffix("*")
        else { throw .init("expected a code such as 550, 55* or 5*, got \(text)") }
        let unit = [1, 10, 100][3 - digits.utf8.count]
        return value * unit...value * unit + unit - 1
    }

    /// `5.7.1`, `*.7.*`, `none`.
    private static func enhanced(_ text: String) throws(ReplyRuleReading.Complaint) -> EnhancedPattern {
        if text == "none" { return EnhancedPattern(isNone: true) }
        let parts = text.split(separator: ".").map(String.init)
        guard parts.count == 3, parts.allSatisfy({ $0 == "*" || UInt16($0) ?? 1000 < 1000 }),
            parts[0] == "*" || ["2", "4", "5"].contains(parts[0])
        else { throw .init("expected an enhanced code such as 5.7.1, *.7.* or none, got \(text)") }
        return EnhancedPattern(class: UInt8(parts[0]), subject: UInt16(parts[1]), detail: UInt16(parts[2]))
    }
}
