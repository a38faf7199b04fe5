/// What the rules know of one text: at each position the symbols that stand there, and how many positions each covers.
struct ReplyText: ReplyWordSink {
    struct Entry {
        var symbol: ReplyVocabulary.Symbol
        /// In positions; 1, or more for a phrase of a list.
        var length: UInt8
    }

    /// Positions that are looked at; the rest of a longer text is not.
    static let maximumPositions = 160

    private let vocabulary: ReplyVocabulary
    private let lists: ReplyLists
    private(set) var entries: [Entry] = []
    /// Where each position's entries begin.
    private var starts: [Int32] = []
    /// A bit for each symbol that stands anywhere.
    private var present: [UInt64]

    init(_ folded: [UInt8], _ vocabulary: ReplyVocabulary, _ lists: ReplyLists) {
        self.vocabulary = vocabulary
        self.lists = lists
        present = Array(repeating: 0, count: vocabulary.count / 64 + 1)
        entries.reserveCapacity(96)
        starts.reserveCapacity(64)
        ReplyWords.cut(folded, into: &self)
        addPhrases()
    }

    var isFull: Bool { starts.count >= Self.maximumPositions }

    var count: Int { starts.count }

    /// Whether one of these symbols stands anywhere.
    func has(anyOf symbols: [ReplyVocabulary.Symbol]) -> Bool {
        for symbol in symbols where present[Int(symbol >> 6)] & (1 << UInt64(symbol & 63)) != 0 { return true }
        return false
    }

    /// Each symbol that stands anywhere, once.
    func eachSymbol(_ body: (ReplyVocabulary.Symbol) -> Void) {
        for (index, word) in present.enumerated() {
            var rest = word
            while rest != 0 {
                body(ReplyVocabulary.Symbol(index << 6 + rest.trailingZeroBitCount))
                rest &= rest - 1
            }
        }
    }

    func entries(at position: Int) -> ArraySlice<Entry> {
        entries[Int(starts[position])..<(position + 1 < starts.count ? Int(starts[position + 1]) : entries.count)]
    }

    mutating func word(_ bytes: ArraySlice<UInt8>) {
        let start = entries.count
        vocabulary.lookUp(bytes, inURL: false) { append($0) }
        if let last = entries.last, entries.count > start, last.symbol == ReplyVocabulary.dropped {
            entries.removeSubrange(start...)
            return
        }
        starts.append(Int32(start))
    }

    mutating func thing(_ name: StaticString) {
        starts.append(Int32(entries.count))
        if let symbol = vocabulary.thing(name) { append(symbol) }
    }

    mutating func hostPart(_ bytes: ArraySlice<UInt8>) {
        // As in URLs: a host that is named relay or block says nothing.
        vocabulary.lookUp(bytes, inURL: true) { append($0) }
    }

    mutating func urlPart(_ bytes: ArraySlice<UInt8>) {
        vocabulary.lookUp(bytes, inURL: true) { append($0) }
    }

    private mutating func append(_ symbol: ReplyVocabulary.Symbol) {
        entries.append(Entry(symbol: symbol, length: 1))
        mark(symbol)
        for list in lists.listsOfWord(symbol) {
            entries.append(Entry(symbol: list, length: 1))
            mark(list)
        }
    }

    private mutating func mark(_ symbol: ReplyVocabulary.Symbol) {
        present[Int(symbol >> 6)] |= 1 << UInt64(symbol & 63)
    }

    /// The lists' phrases of two words and more, found once for all rules.
    private mutating func addPhrases() {
        var found: [(position: Int, entry: Entry)] = []
        for position in 0..<count {
            for entry in entries(at: position) where entry.length == 1 {
                for phrase in lists.phrases(startingWith: entry.symbol) {
                    guard position + phrase.rest.count < count else { continue }
                    var matches = true
                    for (offset, element) in phrase.rest.enumerated() where matches {
                        matches = entries(at: position + 1 + offset).contains { element.contains($0.symbol) }
                    }
                    if matches {
                        found.append((position, Entry(symbol: phrase.list, length: UInt8(phrase.rest.count + 1))))
                    }
                }
            }
        }
        guard !found.isEmpty else { return }
        var merged: [Entry] = []
        merged.reserveCapacity(entries.count + found.count)
        var next = 0
        for position in 0..<count {
            let old = entries(at: position)
            starts[position] = Int32(merged.count)
            merged += old
            while next < found.count, found[next].position == position {
                merged.append(found[next].entry)
                mark(found[next].entry.symbol)
                next += 1
            }
        }
        entries = merged
    }
}

/// The lists of a rule file: `@mailbox`, with its words and phrases.
struct ReplyLists: Sendable {
    struct Phrase: Sendable {
        var list: ReplyVocabulary.Symbol
        /// What may stand at each position after the first.
        var rest: [[ReplyVocabulary.Symbol]]
    }

    private var ofWord: [[ReplyVocabulary.Symbol]] = []
    private var phrases: [[Phrase]] = []

    func listsOfWord(_ symbol: ReplyVocabulary.Symbol) -> [ReplyVocabulary.Symbol] {
        Int(symbol) < ofWord.count ? ofWord[Int(symbol)] : []
    }

    func phrases(startingWith symbol: ReplyVocabulary.Symbol) -> [Phrase] {
        Int(symbol) < phrases.count ? phrases[Int(symbol)] : []
    }

    /// One phrase of a list; each element is what may stand at its position.
    mutating func add(_ elements: [[ReplyVocabulary.Symbol]], to list: ReplyVocabulary.Symbol) {
        for first in elements.first ?? [] {
            let needed = Int(first) + 1
            while ofWord.count < needed { ofWord.append([]) }
            while phrases.count < needed { phrases.append([]) }
            if elements.count == 1 {
                if !ofWord[Int(first)].contains(list) { ofWord[Int(first)].append(list) }
            } else {
                phrases[Int(first)].append(Phrase(list: list, rest: Array(elements.dropFirst())))
            }
        }
    }
}
