internal import CLinux
internal import Glibc

/// An IPv4 or IPv6 address, without a port.
package enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    case v4(UInt32)
    /// `scope` is the interface of a link-local address, otherwise 0.
    case v6(high: UInt64, low: UInt64, scope: UInt32)

    /// Reads `192.0.2.1`, `2001:db8::1`, `fe80::1%eth0`.
    package init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self = .v4(UInt32(bigEndian: four.s_addr))
            return
        }
        let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        var six = in6_addr()
        guard inet_pton(AF_INET6, String(parts.first ?? ""), &six) == 1 else { return nil }
        var scope: UInt32 = 0
        if parts.count == 2 {
            scope = UInt32(parts[1]) ?? if_nametoindex(String(parts[1]))
            guard scope != 0 else { return nil }
        }
        self.init(six, scope: scope)
    }

    fileprivate init(_ six: in6_addr, scope: UInt32) {
        let (high, low) = withUnsafeBytes(of: six) {
            ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        }
        self = .v6(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low), scope: scope)
    }

    fileprivate var six: in6_addr {
        var address = in6_addr()
        if case .v6(let high, let low, _) = self {
            withUnsafeMutableBytes(of: &address) {
                $0.storeBytes(of: high.bigEndian, as: UInt64.self)
                $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
        }
        return address
    }

    package var isLoopback: Bool {
        switch self {
        case .v4(let bits): bits >> 24 == 127
        case .v6(let high, let low, _): high == 0 && low == 1
        }
    }

    package var description: String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        var suffix = ""
        switch self {
        case .v4(let bits):
            var address = in_addr(s_addr: bits.bigEndian)
            inet_ntop(AF_INET, &address, &buffer, socklen_t(buffer.count))
        case .v6(_, _, let scope):
            var address = six
            inet_ntop(AF_INET6, &address, &buffer, socklen_t(buffer.count))
            if scope != 0 { suffix = "%\(scope)" }
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) + suffix
    }
}

/// Where a socket listens or connects to.
package enum SocketAddress: Hashable, Sendable, CustomStringConvertible {
    case ip(IPAddress, port: UInt16)
    /// A path; empty for the unnamed end of a connection.
    case unix(String)

    /// Reads `127.0.0.1:25`, `[::1]:25` and `/path`. Names are the `Resolver`'s.
    package init?(_ text: String) {
        if text.hasPrefix("/") {
            guard text.utf8.count < SocketAddress.maximumPath else { return nil }
            self = .unix(text)
            return
        }
        guard let (host, port) = SocketAddress.splitHostPort(text), let address = IPAddress(host) else { return nil }
        // An IPv6 address needs its brackets: `::1:25` could mean either.
        if case .v6 = address, !text.hasPrefix("[") { return nil }
        self = .ip(address, port: port)
    }

    /// `name:25` → (`name`, 25); `[::1]:25` → (`::1`, 25).
    package static func splitHostPort(_ text: String) -> (host: String, port: UInt16)? {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        return host.isEmpty ? nil : (String(host), port)
    }

    /// The longest path that fits `sockaddr_un`, with its final zero.
    static let maximumPath = 108

    package var address: IPAddress? {
        if case .ip(let address, _) = self { address } else { nil }
    }

    package var port: UInt16? {
        if case .ip(_, let port) = self { port } else { nil }
    }

    /// The address without its port, or `local` for a Unix socket.
    package var host: String { address?.description ?? "local" }

    package var description: String {
        switch self {
        case .ip(let address, let port):
            if case .v6 = address { "[\(address)]:\(port)" } else { "\(address):\(port)" }
        case .unix(let path): path.isEmpty ? "unix" : path
        }
    }
}

extension SocketAddress {
    var family: Int32 {
        switch self {
        case .ip(.v4, _): AF_INET
        case .ip(.v6, _): AF_INET6
        case .unix: AF_UNIX
        }
    }

