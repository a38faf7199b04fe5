internal import CChecksum

/// CRC-32C (Castagnoli), by the processor's own instruction where it has one.
package struct CRC32C: Hashable, Sendable {
    package private(set) var value: UInt32

    /// Continues from `value`; zero begins.
    package init(_ value: UInt32 = 0) { self.value = value }

    package mutating func update(_ bytes: borrowing RawSpan) {
        value = bytes.withUnsafeBytes { baton_crc32c(value, $0.baseAddress, $0.count) }
    }

    package mutating func update(_ bytes: some Sequence<UInt8>) {
        if let done: Void = bytes.withContiguousStorageIfAvailable({ buffer in
            value = baton_crc32c(value, buffer.baseAddress, buffer.count)
        }) {
            return done
        }
        let copy = Array(bytes)
        value = copy.withUnsafeBytes { baton_crc32c(value, $0.baseAddress, $0.count) }
    }
}
