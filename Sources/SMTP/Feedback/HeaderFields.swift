/// Header fields of foreign mail, for reading reports: lenient with line ends, bounded in number and length.
struct HeaderFields {
    struct Field {
        /// In lower case.
        var name: String
        /// Unfolded, without white space around it.
        var value: String
    }

    /// More fields, and longer values, are passed over and cut.
    static let limit = 256
    static let valueLimit = 2048

    private(set) var fields: [Field] = []
    /// Behind the empty line that ends them, or the end.
    private(set) var end: Int

    /// Reads from `start` up to an empty line, the end, or a line that is no field.
    init(_ bytes: [UInt8], in range: Range<Int>) {
        var position = range.lowerBound
        end = range.upperBound
        while position < range.upperBound {
            let line = LineRange(bytes, from: position, to: range.upperBound)
            if line.text.isEmpty {
                end = line.next
                return
            }
            if isBlank(bytes[position]), let last = fields.indices.last {
                append(bytes[line.text], to: last)
            } else if !begin(bytes[line.text]) {
                // mbox's 'From ' line before the header of a returned message is no field, and ends nothing.
                guard fields.isEmpty else {
                    end = position
                    return
                }
            }
            position = line.next
        }
    }

    func value(_ name: String) -> String? { fields.first { $0.name == name }?.value }

    func values(_ name: String) -> [String] { fields.lazy.filter { $0.name == name }.map(\.value) }

    private mutating func begin(_ line: ArraySlice<UInt8>) -> Bool {
        guard let colon = line.firstIndex(of: 0x3a) else { return false }
        let name = line[..<colon].reversed().drop(while: isBlank).reversed()
        guard !name.isEmpty, name.count <= 64, name.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return false }
        guard fields.count < HeaderFields.limit else { return true }
        fields.append(Field(name: String(decoding: name, as: UTF8.self).lowercased(), value: ""))
        append(line[(colon + 1)...], to: fields.count - 1)
        return true
    }

    private mutating func append(_ text: ArraySlice<UInt8>, to index: Int) {
        let room = HeaderFields.valueLimit - fields[index].value.utf8.count
        guard room > 0 else { return }
        let words = text.drop(while: isBlank).prefix(room).reversed().drop(while: isBlank).reversed()
        guard !words.isEmpty else { return }
        if !fields[index].value.isEmpty { fields[index].value += " " }
        fields[index].value += String(decoding: words, as: UTF8.self)
    }
}

/// One line, ended by CRLF, by LF alone, or by the end.
struct LineRange {
    /// Without its end.
    let text: Range<Int>
    let next: Int

    init(_ bytes: [UInt8], from start: Int, to end: Int) {
        var index = start
        while index < end, bytes[index] != 0x0a { index += 1 }
        next = min(index + 1, end)
        text = start..<(index > start && index < end && bytes[index - 1] == 0x0d ? index - 1 : index)
    }
}

/// `type/subtype; name="value"` (RFC 2045 §5.1).
struct ContentType {
    /// In lower case, `text/plain` when there is none.
    var type = "text/plain"
    private var parameters: [(name: String, value: String)] = []

    init(_ value: String?) {
        guard let value else { return }
        let text = Array(value.utf8)
        var position = text.firstIndex(of: 0x3b) ?? text.count
        type = ContentType.word(text[..<position]).lowercased()
        while position < text.count, parameters.count < 16 {
            let start = position + 1
            guard let equals = text[start...].firstIndex(of: 0x3d) else { return }
            let name = ContentType.word(text[start..<equals]).lowercased()
            let (found, next) = ContentType.value(text, from: equals + 1)
            parameters.append((name, found))
            position = text[next...].firstIndex(of: 0x3b) ?? text.count
        }
    }

    func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }

    private static func word(_ text: ArraySlice<UInt8>) -> String {
        String(decoding: text.filter { !isBlank($0) && $0 != 0x28 && $0 != 0x29 }, as: UTF8.self)
    }

    private static func value(_ text: [UInt8], from start: Int) -> (String, next: Int) {
        var position = start
        while position < text.count, isBlank(text[position]) { position += 1 }
        var value: [UInt8] = []
        guard position < text.count, text[position] == 0x22 else {
            while position < text.count, text[position] != 0x3b, !isBlank(text[position]) {
                value.append(text[position])
                position += 1
            }
            return (String(decoding: value, as: UTF8.self), position)
        }
        position += 1
        while position < text.count, text[position] != 0x22 {
            if text[position] == 0x5c, position + 1 < text.count { position += 1 }
            value.append(text[position])
            position += 1
        }
        return (String(decoding: value, as: UTF8.self), min(position + 1, text.count))
    }
}
