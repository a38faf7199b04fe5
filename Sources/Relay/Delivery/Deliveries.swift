internal import EventLoop
internal import Node
internal import Primitives
internal import Routing

/// The connections to upstreams that the node asked for. Confined to its loop.
final class Deliveries {
    let host: NodeHost
    let reader: WorkThread
    let files: JournalFiles
    private let hostname: String
    private let routes: [String: UpstreamRoute]
    private var connections: [ConnectionID: UpstreamConnection] = [:]

    init(
        host: NodeHost, upstreams: [Upstream], hostname: String, resolver: Resolver, reader: WorkThread,
        files: JournalFiles
    ) throws(TLSConfigurationError) {
        self.host = host
        self.hostname = hostname
        self.reader = reader
        self.files = files
        var routes: [String: UpstreamRoute] = [:]
        for upstream in upstreams { routes[upstream.name] = try UpstreamRoute(upstream, resolver) }
        self.routes = routes
    }

    var count: Int { connections.count }

    func connect(_ id: ConnectionID, _ name: String) {
        guard let route = routes[name] else {
            host.feed(.connectionFailed(id, .init(stage: .connect, text: "no upstream is called \(name)")))
            return
        }
        let connection = UpstreamConnection(id, route, self, helo: route.upstream.helo ?? hostname)
        connections[id] = connection
        host.loop.spawnLocal { [self] in
            await connection.run()
            connections[id] = nil
        }
    }

    func transact(_ id: ConnectionID, _ transaction: Transaction) {
        guard let connection = connections[id] else { return }
        var transaction = transaction
        if let sender = host.feedback?.sender(for: transaction, at: connection.upstream) {
            transaction.request.reversePath = sender
        }
        connection.begin(transaction)
    }

    func mayFinish(_ id: ConnectionID, _ transaction: UInt64) { connections[id]?.mayFinish(transaction) }
    func interrupt(_ id: ConnectionID, _ transaction: UInt64) { connections[id]?.interrupt(transaction) }
    func close(_ id: ConnectionID) { connections[id]?.quit() }

    /// Ends all of them at once.
    func breakOffAll() {
        for connection in connections.values { connection.breakOff() }
    }
}

/// An upstream with what is needed to reach it.
final class UpstreamRoute {
    let upstream: Upstream
    let addresses: UpstreamAddresses
    let context: TLSClientContext?

    init(_ upstream: Upstream, _ resolver: Resolver) throws(TLSConfigurationError) {
        self.upstream = upstream
        addresses = UpstreamAddresses(upstream, resolver)
        context =
            upstream.tls == .off && !upstream.implicitTLS
            ? nil : try TLSClientContext(authorityFile: upstream.tls == .verify ? upstream.caFile : nil)
    }
}
