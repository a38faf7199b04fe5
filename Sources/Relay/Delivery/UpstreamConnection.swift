internal import EventLoop
internal import Journal
internal import Node
internal import Primitives
internal import Routing
internal import SMTP

/// One connection to an upstream, from its name to its end: does what its `ClientSession` says. Confined to its loop.
///
/// A task of its own reads; the node's effects (begin, may finish, interrupt, quit) come in between, on the same loop. Only
/// long content, which must be read from the disk piece by piece, has a second task while it flows.
final class UpstreamConnection {
    /// Deadlines change while the task waits for input: it looks this often.
    private static let look = Duration.seconds(1)
    private static let piece = 256 << 10

    private let id: ConnectionID
    private let route: UpstreamRoute
    private unowned let deliveries: Deliveries
    private let helo: String

    private var session: ClientSession
    private var connection: Connection?
    private var actions: [ClientSession.Action] = []
    private var isPerforming = false
    private var deadline = Instant.distantFuture
    private var wantsTLS = false
    private var failure: UpstreamFailure?
    private var isReady = false
    private var isOver = false
    /// The node knows that this connection takes nothing more.
    private var nodeKnows = false
    private var quits = false
    private var handed: [Handed] = []

    /// A transaction that the node handed over, until its result went back.
    private struct Handed {
        let transaction: Transaction
        /// Its attempt is committed.
        var isCommitted = false
        var isContentSent = false
    }

    init(_ id: ConnectionID, _ route: UpstreamRoute, _ deliveries: Deliveries, helo: String) {
        self.id = id
        self.route = route
        self.deliveries = deliveries
        self.helo = helo
        session = ClientSession(ClientSession.Configuration(helo: helo))
    }

    /// Its name.
    var upstream: String { route.upstream.name }

    // MARK: What the node says

    func begin(_ transaction: Transaction) {
        handed.append(Handed(transaction: transaction))
        handle(.begin(transaction.request))
    }

    func mayFinish(_ transaction: UInt64) {
        guard let index = index(transaction) else { return }
        handed[index].isCommitted = true
        finishIfPermitted(transaction)
    }

    func interrupt(_ transaction: UInt64) { handle(.mayNotFinish(transaction)) }

    func quit() {
        quits = true
        nodeKnows = true
        // While it is not ready yet, the task that makes it so sees the mark.
        if isReady { handle(.quit) } else { connection?.close() }
    }

    func breakOff() {
        quits = true
        connection?.close()
    }

    // MARK: The task

    func run() async {
        await open()
        guard isReady, let connection, !isOver else {
            connection?.close()
            guard !nodeKnows else { return }
            let failure = failure ?? UpstreamFailure(stage: .connect, text: "no address could be reached")
            return deliveries.host.feed(.connectionFailed(id, failure))
        }
        await converse(on: connection)
        connection.close()
        if !nodeKnows { deliveries.host.feed(.connectionClosed(id)) }
    }

    /// Tries the addresses until one is ready for mail.
    private func open() async {
        let targets: [UpstreamAddresses.Target]
        switch await route.addresses.targets() {
        case .success(let found): targets = found
        case .failure(let error):
            failure = UpstreamFailure(stage: .connect, text: error.description)
            return
        }
        for target in targets where !quits {
            switch await open(target, tls: route.upstream.tls) {
            case .tlsFailed where route.upstream.tls == .opportunistic:
                // Encrypted or not, the mail goes: that is what opportunistic means (RFC 7435).
                _ = await open(target, tls: .off)
            default: break
            }
            if isReady || quits { return }
        }
    }

    private enum Opening { case ready, failed, tlsFailed }

    private func open(_ target: UpstreamAddresses.Target, tls: Upstream.TLSMode) async -> Opening {
        let upstream = route.upstream
        let opened: Connection
        let began = Clock.instant()
        do throws(ConnectionError) {
            opened = try await Connection.connect(
                to: target.address, from: route.addresses.source(for: target.address), on: deliveries.host.loop,
                deadline: Clock.instant() + upstream.timeouts.connect)
            connection = opened
            if upstream.implicitTLS { try await encrypt(opened, target) }
        } catch {
            connection?.close()
            failure = UpstreamFailure(stage: .connect, text: "\(target.remote): \(error)")
            return .failed
        }
        let stood = Clock.instant()
        let mode: ClientSession.TLS =
            upstream.implicitTLS || tls == .off ? .off : tls == .opportunistic ? .opportunistic : .required
        session = ClientSession(
            ClientSession.Configuration(helo: helo, tls: mode, pipelining: upstream.pipelining))
        isOver = false
        failure = nil
        session.start(&actions)
        perform()
        while !isReady, !isOver {
            if wantsTLS {
                wantsTLS = false
                do throws(ConnectionError) {
                    try await encrypt(opened, target)
                    handle(.tlsStarted)
                } catch {
                    opened.close()
                    failure = UpstreamFailure(stage: .startTLS, text: "\(target.remote): \(error)")
                    return .tlsFailed
                }
            }
            await readOnce(opened)
        }
        guard isReady else {
            opened.close()
            let text = failure?.text ?? ""
            failure?.text = "\(target.remote): \(text)"
            return .failed
        }
        let facts = ConnectionFacts(
            connect: stood - began, greeting: Clock.instant() - stood,
            certificateExpiry: opened.tls?.peerCertificateExpiry)
        deliveries.host.feed(
            .connected(id, session.capabilities, remote: target.remote, tls: opened.tls?.protocolVersion ?? "", facts))
        return .ready
    }

