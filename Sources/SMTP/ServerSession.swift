/// The server's side of one SMTP session (RFC 5321 §4): command lines in, actions out; the shell does the I/O.
///
///     connected ─EHLO─▶ ready ─MAIL─▶ transaction ─RCPT…DATA─▶ content ─messageEnded─▶ ready
///         ▲                └──────────────STARTTLS─▶ handshake ─tlsStarted─┐
///         └────────────────────────────────────────────────────────────────┘
///
/// The shell cuts lines with `CommandLineScanner`, calls `receive` for each, and does what the action says, in order:
/// replies go out once no whole line is left to read, at once if they may not wait (RFC 2920 §3.2). After
/// `collectMessage` the next bytes are content, for `ContentCollector`, until `messageEnded`. After `startTLS` it writes the
/// reply, throws away everything it has read (RFC 3207 §4.2, CVE-2011-0411), shakes hands, and says `tlsStarted`.
package struct ServerSession: Sendable {
    package enum Action: Hashable, Sendable {
        /// Whether it may wait for the replies to commands already read (RFC 2920 §3.2).
        case reply(Reply, mayWait: Bool)
        case startTLS(Reply)
        case collectMessage(Envelope, Reply)
        case close(Reply)
    }

    /// What `CommandLineScanner` found instead of a line.
    package enum BadLine: Hashable, Sendable { case overlong, bareLineFeed }

    private enum Stage: Hashable, Sendable {
        case connected
        case ready
        case transaction(Envelope)
        case content
        case handshake
        case closed
    }

    package let policy: ServerPolicy
    package private(set) var client: ClientInfo
    /// Nil before EHLO or HELO.
    package private(set) var hello: ClientHello?
    /// Accepted in this session.
    package private(set) var messages = 0
    private var stage = Stage.connected
    private var errors = 0
    private var idleCommands = 0
    /// So many more refusals of this transaction are no error of the client's: RCPT and DATA pipelined behind a refused
    /// MAIL, and recipients beyond the limit.
    private var forgiven = 0
    /// Of the open transaction, once a linear search would be slow.
    private var manyRecipients: Set<[UInt8]> = []

    package init(policy: ServerPolicy, client: ClientInfo) {
        self.policy = policy
        self.client = client
    }

    /// The first reply, before any command (§3.1).
    package var greeting: Reply { Reply(220, text: policy.hostname + Array(" ESMTP Baton".utf8)) }

    /// Whether a transaction is open: a draining server says 421 at once only where there is none.
    package var isIdle: Bool {
        switch stage {
        case .transaction, .content: false
        case .connected, .ready, .handshake, .closed: true
        }
    }

    /// Handles one command line, without its CRLF. `mailRefusal` is asked at MAIL alone: what the node says against taking
    /// a message now from this sender, such as `451 4.3.2`; nil when it may be taken. `recipientRefusal` likewise at RCPT, and
    /// `reportRefusal` there for an address of `policy.reportDomain`: nil when reports are taken at it.
    package mutating func receive(
        line: UnsafeRawBufferPointer, mailRefusal: (Address?) -> Reply? = { _ in nil },
        recipientRefusal: (Address) -> Reply? = { _ in nil },
        reportRefusal: (Address) -> Reply? = { _ in .noSuchReportAddress }
    ) -> Action {
        assert(stage != .content && stage != .handshake && stage != .closed, "the shell reads no commands now")
        let command = ServerCommand(line)
        if let refusal = command.malformation { return fail(refusal) }
        if hello == nil, command.verb == .http { return close(.speaksHTTP) }
        if policy.requiresTLS, !client.isTLS, !command.verb.isAllowedBeforeTLS { return fail(.startTLSFirst) }
        switch command.verb {
        case .mail: return mail(command, refusal: mailRefusal)
        case .rcpt: return recipient(command, refusal: recipientRefusal, reportRefusal)
        case .data: return data(command)
        case .ehlo, .helo: return hello(command)
        case .rset:
            guard !command.hasArgument else { return fail(.takesNoArgument) }
            endTransaction()
            return idle(.resetOk, mayWait: true)
        case .noop: return idle(.resetOk)
        case .help: return idle(.help)
        case .vrfy: return command.hasArgument ? idle(.cannotVerify) : fail(.needsArgument)
        case .quit:
            return command.hasArgument ? fail(.takesNoArgument) : close(Reply(221, 2, 0, 0, "Bye"))
        case .startTLS: return startTLS(command)
        case .notOffered: return fail(.notImplemented)
        case .http, .unknown: return fail(.unknownCommand)
        }
    }

    package mutating func refuse(_ line: BadLine) -> Action {
        switch line {
        case .overlong: fail(.overlongLine)
        case .bareLineFeed: close(.bareLineFeed)
        }
    }

    /// The message after `collectMessage` was answered with this reply: the transaction is over (§3.3).
    package mutating func messageEnded(_ reply: Reply) {
        assert(stage == .content)
        stage = .ready
        if reply.isPositive {
            messages += 1
            errors = 0
            idleCommands = 0
        }
    }

    /// The handshake after `startTLS` succeeded: all that was said before it is forgotten (RFC 3207 §4.2).
    package mutating func tlsStarted(_ tls: TLSInfo) {
        assert(stage == .handshake)
        client.tls = tls
        hello = nil
        forgiven = 0
        stage = .connected
    }
}

// MARK: Greeting and STARTTLS

extension ServerSession {
    /// At any time; ends an open transaction as RSET does (§4.1.4).
    private mutating func hello(_ command: ServerCommand) -> Action {
        guard let name = command.singleWord, name.count <= Address.Limit.domain else { return fail(.helloNeedsName) }
        endTransaction()
        let isExtended = command.verb == .ehlo
        hello = ClientHello(name: Array(command.line[name]), isExtended: isExtended)
        stage = .ready
        return idle(isExtended ? extensions : Reply(250, text: policy.hostname))
    }

