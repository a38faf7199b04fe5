/// Notes what must be known of the header while it passes (RFC 5322 §2.2): no copy, but for a line that two reads share.
struct HeaderScan {
    /// Of a line that two reads share so much is kept: more than the longest line that is allowed.
    private static let maximumKept = 1024

    /// Until the empty line or something that is no field.
    private(set) var isOpen = true
    private var hasField = false
    /// The last field was an empty `Message-ID:`, whose value is on the next line.
    private var awaitsMessageID = false
    private var kept: [UInt8] = []
    /// Fields whose values are wanted: their names in lower case.
    private let wanted: [[UInt8]]
    /// The last field is one of them: its next lines belong to it.
    private var isKeeping = false

    init(wanted: [[UInt8]]) { self.wanted = wanted }

    mutating func beginLine(_ bytes: UnsafeRawBufferPointer) {
        kept.append(contentsOf: bytes.prefix(max(0, HeaderScan.maximumKept - kept.count)))
    }

    /// Takes a line with its CRLF, or its end if `beginLine` had its beginning.
    mutating func endLine(_ bytes: UnsafeRawBufferPointer, _ summary: inout ContentSummary) {
        guard !kept.isEmpty else { return take(bytes, &summary) }
        beginLine(bytes)
        let whole = kept
        kept = []
        whole.withUnsafeBytes { take($0, &summary) }
    }

    private mutating func take(_ bytes: UnsafeRawBufferPointer, _ summary: inout ContentSummary) {
        var start = 0
        var end = bytes.count
        if start < end, bytes[start] == 0x2e { start += 1 }
        while end > start, bytes[end - 1] == 0x0d || bytes[end - 1] == 0x0a { end -= 1 }
        if start == end {
            isOpen = false
        } else if isBlank(bytes[start]), hasField {
            if isKeeping { extendField(bytes[start..<end], &summary) }
            if awaitsMessageID { takeMessageID(bytes[start..<end], &summary) }
        } else if let colon = FieldName.end(in: bytes, from: start, to: end) {
            hasField = true
            awaitsMessageID = false
            takeField(bytes, name: start..<colon.name, body: colon.colon + 1..<end, &summary)
        } else if !hasField, HeaderScan.isMailboxLine(bytes, from: start) {
            hasField = true
        } else {
            isOpen = false
            summary.beginsWithHeader = hasField
        }
    }

    /// What separates messages in a mailbox file, sent along by programs that read one: the header follows it.
    private static func isMailboxLine(_ line: UnsafeRawBufferPointer, from start: Int) -> Bool {
        hasWord("FROM ", in: line, at: start) || hasWord(">FROM ", in: line, at: start)
    }

    private mutating func takeField(
        _ bytes: UnsafeRawBufferPointer, name: Range<Int>, body: Range<Int>, _ summary: inout ContentSummary
    ) {
        if !wanted.isEmpty { keepField(bytes, name: name, body: body, &summary) }
        switch name.count {
        case 4:
            if hasWord("DATE", in: bytes, at: name.lowerBound) { summary.hasDate = true }
            if hasWord("FROM", in: bytes, at: name.lowerBound) { summary.hasFrom = true }
        case 8:
            if hasWord("RECEIVED", in: bytes, at: name.lowerBound) { summary.receivedCount += 1 }
        case 10:
            guard hasWord("MESSAGE-ID", in: bytes, at: name.lowerBound), !summary.hasMessageID else { return }
            summary.hasMessageID = true
            awaitsMessageID = true
            takeMessageID(bytes[body], &summary)
        default: break
        }
    }

    private mutating func keepField(
        _ bytes: UnsafeRawBufferPointer, name: Range<Int>, body: Range<Int>, _ summary: inout ContentSummary
    ) {
        let found = wanted.first { wanted in
            guard wanted.count == name.count else { return false }
            return zip(wanted, bytes[name]).allSatisfy { $0 == lowercased($1) }
        }
        isKeeping = found != nil && summary.headerFields.count < ContentSummary.maximumHeaderFields
        guard isKeeping, let found else { return }
        summary.headerFields.append(found + [0x3a])
        extendField(bytes[body], &summary)
    }

    /// Adds a line to the last field that is kept, without the white space around the value (RFC 5322 §2.2.3).
    private func extendField(_ text: Slice<UnsafeRawBufferPointer>, _ summary: inout ContentSummary) {
        var text = text
        let last = summary.headerFields.count - 1
        if summary.headerFields[last].last == 0x3a { text = text.drop { isBlank($0) } }
        while let end = text.last, isBlank(end) { text.removeLast() }
        let room = ContentSummary.maximumHeaderField - summary.headerFields[last].count
        summary.headerFields[last].append(contentsOf: text.prefix(max(0, room)))
    }

    private mutating func takeMessageID(_ text: Slice<UnsafeRawBufferPointer>, _ summary: inout ContentSummary) {
        var text = text
        while let first = text.first, isBlank(first) { text.removeFirst() }
        while let last = text.last, isBlank(last) { text.removeLast() }
        guard !text.isEmpty else { return }
        awaitsMessageID = false
        summary.messageID = Array(text)
    }
}

/// The name of a header field: printable ASCII without the colon that ends it (RFC 5322 §3.6.8).
enum FieldName {
    /// Where the name ends and where its colon is; blanks may be between (§4.5). Nil when the line is no field.
    static func end(in line: UnsafeRawBufferPointer, from start: Int, to end: Int) -> (name: Int, colon: Int)? {
        var index = start
        while index < end, line[index] > 0x20, line[index] < 0x7f, line[index] != 0x3a { index += 1 }
        let name = index
        while index < end, isBlank(line[index]) { index += 1 }
        guard name > start, index < end, line[index] == 0x3a else { return nil }
        return (name, index)
    }
}
