internal import CLinux
internal import Glibc

/// A stream connection of `baton send` or `baton sink`: subclasses get the bytes that came and append what is to go.
class DrillSocket: DrillSource {
    unowned let loop: DrillLoop
    /// What waits to be sent. `flush` sends all of it with one call.
    var output: [UInt8] = []
    /// All bytes ever given to the kernel, for 'was the final dot sent?'.
    private(set) var sentBytes = 0
    private(set) var isClosed = false
    private var sent = 0
    private var isWatchingOutput = false
    /// What `received` left, such as half a line.
    private var rest: [UInt8] = []

    init(descriptor: Int32, loop: DrillLoop, isConnecting: Bool = false) {
        self.loop = loop
        super.init(descriptor: descriptor)
        isWatchingOutput = isConnecting
        loop.add(self, writable: isConnecting)
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Takes what came, and says how much of it is done with; the rest comes again with more behind it.
    func received(_ bytes: UnsafeRawBufferPointer) -> Int { bytes.count }

    /// The peer closed, or the connection failed; `why` is for people.
    func lost(_ why: String) {}

    final override func readable() {
        // A closed or failed connection is seen here; ready output or a refused connect there.
        let count = recv(descriptor, loop.scratch.baseAddress, loop.scratch.count, 0)
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            let why = count == 0 ? "the peer closed the connection" : DrillSocket.text(of: errno)
            close()
            return lost(why)
        }
        if rest.isEmpty {
            let bytes = UnsafeRawBufferPointer(rebasing: loop.scratch[0..<count])
            let taken = received(bytes)
            if taken < count, !isClosed { rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[taken...])) }
        } else {
            rest.append(contentsOf: UnsafeRawBufferPointer(rebasing: loop.scratch[0..<count]))
            let taken = rest.withUnsafeBytes { received($0) }
            rest.removeFirst(min(taken, rest.count))
        }
    }

    override func writable() {
        if isClosed { return }
        if output.isEmpty {
            watchOutput(false)
        } else {
            flush()
        }
    }

    final func flush() {
        while sent < output.count, !isClosed {
            let count = output.withUnsafeBytes { bytes in
                send(descriptor, bytes.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                // Another error shows at the next read, with whatever the peer said before it.
                return watchOutput(errno == EAGAIN)
            }
            sent += count
            sentBytes += count
        }
        output.removeAll(keepingCapacity: output.capacity < 1 << 20)
        sent = 0
        watchOutput(false)
    }

    /// All bytes given to the kernel once what is in `output` now has gone too.
    final var queuedBytes: Int { sentBytes + output.count - sent }

    final func close() {
        guard !isClosed else { return }
        isClosed = true
        loop.remove(self)
    }

    private func watchOutput(_ wanted: Bool) {
        guard wanted != isWatchingOutput, !isClosed else { return }
        isWatchingOutput = wanted
        loop.watch(self, writable: wanted)
    }

    static func text(of number: Int32) -> String { String(cString: strerror(number)) }
}

/// Where to listen or connect: the kernel's form of `HOST:PORT`, looked up once at the start.
struct DrillAddress {
    let text: String
    private let storage: sockaddr_storage
    private let length: socklen_t
    private let family: Int32

    /// Reads `127.0.0.1:25`, `[::1]:25`, `name:25`.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(String(host), String(text[text.index(after: colon)...]), &hints, &found) == 0,
            let first = found
        else { return nil }
        defer { freeaddrinfo(found) }
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { target in
            target.copyMemory(
                from: UnsafeRawBufferPointer(start: first.pointee.ai_addr, count: Int(first.pointee.ai_addrlen)))
        }
        self.text = text
        self.storage = storage
        length = first.pointee.ai_addrlen
        family = first.pointee.ai_family
    }

    /// A socket that is connecting, or nil when the system has none left or refuses at once.
    func connect() -> Int32? {
        guard let descriptor = socket() else { return nil }
        let result = withRaw { Glibc.connect(descriptor, $0, length) }
        if result == 0 || errno == EINPROGRESS { return descriptor }
        close(descriptor)
        return nil
    }

    /// A listening socket and its port; on failure the words of the system.
    func listen() -> (descriptor: Int32, port: UInt16, failure: String?) {
        guard let descriptor = socket() else { return (-1, 0, DrillSocket.text(of: errno)) }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard withRaw({ bind(descriptor, $0, length) }) == 0, Glibc.listen(descriptor, 4096) == 0 else {
            defer { close(descriptor) }
            return (-1, 0, DrillSocket.text(of: errno))
        }
        var bound = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let port = withUnsafeMutableBytes(of: &bound) { bytes -> UInt16 in
            getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &size)
            // The port stands at the same place in both families.
            return UInt16(bigEndian: bytes.load(fromByteOffset: 2, as: UInt16.self))
        }
        return (descriptor, port, nil)
    }

    private func socket() -> Int32? {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = Glibc.socket(family, type, 0)
        return descriptor < 0 ? nil : descriptor
    }

    private func withRaw<Result>(_ body: (UnsafePointer<sockaddr>?) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body($0.baseAddress?.assumingMemoryBound(to: sockaddr.self)) }
    }
}
