internal import Cluster
internal import EventLoop
internal import Primitives

/// The beginning of a connection, until both ends know whom they speak to (`protocol.md`, 'Addressed').
///
///     dialer                                   acceptor
///     TLS handshake by the cluster's secret: whoever lacks it gets no further
///     Hello (whom it means, if it knows)  ───▶ judges it
///     judges it                           ◀─── Hello (with what it has against the other, in words)
///     Hello with a refusal, if so         ───▶
struct GreetingFailure: Error {
    let dialed: Peers.Dialed
}

extension Peers {
    // MARK: The dialer

    func greetAsDialer(
        _ connection: Connection, _ peer: ReplicaID?, _ address: HostPort, _ deadline: Instant
    ) async throws(GreetingFailure) -> (Hello, WireReader) {
        let about = address.description
        do throws(PresharedTLSError) {
            try await connection.startTLS(preshared: secrets.tls, as: .client, deadline: deadline)
        } catch {
            throw GreetingFailure(dialed: explain(error, at: about))
        }
        var reader = WireReader()
        let theirs: Hello
        do throws(GreetingTrouble) {
            try await say(hello(to: peer), on: connection, deadline)
            theirs = try await hear(&reader, on: connection, deadline)
        } catch {
            if case .nonsense(let reason) = error { complain("peer-refused", about: about, reason) }
            throw GreetingFailure(dialed: error.dialed)
        }
        guard theirs.from != settings.me || theirs.incarnation != settings.incarnation else {
            throw GreetingFailure(dialed: .ourselves)
        }
        guard theirs.refusal.isEmpty else {
            turnedAway(by: "\(theirs.from.node) (\(about))", theirs.refusal)
            // Its own name is believed only so far as to ask for the right disk the next time.
            throw GreetingFailure(
                dialed: .turnedAway(theirs.refusal, peer?.node == theirs.from.node ? theirs.from : nil))
        }
        do throws(Acquaintances.Refusal) {
            try judge(theirs)
        } catch {
            let reason = words(for: error, theirs)
            complain("peer-refused", about: "\(theirs.from.node) (\(about))", reason)
            await dismiss(connection, hello(to: theirs.from, refusal: reason))
            throw GreetingFailure(dialed: .turnedAway(reason, nil))
        }
        return (theirs, reader)
    }

    private func explain(_ error: PresharedTLSError, at about: String) -> Dialed {
        switch error {
        case .noSharedKey:
            let reason = "our cluster secret is not theirs: compare cluster.secretFiles"
            turnedAway(by: about, reason)
            return .turnedAway(reason, nil)
        case .otherContext:
            turnedAway(by: about, otherName)
            return .turnedAway(otherName, nil)
        case .otherProtocol(let text):
            let reason = "no Baton node answers there (\(text))"
            complain("peer-refused", about: about, reason)
            return .turnedAway(reason, nil)
        case .connection(let error): return GreetingTrouble(error).dialed
        }
    }

    // MARK: The acceptor

    /// A connection that was accepted, from its first byte to its end.
    func take(_ connection: Connection) async {
        guard !isStopped else { return }
        admit(connection)
        tune(connection)
        let deadline = Clock.instant() + limits.greeting
        let greeted = await greetAsAcceptor(connection, deadline)
        dismiss(connection)
        guard let (hello, reader) = greeted, connection.isOpen, !isStopped else { return }
        await adopt(connection, hello, .accepted, reader).run()
    }

