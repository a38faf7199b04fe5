/// One command line, looked at in place: which command, and its argument (RFC 5321 §4.1.1).
struct ServerCommand {
    enum Verb {
        case ehlo, helo, mail, rcpt, data, rset, noop, vrfy, help, quit, startTLS
        /// Known to RFC 5321, its ancestors or extensions, and not offered.
        case notOffered
        /// A browser or a scanner, or a web page made to speak to us by a browser.
        case http
        case unknown

        /// RFC 3207 §4.
        var isAllowedBeforeTLS: Bool {
            switch self {
            case .ehlo, .startTLS, .noop, .quit: true
            default: false
            }
        }
    }

    /// Of MAIL and RCPT extensions lengthen the line; all others have 512 octets with CRLF (RFC 5321 §4.5.3.1.4).
    private static let plainLength = 510

    let line: UnsafeRawBufferPointer
    let verb: Verb
    /// Where the argument begins, after one or more spaces; the end of the line when there is none.
    let argument: Int
    /// Without trailing white space, which is tolerated (§4.1.1).
    let end: Int

    init(_ line: UnsafeRawBufferPointer) {
        var end = line.count
        while end > 0, isBlank(line[end - 1]) { end -= 1 }
        let text = UnsafeRawBufferPointer(rebasing: line[..<end])
        var word = 0
        while word < end, text[word] != 0x20 { word += 1 }
        var argument = word
        while argument < end, text[argument] == 0x20 { argument += 1 }
        self.line = text
        self.end = end
        self.argument = argument
        verb = ServerCommand.verb(text, word)
    }

    var hasArgument: Bool { argument < end }

    /// What is wrong with the line whatever the command is.
    var malformation: Reply? {
        var bad = false
        // Control characters, CR and LF among them: none has a place in a command.
        for byte in line where byte < 0x20 || byte == 0x7f { bad = bad || byte != 0x09 }
        if bad { return .malformedLine }
        if end > ServerCommand.plainLength, verb != .mail, verb != .rcpt { return .overlongLine }
        return nil
    }

    /// The argument, if it is one word of printable ASCII.
    var singleWord: Range<Int>? {
        guard hasArgument else { return nil }
        for index in argument..<end where line[index] <= 0x20 || line[index] >= 0x7f { return nil }
        return argument..<end
    }

    private static func verb(_ line: UnsafeRawBufferPointer, _ count: Int) -> Verb {
        func `is`(_ word: StaticString) -> Bool { count == word.utf8CodeUnitCount && hasWord(word, in: line, at: 0) }
        switch count {
        case 4:
            if `is`("RCPT") { return .rcpt }
            if `is`("MAIL") { return .mail }
            if `is`("DATA") { return .data }
            if `is`("EHLO") { return .ehlo }
            if `is`("HELO") { return .helo }
            if `is`("QUIT") { return .quit }
            if `is`("RSET") { return .rset }
            if `is`("NOOP") { return .noop }
            if `is`("VRFY") { return .vrfy }
            if `is`("HELP") { return .help }
            if `is`("POST") || `is`("HEAD") { return .http }
            let known: [StaticString] = ["EXPN", "AUTH", "BDAT", "ETRN", "TURN", "SEND", "SOML", "SAML"]
            if known.contains(where: `is`) { return .notOffered }
        case 8: if `is`("STARTTLS") { return .startTLS }
        default: break
        }
        let web: [StaticString] = ["GET", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"]
        return web.contains(where: `is`) ? .http : .unknown
    }
}

// MARK: MAIL and RCPT

extension ServerCommand {
    struct Refused: Error {
        var reply: Reply
        /// Limits are not the client's errors.
        var isClientError = true
    }

    /// `MAIL FROM:<reverse-path> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8]`
    func parseMail(maximumSize: UInt64) -> Result<Envelope, Refused> {
        guard hasWord("FROM:", in: line, at: argument) else { return refused(.mailSyntax) }
        var path = PathScanner(line: line, from: afterSpaces(argument + 5))
        var mailbox: PathScanner.Mailbox?
        do throws(PathError) {
            if case .mailbox(let found) = try path.scanPath() { mailbox = found }
        } catch {
            return refused(.malformedSender(error))
        }
        // A bare postmaster is a recipient only (RFC 5321 §4.1.1.3).
        if let mailbox, mailbox.at == mailbox.range.upperBound { return refused(.malformedSender(.missingDomain)) }
        var envelope = Envelope(reversePath: mailbox.map { Address($0, in: line) })
        if let refusal = parseParameters(from: path.position, into: &envelope) { return refused(refusal) }
        if mailbox?.isInternationalized == true, !envelope.smtputf8 { return refused(.needsSMTPUTF8) }
        if let size = envelope.declaredSize, size > maximumSize {
            return .failure(Refused(reply: .messageTooBig(limit: maximumSize), isClientError: false))
        }
        return .success(envelope)
    }

    /// The refusal, if one is unknown, malformed or given twice.
    private func parseParameters(from position: Int, into envelope: inout Envelope) -> Reply? {
        var scanner = ParameterScanner(line: line, position: position)
        var hasBody = false
        do throws(ParameterScanner.Malformed) {
            while let parameter = try scanner.next() {
                if scanner.isKeyword(parameter, "SIZE") {
                    guard let size = parameter.value.flatMap({ scanner.decimal($0) }), envelope.declaredSize == nil
                    else { return .malformedParameter }
                    envelope.declaredSize = size
                } else if scanner.isKeyword(parameter, "BODY") {
                    guard !hasBody, let value = parameter.value else { return .malformedParameter }
                    hasBody = true
                    if scanner.isValue(value, "8BITMIME") {
                        envelope.body = .eightBit
                    } else if !scanner.isValue(value, "7BIT") {
                        return .malformedParameter
                    }
                } else if scanner.isKeyword(parameter, "SMTPUTF8") {
                    guard !envelope.smtputf8, parameter.value == nil else { return .malformedParameter }
                    envelope.smtputf8 = true
                } else {
                    return .unknownParameter
                }
            }
            return nil
        } catch {
            return .malformedParameter
        }
    }

    /// `RCPT TO:<forward-path>`
    func parseRecipient(smtputf8: Bool) -> Result<Address, Refused> {
        guard hasWord("TO:", in: line, at: argument) else { return refused(.recipientSyntax) }
        var path = PathScanner(line: line, from: afterSpaces(argument + 3))
        let found: PathScanner.Path
        do throws(PathError) { found = try path.scanPath() } catch { return refused(.malformedRecipient(error)) }
        guard case .mailbox(let mailbox) = found else { return refused(.malformedRecipient(.nullPath)) }
        if path.position < end {
            var scanner = ParameterScanner(line: line, position: path.position)
            let hasParameter = (try? scanner.next()) != nil
            return refused(hasParameter ? .unknownParameter : .malformedParameter)
        }
        if mailbox.isInternationalized, !smtputf8 { return refused(.needsSMTPUTF8) }
        return .success(Address(mailbox, in: line))
    }

    private func refused<Value>(_ reply: Reply) -> Result<Value, Refused> { .failure(Refused(reply: reply)) }

    /// No space may follow the colon (§4.1.1.2), but so many programs send one that nobody refuses it.
    private func afterSpaces(_ position: Int) -> Int {
        var position = position
        while position < end, line[position] == 0x20 { position += 1 }
        return position
    }
}
