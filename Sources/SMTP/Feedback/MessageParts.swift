/// The leaves of a MIME message that a report may be in (RFC 2046 §5.1), bounded in number and depth.
struct MessageParts {
    struct Part {
        var type: String
        var content: [UInt8]
    }

    static let maximumParts = 32
    static let maximumDepth = 4

    private(set) var parts: [Part] = []
    /// Of the message itself.
    let header: HeaderFields
    let type: ContentType
    private let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        header = HeaderFields(bytes, in: 0..<bytes.count)
        type = ContentType(header.value("content-type"))
        collect(header.end..<bytes.count, header, type, depth: 0)
    }

    private mutating func collect(_ range: Range<Int>, _ header: HeaderFields, _ type: ContentType, depth: Int) {
        guard parts.count < MessageParts.maximumParts else { return }
        guard type.type.hasPrefix("multipart/") else {
            let encoding = header.value("content-transfer-encoding")?.lowercased() ?? ""
            parts.append(Part(type: type.type, content: TransferDecoding.decoded(bytes, in: range, encoding)))
            return
        }
        guard depth < MessageParts.maximumDepth, let boundary = type.parameter("boundary"), !boundary.isEmpty else {
            return
        }
        for part in pieces(range, boundary: Array("--\(boundary)".utf8)) {
            let header = HeaderFields(bytes, in: part)
            collect(header.end..<part.upperBound, header, ContentType(header.value("content-type")), depth: depth + 1)
        }
    }

    /// What lies between the lines of the boundary, without the line end before each.
    private func pieces(_ range: Range<Int>, boundary: [UInt8]) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var begin: Int?
        var position = range.lowerBound
        while position < range.upperBound, found.count < MessageParts.maximumParts {
            let line = LineRange(bytes, from: position, to: range.upperBound)
            if line.text.count >= boundary.count, bytes[line.text].starts(with: boundary) {
                let rest = bytes[(line.text.lowerBound + boundary.count)..<line.text.upperBound]
                let isLast = rest.starts(with: [0x2d, 0x2d])
                // Another boundary may begin with this one.
                if isLast || rest.allSatisfy(isBlank) {
                    if let begin { found.append(begin..<withoutLineEnd(position, from: begin)) }
                    begin = isLast ? nil : line.next
                    if isLast { return found }
                }
            }
            position = line.next
        }
        // Cut off, or the last boundary is missing: what there is counts.
        if let begin { found.append(begin..<range.upperBound) }
        return found
    }

    private func withoutLineEnd(_ end: Int, from begin: Int) -> Int {
        var end = end
        if end > begin, bytes[end - 1] == 0x0a { end -= 1 }
        if end > begin, bytes[end - 1] == 0x0d { end -= 1 }
        return end
    }
}

/// Content-Transfer-Encoding (RFC 2045 §6). Reports are 7bit by their RFCs, and not always in life.
enum TransferDecoding {
    static func decoded(_ bytes: [UInt8], in range: Range<Int>, _ encoding: String) -> [UInt8] {
        switch encoding {
        case "base64": base64(bytes[range])
        case "quoted-printable": quotedPrintable(bytes[range])
        default: Array(bytes[range])
        }
    }

    /// Up to the first padding; what is not of the alphabet is passed over.
    static func base64(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        var count = 0
        for byte in text {
            let value: UInt8
            switch byte {
            case 0x41...0x5a: value = byte - 0x41
            case 0x61...0x7a: value = byte - 0x61 + 26
            case 0x30...0x39: value = byte - 0x30 + 52
            case 0x2b, 0x2d: value = 62
            case 0x2f, 0x5f: value = 63
            case 0x3d: return result
            default: continue
            }
            bits = (bits << 6 | UInt32(value)) & 0xff_ffff
            count += 6
            if count >= 8 {
                count -= 8
                result.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return result
    }

    private static func quotedPrintable(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            guard text[index] == 0x3d else {
                result.append(text[index])
                index += 1
                continue
            }
            if index + 1 < text.endIndex, text[index + 1] == 0x0a {
                index += 2
            } else if index + 2 < text.endIndex, text[index + 1] == 0x0d, text[index + 2] == 0x0a {
                index += 3
            } else if index + 2 < text.endIndex, let high = digit(text[index + 1]), let low = digit(text[index + 2]) {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(0x3d)
                index += 1
            }
        }
        return result
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }
}
