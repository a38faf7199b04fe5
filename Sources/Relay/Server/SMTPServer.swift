package import EventLoop
internal import Node
internal import Primitives
internal import SMTP

/// The SMTP server in front: listeners, the limits on connections, and the sessions. Confined to its loop.
// Sendable: as for `NodeHost`, everything but `init` is called on the loop.
package final class SMTPServer: @unchecked Sendable {
    /// How often a reply with a code was given that refused something, for `/metrics`.
    package struct RefusalKey: Hashable, Sendable {
        package var code: Int
        package var reason: String
    }

    let host: NodeHost
    private(set) var settings: Configuration.SMTP
    private(set) var tls: TLSServerContext?
    private(set) var isDraining = false
    private(set) var refusals: [RefusalKey: UInt64] = [:]
    private var listeners: [Listener] = []
    private var sessions: [ObjectIdentifier: SMTPSession] = [:]
    private var emptyWaiter: UnsafeContinuation<Void, Never>?
    private var perAddress: [IPAddress: Int] = [:]

    init(host: NodeHost, settings: Configuration.SMTP, tls: TLSServerContext?) {
        self.host = host
        self.settings = settings
        self.tls = tls
    }

    /// What may change while it runs; sessions that are open keep what they began with.
    func reload(_ settings: Configuration.SMTP, tls: TLSServerContext?) {
        self.settings = settings
        self.tls = tls
    }

    /// Where it listens; real ports where 0 was configured.
    package var boundAddresses: [SocketAddress] { listeners.map(\.boundAddress) }
    package var isAccepting: Bool { !isDraining && !listeners.isEmpty }
    package var connectionCount: Int { sessions.count }

    /// Listens on an address and serves what comes.
    func listen(on address: SocketAddress, tls mode: Configuration.Listener.TLSMode) throws(ListenError) {
        let listener = try Listener(address: address, on: host.loop)
        listeners.append(listener)
        host.loop.spawnLocal { [self] in
            await listener.serve { [self] connection in await serve(connection, mode) }
        }
    }

    // The peer's address is the client's; the PROXY header, which tells a balancer's client, is read here once it comes.
    private func serve(_ connection: Connection, _ mode: Configuration.Listener.TLSMode) async {
        let address = connection.peer.address
        if let refusal = refusal(for: address) {
            noteRefusal(client: connection.peer.host, stage: "connect", refusal)
            var bytes: [UInt8] = []
            refusal.append(to: &bytes)
            connection.write(bytes)
            // Reads a little of what a client that speaks first has sent, lest the close reset our reply away.
            return await connection.finish(deadline: Clock.instant() + .seconds(1))
        }
        let session = SMTPSession(connection, self, mode)
        sessions[ObjectIdentifier(session)] = session
        if let address { perAddress[address, default: 0] += 1 }
        await session.run()
        sessions[ObjectIdentifier(session)] = nil
        if let address {
            let left = (perAddress[address] ?? 1) - 1
            perAddress[address] = left > 0 ? left : nil
        }
        if sessions.isEmpty { wakeEmptyWaiter() }
    }

    private func refusal(for address: IPAddress?) -> Reply? {
        if isDraining { return .shuttingDown }
        if sessions.count >= settings.maximumConnections {
            return Reply(421, 4, 3, 2, "Too many connections here, try again later")
        }
        if let address, let open = perAddress[address], open >= settings.maximumConnectionsPerAddress {
            return Reply(421, 4, 7, 0, "Too many connections from \(address), close some or wait")
        }
        return nil
    }

    func mayRelay(_ address: IPAddress?) -> Bool {
        guard let address else { return false }
        return settings.relayFrom.contains { $0.contains(address) }
    }

    func noteRefusal(client: String, stage: StaticString, _ reply: Reply) {
        // The reason is of a bounded kind: the enhanced code, never the text.
        let reason = reply.enhanced?.description ?? "none"
        refusals[RefusalKey(code: reply.code, reason: reason), default: 0] += 1
        host.logRefusal(client: client, stage: stage, reply)
    }

    // MARK: The end

    /// Takes no new connection, says 421 to sessions that are idle, and to each other one after its transaction.
    func drain() {
        isDraining = true
        for listener in listeners { listener.close() }
        for session in sessions.values { session.endIfIdle(.shuttingDown) }
    }

    /// Waits until the last session has ended.
    func untilEmpty(within limit: Duration) async {
        guard !sessions.isEmpty else { return }
        let timer = host.loop.timer(at: Clock.instant() + limit) { [weak self] in self?.wakeEmptyWaiter() }
        await withUnsafeContinuation { emptyWaiter = $0 }
        host.loop.cancel(timer)
    }

    private func wakeEmptyWaiter() {
        let continuation = emptyWaiter
        emptyWaiter = nil
        continuation?.resume()
    }

    /// Breaks off what is left.
    func closeAll() {
        for session in sessions.values { session.breakOff() }
    }
}

extension Reply {
    static let shuttingDown = Reply(421, 4, 3, 2, "Shutting down, try again later or another server")
}
