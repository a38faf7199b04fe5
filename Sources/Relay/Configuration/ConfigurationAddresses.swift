import EventLoop

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
            guard case .v6? = IPAddress(String(host)) else { return nil }
        } else if host.contains(":") || host.contains("[") {
            return nil
        }
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x2f }) else { return nil }
        self.host = String(host)
        self.port = number
    }

    package var isNumeric: Bool { IPAddress(host) != nil }
    /// `0.0.0.0` or `::`: every address of the machine.
    package var isUnspecified: Bool {
        switch IPAddress(host) {
        case .v4(0), .v6(high: 0, low: 0, scope: _): true
        default: false
        }
    }
    package var isLoopback: Bool { host == "localhost" || IPAddress(host)?.isLoopback == true }
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
