// Address literals (RFC 5321 §4.1.3). Of tagged ones only `IPv6:` is registered; others have nobody who could be reached.

/// Four numbers of 0 to 255.
func isIPv4(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
    var numbers = 1
    var digits = 0
    var value = 0
    for byte in text {
        if byte == 0x2e {
            guard digits > 0 else { return false }
            numbers += 1
            digits = 0
            value = 0
        } else {
            guard isDigit(byte), digits < 3 else { return false }
            value = value * 10 + Int(byte - 0x30)
            digits += 1
            guard value <= 255 else { return false }
        }
    }
    return numbers == 4 && digits > 0
}

/// Eight groups of up to four hexadecimal digits, one run of zero groups as `::`, the last two perhaps as IPv4.
func isIPv6(_ text: Slice<UnsafeRawBufferPointer>) -> Bool {
    var groups = 0
    var hasGap = false
    var index = text.startIndex
    let end = text.endIndex
    if text.starts(with: [0x3a, 0x3a]) {
        hasGap = true
        index += 2
    }
    while index < end {
        let start = index
        while index < end, isHexadecimal(text[index]) { index += 1 }
        if index < end, text[index] == 0x2e {
            guard isIPv4(text[start..<end]) else { return false }
            groups += 2
            break
        }
        guard (1...4).contains(index - start) else { return false }
        groups += 1
        if index == end { break }
        guard text[index] == 0x3a, index + 1 < end else { return false }
        index += 1
        if text[index] == 0x3a {
            guard !hasGap else { return false }
            hasGap = true
            index += 1
        }
    }
    // §4.1.3 has `::` stand for two groups or more; RFC 5952 and everyone since let it be one.
    return hasGap ? groups <= 7 : groups == 8
}
