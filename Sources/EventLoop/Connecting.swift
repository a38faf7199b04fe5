internal import CLinux
internal import Glibc
package import Primitives

extension Connection {
    /// Connects to an address, from a local one if given.
    package static func connect(
        to address: SocketAddress, from local: SocketAddress? = nil, on loop: Loop, deadline: Instant
    ) async throws(ConnectionError) -> Connection {
        let descriptor = try Descriptor.stream(family: address.family) { ConnectionError.system($0) }
        if let local {
            // The port is chosen at connect, so that many connections can share a local address.
            descriptor.set(Int32(IP_BIND_ADDRESS_NO_PORT), level: Int32(IPPROTO_IP))
            guard local.withRaw({ Glibc.bind(descriptor.raw, $0, $1) }) == 0 else {
                throw .system(SystemError("connecting from \(local)"))
            }
        }
        let result = address.withRaw { Glibc.connect(descriptor.raw, $0, $1) == 0 ? 0 : errno }
        // A Unix socket whose backlog is full says EAGAIN and would never report an event.
        guard result == 0 || result == EINPROGRESS else { throw ConnectionError(connecting: result) }
        let connection = try Connection(adopting: descriptor, peer: address, on: loop)
        if result == EINPROGRESS {
            do throws(ConnectionError) {
                try await connection.untilWritable(level: 0, deadline: deadline)
            } catch {
                connection.close()
                throw error
            }
            var failure: Int32 = 0
            var size = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(connection.raw, SOL_SOCKET, SO_ERROR, &failure, &size)
            if failure != 0 {
                connection.close()
                throw ConnectionError(connecting: failure)
            }
        }
        return connection
    }
}

extension ConnectionError {
    fileprivate init(connecting number: Int32) {
        switch number {
        case ECONNREFUSED, EAGAIN, ENOENT: self = .refused
        case ETIMEDOUT: self = .timedOut
        case EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN: self = .unreachable(number)
        case ECONNRESET, EPIPE: self = .reset(number)
        default: self = .system(SystemError("connect", number))
        }
    }
}
