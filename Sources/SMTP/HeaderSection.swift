/// The header section of a message, taken out of its content: for reports and listings, not for the way of each message.
package struct HeaderSection: Hashable, Sendable {
    /// Without dot-stuffing and without the empty line that ends it; whole lines, each with its CRLF.
    package let bytes: [UInt8]
    /// Whether `limit` cut it short.
    package let isCut: Bool

    /// Reads the beginning of `content`, in wire form, up to the empty line or the first line that is no field, and at most
    /// `limit` bytes of it.
    package init(ofStuffed content: some Collection<UInt8>, limit: Int) {
        let begin = DotStuffing.unstuffed(Array(content.prefix(limit)))
        let isWhole = content.count <= limit
        let (end, isEnded) = begin.withUnsafeBytes { HeaderSection.end(of: $0) }
        bytes = Array(begin[..<(isWhole && !isEnded ? begin.count : end)])
        isCut = !isWhole && !isEnded
    }

    /// The value of the first field of this name, unfolded, without white space around it; nil when there is none.
    package func field(_ name: StaticString) -> [UInt8]? {
        bytes.withUnsafeBytes { text in
            var position = 0
            while position < text.count {
                let end = HeaderSection.endOfLine(in: text, from: position)
                if let found = FieldName.end(in: text, from: position, to: end),
                    found.name - position == name.utf8CodeUnitCount,
                    HeaderSection.isEqual(text[position..<found.name], name)
                {
                    return HeaderSection.unfolded(text, from: found.colon + 1)
                }
                position = end
            }
            return nil
        }
    }

    /// Where the whole lines of the header end, and whether something that ends a header was seen there.
    private static func end(of text: UnsafeRawBufferPointer) -> (Int, Bool) {
        var position = 0
        while position < text.count {
            let end = endOfLine(in: text, from: position)
            guard end - position >= 2, text[end - 1] == 0x0a, text[end - 2] == 0x0d else { return (position, false) }
            if end - position == 2 { return (position, true) }
            let isContinuation = position > 0 && isBlank(text[position])
            let isField = isContinuation || FieldName.end(in: text, from: position, to: end) != nil
            guard isField else { return (position, true) }
            position = end
        }
        return (position, false)
    }

    /// Behind the next CRLF, or the end.
    private static func endOfLine(in text: UnsafeRawBufferPointer, from start: Int) -> Int {
        var index = start
        while index < text.count {
            index += 1
            if text[index - 1] == 0x0a, index - start >= 2, text[index - 2] == 0x0d { break }
        }
        return index
    }

    /// The value from here to the end of its last continuation line (RFC 5322 §2.2.3).
    private static func unfolded(_ text: UnsafeRawBufferPointer, from start: Int) -> [UInt8] {
        var value: [UInt8] = []
        var position = start
        repeat {
            let end = endOfLine(in: text, from: position)
            value.append(contentsOf: text[position..<end].filter { $0 != 0x0d && $0 != 0x0a })
            position = end
        } while position < text.count && isBlank(text[position])
        let first = value.firstIndex { !isBlank($0) } ?? value.count
        let last = value.lastIndex { !isBlank($0) } ?? first - 1
        return Array(value[first..<last + 1])
    }

    private static func isEqual(_ text: Slice<UnsafeRawBufferPointer>, _ name: StaticString) -> Bool {
        var index = 0
        for byte in text {
            if lowercased(byte) != lowercased(name.utf8Start[index]) { return false }
            index += 1
        }
        return true
    }
}