    private func encrypt(_ connection: Connection, _ target: UpstreamAddresses.Target) async throws(ConnectionError) {
        guard let context = route.context else { throw .tls("no TLS context") }
        try await connection.startTLS(
            client: context, serverName: route.upstream.serverName ?? target.host,
            verify: route.upstream.tls == .verify ? .full : .none,
            deadline: Clock.instant() + route.upstream.timeouts.command)
    }

    private func converse(on connection: Connection) async {
        while !isOver { await readOnce(connection) }
    }

    /// Waits for input, or for the deadline to pass, and lets the session know.
    private func readOnce(_ connection: Connection) async {
        do throws(ConnectionError) {
            let wait = min(deadline, Clock.instant() + UpstreamConnection.look)
            guard try await connection.readMore(deadline: wait) else {
                return handle(.connectionEnded("the upstream closed it"))
            }
        } catch .timedOut {
            if Clock.instant() >= deadline { handle(.timedOut) }
            return
        } catch {
            return handle(.connectionEnded(error.description))
        }
        connection.input.withUnreadBytes { session.receive($0, &actions) }
        connection.input.consumeAll()
        perform()
    }

    // MARK: Actions

    private func handle(_ event: ClientSession.Event) {
        session.handle(event, &actions)
        perform()
    }

    /// Carries out actions in order; those that are caused meanwhile come behind.
    private func perform() {
        guard !isPerforming else { return }
        isPerforming = true
        var index = 0
        while index < actions.count {
            perform(actions[index])
            index += 1
        }
        actions.removeAll(keepingCapacity: true)
        isPerforming = false
    }

    private func perform(_ action: ClientSession.Action) {
        switch action {
        case .write(let bytes): connection?.write(bytes)
        case .sendContent(let transaction): sendContent(transaction)
        case .writeDot:
            connection?.write([0x2e, 0x0d, 0x0a])
            deliveries.host.feed(.dotSent(id))
        case .startTLS: wantsTLS = true
        case .ready: isReady = true
        case .wait(let kind):
            deadline = route.upstream.timeouts.limit(kind).map { Clock.instant() + $0 } ?? .distantFuture
        case .finished(let result):
            handed.removeAll { $0.transaction.request.id == result.id }
            if !result.connectionUsable { nodeKnows = true }
            deliveries.host.feed(.transactionEnded(id, result))
        case .failed(let failure): self.failure = failure
        case .close:
            isOver = true
            // The reading task sees that it is closed, and ends.
            connection?.close()
        }
    }

    private func index(_ transaction: UInt64) -> Int? {
        handed.firstIndex { $0.transaction.request.id == transaction }
    }

    // MARK: Content

    private func sendContent(_ transaction: UInt64) {
        guard let index = index(transaction), let connection else { return }
        let content = handed[index].transaction.content
        guard content.isInMemory else {
            deliveries.host.loop.spawnLocal { [self] in await streamContent(transaction, content, connection) }
            return
        }
        for run in content.runs {
            if let slice = content.inMemory(run) { connection.write(slice) }
        }
        contentSent(transaction)
    }

    private func contentSent(_ transaction: UInt64) {
        guard let index = index(transaction) else { return }
        handed[index].isContentSent = true
        handle(.contentSent(transaction))
        finishIfPermitted(transaction)
    }

    /// The node is asked at the last moment, when nothing but the dot is left to write.
    private func finishIfPermitted(_ transaction: UInt64) {
        guard let index = index(transaction), handed[index].isCommitted, handed[index].isContentSent else { return }
        handle(deliveries.host.mayFinish(transaction) ? .mayFinish(transaction) : .mayNotFinish(transaction))
    }

    /// Sends what is on the disk, no more of it in memory than a piece and what the connection queues.
    private func streamContent(_ transaction: UInt64, _ content: ContentReference, _ connection: Connection) async {
        for run in content.runs {
            if let slice = content.inMemory(run) {
                connection.write(slice)
                continue
            }
            var done = 0
            while done < Int(run.count), index(transaction) != nil {
                let count = min(UpstreamConnection.piece, Int(run.count) - done)
                let offset = run.offset + UInt64(done)
                let files = deliveries.files
                let piece = await deliveries.reader.run { files.read(content.journal, at: offset, count: count) }
                guard index(transaction) != nil else { return }
                guard let piece else {
                    // Half a message can be taken back only by dropping the connection.
                    return handle(.mayNotFinish(transaction))
                }
                connection.write(piece)
                done += count
                guard await flushed(connection) else { return }
            }
        }
        contentSent(transaction)
    }

    /// False when the upstream takes no more; the reading task then learns of it too, or is told here.
    private func flushed(_ connection: Connection) async -> Bool {
        do throws(ConnectionError) {
            try await connection.flush(deadline: Clock.instant() + route.upstream.timeouts.data)
            // Each piece that is taken begins the wait for the next anew.
            deadline = Clock.instant() + route.upstream.timeouts.data
            return true
        } catch .timedOut {
            handle(.timedOut)
        } catch {
            // The upstream may have said why before it hung up: what it sent is still read.
            if !connection.isOpen { handle(.connectionEnded(error.description)) }
        }
        return false
    }
}
