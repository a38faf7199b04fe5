internal import Glibc

/// Finds command lines in the input buffer without copying them. Only CRLF ends one (RFC 5321 §2.3.8): were a bare LF taken
/// for an end, we and a peer that does not could see different commands in the same bytes.
///
/// A line with a bare CR or LF inside is handed over like any other: the session refuses it as a whole.
package struct CommandLineScanner: Hashable, Sendable {
    package enum Found: Hashable, Sendable {
        /// A command without its CRLF; the next one begins at `next`.
        case line(Range<Int>, next: Int)
        /// A line longer than `maximumLength` ended before `next`: `ServerSession.refuse(.overlong)`.
        case overlong(next: Int)
        /// All that there is ends with an LF without CR, and its sender waits for an answer that no CRLF would ever
        /// trigger: `ServerSession.refuse(.bareLineFeed)`, which closes.
        case bareLineFeed(next: Int)
        /// More must be read; what is before `next` is used up.
        case incomplete(next: Int)
    }

    /// With CRLF. The extensions that we offer add less than 100 octets to MAIL's 512 (RFC 5321 §4.5.3.1.4); the rest is for
    /// those who count generously.
    package static let maximumLength = 2048

    /// The rest of an overlong line is still to come.
    private var isDiscarding = false

    package init() {}

    /// Looks for the first line of `buffer[start...]`.
    package mutating func next(in buffer: UnsafeRawBufferPointer, from start: Int) -> Found {
        var index = start
        while let lineFeed = firstLineFeed(in: buffer, from: index) {
            index = lineFeed + 1
            guard lineFeed > start, buffer[lineFeed - 1] == 0x0d else { continue }
            if isDiscarding || index - start > CommandLineScanner.maximumLength {
                isDiscarding = false
                return .overlong(next: index)
            }
            return .line(start..<lineFeed - 1, next: index)
        }
        if isDiscarding || buffer.count - start > CommandLineScanner.maximumLength {
            isDiscarding = true
            // A CR at the very end may be half of the CRLF that we look for.
            let keeps = buffer.count > start && buffer[buffer.count - 1] == 0x0d ? 1 : 0
            return .incomplete(next: buffer.count - keeps)
        }
        if index > start, index == buffer.count { return .bareLineFeed(next: index) }
        return .incomplete(next: start)
    }

    private func firstLineFeed(in buffer: UnsafeRawBufferPointer, from start: Int) -> Int? {
        guard let base = buffer.baseAddress, start < buffer.count else { return nil }
        guard let found = memchr(base + start, 0x0a, buffer.count - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