    /// What we offer (§4.1.1.1); these lines carry no enhanced codes.
    private var extensions: Reply {
        var text = policy.hostname
        text.append("\nPIPELINING\nSIZE ")
        text.append(contentsOf: String(policy.maximumMessageSize).utf8)
        text.append("\n8BITMIME\nSMTPUTF8\nENHANCEDSTATUSCODES")
        if policy.offersStartTLS, !client.isTLS { text.append("\nSTARTTLS") }
        text.append("\nHELP")
        return Reply(250, text: text)
    }

    private mutating func startTLS(_ command: ServerCommand) -> Action {
        guard policy.offersStartTLS else { return fail(.notImplemented) }
        guard !client.isTLS else { return fail(.alreadyTLS) }
        guard !command.hasArgument else { return fail(.takesNoArgument) }
        guard hello != nil else { return fail(.sayHello) }
        if case .transaction = stage { return fail(.nestedMail) }
        stage = .handshake
        return .startTLS(.readyForTLS)
    }
}

// MARK: Transactions

extension ServerSession {
    private mutating func mail(_ command: ServerCommand, refusal: (Address?) -> Reply?) -> Action {
        if hello == nil { return fail(.sayHello) }
        if case .transaction = stage { return fail(.nestedMail) }
        if messages >= policy.maximumMessagesPerSession { return close(.tooManyMessages) }
        forgiven = policy.maximumRecipients + 1
        switch command.parseMail(maximumSize: policy.maximumMessageSize) {
        case .failure(let refused):
            return refused.isClientError ? fail(refused.reply) : idle(refused.reply, mayWait: true)
        case .success(let envelope):
            if let refusal = refusal(envelope.reversePath) {
                return refusal.code == 421 ? close(refusal) : idle(refusal, mayWait: true)
            }
            stage = .transaction(envelope)
            return .reply(.senderOk, mayWait: true)
        }
    }

    private mutating func recipient(
        _ command: ServerCommand, refusal: (Address) -> Reply?, _ reportRefusal: (Address) -> Reply?
    ) -> Action {
        guard case .transaction(var envelope) = stage else { return failWithoutMail() }
        guard policy.mayRelay || policy.reportDomain != nil else { return fail(.relayDenied) }
        let address: Address
        switch command.parseRecipient(smtputf8: envelope.smtputf8) {
        case .failure(let refused): return fail(refused.reply)
        case .success(let parsed): address = parsed
        }
        if isKnown(address, in: envelope) { return .reply(.recipientOk, mayWait: true) }
        if policy.isForReports(address) || policy.isForReports(envelope) {
            // A report is about one transaction; it is no mail for anybody else.
            guard envelope.recipients.isEmpty else { return forgive(.tooManyRecipients) }
            if let refusal = reportRefusal(address) { return fail(refusal) }
        } else {
            guard policy.mayRelay else { return fail(.relayDenied) }
            guard envelope.recipients.count < policy.maximumRecipients else { return forgive(.tooManyRecipients) }
            // No error of the client's within a bound: it can't know the list.
            if let refusal = refusal(address) { return forgive(refusal) }
        }
        // Without the copy in `stage` the append is in place.
        stage = .ready
        envelope.recipients.append(address)
        stage = .transaction(envelope)
        if !manyRecipients.isEmpty { manyRecipients.insert(address.mailboxKey) }
        return .reply(.recipientOk, mayWait: true)
    }

    /// The same recipient named twice gets the message once.
    private mutating func isKnown(_ address: Address, in envelope: Envelope) -> Bool {
        let linearLimit = 32
        if envelope.recipients.count < linearLimit {
            return envelope.recipients.contains { $0.isSameMailbox(as: address) }
        }
        if manyRecipients.isEmpty { manyRecipients = Set(envelope.recipients.map(\.mailboxKey)) }
        return manyRecipients.contains(address.mailboxKey)
    }

    private mutating func data(_ command: ServerCommand) -> Action {
        guard case .transaction(let envelope) = stage else { return failWithoutMail(mayWait: false) }
        guard !command.hasArgument else { return fail(.takesNoArgument) }
        guard !envelope.recipients.isEmpty else { return idle(.noRecipients) }
        endTransaction()
        stage = .content
        return .collectMessage(envelope, .startMail)
    }

    private mutating func endTransaction() {
        if case .transaction = stage { stage = .ready }
        forgiven = 0
        if !manyRecipients.isEmpty { manyRecipients = [] }
    }

    private mutating func failWithoutMail(mayWait: Bool = true) -> Action {
        hello == nil ? fail(.sayHello) : forgive(.sayMail, mayWait: mayWait)
    }
}

// MARK: Limits

extension ServerSession {
    /// Counts an error of the client's; one too many closes.
    private mutating func fail(_ reply: Reply) -> Action {
        errors += 1
        return errors >= policy.maximumErrors ? close(.tooManyErrors) : .reply(reply, mayWait: false)
    }

    /// Refuses without counting it, within a bound.
    private mutating func forgive(_ reply: Reply, mayWait: Bool = true) -> Action {
        guard forgiven > 0 else { return fail(reply) }
        forgiven -= 1
        return .reply(reply, mayWait: mayWait)
    }

    /// Answers a command that moves no mail, and counts it.
    private mutating func idle(_ reply: Reply, mayWait: Bool = false) -> Action {
        idleCommands += 1
        guard idleCommands < policy.maximumIdleCommands else { return close(.tooManyIdleCommands) }
        return .reply(reply, mayWait: mayWait)
    }

    private mutating func close(_ reply: Reply) -> Action {
        stage = .closed
        return .close(reply)
    }
}
