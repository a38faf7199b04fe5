internal import CLinux
internal import Glibc
internal import Primitives

/// An address that cannot be listened on, and what to do about it.
package struct ListenError: Error, Hashable, Sendable, CustomStringConvertible {
    package let address: SocketAddress
    package let number: Int32

    package var description: String {
        let reason =
            switch number {
            case EADDRINUSE: "in use by another process (stop it, or choose another port)"
            case EACCES, EPERM: "not permitted (ports below 1024 need root or CAP_NET_BIND_SERVICE)"
            case EADDRNOTAVAIL: "not an address of this machine"
            case ENOENT: "its directory does not exist"
            default: textOfError(number)
            }
        return "\(address): \(reason)"
    }
}

/// A listening socket, TCP or Unix. Confined to its loop.
package final class Listener {
    /// How many connections the kernel holds for us until they are accepted.
    static let backlog: Int32 = 4096
    /// How long to wait when the process or the machine is out of descriptors.
    static let pauseWhenExhausted = Duration.milliseconds(100)

    /// Where it listens; the port is the real one when 0 was asked for.
    package let boundAddress: SocketAddress
    package let loop: Loop
    private let core: LoopCore
    private var descriptor: Descriptor?
    private let raw: Int32
    private var token: UInt64 = 0
    private var readable = false
    private var acceptor: UnsafeContinuation<Void, Never>?
    private var pause: TimerToken?
    /// The socket's file, so that `close` removes this one and not a successor's.
    private var file: (device: dev_t, inode: ino_t)?
    private var closedBecause: ConnectionError?
    /// How often accepting had to pause because descriptors had run out.
    package private(set) var exhaustions = 0

    /// Binds and listens. A Unix socket that a dead process left behind is replaced; its file gets `mode`.
    package init(address: SocketAddress, on loop: Loop, mode: UInt32 = 0o600) throws(ListenError) {
        self.loop = loop
        core = loop.core
        let descriptor = try Descriptor.stream(family: address.family) {
            ListenError(address: address, number: $0.number)
        }
        switch address {
        case .ip(let ip, _):
            descriptor.set(SO_REUSEADDR, level: SOL_SOCKET)
            if case .v6 = ip { descriptor.set(Int32(IPV6_V6ONLY), level: Int32(IPPROTO_IPV6)) }
        case .unix(let path):
            Listener.removeLeftover(path, address)
            fchmod(descriptor.raw, mode)  // so that the file never has a wider mode
        }
        guard address.withRaw({ Glibc.bind(descriptor.raw, $0, $1) }) == 0,
            Glibc.listen(descriptor.raw, Listener.backlog) == 0
        else { throw ListenError(address: address, number: errno) }
        boundAddress = SocketAddress(of: descriptor.raw, by: { getsockname($0, $1, $2) }) ?? address
        raw = descriptor.raw
        self.descriptor = consume descriptor
        if case .unix(let path) = address {
            var status = stat()
            if stat(path, &status) == 0 { file = (status.st_dev, status.st_ino) }
        }
        do {
            let events = EPOLLIN.rawValue | EPOLLET.rawValue
            token = try core.register(.listener(.passUnretained(self)), descriptor: raw, events: events)
        } catch {
            closedBecause = .closed
            throw ListenError(address: address, number: error.number)
        }
    }

    deinit { close() }

    /// The next connection. Throws `closed` after `close()`, `cancelled` when the task is; the listener goes on listening then.
    package func accept() async throws(ConnectionError) -> Connection {
        while true {
            if let closedBecause { throw closedBecause }
            if Task.isCancelled { throw .cancelled }
            if let connection = acceptNow() { return connection }
            precondition(acceptor == nil, "two tasks accept from one listener")
            let loop = loop
            let token = token
            await withTaskCancellationHandler {
                await withUnsafeContinuation { continuation in
                    acceptor = continuation
                    if closedBecause != nil || readable && pause == nil { resume() }
                }
            } onCancel: {
                loop.post { $0.core.listener(token)?.resume() }
            }
        }
    }

    /// Accepts until it is closed or the task is cancelled, and serves each connection in a task of its own, at most `limit`
    /// at once: more wait unaccepted. Each connection is closed after its body. Returns when the last one has ended.
    package func serve(limit: Int = .max, _ body: @escaping (Connection) async -> Void) async {
        let count = ServeCount()
        let serving = OnLoop(Serving(count: count, body: body))
        await withDiscardingTaskGroup { group in
            while true {
                if count.running >= limit { await count.untilBelow(limit) }
                guard let connection = try? await accept() else { break }
                count.running += 1
                let accepted = OnLoop(connection)
                group.addTask(executorPreference: loop.executor) { [loop] in await loop.run(serving, accepted) }
            }
        }
    }

    /// Stops accepting; connections that were accepted go on.
    package func close() {
        guard closedBecause == nil else { return }
        closedBecause = .closed
        core.unregister(token, descriptor: raw)
        descriptor = nil
        if let pause { loop.cancel(pause) }
        if case .unix(let path) = boundAddress, let file {
            var status = stat()
            if stat(path, &status) == 0, status.st_dev == file.device, status.st_ino == file.inode { unlink(path) }
        }
        resume()
    }

    // MARK: -

    func happened() {
        readable = true
        if pause == nil { resume() }
    }

    func resume() {
        guard let continuation = acceptor else { return }
        acceptor = nil
        continuation.resume()
    }

    private func acceptNow() -> Connection? {
        while readable, pause == nil {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let accepted = withUnsafeMutablePointer(to: &storage) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    accept4(raw, $0, &length, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
                }
            }
            if accepted >= 0 {
                let peer = SocketAddress(storage, length: length) ?? .unix("")
                if let connection = try? Connection(adopting: Descriptor(owning: accepted), peer: peer, on: loop) {
                    return connection
                }
                continue
            }
            switch errno {
            case EAGAIN: readable = false
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: pauseAccepting()
            case EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP:
                // It listens no more, and never will again: whoever accepts is told.
                let error = SystemError("accept")
                close()
                closedBecause = .system(error)
            default: continue  // the peer was gone already (ECONNABORTED and its kin, accept(2)), or EINTR
            }
        }
        return nil
    }

    /// Out of descriptors: what waits stays in the kernel's queue meanwhile.
    private func pauseAccepting() {
        exhaustions += 1
        let token = token
        pause = loop.timer(at: Clock.instant() + Listener.pauseWhenExhausted) { [core] in
            guard let listener = core.listener(token) else { return }
            listener.pause = nil
            listener.resume()
        }
    }

    /// Removes the file of a Unix socket that nobody listens on any more.
    private static func removeLeftover(_ path: String, _ address: SocketAddress) {
        guard let probe = try? Descriptor.stream(family: AF_UNIX, { $0 }) else { return }
        let refused = address.withRaw { Glibc.connect(probe.raw, $0, $1) != 0 && errno == ECONNREFUSED }
        if refused { unlink(path) }
    }
}

/// How many bodies of one `serve` run, and the accepting task when it waits for one to end.
private final class ServeCount {
    var running = 0
    private var waiter: UnsafeContinuation<Void, Never>?

    func untilBelow(_ limit: Int) async {
        await withUnsafeContinuation { continuation in
            if running < limit { continuation.resume() } else { waiter = continuation }
        }
    }

    func ended() {
        running -= 1
        let continuation = waiter
        waiter = nil
        continuation?.resume()
    }
}

private struct Serving {
    let count: ServeCount
    let body: (Connection) async -> Void
}

extension Loop {
    fileprivate func run(_ serving: OnLoop<Serving>, _ accepted: OnLoop<Connection>) async {
        await serving.value.body(accepted.value)
        accepted.value.close()
        serving.value.count.ended()
    }
}
