internal import Glibc

/// A pattern of a whole text: `*` for anything, `?` for one octet, letters of ASCII in either case.
package struct Glob: Hashable, Sendable, CustomStringConvertible {
    private let pattern: [UInt8]

    package init(_ text: String) { pattern = Array(text.utf8) }

    package var description: String { String(decoding: pattern, as: UTF8.self) }

    /// Linear for one `*`, and at worst the product of both lengths.
    package func matches<Text: Collection<UInt8>>(_ text: Text) -> Bool {
        var index = text.startIndex
        var position = 0
        // Where the last `*` stands and where the text after it was tried to begin.
        var retry: (position: Int, index: Text.Index)?
        while index < text.endIndex {
            if position < pattern.count, pattern[position] == UInt8(ascii: "*") {
                position += 1
                retry = (position, index)
            } else if position < pattern.count, Glob.fits(pattern[position], text[index]) {
                position += 1
                text.formIndex(after: &index)
            } else if let last = retry {
                position = last.position
                index = text.index(after: last.index)
                retry = (position, index)
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    private static func fits(_ pattern: UInt8, _ byte: UInt8) -> Bool {
        if pattern == byte || pattern == UInt8(ascii: "?") { return true }
        let letter = pattern | 0x20
        return (0x61...0x7a).contains(letter) && letter == byte | 0x20
    }
}

/// A block of clients' addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// IPv4 is kept as its mapped IPv6 addresses, so that `::ffff:10.0.0.9` is in `10.0.0.0/8` too.
package struct ClientRange: Hashable, Sendable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64
    /// 0 to 128.
    private let prefixLength: Int
    package let description: String

    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = ClientRange.read(String(first)) else { return nil }
        let width = address.isFour ? 32 : 128
        var length = width
        if parts.count == 2 {
            guard let given = UInt8(parts[1]), given <= width else { return nil }
            length = Int(given)
        }
        high = address.high
        low = address.low
        prefixLength = 128 - width + length
        description = text
    }

    /// The one address of a client, with or without its port; nil for a Unix socket.
    package init?(client: String) {
        var text = client[...]
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            text = text[text.index(after: text.startIndex)..<end]
        } else if let colon = text.firstIndex(of: ":"), text[text.index(after: colon)...].allSatisfy({ $0 != ":" }) {
            text = text[..<colon]
        }
        // A link-local address names its interface too.
        self.init(String(text.prefix { $0 != "%" }))
    }

    func contains(_ other: ClientRange) -> Bool {
        guard other.prefixLength >= prefixLength else { return false }
        if prefixLength == 0 { return true }
        if prefixLength <= 64 { return (high ^ other.high) >> (64 - prefixLength) == 0 }
        return high == other.high && (low ^ other.low) >> (128 - prefixLength) == 0
    }

    private static func read(_ text: String) -> (high: UInt64, low: UInt64, isFour: Bool)? {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            return (0, 0xffff_0000_0000 | UInt64(UInt32(bigEndian: four.s_addr)), true)
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        return withUnsafeBytes(of: six) {
            (
                UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)), false
            )
        }
    }
}
