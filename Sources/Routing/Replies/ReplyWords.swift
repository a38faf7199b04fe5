/// A reply's text cut into words, the way reply-rules.tsv describes it: lower case without accents, one position for each
/// word, address, IP address, host name or URL. Whoever wants the words gives a sink that is told of them.
protocol ReplyWordSink {
    /// A word at a new position.
    mutating func word(_ bytes: ArraySlice<UInt8>)
    /// `<address>`, `<ip>`, `<host>` or `<url>` at a new position.
    mutating func thing(_ name: StaticString)
    /// A label of the host at the latest position.
    mutating func hostPart(_ bytes: ArraySlice<UInt8>)
    /// A word within the URL at the latest position.
    mutating func urlPart(_ bytes: ArraySlice<UInt8>)
    /// No more is wanted.
    var isFull: Bool { get }
}

enum ReplyWords {
    /// The words of a text that `fold` has been through.
    static func cut(_ text: [UInt8], into sink: inout some ReplyWordSink) {
        var index = 0
        while index < text.count, !sink.isFull {
            guard text[index] > 0x20 else {
                index += 1
                continue
            }
            var end = index + 1
            while end < text.count, text[end] > 0x20 { end += 1 }
            cutChunk(text, index, end, into: &sink)
            index = end
        }
    }

    /// Between two blanks: plain words around at most one URL, or around addresses.
    private static func cutChunk(_ text: [UInt8], _ start: Int, _ end: Int, into sink: inout some ReplyWordSink) {
        if let url = urlRange(text, start, end) {
            cutPlain(text, start, url.lowerBound, into: &sink)
            sink.thing("<url>")
            eachRun(text, url.lowerBound, url.upperBound) { sink.urlPart($0) }
            return cutChunk(text, url.upperBound, end, into: &sink)
        }
        var from = start
        var at = start
        while at < end {
            guard text[at] == 0x40 else {
                at += 1
                continue
            }
            var low = at
            while low > from, isLocalPart(text[low - 1]) { low -= 1 }
            var high = at + 1
            while high < end, isHostByte(text[high]),
                text[high] != 0x2e || high + 1 < end && isHostStart(text[high + 1])
            {
                high += 1
            }
            if low < at, high > at + 1 {
                cutPlain(text, from, low, into: &sink)
                sink.thing("<address>")
                from = high
            }
            at = high
        }
        cutPlain(text, from, end, into: &sink)
    }

    /// `https://…`, `www.…` or `host.name/…`, up to a bracket or quote.
    private static func urlRange(_ text: [UInt8], _ start: Int, _ end: Int) -> Range<Int>? {
        var low: Int?
        var index = start
        while index < end, low == nil {
            if text[index] == 0x2f, index > start {
                if text[index - 1] == 0x3a, index + 1 < end, text[index + 1] == 0x2f {
                    var scheme = index - 1
                    while scheme > start, isLetter(text[scheme - 1]) { scheme -= 1 }
                    low = scheme
                } else {
                    var host = index
                    while host > start, isHostByte(text[host - 1]) { host -= 1 }
                    if text[host..<index].dropFirst().dropLast().contains(0x2e), isLetter(text[index - 1]) {
                        low = host
                    }
                }
            } else if text[index] == 0x77, index + 4 < end, text[index + 1] == 0x77, text[index + 2] == 0x77,
                text[index + 3] == 0x2e, index == start || !isAlphanumeric(text[index - 1])
            {
                low = index
            }
            index += 1
        }
        guard let low else { return nil }
        var high = low
        while high < end, !closing.contains(text[high]) { high += 1 }
        return low..<high
    }

    private static let closing = Array("<>()[]\"'`{};,".utf8)

    private static func cutPlain(_ text: [UInt8], _ start: Int, _ end: Int, into sink: inout some ReplyWordSink) {
        var index = start
        while index < end {
            guard isAlphanumeric(text[index]) else {
                index += 1
                continue
            }
            if let after = addressOfHost(text, index, end) {
                sink.thing("<ip>")
                index = after
            } else if isDigit(text[index]), let after = dottedNumber(text, index, end) {
                sink.word(text[index..<after])
                index = after
            } else if let after = hostName(text, index, end) {
                sink.thing("<host>")
                eachRun(text, index, after) { sink.hostPart($0) }
                index = after
            } else {
                index = cutWord(text, index, end, into: &sink)
            }
        }
    }

    /// One word, joined over an apostrophe (`doesn't`: `doesnt`) or a hyphen after one letter (`e-mail`: `email`).
    /// A Chinese, Japanese or Korean character is a word of its own.
    private static func cutWord(_ text: [UInt8], _ start: Int, _ end: Int, into sink: inout some ReplyWordSink) -> Int {
        if isIdeographLead(text[start]) {
            let after = min(start + 3, end)
            sink.word(text[start..<after])
            return after
        }
        var index = start
        while index < end, isAlphanumeric(text[index]), !isIdeographLead(text[index]) { index += 1 }
        guard index + 1 < end, isLetter(text[index + 1]) else {
            sink.word(text[start..<index])
            return index
        }
        let isJoined = text[index] == 0x2d && index == start + 1 || text[index] == 0x27 && index > start + 1
        guard isJoined else {
            sink.word(text[start..<index])
            return index
        }
        var after = index + 1
        while after < end, isAlphanumeric(text[after]) { after += 1 }
        sink.word((text[start..<index] + text[(index + 1)..<after])[...])
        return after
    }

