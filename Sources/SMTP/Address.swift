/// A mailbox as it stands in an envelope, `local@domain`, without its angle brackets and without a source route.
///
/// The one place that parses an address is `PathScanner` (RFC 5321 §4.1.2, RFC 6531 §3.3); `init(path:)` is its form
/// for a whole text.
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

    /// What `PathScanner` found in a command line.
    init(_ found: PathScanner.Mailbox, in line: UnsafeRawBufferPointer) {
        bytes = Array(line[found.range])
        at = found.at - found.range.lowerBound
    }

    package var localPart: ArraySlice<UInt8> { bytes[..<at] }
    package var domain: ArraySlice<UInt8> { at < bytes.count ? bytes[(at + 1)...] : [] }
    /// The domain in lower case ASCII, for comparison.
    package var domainKey: String { String(decoding: domain, as: UTF8.self).lowercased() }
    package var description: String { String(decoding: bytes, as: UTF8.self) }
    /// Whether it needs SMTPUTF8 (RFC 6531).
    package var isInternationalized: Bool { bytes.contains { $0 >= 0x80 } }
}

extension Address {
    /// Limits in octets (RFC 5321 §4.5.3.1.1 to §4.5.3.1.3).
    package enum Limit {
        package static let localPart = 64
        package static let domain = 255
        /// With both angle brackets.
        package static let path = 256
    }

    /// Reads a whole forward-path, `<user@example.com>`, or the same without its angle brackets, as people type it.
    ///
    /// Source routes are dropped; `postmaster` needs no domain; the null path is refused.
    package init(path: some Collection<UInt8>) throws(PathError) {
        var text = Array(path)
        if text.first != 0x3c { text = [0x3c] + text + [0x3e] }
        // The closure's own error type is not inferred through `withUnsafeBytes`: carry the outcome as a value.
        let outcome = text.withUnsafeBytes { line -> Result<Address, PathError> in
            var scanner = PathScanner(line: line)
            do throws(PathError) {
                let found = try scanner.scanPath()
                guard scanner.position == line.count else { throw .trailingText }
                switch found {
                case .null: throw .nullPath
                case .mailbox(let mailbox): return .success(Address(mailbox, in: line))
                }
            } catch {
                return .failure(error)
            }
        }
        self = try outcome.get()
    }

    /// The same mailbox for a mail system that tells local parts apart by case and domains not (RFC 5321 §2.4).
    func isSameMailbox(as other: Address) -> Bool {
        guard bytes.count == other.bytes.count, at == other.at else { return false }
        for index in 0..<at where bytes[index] != other.bytes[index] { return false }
        for index in at..<bytes.count where lowercased(bytes[index]) != lowercased(other.bytes[index]) { return false }
        return true
    }

    /// Equal for two addresses exactly when they are the same mailbox; makes sets of mailboxes.
    var mailboxKey: [UInt8] {
        var key = bytes
        for index in at..<key.count { key[index] = lowercased(key[index]) }
        return key
    }
}
