internal import Cluster
internal import EventLoop
internal import Primitives

/// The dialer's way to a peer: connect, handshake, greetings.
extension Peers {
    enum Dialed: Sendable {
        case greeted(ReplicaID)
        /// This very process answered.
        case ourselves
        /// Nobody listens there: the one answer that can prove a death.
        case refused
        /// No answer, no route, no such name, or an answer that does not end.
        case hung(String)
        /// Taken, and ended before the greeting.
        case endedEarly(String)
        /// One end would not speak to the other; who it was, if that is known.
        case turnedAway(String, ReplicaID?)
    }

    /// Dials an address, of a peer if it is known whose.
    func dial(_ address: HostPort, for peer: ReplicaID?, limits: Limits.Dial) async -> Dialed {
        let targets: [SocketAddress]
        do throws(ResolveError) {
            targets = try await resolve(address)
        } catch {
            return .hung(error.description)
        }
        let connection: Connection
        switch await connect(to: targets, within: limits.connect) {
        case .failure(let failure): return failure.result
        case .success(let made): connection = made
        }
        guard !isStopped else {
            connection.abort()
            return .hung("stopped")
        }
        let deadline = Clock.instant() + limits.greeting
        tune(connection)
        do throws(GreetingFailure) {
            let (hello, reader) = try await greetAsDialer(connection, peer, address, deadline)
            guard !isStopped else { throw GreetingFailure(dialed: .hung("stopped")) }
            let adopted = adopt(connection, hello, .dialed, reader)
            loop.spawnLocal { await adopted.run() }
            return .greeted(hello.from)
        } catch {
            connection.close()
            return error.dialed
        }
    }

    private struct ConnectFailure: Error { var result: Dialed }

    /// The first of the addresses that takes the connection. Refused only if all of them refuse.
    private func connect(to targets: [SocketAddress], within limit: Duration) async -> Result<
        Connection, ConnectFailure
    > {
        var failure = Dialed.refused
        for target in targets {
            do throws(ConnectionError) {
                let connection = try await Connection.connect(
                    to: target, from: source(for: target), on: loop, deadline: Clock.instant() + limit)
                guard connection.isConnectedToItself else { return .success(connection) }
                connection.abort()
            } catch .refused {
                continue
            } catch .reset {
                failure = .endedEarly("connection reset")
            } catch {
                failure = .hung(error.description)
            }
        }
        return .failure(ConnectFailure(result: failure))
    }

    /// The address that this node listens on, so that firewalls and the other end see one address for it.
    private func source(for target: SocketAddress) -> SocketAddress? {
        guard case .ip(let address, _) = settings.listen,
            HostPort(host: address.description, port: 0).isUnspecified == false
        else { return nil }
        switch (address, target.address) {
        case (.v4, .v4), (.v6, .v6): return .ip(address, port: 0)
        default: return nil
        }
    }

    func tune(_ connection: Connection) {
        connection.limitUnsent(to: Limits.unsent)
        connection.giveUp(after: limits.silence)
    }
}
