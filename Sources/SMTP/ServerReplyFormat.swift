extension Reply {
    /// In octets, with code and CRLF (RFC 5321 §4.5.3.1.5).
    private static let maximumLine = 512

    /// Appends the reply as it goes over the wire: each line with the code and the enhanced code (RFC 2034 §4), CRLF at
    /// its end. Control characters within the text become `?`, so that no text can forge a reply.
    package func append(to output: inout [UInt8]) {
        var position = 0
        repeat {
            let end = endOfLine(from: position)
            let next = end < text.count && text[end] == 0x0a ? end + 1 : end
            appendCode(isLast: next >= text.count, hasText: end > position, to: &output)
            for index in position..<end {
                let byte = text[index]
                output.append(byte < 0x20 || byte == 0x7f ? 0x3f : byte)
            }
            output.append(0x0d)
            output.append(0x0a)
            position = next
        } while position < text.count
    }

    private func appendCode(isLast: Bool, hasText: Bool, to output: inout [UInt8]) {
        append(UInt16(clamping: code), to: &output)
        output.append(isLast ? 0x20 : 0x2d)
        guard let enhanced else { return }
        append(UInt16(enhanced.class), to: &output)
        output.append(0x2e)
        append(enhanced.subject, to: &output)
        output.append(0x2e)
        append(enhanced.detail, to: &output)
        if hasText { output.append(0x20) }
    }

    /// Where the line that begins here ends: at a newline, or before it gets too long, between characters.
    private func endOfLine(from start: Int) -> Int {
        // `250-` and the longest enhanced code, `5.999.999 `, and CRLF.
        let limit = min(text.count, start + Reply.maximumLine - 16)
        var index = start
        while index < limit, text[index] != 0x0a { index += 1 }
        if index == text.count || text[index] == 0x0a { return index }
        while index > start + 4, text[index] & 0xc0 == 0x80 { index -= 1 }
        return index
    }

    private func append(_ number: UInt16, to output: inout [UInt8]) {
        if number >= 10 { append(number / 10, to: &output) }
        output.append(UInt8(truncatingIfNeeded: number % 10) + 0x30)
    }
}
