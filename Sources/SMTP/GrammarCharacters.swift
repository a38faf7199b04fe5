// The character classes of RFC 5321 §4.1.2 and RFC 5322 §3.2.3, as bit sets that a compare and a shift test.

/// One bit for each ASCII character of `atext`; the first word is 0 to 63.
private let atextLow: UInt64 = 0xa3ff_acfa_0000_0000
private let atextHigh: UInt64 = 0x7fff_ffff_c7ff_fffe

/// `atext`, or a byte of a UTF-8 sequence (RFC 6531 §3.3).
func isAtomText(_ byte: UInt8) -> Bool {
    if byte >= 0x80 { return true }
    return byte < 64 ? atextLow >> UInt64(byte) & 1 == 1 : atextHigh >> UInt64(byte - 64) & 1 == 1
}

func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

func isHexadecimal(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }

func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

/// Space or tab.
func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

/// Whether `line` has this word at `position`, in whatever case. `word` is in upper case.
func hasWord(_ word: StaticString, in line: UnsafeRawBufferPointer, at position: Int) -> Bool {
    let count = word.utf8CodeUnitCount
    guard line.count - position >= count else { return false }
    let start = word.utf8Start
    for index in 0..<count {
        let byte = line[position + index]
        guard (byte &- 0x61 < 26 ? byte & 0xdf : byte) == start[index] else { return false }
    }
    return true
}

/// Whether the bytes are UTF-8 (RFC 3629 §4) without C1 control characters, which move terminals' cursors.
func isCleanUTF8(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
    var index = bytes.startIndex
    while index < bytes.endIndex {
        let byte = bytes[index]
        index += 1
        if byte < 0x80 { continue }
        let more: Int
        // The second byte's range rules out overlong forms, surrogates and what is beyond U+10FFFF.
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch byte {
        case 0xc2:
            more = 1
            second = 0xa0...0xbf
        case 0xc3...0xdf: more = 1
        case 0xe0:
            more = 2
            second = 0xa0...0xbf
        case 0xed:
            more = 2
            second = 0x80...0x9f
        case 0xe1...0xef: more = 2
        case 0xf0:
            more = 3
            second = 0x90...0xbf
        case 0xf1...0xf3: more = 3
        case 0xf4:
            more = 3
            second = 0x80...0x8f
        default: return false
        }
        guard bytes.endIndex - index >= more, second.contains(bytes[index]) else { return false }
        for offset in 1..<max(more, 1) where bytes[index + offset] & 0xc0 != 0x80 { return false }
        index += more
    }
    return true
}
