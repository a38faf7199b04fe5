package import Cluster
package import EventLoop
package import Primitives

/// The connections of this node with the others (`protocol.md`, 'Addressed' and 'Process death'). Confined to its loop.
///
/// Each node dials each: so two connections join a pair, and each end sends on the one that it dialed. (Where only one
/// way round is open, that one serves both.) Both begin with a TLS 1.3 handshake by the cluster's secret, then a `Hello`
/// each way: the dialer speaks first, since it has someone in mind; whoever was dialed answers always, and names in its
/// answer what it has against the other, so that both ends can tell their people why. Per direction a newer connection
/// silences the older, and a process with a higher incarnation every one of the process before.
///
/// What is sent without a connection is lost, like anything on a network. A slow or silent peer is dropped, and dialed again.
package final class Peers {
    package typealias Report = (StaticString, LogWriter.Level, [LogWriter.Field]) -> Void

    let loop: Loop
    let settings: Settings
    var limits: Limits { settings.limits }
    private let resolver: Resolver
    private(set) var secrets: ClusterSecrets
    private let report: Report
    private let sink: (ClusterEvent) -> Void
    private let live: () -> [ReplicaID]
    private let gossiped: (ReplicaID) -> String?
    /// Called when the listener fails while it should listen: a node that cannot be knocked at must end.
    package var listenerFailed: ((String) -> Void)?

    private(set) var acquaintances: Acquaintances
    private(set) var peers: [ReplicaID: Peer] = [:]
    private(set) var links: [HostPort: PeerLink] = [:]
    private var listener: Listener?
    /// Connections that have not shown yet whose they are, the oldest first.
    private var strangers: [Connection] = []
    private var knocks: Set<ReplicaID> = []
    private var complaints = Complaints()
    private var random: SeededRandom
    private(set) var isStopped = false

    /// `live`: whom gossip holds alive. `address`: where gossip says that a peer listens.
    package init(
        loop: Loop, settings: Settings, secrets: ClusterSecrets, resolver: Resolver, seed: UInt64,
        report: @escaping Report,
        feed: @escaping (ClusterEvent) -> Void, live: @escaping () -> [ReplicaID],
        address: @escaping (ReplicaID) -> String?
    ) {
        self.loop = loop
        self.settings = settings
        self.secrets = secrets
        self.resolver = resolver
        self.report = report
        sink = feed
        self.live = live
        gossiped = address
        random = SeededRandom(seed: seed)
        acquaintances = Acquaintances(
            me: settings.me, cluster: settings.cluster, protocols: settings.protocols)
    }

    // MARK: Life

    /// Listens, then dials the seeds. The error names the address.
    package func start() throws(ListenError) {
        let listener = try Listener(address: settings.listen, on: loop)
        self.listener = listener
        loop.spawnLocal { [self] in
            await listener.serve { [self] connection in await take(connection) }
            if !isStopped { listenerFailed?("\(listener.boundAddress): the cluster's listener has failed") }
        }
        for seed in settings.seeds { dial(seed, of: nil) }
        refreshLater()
    }

    /// Where it listens; the real port where 0 was asked for.
    package var boundAddress: SocketAddress? { listener?.boundAddress }

    /// What this node tells others to dial.
    package var advertised: String { settings.advertise ?? listener?.boundAddress.description ?? "" }

    /// Waits until what was sent is with the kernel, at most so long.
    package func drain(within limit: Duration) async {
        let deadline = Clock.instant() + limit
        for peer in peers.values { await peer.sending?.drain(deadline: deadline) }
    }

    /// Closes everything, the listener last: while it listens, no knock can take this process for dead. Release leases before.
    package func stop() {
        guard !isStopped else { return }
        isStopped = true
        for link in links.values { link.stop() }
        links = [:]
        for peer in peers.values {
            peer.dialed?.silence()
            peer.accepted?.silence()
            peer.tellWaiters()
        }
        peers = [:]
        for stranger in strangers { stranger.abort() }
        strangers = []
        listener?.close()
    }

    // MARK: What the node wants

    /// Lost when there is no connection.
    package func send(_ message: Message, to peer: ReplicaID) { peers[peer]?.sending?.send(message) }

    /// Knows of a peer from gossip or the disk: dials it, unless that is done already.
    package func acquaint(_ peer: ReplicaID, address: String) {
        guard peer != settings.me, peers.count < Limits.links, let target = HostPort(text: address) else { return }
        if peers[peer] == nil { peers[peer] = Peer(peer, address: address, since: Clock.wall()) }
        dial(target, of: peer)
    }

    /// Stops dialing a peer that will not come back (`baton node forget`), and hangs up.
    package func forget(_ id: ReplicaID) {
        for (address, link) in links where link.met == id && !link.isSeed {
            link.stop()
            links[address] = nil
        }
        guard let peer = peers.removeValue(forKey: id) else { return }
        peer.dialed?.silence()
        peer.accepted?.silence()
        peer.tellWaiters()
    }

    /// New handshakes use these; connections go on.
    package func replaceSecrets(_ new: ClusterSecrets) { secrets = new }

    /// Connects afresh to where the peer listens, and feeds how that went. A connection that comes of it is kept.
    package func knock(_ id: ReplicaID) {
        guard !isStopped, knocks.insert(id).inserted else { return }
        loop.spawnLocal { [self] in
            let result = await tryDoor(of: id)
            knocks.remove(id)
            feed(.knocked(id, result))
        }
    }

    private func tryDoor(of id: ReplicaID) async -> ProcessWatch.Knock {
        guard let text = peers[id]?.address ?? gossiped(id), let address = HostPort(text: text) else { return .hung }
        switch await dial(address, for: id, limits: .knock) {
        case .greeted(let peer): return peer == id ? .greeted : .hung
        case .refused: return .refused
        case .endedEarly: return .endedEarly
        case .hung, .turnedAway, .ourselves: return .hung
        }
    }

    // MARK: Links

    /// Keeps an address dialed from now on: a seed's, or that of a peer.
    func dial(_ address: HostPort, of peer: ReplicaID?) {
        guard !isStopped, links[address] == nil, address.description != advertised else { return }
        guard links.count < Limits.links else {
            return complain("peer-refused", about: address.description, "too many addresses are dialed already")
        }
        let link = PeerLink(address, of: peer, self)
        links[address] = link
        link.start()
    }

    /// Between half and all of it: nodes that lost each other at once need not dial at once.
    func jitter(_ pause: Duration) -> Duration { pause / 2 + pause * random.fraction() / 2 }

    func resolve(_ address: HostPort) async throws(ResolveError) -> [SocketAddress] {
        try await resolver.resolve(host: address.host, port: address.port)
    }

    // MARK: Greetings

    /// Whether a greeting is believed.
    func judge(_ hello: Hello) throws(Acquaintances.Refusal) {
        try acquaintances.greet(hello, live: live().filter { $0 != settings.me })
    }

    /// From here on the connection is its peer's: it takes the place of an older one of the same direction.
    func adopt(
        _ connection: Connection, _ hello: Hello, _ origin: PeerConnection.Origin, _ reader: WireReader
    ) -> PeerConnection {
        let now = Clock.now()
        let peer = peers[hello.from] ?? Peer(hello.from, address: hello.address, since: now.wall)
        peers[hello.from] = peer
        let isNew = !peer.isConnected
        if isNew || hello.incarnation > peer.incarnation { peer.since = now.wall }
        silenceOlder(peer, hello.incarnation, origin, now.instant)
        peer.incarnation = hello.incarnation
        peer.address = hello.address
        peer.protocols = hello.protocols
        peer.formats = hello.formats
        peer.heardAt = now.instant
        let adopted = PeerConnection(
            connection, with: peer, incarnation: hello.incarnation, origin: origin, reader: reader, self)
        switch origin {
        case .dialed: peer.dialed = adopted
        case .accepted: peer.accepted = adopted
        }
        if isNew {
            report("peer-connected", .info, [.init("peer", peer.id.node), .init("address", peer.address)])
        }
        compareClocks(peer, hello, now.wall)
        feed(.greeted(peer.id, incarnation: hello.incarnation))
        if let address = HostPort(text: hello.address) { dial(address, of: peer.id) }
        return adopted
    }

    /// What a new connection puts an end to: the older one of its direction; those of an earlier process; and one of the
    /// other direction that hangs. A peer that greets anew, or had fallen quiet, shows that the network was cut; what was
    /// sent on an old connection meanwhile waits for the kernel to repeat it, for as long again as the cut lasted.
    private func silenceOlder(
        _ peer: Peer, _ incarnation: UInt64, _ origin: PeerConnection.Origin, _ now: Instant
    ) {
        let isLater = incarnation > peer.incarnation
        let wasCut = isQuiet(peer) || origin == .accepted && peer.accepted != nil
        func endsToo(_ other: PeerConnection) -> Bool { isLater || wasCut && now - other.since >= limits.quiet }
        if let dialed = peer.dialed, origin == .dialed || endsToo(dialed) {
            dialed.silence()
            peer.dialed = nil
            if origin != .dialed { peer.tellWaiters() }
        }
        if let accepted = peer.accepted, origin == .accepted || endsToo(accepted) {
            accepted.silence()
            peer.accepted = nil
        }
    }

    func isQuiet(_ peer: Peer) -> Bool { Clock.instant() >= peer.heardAt + limits.quiet }

    /// Clocks are set while a process runs: greetings are repeated, so that what is said of them is not old.
    private func refreshLater() {
        loop.timer(at: Clock.instant() + Limits.refresh) { [weak self] in
            guard let self, !isStopped else { return }
            refreshNow()
            refreshLater()
        }
    }

    func refreshNow() {
        for peer in peers.values { peer.sending?.send(hello(to: peer.id)) }
    }

    func refresh(_ peer: Peer, _ hello: Hello) {
        guard hello.from == peer.id, hello.incarnation == peer.incarnation else { return }
        compareClocks(peer, hello, Clock.wall())
    }

    private func compareClocks(_ peer: Peer, _ hello: Hello, _ wall: WallTime) {
        let offset = hello.wall - wall
        peer.clockOffset = offset
        let ahead = offset.milliseconds
        guard abs(ahead) > Limits.clockTolerance.milliseconds else { return }
        complain(
            "clock-apart", about: peer.id.node, once: "clock",
            "its wall clock is \((ahead < 0 ? Duration.zero - offset : offset).short) "
                + "\(ahead < 0 ? "behind" : "ahead of") ours: set both by NTP")
    }

    // MARK: Ends

    func ended(_ ended: PeerConnection, _ end: ProcessWatch.End) {
        let peer = ended.peer
        if peer.dialed === ended {
            peer.dialed = nil
            peer.tellWaiters()
        } else if peer.accepted === ended {
            peer.accepted = nil
        } else {
            return  // silenced before
        }
        guard !peer.isConnected, !isStopped else { return }
        peer.since = Clock.wall()
        report("peer-lost", .warning, [.init("peer", peer.id.node), .init("reason", end.words)])
        feed(.disconnected(peer.id, end))
    }

    func feed(_ event: ClusterEvent) { if !isStopped { sink(event) } }

    // MARK: Strangers

    /// Makes room for one more by hanging up on the one that has taken longest: an honest handshake takes milliseconds.
    func admit(_ connection: Connection) {
        if strangers.count >= limits.strangers {
            strangers.removeFirst().abort()
            complain("peer-refused", about: connection.peer.host, "too many connections that do not say whose they are")
        }
        strangers.append(connection)
    }

    func dismiss(_ connection: Connection) { strangers.removeAll { $0 === connection } }

    var strangerCount: Int { strangers.count }

    // MARK: What people are told

    /// One line, at most once a minute for the same thing.
    /// `once` is what makes two reasons the same thing; by default their words.
    func complain(_ event: StaticString, about: String, once: String? = nil, _ reason: String) {
        guard complaints.isNew(about: about, once ?? reason, reason, Clock.now()) else { return }
        report(event, .warning, [.init("peer", about), .init("reason", reason)])
    }

    /// The other end would not have us.
    func turnedAway(by about: String, _ reason: String) {
        complain("refused-by-peer", about: about, reason.isEmpty ? "it gives no reason" : reason)
    }

    /// Whom this node would not speak to, or who would not speak to it, lately.
    package var refusals: [PeerRefusal] { complaints.recent }

    package var status: [PeerStatus] {
        var shown = peers.values.map { peer in
            PeerStatus(
                id: peer.id, address: peer.address, isReached: peer.dialed != nil, isHeard: peer.accepted != nil,
                since: peer.since, incarnation: peer.incarnation == 0 ? nil : peer.incarnation,
                protocols: peer.protocols, formats: peer.formats, clockOffset: peer.clockOffset,
                problem: peer.dialed != nil ? nil : HostPort(text: peer.address).flatMap { links[$0]?.failure },
                queued: (peer.dialed?.queued ?? 0) + (peer.accepted?.queued ?? 0))
        }
        for link in links.values where link.met == nil && !link.isOurselves {
            let address = link.address.description
            guard !shown.contains(where: { $0.address == address }) else { continue }
            shown.append(
                PeerStatus(address: address, isReached: false, isHeard: false, problem: link.failure, queued: 0))
        }
        return shown.sorted { ($0.id?.node ?? "~", $0.address) < ($1.id?.node ?? "~", $1.address) }
    }
}
