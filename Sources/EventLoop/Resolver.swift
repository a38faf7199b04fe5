internal import CLinux
internal import Glibc
internal import Primitives
internal import Synchronization

/// A name that did not become an address, worded for the person who reads the log.
package enum ResolveError: Error, Hashable, Sendable, CustomStringConvertible {
    case timedOut(host: String)
    case failed(host: String, reason: String)
    case cancelled

    package var description: String {
        switch self {
        case .timedOut(let host): "\(host): the name service did not answer within 5 s"
        case .failed(let host, let reason): "\(host): \(reason)"
        case .cancelled: "cancelled"
        }
    }
}

/// Turns names into addresses by the system's resolver, which blocks: so on a few threads of its own. From any thread.
package final class Resolver: Sendable {
    /// Threads, started as they are needed. A name service that hangs can hold them all; what waits behind times out.
    static let threads = 4
    /// How many names may wait for a thread.
    static let maximumWaiting = 1024
    static let patience = Duration.seconds(5)

    private struct Queue {
        var waiting: [Lookup] = []
        var idle = 0
        var started = 0
    }

    private let queue = Mutex(Queue())
    private let loop: Loop
    /// Counts the lookups in the queue; threads sleep in a read of it.
    private let bell: Descriptor

    /// The loop keeps the time.
    package init(on loop: Loop) throws(SystemError) {
        self.loop = loop
        let raw = eventfd(0, Int32(EFD_CLOEXEC | EFD_SEMAPHORE))
        guard raw >= 0 else { throw SystemError("eventfd") }
        bell = Descriptor(owning: raw)
    }

    /// The addresses of a host, in the system's order of preference. An address in digits needs no lookup.
    package func resolve(host: String, port: UInt16) async throws(ResolveError) -> [SocketAddress] {
        if let address = IPAddress(host) { return [.ip(address, port: port)] }
        let lookup = Lookup(host: host, port: port)
        let result = await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                guard lookup.wait(continuation) else { return continuation.resume(returning: .failure(.cancelled)) }
                begin(lookup)
            }
        } onCancel: {
            lookup.finish(.failure(.cancelled))
        }
        return try result.get()
    }

    private func begin(_ lookup: Lookup) {
        let (accepted, grows) = queue.withLock { queue in
            guard queue.waiting.count < Resolver.maximumWaiting else { return (false, false) }
            queue.waiting.append(lookup)
            guard queue.waiting.count > queue.idle, queue.started < Resolver.threads else { return (true, false) }
            queue.started += 1
            return (true, true)
        }
        guard accepted else {
            return lookup.finish(.failure(.failed(host: lookup.host, reason: "too many names are being looked up")))
        }
        if grows, !startThread() { queue.withLock { $0.started -= 1 } }
        eventfd_write(bell.raw, 1)
        loop.post { loop in
            loop.timer(at: Clock.instant() + Resolver.patience) {
                lookup.finish(.failure(.timedOut(host: lookup.host)))
            }
        }
    }

    private func startThread() -> Bool {
        let box = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Resolver>.fromOpaque(argument).takeRetainedValue().work() }
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// The life of a thread: for as long as the program's.
    private func work() {
        pthread_setname_np(pthread_self(), "resolver")
        while true {
            queue.withLock { $0.idle += 1 }
            var rings: eventfd_t = 0
            while eventfd_read(bell.raw, &rings) != 0 {}
            let lookup = queue.withLock { queue in
                queue.idle -= 1
                return queue.waiting.isEmpty ? nil : queue.waiting.removeFirst()
            }
            // Nobody waits any more for what has timed out in the queue.
            if let lookup, !lookup.isOver { lookup.finish(Resolver.ask(lookup)) }
        }
    }

    private static func ask(_ lookup: Lookup) -> Result<[SocketAddress], ResolveError> {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(lookup.host, nil, &hints, &list)
        guard code == 0 else {
            return .failure(.failed(host: lookup.host, reason: String(cString: gai_strerror(code))))
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            var storage = sockaddr_storage()
            memcpy(&storage, entry.ai_addr, Int(min(entry.ai_addrlen, socklen_t(MemoryLayout<sockaddr_storage>.size))))
            if case .ip(let address, _)? = SocketAddress(storage, length: entry.ai_addrlen) {
                let found = SocketAddress.ip(address, port: lookup.port)
                if !addresses.contains(found) { addresses.append(found) }
            }
            next = entry.ai_next
        }
        return addresses.isEmpty ? .failure(.failed(host: lookup.host, reason: "no addresses")) : .success(addresses)
    }
}

/// One question. The first answer counts: the name service's, the clock's or the canceller's.
private final class Lookup: Sendable {
    typealias Answer = Result<[SocketAddress], ResolveError>
    private enum State { case before, waiting(UnsafeContinuation<Answer, Never>), over }

    let host: String
    let port: UInt16
    private let state = Mutex(State.before)

    init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    var isOver: Bool { state.withLock { if case .over = $0 { true } else { false } } }

    /// False when it was cancelled before it began.
    func wait(_ continuation: UnsafeContinuation<Answer, Never>) -> Bool {
        state.withLock { state in
            guard case .before = state else { return false }
            state = .waiting(continuation)
            return true
        }
    }

    func finish(_ answer: Answer) {
        let continuation = state.withLock { state -> UnsafeContinuation<Answer, Never>? in
            defer { state = .over }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume(returning: answer)
    }
}
