// The server's words. Each refusal says what to do about it. Constants, so that a reply costs no allocation.

extension Reply {
    static let senderOk = Reply(250, 2, 1, 0, "Ok")
    static let recipientOk = Reply(250, 2, 1, 5, "Ok")
    static let resetOk = Reply(250, 2, 0, 0, "Ok")
    /// Replies of class 3 carry no enhanced code (RFC 2034 §4).
    static let startMail = Reply(354, text: Array("send the message, then a line with only a dot".utf8))
    static let readyForTLS = Reply(220, 2, 0, 0, "Ready to start TLS")
    static let cannotVerify = Reply(252, 2, 0, 0, "Addresses are not checked here; send the mail and see")
    static let help = Reply(
        214, 2, 0, 0,
        """
        This is a mail relay. Commands:
        EHLO HELO MAIL RCPT DATA RSET NOOP VRFY STARTTLS HELP QUIT
        See RFC 5321
        """)

    static let unknownCommand = Reply(500, 5, 5, 1, "Unknown command; HELP lists those that there are")
    static let notImplemented = Reply(502, 5, 5, 1, "This command is not offered here; EHLO lists what is")
    static let malformedLine = Reply(
        500, 5, 5, 2, "Control character, bare CR or bare LF in a command; only CRLF ends a line")
    static let overlongLine = Reply(500, 5, 5, 2, "The command line is too long")
    static let helloNeedsName = Reply(501, 5, 5, 4, "Give one name: EHLO host.example.com")
    static let sayHello = Reply(503, 5, 5, 1, "Say EHLO first")
    static let sayMail = Reply(503, 5, 5, 1, "Say MAIL FROM:<address> first")
    static let nestedMail = Reply(503, 5, 5, 1, "A transaction is open; finish it or say RSET")
    static let mailSyntax = Reply(501, 5, 5, 4, "Write MAIL FROM:<address>")
    static let recipientSyntax = Reply(501, 5, 5, 4, "Write RCPT TO:<address>")
    static let malformedParameter = Reply(501, 5, 5, 4, "A parameter is malformed or given twice")
    static let unknownParameter = Reply(555, 5, 5, 4, "A parameter is not known; EHLO lists the extensions offered")
    static let needsSMTPUTF8 = Reply(553, 5, 6, 7, "The address is not ASCII; add SMTPUTF8 to MAIL FROM")
    static let relayDenied = Reply(550, 5, 7, 1, "Relaying denied: this client is not among those that may send here")
    /// One that was never made here, or too long ago.
    package static let noSuchReportAddress = Reply(
        550, 5, 1, 1, "No such address: reports are taken at the senders of mail from here, for 14 days")
    package static let onlyReports = Reply(550, 5, 7, 1, "Only delivery reports and complaints are taken here")
    static let noRecipients = Reply(554, 5, 5, 1, "No valid recipients")
    static let tooManyRecipients = Reply(
        452, 4, 5, 3, "Too many recipients; finish this message and send it again to the rest")
    static let takesNoArgument = Reply(501, 5, 5, 4, "This command takes no argument")
    static let needsArgument = Reply(501, 5, 5, 4, "This command needs an argument")
    static let startTLSFirst = Reply(530, 5, 7, 0, "Say STARTTLS first")
    static let alreadyTLS = Reply(503, 5, 5, 1, "TLS is active already")

    static let tooManyErrors = Reply(421, 4, 7, 0, "Too many errors; closing")
    static let tooManyIdleCommands = Reply(421, 4, 7, 0, "Too many commands without a message; closing")
    package static let tooManyMessages = Reply(421, 4, 5, 3, "Enough messages for one session; connect again")
    static let speaksHTTP = Reply(421, 4, 7, 0, "This is an SMTP server, not HTTP; closing")
    static let bareLineFeed = Reply(
        500, 5, 5, 2, "A bare LF does not end a command; end lines with CRLF; closing")

    static func messageTooBig(limit: UInt64) -> Reply {
        Reply(552, 5, 3, 4, "The message is larger than the \(limit) bytes that are taken here")
    }

    static func malformedSender(_ error: PathError) -> Reply {
        Reply(501, 5, 1, 7, "Sender: " + error.text)
    }

    static func malformedRecipient(_ error: PathError) -> Reply {
        Reply(501, 5, 1, 3, "Recipient: " + error.text)
    }
}
