// Addresses and ports as text, as version 1 of the PROXY header writes them: one way only (`proxy-protocol.txt` §2.1).

/// Four numbers without leading zeros.
func parseIPv4(_ text: Slice<UnsafeRawBufferPointer>) -> UInt32? {
    guard isIPv4(text) else { return nil }
    var address: UInt32 = 0
    for number in text.split(separator: 0x2e) {
        guard let value = decimal(number) else { return nil }
        address = address << 8 | UInt32(value)
    }
    return address
}

func parseIPv6(_ text: Slice<UnsafeRawBufferPointer>) -> (high: UInt64, low: UInt64)? {
    guard isIPv6(text), !text.isEmpty else { return nil }
    var groups: [UInt16] = []
    var gap = 0
    var index = text.startIndex
    // It is well-formed: what ends a group is the end, the first dot of IPv4, or one colon, or two where zeros are left out.
    while index < text.endIndex {
        let end = text[index...].firstIndex { !isHexadecimal($0) } ?? text.endIndex
        if end < text.endIndex, text[end] == 0x2e {
            guard let last = parseIPv4(text[index...]) else { return nil }
            groups += [UInt16(last >> 16), UInt16(truncatingIfNeeded: last)]
            break
        }
        if end > index { groups.append(text[index..<end].reduce(0) { $0 << 4 | UInt16(hexadecimalValue($1)) }) }
        index = end + 1
        if index < text.endIndex, text[index] == 0x3a {
            gap = groups.count
            index += 1
        }
    }
    groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
    func half(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
    return (half(groups[..<4]), half(groups[4...]))
}

func parsePort(_ text: Slice<UnsafeRawBufferPointer>) -> UInt16? { decimal(text) }

/// No sign, no leading zero.
private func decimal(_ text: Slice<UnsafeRawBufferPointer>) -> UInt16? {
    guard let first = text.first, text.count <= 5, first != 0x30 || text.count == 1 else { return nil }
    var value = 0
    for byte in text {
        guard isDigit(byte) else { return nil }
        value = value * 10 + Int(byte - 0x30)
    }
    return UInt16(exactly: value)
}

private func hexadecimalValue(_ digit: UInt8) -> UInt8 {
    isDigit(digit) ? digit - 0x30 : (digit | 0x20) - 0x61 + 10
}
