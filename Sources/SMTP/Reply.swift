/// An enhanced status code, `5.7.1` (RFC 3463).
package struct EnhancedCode: Hashable, Sendable, CustomStringConvertible {
    package var `class`: UInt8
    package var subject: UInt16
    package var detail: UInt16

    package init(_ class: UInt8, _ subject: UInt16, _ detail: UInt16) {
        self.class = `class`
        self.subject = subject
        self.detail = detail
    }

    package var description: String { "\(`class`).\(subject).\(detail)" }

    /// Reads the code at the beginning of a reply's text, followed by a space or the end; nil when there is none.
    package init?(leading text: some Collection<UInt8>) {
        var numbers: [UInt16] = []
        var value: UInt16 = 0
        var digits = 0
        scan: for byte in text {
            switch byte {
            case 0x30...0x39 where digits < 3:
                value = value * 10 + UInt16(byte - 0x30)
                digits += 1
            case 0x2e where digits > 0 && numbers.count < 2:
                numbers.append(value)
                value = 0
                digits = 0
            case 0x20, 0x09: break scan
            default: return nil
            }
        }
        guard numbers.count == 2, digits > 0, [2, 4, 5].contains(numbers[0]) else { return nil }
        self.init(UInt8(numbers[0]), numbers[1], value)
    }
}

/// A reply of an SMTP server: to our clients, or from an upstream (RFC 5321 §4.2).
package struct Reply: Hashable, Sendable, CustomStringConvertible {
    /// Three digits, 200 to 599.
    package var code: Int
    package var enhanced: EnhancedCode?
    /// The text of all lines without codes, joined by `\n`; at most `Reply.maximumText` bytes.
    package var text: [UInt8]

    /// What is kept of a peer's reply, in bytes; the rest is cut.
    package static let maximumText = 2048

    package init(_ code: Int, _ enhanced: EnhancedCode? = nil, text: [UInt8]) {
        self.code = code
        self.enhanced = enhanced
        self.text = text
    }

    package init(_ code: Int, _ class: UInt8, _ subject: UInt16, _ detail: UInt16, _ text: String) {
        self.init(code, EnhancedCode(`class`, subject, detail), text: Array(text.utf8))
    }

    package var isPositive: Bool { code < 400 }
    package var isTransient: Bool { (400..<500).contains(code) }
    package var isPermanent: Bool { code >= 500 }

    /// `550 5.1.1 no such user`, on one line.
    package var description: String {
        let words = String(decoding: text, as: UTF8.self).replacing("\n", with: " ")
        return "\(code) " + (enhanced.map { "\($0) " } ?? "") + words
    }
}

// What a reply of an upstream means to its client.
extension Reply {
    /// 2xx: done. (`isPositive` also says so of 354.)
    package var isSuccess: Bool { code < 300 }

    /// To RCPT: this transaction is full (RFC 5321 §4.5.3.1.10, where 552 is to be taken for 452). 452 and 552 also
    /// stand for a full disk and a full mailbox, which their enhanced code then says.
    package var saysTooManyRecipients: Bool {
        if let enhanced, enhanced.subject == 5, enhanced.detail == 3 { return true }
        return enhanced == nil && (code == 452 || code == 552)
    }

    /// Whether a refusal at this stage speaks of the upstream (or our rights there) rather than of the message or its
    /// recipients (queue.md, 'Tries and transactions'): the message goes elsewhere or waits, and never bounces by it.
    package func speaksOfUpstream(at stage: Stage) -> Bool {
        switch stage {
        case .connect, .greeting, .ehlo, .startTLS: return !isSuccess
        case .mail, .rcpt, .data:
            // 530 authentication or TLS needed, 534 and 538 mechanism too weak, 535 refused (RFC 4954 §6).
            if [530, 534, 535, 538].contains(code) { return true }
            guard stage == .mail, code >= 400 else { return false }
            if let enhanced, enhanced.subject == 7, [0, 8, 9, 11].contains(enhanced.detail) { return true }
            return Self.rightsWords.contains { text.contains(word: $0) }
        case .content, .finalDot: return false
        }
    }

    private static let rightsWords = [
        "authentication required", "authentication is required", "must authenticate", "not authenticated",
        "authenticate first", "auth required", "login required", "relay", "suspended", "not authorized to send",
        "must issue a starttls",
    ].map { Array($0.utf8) }
}

extension [UInt8] {
    /// Whether these lower-case bytes occur, in either case.
    fileprivate func contains(word: [UInt8]) -> Bool {
        guard count >= word.count else { return false }
        for start in 0...(count - word.count) {
            var index = 0
            while index < word.count, lower(self[start + index]) == word[index] { index += 1 }
            if index == word.count { return true }
        }
        return false
    }

    private func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
}
