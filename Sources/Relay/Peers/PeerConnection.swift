internal import Cluster
internal import EventLoop
internal import Primitives

/// One connection with a peer's process that has greeted, until its end. Confined to its loop.
///
/// What is sent in one turn goes out in one piece at its end. Two queues stand before the socket. *Bulk* (journals' bytes,
/// answers to people) waits behind everything else, and little is given to the connection at a time: so a pulse or an
/// acknowledgement never waits behind more than what the connection and the kernel hold, which is bounded by `window`,
/// one frame, and `unsent`, however much bulk there is. Bulk keeps its order, so that the appends of a journal arrive in
/// order; that an acknowledgement may overtake one is nothing new to the protocol, which takes messages in any order.
/// (One connection for both, not two: of the messages of a turn most are small and for the same peer, and each connection
/// costs a call to the kernel.)
final class PeerConnection {
    enum Origin { case dialed, accepted }

    let peer: Peer
    let incarnation: UInt64
    let origin: Origin
    let connection: Connection
    let since = Clock.instant()
    private let peers: Peers
    private var reader: WireReader

    private var urgent = Deque<[UInt8]>()
    private var bulk = Deque<[UInt8]>()
    private var queuedHere = 0
    private var isPumping = false
    /// Set when this end decides: it then counts, whatever the reading task sees.
    private var decided: ProcessWatch.End?

    init(
        _ connection: Connection, with peer: Peer, incarnation: UInt64, origin: Origin, reader: WireReader,
        _ peers: Peers
    ) {
        self.connection = connection
        self.peer = peer
        self.incarnation = incarnation
        self.origin = origin
        self.reader = reader
        self.peers = peers
    }

    /// Bytes that the kernel has not taken yet.
    var queued: Int { queuedHere + connection.queuedOutput }
    var isOpen: Bool { connection.isOpen && decided == nil }

    // MARK: Sending

    /// Says again who this is, for what changes meanwhile: the clocks.
    func send(_ hello: Hello) { if isOpen { connection.write(Wire.encode(hello)) } }

    func send(_ message: Message) {
        guard isOpen else { return }
        let bytes = Wire.encode(message)
        // What does not fit in the window waits here, where the more urgent can overtake it.
        if !isPumping, connection.queuedOutput <= Peers.Limits.window {
            connection.write(bytes)
            return
        }
        guard queued + bytes.count <= peers.limits.queued else {
            peers.complain(
                "peer-slow", about: peer.id.node,
                "it takes too little of what is sent to it: hung up with \(ByteCount(bytes: UInt64(peers.limits.queued))) waiting"
            )
            return end(.closedByUs)
        }
        queuedHere += bytes.count
        if message.isBulk { bulk.append(bytes) } else { urgent.append(bytes) }
        guard !isPumping else { return }
        isPumping = true
        connection.loop.spawnLocal { [self] in await pump() }
    }

    /// Fills the connection as it empties, the urgent first, until nothing waits here.
    private func pump() async {
        defer { isPumping = false }
        while isOpen, !(urgent.isEmpty && bulk.isEmpty) {
            let before = connection.queuedOutput
            do throws(ConnectionError) {
                try await connection.flush(until: .lowWater, deadline: Clock.instant() + peers.limits.silence)
            } catch .timedOut where connection.queuedOutput < before {
                continue  // slow, but it moves
            } catch .timedOut {
                return end(.timedOut)
            } catch {
                return  // the reading task finds out why
            }
            fill()
        }
    }

    private func fill() {
        while isOpen, connection.queuedOutput <= Peers.Limits.window, let next = urgent.popFirst() ?? bulk.popFirst() {
            queuedHere -= next.count
            connection.write(next)
        }
    }

    /// Waits until everything is with the kernel, or the deadline.
    func drain(deadline: Instant) async {
        while isOpen, queued > 0, Clock.instant() < deadline {
            let pause = min(deadline, Clock.instant() + .milliseconds(5))
            do { try await connection.loop.sleep(until: pause) } catch { return }
        }
    }

    // MARK: Its end

    /// Ends it from this side; the reading task then tells.
    func end(_ end: ProcessWatch.End) {
        if decided == nil { decided = end }
        connection.close()
    }

    /// Another connection has taken its place, or everything ends: nobody is told.
    func silence() { end(.closedByUs) }

    // MARK: Receiving

    /// Passes on what arrives, in order, until the end.
    func run() async {
        let end = await receive()
        connection.close()
        urgent = Deque()
        bulk = Deque()
        queuedHere = 0
        peers.ended(self, decided ?? end)
    }

    private func receive() async -> ProcessWatch.End {
        while true {
            do throws(MalformedBytes) {
                while isOpen, let item = try reader.next() {
                    switch item {
                    case .message(let message):
                        peers.feed(.received(message, from: peer.id, incarnation: incarnation))
                    case .hello(let hello) where hello.refusal.isEmpty: peers.refresh(peer, hello)
                    case .hello(let hello):
                        peers.turnedAway(by: peer.id.node, hello.refusal)
                        return .closedByUs
                    }
                }
            } catch {
                peers.complain("peer-refused", about: peer.id.node, "it speaks no sense: \(error.reason)")
                return .closedByUs
            }
            guard isOpen else { return .closedByUs }
            if let end = await readMore() { return end }
        }
    }

    /// Nil when something has arrived.
    private func readMore() async -> ProcessWatch.End? {
        do throws(ConnectionError) {
            guard try await connection.readMore(deadline: peer.heardAt + peers.limits.silence) else {
                return ended(orElse: .endOfFile)
            }
        } catch .timedOut {
            // It may have been heard on the other connection.
            guard peer.heardAt + peers.limits.silence <= Clock.instant() else { return nil }
            return .timedOut
        } catch {
            return ended(by: error)
        }
        peer.heardAt = Clock.instant()
        connection.input.withUnreadBytes { reader.push($0) }
        connection.input.consumeAll()
        return nil
    }

    private func ended(by error: ConnectionError) -> ProcessWatch.End {
        switch error {
        case .reset(let number): ProcessWatch.End(errorNumber: number)
        // TLS that does not decrypt, or our own doing: that the other process ended it is not proved.
        default: ended(orElse: .closedByUs)
        }
    }

    /// A write that met a time-out of the kernel leaves the socket looking like one that the peer has closed.
    private func ended(orElse end: ProcessWatch.End) -> ProcessWatch.End {
        if case .reset(let number)? = connection.writeFailure { return ProcessWatch.End(errorNumber: number) }
        return end
    }
}

extension ProcessWatch.End {
    /// Only what the other machine itself sent counts as its doing: a kernel that gives up (ETIMEDOUT) or a router that
    /// knows no way (EHOSTUNREACH) proves nothing about a process.
    init(errorNumber: Int32) { self = SystemErrors.isReset(errorNumber) ? .reset : .timedOut }
}

extension Message {
    /// May be large and can wait.
    var isBulk: Bool {
        switch self {
        case .append, .fetched, .answer: true
        default: false
        }
    }
}
