internal import EventLoop
internal import Node
internal import Primitives
internal import SMTP

/// One client's connection: reads commands, answers a burst of them in one write, collects messages and hands them to the
/// node. Confined to its loop.
final class SMTPSession {
    /// RFC 5321 §4.5.3.2.7.
    private static let commandTimeout = Duration.minutes(5)
    /// §4.5.3.2.5 gives a client's block three minutes.
    private static let dataTimeout = Duration.minutes(3)
    /// Content is looked at in slices of this size at most, so that pieces stay below the limit of a frame.
    private static let slice = 64 << 10
    /// A message that is longer than this goes to the disk while it arrives.
    private static let streamFrom = Node.inlineLimit - slice

    private enum End: Error { case closed }

    private let connection: Connection
    /// The peer, or whom a balancer named.
    private let client: SocketAddress
    unowned let server: SMTPServer
    private let born = Clock.instant()
    private var session: ServerSession
    private var scanner = CommandLineScanner()
    private var isWaitingForCommand = false
    private var output: [UInt8] = []
    /// The present command, for the log.
    private var stage: StaticString = "command"

    init(
        _ connection: Connection, from client: SocketAddress, _ server: SMTPServer,
        _ mode: Configuration.Listener.TLSMode
    ) {
        self.connection = connection
        self.client = client
        self.server = server
        let settings = server.settings
        let policy = ServerPolicy(
            hostname: settings.hostname, maximumMessageSize: settings.maximumMessageSize.bytes,
            maximumRecipients: settings.maximumRecipients,
            maximumMessagesPerSession: settings.maximumMessagesPerSession,
            offersStartTLS: mode != .off && server.tls != nil, requiresTLS: mode == .required,
            mayRelay: server.mayRelay(client.address), reportDomain: server.host.feedback?.reportDomain)
        session = ServerSession(policy: policy, client: ClientInfo(address: client.host))
    }

    func run() async {
        write(session.greeting)
        do {
            while true { try await serveCommand() }
        } catch {
            await connection.finish(deadline: Clock.instant() + .seconds(2))
        }
    }

    /// Says 421 to a client that has nothing under way.
    func endIfIdle(_ reply: Reply) {
        guard isWaitingForCommand, session.isIdle else { return }
        write(reply)
        connection.close()
    }

    func breakOff() { connection.close() }

    // MARK: Commands

    private func serveCommand() async throws {
        let found = connection.input.withUnreadBytes { scanner.next(in: $0, from: 0) }
        switch found {
        case .line(let range, let next):
            stage = connection.input.withUnreadBytes { SMTPSession.stage(of: $0, from: range.lowerBound) }
            let action = connection.input.withUnreadBytes { bytes in
                session.receive(
                    line: UnsafeRawBufferPointer(rebasing: bytes[range]),
                    mailRefusal: { expiry ?? server.host.admission() ?? server.host.refusal(ofSender: $0, user: "") },
                    recipientRefusal: { server.host.refusal(ofRecipient: $0) },
                    reportRefusal: { server.refusal(ofReportTo: $0) })
            }
            connection.input.consume(next)
            try await perform(action)
        case .overlong(let next):
            connection.input.consume(next)
            try await perform(session.refuse(.overlong))
        case .bareLineFeed(let next):
            connection.input.consume(next)
            try await perform(session.refuse(.bareLineFeed))
        case .incomplete(let next):
            connection.input.consume(next)
            try await readCommand()
        }
    }

    private func readCommand() async throws {
        if session.isIdle, let ending { try close(ending) }
        let timeout = Clock.instant() + SMTPSession.commandTimeout
        let deadline = session.isIdle ? min(timeout, born + server.settings.maximumSessionAge) : timeout
        isWaitingForCommand = true
        defer { isWaitingForCommand = false }
        do throws(ConnectionError) {
            guard try await connection.readMore(deadline: deadline) else { throw .closed }
        } catch {
            guard error == .timedOut else { throw error }
            try close(session.isIdle ? ending ?? .silent : .silent)
        }
    }

    /// Why no other transaction begins in this session. A session that is idle hears it at once, one in a transaction after
    /// that: so a node that stops loses nobody's mail, and one that was started again gets its share of the clients.
    private var ending: Reply? {
        if let expiry { return expiry }
        return session.messages >= session.policy.maximumMessagesPerSession ? .tooManyMessages : nil
    }

    /// The reasons that do not lie in the session itself, which counts its messages at MAIL too: it may not be looked at
    /// while it handles a command.
    private var expiry: Reply? {
        if server.isDraining { return .shuttingDown }
        return Clock.instant() - born >= server.settings.maximumSessionAge ? .oldEnough : nil
    }

    private func perform(_ action: ServerSession.Action) async throws {
        switch action {
        case .reply(let reply, _):
            // A reply goes out at the latest when the next read has to wait.
            write(reply)
            if reply.code >= 400 { note(reply, stage) }
        case .collectMessage(let envelope, let reply):
            write(reply)
            let answer =
                session.policy.isForReports(envelope)
                ? try await collectReport(envelope) : try await collect(envelope)
            session.messageEnded(answer)
            write(answer)
            if answer.code >= 400 { note(answer, "content") }
        case .startTLS(let reply):
            write(reply)
            try await startTLS()
        case .close(let reply):
            if reply.code >= 400 { note(reply, stage) }
            try close(reply)
        }
    }

    /// Which command a line is, for the log: two letters tell those that matter apart.
    private static func stage(of line: UnsafeRawBufferPointer, from start: Int) -> StaticString {
        guard line.count - start >= 2 else { return "command" }
        switch (line[start] & 0xdf, line[start + 1] & 0xdf) {
        case (0x4d, 0x41): return "mail"
        case (0x52, 0x43): return "rcpt"
        case (0x44, 0x41): return "data"
        case (0x45, 0x48), (0x48, 0x45): return "ehlo"
        case (0x53, 0x54): return "starttls"
        default: return "command"
        }
    }

