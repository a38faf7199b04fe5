internal import Glibc
internal import CLinux

/// A host (name or address literal without brackets) and a port, from `host:port` or `[address]:port`.
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Nil when it is not of that form. Port 0 is taken: the system chooses then.
    package init?(text: String) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let port = text[text.index(after: colon)...]
        guard !port.isEmpty, port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            guard IPAddress(text: String(host))?.bytes.count == 16 else { return nil }
        } else if host.contains(":") || host.contains("[") {
            return nil
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }) else { return nil }
        self.host = String(host)
        self.port = number
    }

    package var isNumeric: Bool { IPAddress(text: host) != nil }
    package var isLoopback: Bool { host == "localhost" || host.hasPrefix("127.") || host == "::1" }
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// An IPv4 (4 bytes) or IPv6 (16 bytes) address in network order. An IPv4-mapped IPv6 address counts as IPv4.
package struct IPAddress: Hashable, Sendable {
    package let bytes: [UInt8]

    package init?(text: String) {
        var v4 = in_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(bytes: withUnsafeBytes(of: &v4) { Array($0) })
            return
        }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, text, &v6) == 1 else { return nil }
        self.init(bytes: withUnsafeBytes(of: &v6) { Array($0) })
    }

    /// 4 or 16 bytes; nil otherwise.
    package init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.bytes = bytes
        case 16:
            let mapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
            self.bytes = mapped ? Array(bytes[12...]) : bytes
        default: return nil
        }
    }
}

/// A block of addresses such as `10.0.0.0/8` or `2001:db8::/32`; a lone address is a block of one.
package struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    package let network: IPAddress
    package let prefixLength: Int
    package let description: String

    /// Nil when it is not of that form, or when bits beyond the prefix are set (`10.0.0.1/8` is mostly a slip).
    package init?(text: String) {
        let halves = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = halves.first, let network = IPAddress(text: String(first)) else { return nil }
        var length = network.bytes.count * 8
        if halves.count == 2 {
            guard let given = Int(halves[1]), (0...length).contains(given) else { return nil }
            length = given
        }
        self.network = network
        prefixLength = length
        description = text
        for bit in length..<network.bytes.count * 8 {
            let mask: UInt8 = 0x80 >> UInt8(bit % 8)
            if network.bytes[bit / 8] & mask != 0 { return nil }
        }
    }

    package func contains(_ address: IPAddress) -> Bool {
        guard address.bytes.count == network.bytes.count else { return false }
        for bit in 0..<prefixLength {
            let mask: UInt8 = 0x80 >> UInt8(bit % 8)
            let difference = address.bytes[bit / 8] ^ network.bytes[bit / 8]
            if difference & mask != 0 { return false }
        }
        return true
    }
}
