/// The header with which a balancer says for whom it connects (HAProxy's `proxy-protocol.txt`, versions 1 and 2).
///
///     1:  PROXY TCP4 192.0.2.7 10.0.0.9 56324 2525 CR LF           at most 107 bytes, then the session
///     2:  12 bytes of signature · version and command · family · length (2 bytes) · addresses · extensions (TLVs)
///
/// It stands before everything else, TLS included, and the balancer sends it unasked. A pure function of the bytes
/// that have come: the shell reads on while they are `incomplete`. Who may send one is the shell's to know: whoever
/// may can name any client it likes.
package enum ProxyHeader: Hashable, Sendable {
    package enum Address: Hashable, Sendable {
        case v4(UInt32)
        case v6(high: UInt64, low: UInt64)
    }

    /// The client's end of the connection to the balancer.
    case client(Address, port: UInt16)
    /// For a client that it does not name: version 1's UNKNOWN, version 2's families without an address and port.
    case unknown
    /// The balancer speaks for itself: a health check (version 2 only).
    case local

    package enum Outcome: Hashable, Sendable {
        /// What there is may become a header.
        case incomplete
        /// What follows its `length` bytes is the client's.
        case header(ProxyHeader, length: Int)
        case malformed(Fault)
    }

    package enum Fault: String, Hashable, Sendable {
        case absent = "the connection does not begin with a PROXY header"
        case endless = "the PROXY line does not end within 107 bytes"
        case bareLineEnd = "the PROXY line does not end in CR LF"
        case protocolName = "the PROXY line names neither TCP4, TCP6 nor UNKNOWN"
        case fields = "the PROXY line does not hold two addresses and two ports"
        case version = "the PROXY header is of another version than 1 and 2"
        case command = "the PROXY header's command is neither LOCAL nor PROXY"
        case family = "the PROXY header's address family is not known"
        case short = "the PROXY header is shorter than its addresses"
        case long = "the PROXY header is longer than 4096 bytes"
    }

    /// Version 1, its CR LF included (§2.1).
    static let maximumLine = 107
    /// Version 2 may say 65,535 more; 536 always pass a network whole (§2.2), and certificates' names want some room.
    static let maximumLength = 4096

    /// Reads the header at the beginning of what a connection has brought so far.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        if bytes.starts(withPrefixOf: lineStart) { return parseLine(bytes) }
        if bytes.starts(withPrefixOf: signature) { return parseBinary(bytes) }
        return .malformed(.absent)
    }

    private static let lineStart = Array("PROXY ".utf8)
    private static let signature: [UInt8] = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
    ]
}

// MARK: Version 1

extension ProxyHeader {
    private static func parseLine(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        let window = bytes.prefix(maximumLine)
        guard let end = window.firstIndex(where: { $0 == 0x0d || $0 == 0x0a }) else {
            return window.count < maximumLine ? .incomplete : .malformed(.endless)
        }
        guard bytes[end] == 0x0d else { return .malformed(.bareLineEnd) }
        guard end + 1 < window.endIndex else {
            return window.count < maximumLine ? .incomplete : .malformed(.endless)
        }
        guard bytes[end + 1] == 0x0a else { return .malformed(.bareLineEnd) }
        let words = window[lineStart.count..<end].split(separator: 0x20, omittingEmptySubsequences: false)
        return named(by: words).map { .header($0, length: end + 2) }
    }

    private static func named(by words: [Slice<UnsafeRawBufferPointer>]) -> Parsed {
        guard let name = words.first else { return .fault(.protocolName) }
        // Whatever follows UNKNOWN is to be ignored (§2.1).
        if name.elementsEqual("UNKNOWN".utf8) { return .success(.unknown) }
        let read: (Slice<UnsafeRawBufferPointer>) -> Address?
        if name.elementsEqual("TCP4".utf8) {
            read = { parseIPv4($0).map(Address.v4) }
        } else if name.elementsEqual("TCP6".utf8) {
            read = { parseIPv6($0).map { Address(high: $0.high, low: $0.low) } }
        } else {
            return .fault(.protocolName)
        }
        guard words.count == 5, let source = read(words[1]), read(words[2]) != nil, let port = parsePort(words[3]),
            parsePort(words[4]) != nil
        else { return .fault(.fields) }
        return .success(.client(source, port: port))
    }

    private enum Parsed {
        case success(ProxyHeader)
        case fault(Fault)

        func map(_ outcome: (ProxyHeader) -> Outcome) -> Outcome {
            switch self {
            case .success(let header): outcome(header)
            case .fault(let fault): .malformed(fault)
            }
        }
    }
}

// MARK: Version 2

extension ProxyHeader {
    private static let fixedLength = 16

    private static func parseBinary(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard bytes.count >= fixedLength else { return .incomplete }
        guard bytes[12] >> 4 == 2 else { return .malformed(.version) }
        let length = fixedLength + Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 14, as: UInt16.self)))
        guard length <= maximumLength else { return .malformed(.long) }
        guard bytes.count >= length else { return .incomplete }
        let block = UnsafeRawBufferPointer(rebasing: bytes[fixedLength..<length])
        switch bytes[12] & 0x0f {
        // The family of LOCAL is to be ignored, and so is what follows it (§2.2).
        case 0: return .header(.local, length: length)
        case 1: return source(family: bytes[13], in: block).map { .header($0, length: length) }
        default: return .malformed(.command)
        }
    }

    /// What is behind the addresses are extensions, of which none is ours.
    private static func source(family: UInt8, in block: UnsafeRawBufferPointer) -> Parsed {
        guard family & 0x0f <= 2 else { return .fault(.family) }
        let needed: Int
        switch family >> 4 {
        case 0: return .success(.unknown)
        case 1: needed = 12
        case 2: needed = 36
        case 3: needed = 216
        default: return .fault(.family)
        }
        guard block.count >= needed else { return .fault(.short) }
        // SMTP runs over streams of the internet only: datagrams and Unix sockets name no client that we could know.
        guard family & 0x0f == 1 else { return .success(.unknown) }
        switch family >> 4 {
        case 1: return .success(.client(.v4(big(block, at: 0)), port: big(block, at: 8)))
        case 2:
            return .success(.client(Address(high: big(block, at: 0), low: big(block, at: 8)), port: big(block, at: 32)))
        default: return .success(.unknown)
        }
    }

    private static func big<T: FixedWidthInteger & BitwiseCopyable>(_ block: UnsafeRawBufferPointer, at offset: Int)
        -> T
    {
        T(bigEndian: block.loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

extension ProxyHeader.Address {
    /// `::ffff:192.0.2.1` is the IPv4 client that it says: a balancer's socket for both families writes it so.
    init(high: UInt64, low: UInt64) {
        self = high == 0 && low >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
    }
}

extension UnsafeRawBufferPointer {
    /// Whether both agree as far as the shorter one goes.
    fileprivate func starts(withPrefixOf other: [UInt8]) -> Bool {
        prefix(other.count).elementsEqual(other.prefix(count))
    }
}
