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
    /// Those that routes look at, in lower case; routes change with a restart only.
    let headerFields: [[UInt8]]
    private(set) var isDraining = false
    private(set) var refusals: [RefusalKey: UInt64] = [:]
    private var places: [Place] = []
    /// By the listener's address as configured.
    private var balancers: [SocketAddress: [AddressRange]]
    private var sessions: [ObjectIdentifier: SMTPSession] = [:]
    /// From balancers, before their header is read.
    private var arriving: [ObjectIdentifier: Connection] = [:]
    private var emptyWaiter: UnsafeContinuation<Void, Never>?
    private var perAddress: [IPAddress: Int] = [:]

    /// A balancer sends its header with the first packet.
    private static let proxyHeaderTimeout = Duration.seconds(5)

    private struct Place {
        var configured: SocketAddress
        var mode: Configuration.Listener.TLSMode
        var listener: Listener
    }

    init(host: NodeHost, settings: Configuration.SMTP, headerFields: [String], tls: TLSServerContext?) {
        self.host = host
        self.headerFields = headerFields.map { Array($0.utf8) }
        self.settings = settings
        self.tls = tls
        balancers = settings.balancers
    }

    /// What may change while it runs; sessions that are open keep what they began with.
    func reload(_ settings: Configuration.SMTP, tls: TLSServerContext?) {
        self.settings = settings
        self.tls = tls
        balancers = settings.balancers
    }

    /// Where it listens; real ports where 0 was configured.
    package var boundAddresses: [SocketAddress] { places.map(\.listener.boundAddress) }
    package var isAccepting: Bool { !isDraining && !places.isEmpty }
    package var connectionCount: Int { sessions.count + arriving.count }

    /// Listens on an address and serves what comes.
    func listen(on address: SocketAddress, tls mode: Configuration.Listener.TLSMode) throws(ListenError) {
        let listener = try Listener(address: address, on: host.loop)
        open(Place(configured: address, mode: mode, listener: listener))
        // A node that starts drained knows the place, and listens there once it is resumed.
        if isDraining { listener.close() }
    }

    private func open(_ place: Place) {
        places.append(place)
        host.loop.spawnLocal { [self] in
            await place.listener.serve { [self] connection in await serve(connection, at: place) }
        }
    }

    private func serve(_ connection: Connection, at place: Place) async {
        guard let client = await client(of: connection, at: place) else { return wakeIfEmpty() }
        let address = client.address
        if let refusal = refusal(for: address) {
            return await turnAway(connection, client, stage: "connect", refusal)
        }
        let session = SMTPSession(connection, from: client, self, place.mode)
        sessions[ObjectIdentifier(session)] = session
        if let address { perAddress[address, default: 0] += 1 }
        await session.run()
        sessions[ObjectIdentifier(session)] = nil
        if let address {
            let left = (perAddress[address] ?? 1) - 1
            perAddress[address] = left > 0 ? left : nil
        }
        wakeIfEmpty()
    }

    /// Who is at the other end: the peer, or the client whom a balancer names; nil when that one is gone or was turned away.
    private func client(of connection: Connection, at place: Place) async -> SocketAddress? {
        let peer = connection.peer
        guard let address = peer.address,
            balancers[place.configured]?.contains(where: { $0.contains(address) }) == true,
            // One connection too many is refused as the balancer's own, without waiting for its header.
            connectionCount < settings.maximumConnections
        else { return peer }
        arriving[ObjectIdentifier(connection)] = connection
        defer { arriving[ObjectIdentifier(connection)] = nil }
        switch await connection.takeProxyHeader(deadline: Clock.instant() + SMTPServer.proxyHeaderTimeout) {
        case .client(let client):
            host.log.log("connected", .debug, [.init("client", client.description), .init("via", peer.description)])
            return client
        case .balancerItself: return peer
        case .refused(let reply):
            await turnAway(connection, peer, stage: "proxy", reply)
            return nil
        case .gone: return nil
        }
    }

    private func turnAway(
        _ connection: Connection, _ client: SocketAddress, stage: StaticString, _ reply: Reply
    ) async {
        noteRefusal(client: client.host, stage: stage, reply)
        var bytes: [UInt8] = []
        reply.append(to: &bytes)
        connection.write(bytes)
        // Reads a little of what a client that speaks first has sent, lest the close reset our reply away.
        await connection.finish(deadline: Clock.instant() + .seconds(1))
    }

    private func refusal(for address: IPAddress?) -> Reply? {
        if isDraining { return .shuttingDown }
        if connectionCount >= settings.maximumConnections {
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
        for place in places { place.listener.close() }
        for session in sessions.values { session.endIfIdle(.shuttingDown) }
    }

    /// Undoes `drain`: listens again where it listened, on the same ports. Throws, and stays drained, when one is taken.
    func resume() throws(ListenError) {
        guard isDraining else { return }
        var opened: [Place] = []
        do throws(ListenError) {
            for var place in places {
                place.listener = try Listener(address: place.listener.boundAddress, on: host.loop)
                opened.append(place)
            }
        } catch {
            for place in opened { place.listener.close() }
            throw error
        }
        isDraining = false
        places = []
        for place in opened { open(place) }
    }

    /// Waits until the last session has ended, for at most so long.
    func untilEmpty(within limit: Duration) async {
        guard connectionCount > 0 else { return }
        let timer = host.loop.timer(at: Clock.instant() + limit) { [weak self] in self?.wakeEmptyWaiter() }
        await withUnsafeContinuation { emptyWaiter = $0 }
        host.loop.cancel(timer)
    }

    private func wakeIfEmpty() {
        if connectionCount == 0 { wakeEmptyWaiter() }
    }

    private func wakeEmptyWaiter() {
        let continuation = emptyWaiter
        emptyWaiter = nil
        continuation?.resume()
    }

    /// Breaks off what is left.
    func closeAll() {
        for session in sessions.values { session.breakOff() }
        for connection in arriving.values { connection.close() }
    }
}

extension Configuration.SMTP {
    fileprivate var balancers: [SocketAddress: [AddressRange]] {
        var result: [SocketAddress: [AddressRange]] = [:]
        for listener in listeners where !listener.proxyProtocol.isEmpty {
            if let address = SocketAddress(listener.address.description) { result[address] = listener.proxyProtocol }
        }
        return result
    }
}

extension Reply {
    static let shuttingDown = Reply(421, 4, 3, 2, "Shutting down, try again later or another server")
}
