/// Reads the parameters of MAIL and RCPT in place (RFC 5321 §4.1.2):
///
///     esmtp-param = esmtp-keyword ["=" esmtp-value]
struct ParameterScanner {
    struct Parameter {
        var keyword: Range<Int>
        /// Nil when there is no `=`.
        var value: Range<Int>?
    }

    struct Malformed: Error {}

    let line: UnsafeRawBufferPointer
    var position: Int

    /// Nil at the end of the line. Trailing white space is tolerated (§4.1.1).
    mutating func next() throws(Malformed) -> Parameter? {
        let start = position
        while position < line.count, line[position] == 0x20 { position += 1 }
        if position == line.count { return nil }
        guard position > start else { throw Malformed() }
        let keyword = try scanKeyword()
        guard position < line.count, line[position] == 0x3d else { return Parameter(keyword: keyword, value: nil) }
        position += 1
        let from = position
        while position < line.count, ParameterScanner.isValueText(line[position]) { position += 1 }
        guard position > from, isCleanUTF8(line[from..<position]) else { throw Malformed() }
        return Parameter(keyword: keyword, value: from..<position)
    }

    private mutating func scanKeyword() throws(Malformed) -> Range<Int> {
        let start = position
        while position < line.count {
            let byte = line[position]
            guard isLetter(byte) || isDigit(byte) || (byte == 0x2d && position > start) else { break }
            position += 1
        }
        guard position > start else { throw Malformed() }
        return start..<position
    }

    /// `%d33-60 / %d62-126`, or a byte of UTF-8 (RFC 6531 §3.3).
    private static func isValueText(_ byte: UInt8) -> Bool { byte > 0x20 && byte != 0x3d && byte != 0x7f }

    func isKeyword(_ parameter: Parameter, _ word: StaticString) -> Bool {
        parameter.keyword.count == word.utf8CodeUnitCount && hasWord(word, in: line, at: parameter.keyword.lowerBound)
    }

    func isValue(_ range: Range<Int>, _ word: StaticString) -> Bool {
        range.count == word.utf8CodeUnitCount && hasWord(word, in: line, at: range.lowerBound)
    }

    /// 1 to 20 digits (RFC 1870 §4); saturates at the largest number. Nil for anything else.
    func decimal(_ range: Range<Int>) -> UInt64? {
        guard range.count <= 20 else { return nil }
        var value: UInt64 = 0
        for index in range {
            guard isDigit(line[index]) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carried) = product.addingReportingOverflow(UInt64(line[index] - 0x30))
            value = overflow || carried ? .max : sum
        }
        return value
    }
}
