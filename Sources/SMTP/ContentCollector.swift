internal import Glibc

/// Takes the bytes of the DATA phase as they arrive, in any pieces, and finds the message's end (RFC 5321 §4.1.1.4, §4.5.2).
///
/// Only `CRLF . CRLF` ends a message. Servers that took `LF . LF`, `LF . CRLF`, `CR . CR` and their kin for it let one
/// message smuggle in another (CVE-2023-51764, -51765, -51766). So here a CR or LF alone is an ordinary byte while the
/// message runs, and the message gets `550 5.6.11` at its end, because the next server could see an end in it.
///
/// The content is kept as it goes over the wire, dot-stuffed, without the line of the final dot. Lines are found by
/// `memchr`; CR, NUL and eight-bit bytes are counted in a second, vectorised pass.
package struct ContentCollector: Sendable {
    /// With CRLF; a stuffed dot is not counted (RFC 5321 §4.5.3.1.6).
    package static let maximumLine = 1000
    /// `Received` fields that prove a loop (§6.3).
    package static let maximumReceived = 100

    private let maximumSize: UInt64
    private var header: HeaderScan
    private var summary = ContentSummary()
    private var defects = Defects()
    private var isComplete = false
    // The line that has not ended yet: its octets so far, its first and its last.
    private var lineLength = 0
    private var beginsWithDot = false
    private var endsWithCR = false
    // Lines that ended with CRLF, and carriage returns: a difference is a bare one.
    private var lines: UInt64 = 0
    private var carriageReturns: UInt64 = 0
    private var stuffedDots: UInt64 = 0
    private var octets: UInt64 = 0

    /// - Parameter headerFields: Names in lower case of those whose values are wanted.
    package init(maximumSize: UInt64, headerFields: [[UInt8]] = []) {
        self.maximumSize = maximumSize
        header = HeaderScan(wanted: headerFields)
    }

    /// Whether the message is going to be refused whatever follows; no more of its content is kept.
    package var isRefused: Bool { !defects.isEmpty }

    /// What was found, once `feed` has said that the message is complete.
    package var result: ContentSummary {
        precondition(isComplete, "the message has not ended")
        var result = summary
        result.size = size
        result.refusal = defects.reply(maximumSize: maximumSize)
        return result
    }

    /// Takes bytes up to the end of the message at most and appends those that are content. What is not consumed is the
    /// command that was pipelined behind the message.
    package mutating func feed(
        _ bytes: UnsafeRawBufferPointer, into content: inout [UInt8]
    ) -> (consumed: Int, isComplete: Bool) {
        precondition(!isComplete, "the message has ended")
        guard let base = bytes.baseAddress, bytes.count > 0 else { return (0, false) }
        let withheld = withheldCount
        var start = 0
        var position = 0
        while let found = memchr(base + position, 0x0a, bytes.count - position) {
            let lineFeed = UnsafeRawPointer(found) - base
            position = lineFeed + 1
            guard lineFeed > 0 ? bytes[lineFeed - 1] == 0x0d : endsWithCR else {
                defects.insert(.bareLineEnding)
                continue
            }
            lines += 1
            if endLine(bytes, from: start, to: position) {
                isComplete = true
                break
            }
            start = position
        }
        let consumed = isComplete ? position : bytes.count
        count(UnsafeRawBufferPointer(rebasing: bytes[..<consumed]))
        if isComplete {
            octets -= 3
        } else {
            beginLine(bytes, from: start)
        }
        noteDefects()
        if !isRefused {
            // A line that has been nothing but the beginning of a final dot so far is withheld; the bytes that follow tell.
            let end = isComplete ? start : max(0, bytes.count - withheldCount)
            if end > 0 {
                // Had a CR been withheld too, it would be a bare one now.
                if withheld > 0 { content.append(0x2e) }
                content.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<end]))
            }
        }
        return (consumed, isComplete)
    }

    /// Of the line that has not ended, those octets that may be the beginning of the final dot's: `.` or `. CR`.
    private var withheldCount: Int {
        guard beginsWithDot else { return 0 }
        return lineLength == 1 || (lineLength == 2 && endsWithCR) ? lineLength : 0
    }

    /// Takes the end of a line, whose beginning may have come before; true for the final dot.
    private mutating func endLine(_ bytes: UnsafeRawBufferPointer, from start: Int, to end: Int) -> Bool {
        let length = lineLength + (end - start)
        let hasDot = lineLength > 0 ? beginsWithDot : bytes[start] == 0x2e
        if hasDot {
            if length == 3 {
                endsWithCR = false
                return true
            }
            stuffedDots += 1
        }
        if length > ContentCollector.maximumLine + (hasDot ? 1 : 0) { defects.insert(.longLine) }
        if header.isOpen {
            header.endLine(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), &summary)
        }
        lineLength = 0
        beginsWithDot = false
        endsWithCR = false
        return false
    }

    /// Keeps what must be known of a line that goes on in the next bytes.
    private mutating func beginLine(_ bytes: UnsafeRawBufferPointer, from start: Int) {
        guard start < bytes.count else { return }
        if lineLength == 0 { beginsWithDot = bytes[start] == 0x2e }
        lineLength += bytes.count - start
        endsWithCR = bytes[bytes.count - 1] == 0x0d
        if header.isOpen { header.beginLine(UnsafeRawBufferPointer(rebasing: bytes[start...])) }
    }

    private var size: UInt64 { octets - stuffedDots }

    private mutating func noteDefects() {
        if carriageReturns != lines + (endsWithCR ? 1 : 0) { defects.insert(.bareLineEnding) }
        // A line under way may turn out to be the final dot's, or its dot a stuffed one: 3 octets at most.
        if size > maximumSize, isComplete || size - maximumSize > 3 { defects.insert(.tooBig) }
        if lineLength > ContentCollector.maximumLine + 1 { defects.insert(.longLine) }
        if summary.receivedCount >= ContentCollector.maximumReceived { defects.insert(.loop) }
    }

    private mutating func count(_ bytes: UnsafeRawBufferPointer) {
        let found = ByteCensus(bytes)
        octets += UInt64(bytes.count)
        carriageReturns += UInt64(found.carriageReturns)
        if found.hasEightBit { summary.hasEightBit = true }
        if found.hasNull { defects.insert(.null) }
    }
}

