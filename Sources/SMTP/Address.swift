/// A mailbox as it stands in an envelope, `local@domain`, without its angle brackets and without a source route.
///
/// The one place that parses an address is `init(path:)` (RFC 5321 §4.1.2, RFC 6531 §3.3).
package struct Address: Hashable, Sendable, CustomStringConvertible {
    /// UTF-8 where it isn't ASCII; the domain's case is kept as it came.
    package let bytes: [UInt8]
    /// The index of the `@` before the domain; `bytes.count` for a bare `postmaster`.
    package let at: Int

    /// For addresses that were parsed before, such as those read from a journal: the last `@` divides.
    package init(parsed bytes: [UInt8]) {
        self.bytes = bytes
        at = bytes.lastIndex(of: 0x40) ?? bytes.count
    }

    package var localPart: ArraySlice<UInt8> { bytes[..<at] }
    package var domain: ArraySlice<UInt8> { at < bytes.count ? bytes[(at + 1)...] : [] }
    /// The domain in lower case ASCII, for comparison.
    package var domainKey: String { String(decoding: domain, as: UTF8.self).lowercased() }
    package var description: String { String(decoding: bytes, as: UTF8.self) }
    /// Whether it needs SMTPUTF8 (RFC 6531).
    package var isInternationalized: Bool { bytes.contains { $0 >= 0x80 } }
}
