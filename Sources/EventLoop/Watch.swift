internal import CLinux
internal import Glibc

/// A foreign descriptor (of a library that runs its own `epoll`) that the loop watches for readability. Level-triggered:
/// the callback comes every turn for as long as there is something to read. The descriptor stays its owner's.
package final class WatchedDescriptor {
    private let core: LoopCore
    private let descriptor: Int32
    private let readable: () -> Void
    private var token: UInt64?

    fileprivate init(_ descriptor: Int32, _ core: LoopCore, _ readable: @escaping () -> Void) throws(SystemError) {
        self.core = core
        self.descriptor = descriptor
        self.readable = readable
        token = try core.register(.watched(self), descriptor: descriptor, events: EPOLLIN.rawValue)
    }

    func happened() { if token != nil { readable() } }

    /// No callback comes after this. Call it before the descriptor is closed.
    package func cancel() {
        guard let token else { return }
        self.token = nil
        core.unregister(token, descriptor: descriptor)
    }
}

extension Loop {
    /// Calls `readable` on the loop whenever the descriptor has something to read, until it is cancelled.
    @discardableResult
    package nonisolated func watch(
        _ descriptor: Int32, readable: @escaping () -> Void
    ) throws(SystemError) -> WatchedDescriptor {
        try WatchedDescriptor(descriptor, core, readable)
    }
}