    private func greetAsAcceptor(_ connection: Connection, _ deadline: Instant) async -> (Hello, WireReader)? {
        // Its port is another one each time.
        let about = connection.peer.host
        do throws(PresharedTLSError) {
            try await connection.startTLS(preshared: secrets.tls, as: .server, deadline: deadline)
        } catch {
            switch error {
            case .noSharedKey: complain("peer-refused", about: about, "it does not know the cluster's secret")
            case .otherContext: complain("peer-refused", about: about, otherName)
            case .otherProtocol(let text): complain("peer-refused", about: about, "it speaks no Baton (\(text))")
            case .connection(.timedOut): complain("peer-refused", about: about, "it did not finish its handshake")
            case .connection: break  // knocks, and checks by machines: they connect and go
            }
            return nil
        }
        var reader = WireReader()
        do throws(GreetingTrouble) {
            let theirs = try await hear(&reader, on: connection, deadline)
            let refusal = refusal(of: theirs)
            try await say(hello(to: theirs.from, refusal: refusal ?? ""), on: connection, deadline)
            guard let refusal else { return (theirs, reader) }
            if refusal.isEmpty { return nil }
            if isMeantForAnother(theirs) { connection.write(Wire.encode(.notHere)) }
            complain("peer-refused", about: "\(theirs.from.node) (\(about))", refusal)
            // Not closed at once: a reset would take the answer with it.
            await connection.finish(deadline: deadline)
        } catch {
            switch error {
            case .nonsense(let reason): complain("peer-refused", about: about, reason)
            case .timedOut: complain("peer-refused", about: about, "it did not greet")
            case .ended: break
            }
        }
        return nil
    }

    /// Nil: it is believed. Empty: it is this very process.
    private func refusal(of hello: Hello) -> String? {
        if hello.from == settings.me, hello.incarnation == settings.incarnation { return "" }
        do throws(Acquaintances.Refusal) {
            try judge(hello)
            return nil
        } catch {
            return words(for: error, hello)
        }
    }

    private func isMeantForAnother(_ hello: Hello) -> Bool {
        hello.cluster == settings.cluster
            && (hello.toNode != settings.me.node || hello.toDisk ?? settings.me.disk != settings.me.disk)
    }

    // MARK: Both

    private var otherName: String { "its cluster is not called '\(settings.cluster)' like ours: compare cluster.name" }

    func hello(to peer: ReplicaID?, refusal: String = "") -> Hello {
        Hello(
            cluster: settings.cluster, from: settings.me, toNode: peer?.node ?? "", toDisk: peer?.disk,
            incarnation: settings.incarnation, previousIncarnation: settings.previousIncarnation, address: advertised,
            protocols: settings.protocols, formats: settings.formats, wall: Clock.wall(), refusal: refusal)
    }

    private func say(_ hello: Hello, on connection: Connection, _ deadline: Instant) async throws(GreetingTrouble) {
        connection.write(Wire.encode(hello))
        do throws(ConnectionError) {
            try await connection.flush(until: .empty, deadline: deadline)
        } catch {
            throw GreetingTrouble(error)
        }
    }

    private func hear(
        _ reader: inout WireReader, on connection: Connection, _ deadline: Instant
    ) async throws(GreetingTrouble) -> Hello {
        while true {
            do throws(MalformedBytes) {
                switch try reader.next() {
                case .hello(let hello): return hello
                case .message: throw MalformedBytes("a message before the greeting")
                case nil: break
                }
            } catch {
                throw .nonsense("it speaks no sense: \(error.reason)")
            }
            do throws(ConnectionError) {
                guard try await connection.readMore(deadline: deadline) else {
                    throw ConnectionError.closed
                }
            } catch {
                throw GreetingTrouble(error)
            }
            connection.input.withUnreadBytes { reader.push($0) }
            connection.input.consumeAll()
        }
    }

    /// Says why, and waits until that is read.
    private func dismiss(_ connection: Connection, _ hello: Hello) async {
        connection.write(Wire.encode(hello))
        await connection.finish(deadline: Clock.instant() + .seconds(1))
    }
}

/// Why no `Hello` came.
enum GreetingTrouble: Error {
    case nonsense(String)
    case timedOut
    case ended

    init(_ error: ConnectionError) {
        if case .timedOut = error { self = .timedOut } else { self = .ended }
    }

    var dialed: Peers.Dialed {
        switch self {
        case .nonsense(let reason): .turnedAway(reason, nil)
        case .timedOut: .hung("it took the connection and said nothing (paused, or too busy?)")
        case .ended: .endedEarly("it took the connection and hung up")
        }
    }
}