/// Why a message is refused at its end.
private struct Defects: OptionSet, Sendable {
    let rawValue: UInt8
    static let tooBig = Defects(rawValue: 1)
    static let bareLineEnding = Defects(rawValue: 2)
    static let null = Defects(rawValue: 4)
    static let longLine = Defects(rawValue: 8)
    static let loop = Defects(rawValue: 16)

    /// The first that applies.
    func reply(maximumSize: UInt64) -> Reply? {
        if contains(.bareLineEnding) { return .bareLineEnding }
        if contains(.null) { return .nullByte }
        if contains(.tooBig) { return .messageTooBig(limit: maximumSize) }
        if contains(.longLine) { return .longLine }
        if contains(.loop) { return .loop }
        return nil
    }
}

extension Reply {
    fileprivate static let bareLineEnding = Reply(
        550, 5, 6, 11, "The message has a CR or LF that is not CRLF; end its lines with CRLF and send it again")
    /// Of no use in mail (RFC 5322 §4), and the next server may drop it, which makes an end out of `CRLF NUL . CRLF`.
    fileprivate static let nullByte = Reply(550, 5, 6, 0, "The message has a NUL byte; encode it as MIME says")
    fileprivate static let longLine = Reply(
        550, 5, 6, 0, "The message has a line longer than 998 octets; encode it as quoted-printable or base64")
    fileprivate static let loop = Reply(
        554, 5, 4, 6, "The message has passed 100 servers: mail is routed in a loop")
}