    /// Four numbers with dots, or hexadecimal digits with seven colons or two in a row.
    private static func addressOfHost(_ text: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var index = start
        var dots = 0
        var colons = 0
        var hasGap = false
        var hasLetter = false
        scan: while index < end {
            switch text[index] {
            case 0x30...0x39: break
            case 0x61...0x66: hasLetter = true
            case 0x2e where dots < 3 && index + 1 < end && isDigit(text[index + 1]): dots += 1
            case 0x3a where dots == 0:
                if colons > 0, text[index - 1] == 0x3a { hasGap = true }
                colons += 1
            case let byte where isAlphanumeric(byte): return nil
            default: break scan
            }
            index += 1
        }
        return hasGap || colons == 7 || dots == 3 && colons == 0 && !hasLetter ? index : nil
    }

    /// `5.7.1`, or a plain number that no letter follows.
    private static func dottedNumber(_ text: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var index = start
        while index < end {
            if isDigit(text[index]) || text[index] == 0x2e && index + 1 < end && isDigit(text[index + 1]) {
                index += 1
            } else {
                return isAlphanumeric(text[index]) ? nil : index
            }
        }
        return index
    }

    private static func hostName(_ text: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var index = start
        var dots = 0
        while index < end, isHostByte(text[index]) {
            if text[index] == 0x2e {
                guard index + 1 < end, isAlphanumeric(text[index + 1]) else { break }
                dots += 1
            }
            index += 1
        }
        return dots > 0 ? index : nil
    }

    /// The runs of letters and digits.
    private static func eachRun(_ text: [UInt8], _ start: Int, _ end: Int, _ body: (ArraySlice<UInt8>) -> Void) {
        var index = start
        while index < end {
            let low = index
            while index < end, isAlphanumeric(text[index]) { index += 1 }
            if index > low { body(text[low..<index]) } else { index += 1 }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }
    private static func isLetter(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 || byte >= 0x80 }
    static func isAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || isLetter(byte) }
    private static func isHostByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte &- 0x61 < 26 || byte == 0x2e || byte == 0x2d
    }
    private static func isHostStart(_ byte: UInt8) -> Bool { isDigit(byte) || byte &- 0x61 < 26 }
    private static func isLocalPart(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || byte == 0x2e || byte == 0x2d || byte == 0x5f || byte == 0x2b || byte == 0x3d
    }
    /// Begins a character from U+3000 to U+DFFF in UTF-8.
    private static func isIdeographLead(_ byte: UInt8) -> Bool { (0xe3...0xed).contains(byte) }
}

extension ReplyWords {
    /// At most so many bytes of a reply are looked at.
    static let maximumText = 1024

    /// Lower case, Latin accents off, typographic quotes plain; Latin-1 is taken for what it is where UTF-8 does not fit.
    static func fold(_ text: some Collection<UInt8>) -> [UInt8] {
        var folded: [UInt8] = []
        folded.reserveCapacity(min(text.count, maximumText) + 8)
        var rest = text.prefix(maximumText).makeIterator()
        var next = rest.next()
        while let byte = next {
            next = rest.next()
            guard byte >= 0x80 else {
                folded.append((0x41...0x5a).contains(byte) ? byte | 0x20 : byte)
                continue
            }
            guard byte >= 0xc0, let second = next, second & 0xc0 == 0x80 else {
                if byte >= 0xc0 { folded.append(contentsOf: latin(byte)) }
                continue
            }
            next = rest.next()
            switch (byte, second) {
            case (0xc2, _): folded.append(0x20)
            case (0xc3, _): folded.append(contentsOf: latin(second | 0x40))
            case (0xc4, _), (0xc5, _): folded.append(contentsOf: extendedLatin(byte, second))
            case (0xd0, 0x90...0x9f): folded += [0xd0, second + 0x20]
            case (0xd0, 0xa0...0xaf): folded += [0xd1, second - 0x20]
            case (0xe2, 0x80):
                // U+2018 and U+2019 are apostrophes; the rest of the block parts words.
                folded.append(next == 0x98 || next == 0x99 ? 0x27 : 0x20)
                next = rest.next()
            case (0xef, 0xbc), (0xef, 0xbd), (0xe3, 0x80):
                // Full-width and ideographic punctuation.
                folded.append(0x20)
                next = rest.next()
            default:
                folded += [byte, second]
                while let more = next, more & 0xc0 == 0x80 {
                    folded.append(more)
                    next = rest.next()
                }
            }
        }
        return folded
    }

    /// A character of Latin-1 from 0xC0 without its accent.
    private static func latin(_ character: UInt8) -> CollectionOfOne<UInt8> {
        CollectionOfOne(character >= 0xc0 ? latinLetters[Int(character - 0xc0)] : 0x20)
    }

    /// U+0100 to U+017F, the letters of Polish, Czech, Turkish and others.
    private static func extendedLatin(_ lead: UInt8, _ second: UInt8) -> CollectionOfOne<UInt8> {
        CollectionOfOne(extendedLetters[Int(lead - 0xc4) * 64 + Int(second & 0x3f)])
    }

    private static let latinLetters = Array("aaaaaaaceeeeiiiidnooooo ouuuuypsaaaaaaaceeeeiiiidnooooo ouuuuypy".utf8)
    private static let extendedLetters = Array(
        ("aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrsssssssstttttt"
            + "uuuuuuuuuuuuwwyyyzzzzzzs").utf8)
}
