internal import Primitives

/// One connection to an upstream: greeting, EHLO, perhaps STARTTLS, then transactions one after another (RFC 5321 §3).
/// Pure: the shell carries out the actions in their order and reports what happened.
///
///     greeting ─220─▶ EHLO ─250─▶ [STARTTLS ─220─▶ handshake ─▶ EHLO] ─▶ ready
///     ready ─begin─▶ MAIL RCPT… DATA ─354─▶ content ─contentSent and mayFinish─▶ final dot ─reply─▶ finished, ready
///
/// - Pipelined (RFC 2920) all commands of a transaction are one write, and the next transaction's travel behind the
///   final dot of the one before. The next may begin at any time after the first did; it is written when it may be.
/// - The final dot is written only with the shell's word that the attempt is committed. Without it the connection is
///   dropped, which is the only way to take a message back after DATA.
/// - Before the dot a lost connection means 'not sent', after it 'unanswered'. Nothing else decides a duplicate.
/// - Every transaction that began gets exactly one `finished`, and a connection that ends gets one `close`.
package struct ClientSession: Sendable {
    package enum TLS: Hashable, Sendable {
        /// No STARTTLS: none wanted, or the connection is inside TLS already.
        case off
        /// When offered, and in the clear when the upstream refuses it.
        case opportunistic
        case required
    }

    package struct Configuration: Hashable, Sendable {
        /// Our name in EHLO.
        package var helo: [UInt8]
        package var tls: TLS
        /// Use PIPELINING when offered.
        package var pipelining: Bool

        package init(helo: String, tls: TLS = .off, pipelining: Bool = true) {
            self.helo = Array(helo.utf8)
            self.tls = tls
            self.pipelining = pipelining
            precondition(self.helo.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a host name has no blanks")
        }
    }

    package enum Event: Sendable {
        case reply(Reply)
        case begin(TransactionRequest)
        /// The content of this transaction is in the connection's hands, all but the final dot.
        case contentSent(UInt64)
        /// The attempt is committed: this transaction's final dot may be written. May come any time after `begin`.
        case mayFinish(UInt64)
        /// It will not be; before the dot this drops the connection, after it it has no effect.
        case mayNotFinish(UInt64)
        case tlsStarted
        /// The deadline of the last `wait` passed.
        case timedOut
        /// The connection ended or broke; the text is for people.
        case connectionEnded(String)
        /// Say QUIT and close, once the transactions that began are finished.
        case quit
    }

    package enum Action: Hashable, Sendable {
        case write([UInt8])
        /// Stream the content in dot-stuffed form, then say `contentSent`.
        case sendContent(UInt64)
        /// Write `.CRLF` behind this transaction's content.
        case writeDot(UInt64)
        /// Begin the TLS handshake as client, then say `tlsStarted`; bytes that came before it are thrown away.
        case startTLS
        case ready(Capabilities)
        /// Replaces the deadline before it, counted from now.
        case wait(Deadline)
        case finished(TransactionResult)
        /// The connection never became ready.
        case failed(UpstreamFailure)
        /// The last action: close, after what was written.
        case close
    }

    /// What is waited for; `ClientTimeouts.limit` says how long.
    package enum Deadline: Hashable, Sendable { case greeting, command, data, finalDot, none }

    private enum Phase: Hashable { case greeting, ehlo, helo, startTLS, handshake, open, closed }

    package let configuration: Configuration
    package private(set) var capabilities = Capabilities()
    package private(set) var isEncrypted = false
    /// Transactions that ended on this connection.
    package private(set) var completed = 0

    private var phase = Phase.greeting
    private var parser = ReplyParser()
    /// Two values rather than a state's payload, so that they change in place. No `next` without a `current`.
    private var current: ClientTransaction?
    private var next: ClientTransaction?
    private var needsReset = false
    private var quitting = false
    /// What is to be written in this turn, in one piece.
    private var burst: [UInt8] = []
    private var lastDeadline = Deadline.none
    private var heard = false

    package init(_ configuration: Configuration) {
        self.configuration = configuration
    }

    /// What to wait for before the first event.
    package mutating func start(_ actions: inout [Action]) { settle(&actions) }

    package var isReady: Bool { phase == .open }
    package var isClosed: Bool { phase == .closed }
    /// Ready and without a transaction.
    package var isIdle: Bool { phase == .open && current == nil }
    /// Another transaction may begin: at once, or behind the present one.
    package var mayBegin: Bool { phase == .open && !quitting && next == nil }
    /// Whether a transaction that begins now is written before the present one is answered.
    package var pipelines: Bool { capabilities.pipelining && configuration.pipelining }
    /// The recipients of the present transaction that the upstream has taken, by their index in the request.
    package var acceptedRecipients: [Int] { current?.acceptedRecipients ?? [] }

    package var stage: Stage {
        switch phase {
        case .greeting: .greeting
        case .ehlo, .helo: .ehlo
        case .startTLS, .handshake: .startTLS
        case .open, .closed: current?.stage ?? .mail
        }
    }

    /// Takes what arrived, all of it.
    package mutating func receive(_ bytes: UnsafeRawBufferPointer, _ actions: inout [Action]) {
        var rest = bytes
        do throws(ReplyParser.Malformed) {
            while !rest.isEmpty, phase != .closed {
                // Whatever follows the reply to STARTTLS in the clear may be an attacker's (CVE-2011-0411).
                if phase == .handshake { break }
                let (consumed, reply) = try parser.next(rest)
                rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
                guard let reply else { break }
                take(reply, &actions)
            }
        } catch {
            end(.protocolError(error.description), &actions)
        }
        settle(&actions)
    }

    package mutating func handle(_ event: Event, _ actions: inout [Action]) {
        switch event {
        case .reply(let reply): take(reply, &actions)
        case .begin(let request): begin(request, &actions)
        case .contentSent(let id):
            if current?.request.id == id, current?.step == .content {
                current?.contentSent = true
                finishIfPermitted(&actions)
            }
        case .mayFinish(let id): permit(id, .granted, &actions)
        case .mayNotFinish(let id): permit(id, .refused, &actions)
        case .tlsStarted: tlsStarted()
        case .timedOut: end(.timedOut, &actions)
        case .connectionEnded(let text): end(.connectionLost(text), &actions)
        case .quit:
            quitting = true
            quitIfIdle(&actions)
        }
        settle(&actions)
    }

    /// Ends a turn: one write, and the deadline if it is another one or begins anew.
    private mutating func settle(_ actions: inout [Action]) {
        flush(&actions)
        let deadline = self.deadline
        if phase != .closed, deadline != lastDeadline || (heard && deadline != .none) {
            actions.append(.wait(deadline))
        }
        lastDeadline = deadline
        heard = false
    }

    private mutating func flush(_ actions: inout [Action]) {
        guard !burst.isEmpty else { return }
        actions.append(.write(burst))
        burst = []
    }

    private var deadline: Deadline {
        switch phase {
        case .greeting: .greeting
        case .ehlo, .helo, .startTLS, .handshake: .command
        case .closed: .none
        case .open:
            switch current?.step {
            case nil, .queued: .none
            case .reset, .mail, .recipient, .data: .command
            case .content: current?.contentSent == true ? .none : .data
            case .finalDot, .emptyDot: .finalDot
            }
        }
    }
}

// Before ready.
extension ClientSession {
    private mutating func take(_ reply: Reply, _ actions: inout [Action]) {
        heard = true
        switch phase {
        case .greeting:
            guard reply.isSuccess else { return fail("refuses the connection", reply, &actions) }
            sayHello()
        case .ehlo:
            if reply.isSuccess {
                capabilities = Capabilities(ehlo: reply)
                secureOrOpen(&actions)
            } else if reply.isPermanent, !isEncrypted {
                burst.append(text: "HELO ")
                burst.append(contentsOf: configuration.helo)
                burst.append(text: "\r\n")
                phase = .helo
            } else {
                fail("refuses EHLO", reply, &actions)
            }
        case .helo:
            guard reply.isSuccess else { return fail("refuses EHLO and HELO", reply, &actions) }
            capabilities = Capabilities()
            secureOrOpen(&actions)
        case .startTLS:
            if reply.isSuccess {
                phase = .handshake
                parser = ReplyParser()
                actions.append(.startTLS)
            } else if configuration.tls == .opportunistic, reply.code != 421, reply.code >= 400 {
                open(&actions)
            } else {
                fail("refuses STARTTLS", reply, &actions)
            }
        case .handshake, .closed: break
        case .open: takeOpen(reply, &actions)
        }
    }

    private mutating func sayHello() {
        burst.append(text: "EHLO ")
        burst.append(contentsOf: configuration.helo)
        burst.append(text: "\r\n")
        phase = .ehlo
    }

    private mutating func secureOrOpen(_ actions: inout [Action]) {
        if configuration.tls == .off || isEncrypted { return open(&actions) }
        if capabilities.startTLS {
            burst.append(text: "STARTTLS\r\n")
            phase = .startTLS
        } else if configuration.tls == .required {
            phase = .startTLS
            fail("doesn't offer STARTTLS, which this upstream's configuration requires", nil, &actions)
        } else {
            open(&actions)
        }
    }

    /// What was said in the clear counts no more: EHLO again (RFC 3207 §4.2).
    private mutating func tlsStarted() {
        guard phase == .handshake else { return }
        isEncrypted = true
        capabilities = Capabilities()
        parser = ReplyParser()
        sayHello()
    }

    private mutating func open(_ actions: inout [Action]) {
        phase = .open
        actions.append(.ready(capabilities))
        quitIfIdle(&actions)
    }

    private mutating func fail(_ text: String, _ reply: Reply?, _ actions: inout [Action]) {
        actions.append(.failed(UpstreamFailure(stage: stage, reply: reply, text: text)))
        burst.append(text: "QUIT\r\n")
        close(&actions)
    }

    private mutating func close(_ actions: inout [Action]) {
        flush(&actions)
        phase = .closed
        actions.append(.close)
    }

    /// The connection is lost, silent or talks nonsense.
    private mutating func end(_ reason: NotSent, _ actions: inout [Action]) {
        switch phase {
        case .closed: return
        case .open:
            current?.stop(reason)
            conclude(usable: false, &actions)
        default:
            burst = []
            actions.append(.failed(UpstreamFailure(stage: stage, text: reason.description)))
            close(&actions)
        }
    }
}

// Transactions.
extension ClientSession {
    private mutating func begin(_ request: TransactionRequest, _ actions: inout [Action]) {
        var transaction = ClientTransaction(request)
        guard mayBegin else {
            assert(phase == .closed || quitting, "begin without mayBegin")
            transaction.stop(.connectionLost("it has ended"))
            return actions.append(.finished(transaction.result(usable: false, stale: completed > 0)))
        }
        if let refusal = request.refusal(capabilities) {
            let results = request.recipients.map { _ in RecipientResult(.failed(refusal), at: .mail) }
            return actions.append(
                .finished(TransactionResult(id: request.id, recipients: results, connectionUsable: true)))
        }
        guard !request.recipients.isEmpty else {
            return actions.append(.finished(transaction.result(usable: true, stale: false)))
        }
        if current == nil {
            current = transaction
            openCurrent(&actions)
        } else {
            next = transaction
            if current?.step == .finalDot || current?.step == .emptyDot { openNext() }
        }
    }

    private mutating func openCurrent(_ actions: inout [Action]) {
        guard current?.permission != .refused else { return drop(&actions) }
        let pipelined = pipelines
        current?.open(capabilities, reset: needsReset, pipelined: pipelined, into: &burst)
        needsReset = false
    }

    /// Behind a dot, which ends what was open at the upstream, so without RSET.
    private mutating func openNext() {
        guard pipelines, next?.permission != .refused else { return }
        next?.open(capabilities, reset: false, pipelined: true, into: &burst)
    }

    private mutating func takeOpen(_ reply: Reply, _ actions: inout [Action]) {
        switch current?.take(reply, into: &burst) {
        case nil: close(&actions)  // Nothing was asked: 421 for idling too long, or nonsense.
        case .goOn: break
        case .sendContent:
            guard current?.permission != .refused, let id = current?.request.id else { return drop(&actions) }
            actions.append(.sendContent(id))
        case .sendEmptyDot:
            burst.append(text: ".\r\n")
            openNext()
        case .ended(let usable): conclude(usable: usable, &actions)
        }
    }

    private mutating func permit(
        _ id: UInt64, _ permission: ClientTransaction.Permission, _ actions: inout [Action]
    ) {
        if current?.request.id == id, current?.step != .finalDot {
            current?.permission = permission
            if permission == .refused { drop(&actions) } else { finishIfPermitted(&actions) }
        } else if next?.request.id == id {
            next?.permission = permission
            // Nothing of it is written: it goes alone. Otherwise it drops the connection in its turn.
            if permission == .refused, var refused = next, refused.step == .queued {
                next = nil
                refused.stop(.notPermitted)
                actions.append(.finished(refused.result(usable: true, stale: false)))
            }
        }
    }

    private mutating func finishIfPermitted(_ actions: inout [Action]) {
        guard let transaction = current, transaction.step == .content, transaction.contentSent,
            transaction.permission == .granted
        else { return }
        current?.finish()
        flush(&actions)
        actions.append(.writeDot(transaction.request.id))
        openNext()
    }

    private mutating func drop(_ actions: inout [Action]) {
        current?.stop(.notPermitted)
        conclude(usable: false, &actions)
    }

    /// The present transaction has all its results.
    private mutating func conclude(usable: Bool, _ actions: inout [Action]) {
        if let done = current.take() {
            let stale = completed > 0 && done.endedByPeer && !done.isMailAnswered
            needsReset = done.leftOpen
            completed += 1
            actions.append(.finished(done.result(usable: usable, stale: stale)))
        }
        guard usable else {
            burst = []
            if var waiting = next.take() {
                // MAIL of the next one was never answered, and a transaction went before it: it was no attempt.
                waiting.stop(.connectionLost("it ended with the transaction before"))
                actions.append(.finished(waiting.result(usable: false, stale: true)))
            }
            return close(&actions)
        }
        if let waiting = next.take() {
            current = waiting
            if waiting.step == .queued {
                openCurrent(&actions)
            } else if waiting.permission == .refused {
                drop(&actions)
            }
        }
        quitIfIdle(&actions)
    }

    private mutating func quitIfIdle(_ actions: inout [Action]) {
        guard quitting, phase != .closed, current == nil else { return }
        burst.append(text: "QUIT\r\n")
        close(&actions)
    }
}
