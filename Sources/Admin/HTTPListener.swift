internal import Glibc
package import Relay

/// Why the admin API cannot listen, worded for the person who starts the node.
package struct AdminError: Error, Hashable, Sendable, CustomStringConvertible {
    package var text: String
    package var description: String { text }
}

/// A listening socket, made before the HTTP daemon takes it over, so that a port in use is one clear line.
package struct HTTPListener: Sendable {
    package let descriptor: Int32
    /// The real port where 0 was asked for.
    package let port: UInt16
    /// To be removed at the end.
    let socketPath: String?

    /// A Unix socket that only its owner can open. An old one in its place is removed: the data directory's lock proves
    /// that nobody serves it.
    package static func unix(_ path: String) throws(AdminError) -> HTTPListener {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < room else {
            throw AdminError(
                text: "\(path): a Unix socket's path has at most \(room - 1) bytes; use a shorter dataDirectory")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | closeOnExec, 0)
        guard descriptor >= 0 else { throw AdminError(text: "\(path): \(systemError())") }
        unlink(path)
        // The process's umask is shared by all its threads, the file's own mode is not: close first, then name it.
        fchmod(descriptor, 0o600)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, chmod(path, 0o600) == 0, listen(descriptor, 64) == 0 else {
            let error = systemError()
            close(descriptor)
            throw AdminError(text: "\(path): \(error)")
        }
        return HTTPListener(descriptor: descriptor, port: 0, socketPath: path)
    }

    /// `name` is the configuration's key, for the error.
    package static func tcp(_ address: HostPort, name: String) throws(AdminError) -> HTTPListener {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(address.host, String(address.port), &hints, &found) == 0, let found else {
            throw AdminError(text: "\(name): \(address) is not an address")
        }
        defer { freeaddrinfo(found) }
        let descriptor = socket(found.pointee.ai_family, Int32(SOCK_STREAM.rawValue) | closeOnExec, 0)
        guard descriptor >= 0 else { throw AdminError(text: "\(name): \(address): \(systemError())") }
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0, listen(descriptor, 128) == 0
        else {
            let code = errno
            let error = systemError()
            close(descriptor)
            let hint = code == EADDRINUSE ? "; another program has it: ss -ltnp 'sport = :\(address.port)'" : ""
            throw AdminError(text: "\(name): cannot listen on \(address): \(error)\(hint)")
        }
        return HTTPListener(descriptor: descriptor, port: boundPort(descriptor) ?? address.port, socketPath: nil)
    }

    private static func boundPort(_ descriptor: Int32) -> UInt16? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return nil }
        // Both families keep the port in the same two bytes after the family.
        return withUnsafeBytes(of: storage) { UInt16($0[2]) << 8 | UInt16($0[3]) }
    }
}

private let closeOnExec = Int32(SOCK_CLOEXEC.rawValue)

private func systemError() -> String { String(cString: strerror(errno)) }
