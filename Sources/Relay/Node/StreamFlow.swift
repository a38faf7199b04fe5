internal import Journal
internal import Node

/// A long message on its way in: how much of it is not on the disk yet, so that its session stops reading in time.
final class StreamFlow {
    /// What a session may have on the way to the disk.
    static let limit: UInt64 = 1 << 20

    let id: StreamID
    private(set) var isLost = false
    private unowned let host: NodeHost
    private var pending: UInt64 = 0
    private var waiter: UnsafeContinuation<Void, Never>?

    init(id: StreamID, host: NodeHost) {
        self.id = id
        self.host = host
    }

    /// Takes a piece, and returns when more may follow; false when the stream was lost.
    func send(_ piece: [UInt8]) async -> Bool {
        guard !isLost else { return false }
        pending += UInt64(piece.count)
        host.feed(.streamed(id, piece))
        // A piece is at most a quarter of the limit.
        while pending > StreamFlow.limit / 4 * 3, !isLost {
            await withUnsafeContinuation { waiter = $0 }
        }
        return !isLost
    }

    func durable(_ bytes: UInt64) {
        pending -= min(pending, bytes)
        wake()
    }

    func lose() {
        isLost = true
        wake()
    }

    private func wake() {
        let continuation = waiter
        waiter = nil
        continuation?.resume()
    }
}