    /// Calls with the address in the kernel's form.
    func withRaw<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var storage = sockaddr_storage()
        return withUnsafeMutableBytes(of: &storage) { bytes in
            let length: Int
            switch self {
            case .ip(.v4(let bits), let port):
                let raw = sockaddr_in(
                    sin_family: sa_family_t(AF_INET), sin_port: port.bigEndian,
                    sin_addr: in_addr(s_addr: bits.bigEndian), sin_zero: (0, 0, 0, 0, 0, 0, 0, 0))
                bytes.storeBytes(of: raw, as: sockaddr_in.self)
                length = MemoryLayout<sockaddr_in>.size
            case .ip(let address, let port):
                var scope: UInt32 = 0
                if case .v6(_, _, let interface) = address { scope = interface }
                let raw = sockaddr_in6(
                    sin6_family: sa_family_t(AF_INET6), sin6_port: port.bigEndian, sin6_flowinfo: 0,
                    sin6_addr: address.six, sin6_scope_id: scope)
                bytes.storeBytes(of: raw, as: sockaddr_in6.self)
                length = MemoryLayout<sockaddr_in6>.size
            case .unix(let path):
                bytes.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
                let name = Array(path.utf8.prefix(SocketAddress.maximumPath - 1))
                UnsafeMutableRawBufferPointer(rebasing: bytes[2...]).copyBytes(from: name)
                length = 2 + name.count + 1
            }
            let raw = UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped).assumingMemoryBound(to: sockaddr.self)
            return body(raw, socklen_t(length))
        }
    }

    /// Reads the kernel's form; nil for a family that we do not know.
    init?(_ storage: sockaddr_storage, length: socklen_t) {
        let read = withUnsafeBytes(of: storage) { bytes -> SocketAddress? in
            switch Int32(storage.ss_family) {
            case AF_INET:
                let raw = bytes.loadUnaligned(as: sockaddr_in.self)
                return .ip(.v4(UInt32(bigEndian: raw.sin_addr.s_addr)), port: UInt16(bigEndian: raw.sin_port))
            case AF_INET6:
                let raw = bytes.loadUnaligned(as: sockaddr_in6.self)
                let address = IPAddress(raw.sin6_addr, scope: raw.sin6_scope_id)
                return .ip(address, port: UInt16(bigEndian: raw.sin6_port))
            case AF_UNIX:
                let name = bytes[2..<max(2, min(Int(length), bytes.count))].prefix { $0 != 0 }
                return .unix(String(decoding: name, as: UTF8.self))
            default:
                return nil
            }
        }
        guard let read else { return nil }
        self = read
    }

    /// What `getsockname` or `getpeername` says of a socket.
    init?(
        of descriptor: Int32, by ask: (Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { ask(descriptor, $0, &length) }
        }
        guard result == 0 else { return nil }
        self.init(storage, length: length)
    }
}

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    package let base: IPAddress
    package let prefixLength: Int

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let base = IPAddress(String(parts.first ?? "")) else { return nil }
        let width = if case .v4 = base { 32 } else { 128 }
        guard parts.count == 1 || UInt8(parts[1]).map({ Int($0) <= width }) == true else { return nil }
        self.base = base
        prefixLength = parts.count == 1 ? width : Int(parts[1]) ?? width
    }

    package func contains(_ address: IPAddress) -> Bool {
        switch (base, address) {
        case (.v4(let a), .v4(let b)):
            return prefixLength == 0 || (a ^ b) >> (32 - prefixLength) == 0
        case (.v6(let high, let low, _), .v6(let otherHigh, let otherLow, _)):
            if prefixLength == 0 { return true }
            if prefixLength <= 64 { return (high ^ otherHigh) >> (64 - prefixLength) == 0 }
            return high == otherHigh && (low ^ otherLow) >> (128 - prefixLength) == 0
        default:
            return false
        }
    }

    package var description: String { "\(base)/\(prefixLength)" }
}
