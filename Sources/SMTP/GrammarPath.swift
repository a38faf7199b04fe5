/// Why a path is no path. `text` is worded for the person whose program sent it.
package enum PathError: Error, Hashable, Sendable {
    case missingOpeningBracket, missingClosingBracket, trailingText, nullPath
    case badSourceRoute
    case badLocalPart, unterminatedQuote, localPartTooLong
    case missingDomain, badDomain, domainTooLong, badAddressLiteral
    case pathTooLong, notUTF8

    package var text: String {
        switch self {
        case .missingOpeningBracket: "write the address in angle brackets: <user@example.com>"
        case .missingClosingBracket: "the address needs its closing angle bracket: <user@example.com>"
        case .trailingText: "there is text after the address"
        case .nullPath: "a recipient can't be empty: <user@example.com>"
        case .badSourceRoute: "the source route is malformed; leave it out: <user@example.com>"
        case .badLocalPart: "the part before @ has a character or dot that needs quoting: <\"odd..user\"@example.com>"
        case .unterminatedQuote: "the quoted part before @ has no end, or a character that can't be quoted"
        case .localPartTooLong: "the part before @ is longer than 64 octets"
        case .missingDomain: "the address has no domain: <user@example.com>"
        case .badDomain: "the domain is malformed: labels of letters, digits and hyphens, with dots between"
        case .domainTooLong: "the domain is longer than 255 octets, or a label in it than 63"
        case .badAddressLiteral: "the address literal is malformed: [192.0.2.1] or [IPv6:2001:db8::1]"
        case .pathTooLong: "the address is longer than 254 octets"
        case .notUTF8: "the address is not valid UTF-8"
        }
    }
}

/// Reads `Reverse-path` and `Forward-path` in place (RFC 5321 §4.1.2, with RFC 6531 §3.3):
///
///     Path       = "<" [ A-d-l ":" ] Mailbox ">"        A-d-l = At-domain *( "," At-domain )
///     Mailbox    = Local-part "@" ( Domain / address-literal )
///     Local-part = Dot-string / Quoted-string           Domain = sub-domain *("." sub-domain)
///
/// Source routes are read and dropped (§4.1.1.3, appendix C). Beyond the grammar, domains may have underscores: hosts so
/// named do send mail. Internationalised domains stay UTF-8.
struct PathScanner {
    struct Mailbox {
        /// Without brackets and source route.
        var range: Range<Int>
        /// The `@`, or the end for a bare postmaster.
        var at: Int
        var isInternationalized: Bool
    }

    enum Path {
        /// `<>`
        case null
        case mailbox(Mailbox)
    }

    let line: UnsafeRawBufferPointer
    var position: Int

    init(line: UnsafeRawBufferPointer, from position: Int = 0) {
        self.line = line
        self.position = position
    }

    /// Reads a path in its angle brackets and stops behind them.
    mutating func scanPath() throws(PathError) -> Path {
        guard skip(0x3c) else { throw .missingOpeningBracket }
        if skip(0x3e) { return .null }
        if peek == 0x40 { try scanSourceRoute() }
        let start = position
        if peek == 0x22 { try scanQuotedString() } else { try scanDotString() }
        let at = position
        guard at - start <= Address.Limit.localPart else { throw .localPartTooLong }
        if peek == 0x40 {
            position += 1
            try scanDomain()
        } else {
            try checkBarePostmaster(from: start)
        }
        guard position - start + 2 <= Address.Limit.path else { throw .pathTooLong }
        let range = start..<position
        guard skip(0x3e) else { throw peek == nil ? .missingClosingBracket : .badDomain }
        let isInternationalized = line[range].contains { $0 >= 0x80 }
        if isInternationalized, !isCleanUTF8(line[range]) { throw .notUTF8 }
        return .mailbox(Mailbox(range: range, at: at, isInternationalized: isInternationalized))
    }

    private var peek: UInt8? { position < line.count ? line[position] : nil }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    /// 'The reserved mailbox name "postmaster" may be used without domain qualification' (RFC 5321 §4.1.1.3).
    private func checkBarePostmaster(from start: Int) throws(PathError) {
        guard peek == 0x3e else { throw peek == nil ? .missingClosingBracket : .badLocalPart }
        guard position - start == 10, hasWord("POSTMASTER", in: line, at: start) else { throw .missingDomain }
    }

    private mutating func scanSourceRoute() throws(PathError) {
        while skip(0x40) {
            do { try scanDomain() } catch { throw .badSourceRoute }
            if skip(0x3a) { return }
            guard skip(0x2c) else { throw .badSourceRoute }
        }
        throw .badSourceRoute
    }

    private mutating func scanDotString() throws(PathError) {
        while true {
            let start = position
            while position < line.count, isAtomText(line[position]) { position += 1 }
            guard position > start else { throw .badLocalPart }
            guard skip(0x2e) else { return }
        }
    }

    private mutating func scanQuotedString() throws(PathError) {
        position += 1
        while let byte = peek {
            position += 1
            switch byte {
            case 0x22: return
            case 0x5c:
                guard let quoted = peek, (0x20...0x7e).contains(quoted) else { throw .unterminatedQuote }
                position += 1
            case 0x20...0x7e, 0x80...: break
            default: throw .unterminatedQuote
            }
        }
        throw .unterminatedQuote
    }

    /// A domain or an address literal.
    mutating func scanDomain() throws(PathError) {
        let start = position
        if peek == 0x5b { return try scanAddressLiteral() }
        repeat { try scanLabel() } while skip(0x2e)
        guard position - start <= Address.Limit.domain else { throw .domainTooLong }
    }

    private mutating func scanLabel() throws(PathError) {
        let start = position
        var isASCII = true
        while let byte = peek {
            if byte >= 0x80 { isASCII = false }
            guard isLetter(byte) || isDigit(byte) || byte == 0x2d || byte == 0x5f || byte >= 0x80 else { break }
            position += 1
        }
        guard position > start, line[start] != 0x2d, line[position - 1] != 0x2d else { throw .badDomain }
        // A U-label may take more octets than the A-label that DNS counts (RFC 5890 §4.2).
        guard !isASCII || position - start <= 63 else { throw .domainTooLong }
    }

    private mutating func scanAddressLiteral() throws(PathError) {
        let start = position + 1
        guard let end = line[start...].firstIndex(of: 0x5d) else { throw .badAddressLiteral }
        let content = line[start..<end]
        if hasWord("IPV6:", in: line, at: start) {
            guard isIPv6(line[(start + 5)..<max(end, start + 5)]) else { throw .badAddressLiteral }
        } else {
            guard isIPv4(content) else { throw .badAddressLiteral }
        }
        position = end + 1
    }
}
