/// A server's reply as another system quotes it: `550-5.1.1 no such user`, `(550 5.7.1) …`.
package struct SpokenReply: Hashable, Sendable {
    package var code: Int
    package var enhanced: EnhancedCode?
    package var text: [UInt8]

    /// Nil when it does not begin with a reply code.
    package init?(_ words: some Collection<UInt8>) {
        var rest = Array(words)[...].drop { isBlank($0) || $0 == 0x28 || $0 == 0x22 || $0 == 0x27 }
        let digits = rest.prefix(3)
        guard digits.count == 3, digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let first = digits.first, (0x32...0x35).contains(first)
        else { return nil }
        if let next = rest.dropFirst(3).first, (0x30...0x39).contains(next) || next == 0x2e { return nil }
        code = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        rest = rest.dropFirst(3).drop { isBlank($0) || $0 == 0x2d || $0 == 0x23 || $0 == 0x29 }
        let word = rest.prefix { !isBlank($0) && $0 != 0x3a && $0 != 0x29 }
        enhanced = EnhancedCode(leading: word)
        if enhanced != nil { rest = rest.dropFirst(word.count).drop { isBlank($0) || $0 == 0x3a || $0 == 0x29 } }
        text = Array(rest)
    }

    /// The name by which an upstream knows what it has just taken, from its 250; nil when it gives none.
    ///
    /// `Ok: queued as 4XyZ1` (Postfix, SendGrid, many others), `OK id=1abc-0002-xy` (Exim), `Ok 0100018f…-000000` (SES),
    /// `OK 1732449016 d2e1a` (Google: its last word but ours to show only).
    package static func remoteID(ofAccepting reply: some Collection<UInt8>) -> [UInt8]? {
        let words = Array(reply.prefix(512)).split { $0 == 0x20 || $0 == 0x0a || $0 == 0x09 }
        func isWord(_ word: ArraySlice<UInt8>, _ text: StaticString) -> Bool {
            var lower = word.makeIterator()
            guard word.count == text.utf8CodeUnitCount else { return false }
            for index in 0..<word.count {
                guard let byte = lower.next(), lowercased(byte) == text.utf8Start[index] else { return false }
            }
            return true
        }
        for index in words.indices.dropFirst() where isWord(words[index], "as") {
            guard isWord(words[index - 1], "queued"), index + 1 < words.count else { continue }
            return name(words[index + 1])
        }
        for word in words where word.count > 3 && word.starts(with: [0x69, 0x64, 0x3d]) {
            return name(word.dropFirst(3))
        }
        guard let first = words.first, words.count == 2, isWord(first, "ok") || isWord(first, "ok:") else { return nil }
        return name(words[1])
    }

    private static func name(_ word: ArraySlice<UInt8>) -> [UInt8]? {
        let bare = word.drop { $0 == 0x3c }.reversed().drop { $0 == 0x3e || $0 == 0x2e || $0 == 0x2c || $0 == 0x3b }
        return bare.isEmpty ? nil : bare.reversed()
    }
}