    private func startTLS() async throws {
        guard let context = server.tls else { throw End.closed }
        try await connection.startTLS(server: context, deadline: Clock.instant() + SMTPSession.commandTimeout)
        scanner = CommandLineScanner()
        guard let info = connection.tls else { throw End.closed }
        session.tlsStarted(SMTP.TLSInfo(version: info.protocolVersion, cipher: info.cipher))
    }

    private func write(_ reply: Reply) {
        output.removeAll(keepingCapacity: true)
        reply.append(to: &output)
        connection.write(output)
    }

    private func close(_ reply: Reply) throws {
        write(reply)
        throw End.closed
    }

    private func note(_ reply: Reply, _ stage: StaticString) {
        server.noteRefusal(client: client.host, stage: stage, reply)
    }

    // MARK: Messages

    private func collect(_ envelope: Envelope) async throws -> Reply {
        var collector = ContentCollector(
            maximumSize: server.settings.maximumMessageSize.bytes, headerFields: server.headerFields)
        var content: [UInt8] = []
        content.reserveCapacity(min(Int(clamping: envelope.declaredSize ?? 0), SMTPSession.streamFrom) + 4096)
        var stream: StreamFlow?
        var loss: Reply?
        do {
            while try await !feed(&collector, &content) {
                if collector.isRefused || loss != nil {
                    content.removeAll()
                    if let begun = stream.take() { server.host.abortStream(begun.id) }
                } else if content.count > SMTPSession.streamFrom {
                    if stream == nil { stream = server.host.beginStream() }
                    let piece = content
                    content = []
                    content.reserveCapacity(piece.count)
                    if await stream?.send(piece) != true { loss = server.host.admission() ?? .messageLost }
                }
            }
            let summary = collector.result
            if let refusal = loss ?? summary.refusal {
                if let stream { server.host.abortStream(stream.id) }
                return refusal
            }
            if let stream, !content.isEmpty, await !stream.send(content) { return .messageLost }
            return await submit(envelope, summary, stream.map { .streamed($0.id) } ?? .inline(content))
        } catch {
            if let stream { server.host.abortStream(stream.id) }
            throw error
        }
    }

    /// Gives the collector what has arrived, reading more if there is nothing; true when the message is complete.
    func feed(_ collector: inout ContentCollector, _ content: inout [UInt8]) async throws -> Bool {
        if connection.input.isEmpty { try await readContent() }
        return take(&collector, &content)
    }

    private func readContent() async throws {
        let deadline = Clock.instant() + SMTPSession.dataTimeout
        do throws(ConnectionError) {
            guard try await connection.readMore(deadline: deadline) else { throw .closed }
        } catch {
            guard error == .timedOut else { throw error }
            try close(.silent)
        }
    }

    private func take(_ collector: inout ContentCollector, _ content: inout [UInt8]) -> Bool {
        let (consumed, isComplete) = connection.input.withUnreadBytes { bytes in
            let slice = UnsafeRawBufferPointer(rebasing: bytes[..<min(bytes.count, SMTPSession.slice)])
            return collector.feed(slice, into: &content)
        }
        connection.input.consume(consumed)
        return isComplete
    }

    private func submit(
        _ envelope: Envelope, _ summary: ContentSummary, _ content: Submission.Content
    ) async -> Reply {
        let id = server.host.allotMessageID()
        var present = summary
        if !server.settings.addMissingHeaders {
            present.hasDate = true
            present.hasMessageID = true
        }
        var prefix: [UInt8] = []
        prefix.reserveCapacity(320)
        let trace = ReceivedField(session: session, envelope: envelope, id: id.ulid, time: Clock.wall())
        trace.appendPrefix(for: present, to: &prefix)
        var submission = Submission(
            id: id, envelope: server.addressed(envelope), prefix: prefix, content: content, size: summary.size,
            hasEightBit: summary.hasEightBit, messageIDField: summary.messageID,
            clientAddress: client.description)
        submission.headerFields = summary.headerFields
        submission.helo = session.hello?.name ?? []
        if let tls = connection.tls { submission.tls = tls.protocolVersion }
        switch await server.host.submit(submission) {
        case .queued(let id): return .queued(id)
        case .refused(let reply): return reply
        }
    }
}

extension SMTPServer {
    /// `postmaster` without a domain is whoever the configuration names (RFC 5321 §4.5.1).
    fileprivate func addressed(_ envelope: Envelope) -> Envelope {
        guard envelope.recipients.contains(where: { $0.domain.isEmpty }), !settings.postmaster.isEmpty else {
            return envelope
        }
        var envelope = envelope
        let postmaster = Address(parsed: Array(settings.postmaster.utf8))
        envelope.recipients = envelope.recipients.map { $0.domain.isEmpty ? postmaster : $0 }
        return envelope
    }
}

extension Reply {
    fileprivate static let oldEnough = Reply(421, 4, 3, 2, "This session is old enough; connect again")
    fileprivate static let silent = Reply(421, 4, 4, 2, "Nothing came for too long; closing")
    fileprivate static let messageLost = Reply(
        451, 4, 3, 0, "The message was lost on its way to the disk; send it again")

    fileprivate static func queued(_ id: MessageID) -> Reply {
        var text: [UInt8] = []
        text.reserveCapacity(40)
        text.append(contentsOf: "Ok: queued as ".utf8)
        id.ulid.append(to: &text)
        return Reply(250, EnhancedCode(2, 0, 0), text: text)
    }
}
