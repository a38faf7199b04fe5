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
