internal import EventLoop
internal import Glibc
package import Primitives

/// What is known of one disk of one node, and the connections with its process. Confined to its loop.
final class Peer {
    let id: ReplicaID
    /// Where its last greeting said that it listens.
    var address: String
    /// Of the process that greeted last; 0 before any did.
    var incarnation: UInt64 = 0
    /// Per direction only the newest connection counts.
    var dialed: PeerConnection?
    var accepted: PeerConnection?
    /// When something last came from it, on any connection.
    var heardAt = Instant(nanoseconds: 0)
    /// Since when it is connected, or not.
    var since: WallTime
    var protocols: ClosedRange<UInt32>?
    var formats: ClosedRange<UInt32>?
    var clockOffset: Duration?
    /// Links that wait for the dialed connection to end.
    private var waiters: [Waiter] = []

    init(_ id: ReplicaID, address: String, since: WallTime) {
        self.id = id
        self.address = address
        self.since = since
    }

    var isConnected: Bool { dialed != nil || accepted != nil }

    /// Where to send: mostly what this node dialed; the other when only that way round is open.
    var sending: PeerConnection? { dialed ?? accepted }

    /// Waits until there is no dialed connection, or until the instant.
    func untilUndialed(or instant: Instant, on loop: Loop) async {
        guard dialed != nil else { return }
        let waiter = Waiter()
        let timer = loop.timer(at: instant) { waiter.resume() }
        await withUnsafeContinuation { continuation in
            waiter.continuation = continuation
            waiters.append(waiter)
        }
        loop.cancel(timer)
        waiters.removeAll { $0 === waiter }
    }

    func tellWaiters() {
        for waiter in waiters { waiter.resume() }
    }

    private final class Waiter {
        var continuation: UnsafeContinuation<Void, Never>?

        func resume() {
            continuation?.resume()
            continuation = nil
        }
    }
}

/// A peer as this node sees it, for `status`, `doctor` and problems.
package struct PeerStatus: Hashable, Sendable {
    /// Nil as long as nobody has answered at this address.
    package var id: ReplicaID?
    package var address: String
    /// The connection that this node dialed stands.
    package var isReached: Bool
    /// The connection that the peer dialed stands.
    package var isHeard: Bool
    /// Since when it is connected or not; nil for one that never was.
    package var since: WallTime?
    package var incarnation: UInt64?
    package var protocols: ClosedRange<UInt32>?
    package var formats: ClosedRange<UInt32>?
    /// How far its wall clock is ahead of ours, by its last greeting.
    package var clockOffset: Duration?
    /// Why this node does not reach it, in words.
    package var problem: String?
    /// Bytes that wait to be sent to it.
    package var queued: Int

    package var isConnected: Bool { isReached || isHeard }
}

/// Somebody whom this node, or who this node, would not speak to: for problems in `status`.
package struct PeerRefusal: Hashable, Sendable {
    /// A node's name, or where it connected from.
    package var about: String
    package var reason: String
    package var last: WallTime
}

enum SystemErrors {
    static func isReset(_ number: Int32) -> Bool { number == ECONNRESET || number == EPIPE }
}
