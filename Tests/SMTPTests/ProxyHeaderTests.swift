import SMTP
import Testing

private let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

private func parse(_ bytes: [UInt8]) -> ProxyHeader.Outcome { bytes.withUnsafeBytes(ProxyHeader.parse) }

private func parse(_ text: String) -> ProxyHeader.Outcome { parse(Array(text.utf8)) }

/// Version 2, its length as the block is long.
private func binary(_ command: UInt8, _ family: UInt8, _ block: [UInt8]) -> [UInt8] {
    signature + [command, family, UInt8(block.count >> 8), UInt8(block.count & 0xff)] + block
}

private let four: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 9, 0xdc, 0x04, 0x09, 0xdd]
private let six: [UInt8] =
    [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1] + [UInt8](repeating: 9, count: 16)
    + [0xdc, 0x04, 0x09, 0xdd]
/// The same client on an IPv6 socket.
private let mapped: [UInt8] =
    [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 192, 0, 2, 7] + [UInt8](repeating: 9, count: 16)
    + [0xdc, 0x04, 0x09, 0xdd]
private let client = ProxyHeader.client(.v4(0xc000_0207), port: 56324)

@Suite("The PROXY header")
struct ProxyHeaderTests {
    static let lines: [(String, ProxyHeader)] = [
        ("PROXY TCP4 192.0.2.7 10.0.0.9 56324 2525", client),
        ("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535", .client(.v4(0), port: 0)),
        ("PROXY TCP6 2001:db8::1 ::9 56324 25", .client(.v6(high: 0x2001_0db8_0000_0000, low: 1), port: 56324)),
        (
            "PROXY TCP6 1:2:3:4:5:6:7:8 :: 1 2",
            .client(.v6(high: 0x0001_0002_0003_0004, low: 0x0005_0006_0007_0008), port: 1)
        ),
        ("PROXY TCP6 fe80:: 1::2:FFff 1 2", .client(.v6(high: 0xfe80 << 48, low: 0), port: 1)),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 56324 25", client),
        ("PROXY TCP6 ::ffff:c000:207 ::1 56324 25", client),
        ("PROXY UNKNOWN", .unknown), ("PROXY UNKNOWN whatever may stand here", .unknown),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
            .client(.v6(high: .max, low: .max), port: 65535)
        ),
    ]

    @Test("version 1 names the client (§2.1)", arguments: lines)
    func namedByLine(_ line: String, _ header: ProxyHeader) {
        #expect(parse(line + "\r\n") == .header(header, length: line.utf8.count + 2))
        #expect(parse(line + "\r\nEHLO x\r\n") == .header(header, length: line.utf8.count + 2))
    }

    @Test(
        "a line that the specification does not allow is refused, with what is wrong",
        arguments: [
            ("EHLO x\r\n", .absent), ("PROXY\r\n", .absent), ("proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", .absent),
            ("\u{16}\u{3}\u{1}", .absent), ("GET / HTTP/1.1\r\n", .absent), ("PROXYX", .absent),
            ("PROXY \r\n", .protocolName), ("PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", .protocolName),
            ("PROXY  TCP4 1.1.1.1 1.1.1.1 1 1\r\n", .protocolName), ("PROXY UNKNOWNX\r\n", .protocolName),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n", .fields), ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1 \r\n", .fields),
            ("PROXY TCP4 1.1.1.1  1.1.1.1 1 1\r\n", .fields), ("PROXY TCP4 ::1 ::1 1 1\r\n", .fields),
            ("PROXY TCP6 1.1.1.1 ::1 1 1\r\n", .fields), ("PROXY TCP4 1.1.1.256 1.1.1.1 1 1\r\n", .fields),
            ("PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n", .fields), ("PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n", .fields),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", .fields), ("PROXY TCP4 1.1.1.1 1.1.1.1 1 -1\r\n", .fields),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 1 \r\n", .fields), ("PROXY TCP6 1::2::3 ::1 1 1\r\n", .fields),
            ("PROXY TCP6 1:2:3:4:5:6:7 ::1 1 1\r\n", .fields), ("PROXY TCP6 12345:: ::1 1 1\r\n", .fields),
            ("PROXY TCP6 ::%1 ::1 1 1\r\n", .fields), ("PROXY TCP6 1:2:3:4:5:6:7:1.1.1.1 ::1 1 1\r\n", .fields),
            ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n", .bareLineEnd), ("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\rX", .bareLineEnd),
            ("PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n", .endless),
            ("PROXY UNKNOWN " + String(repeating: "x", count: 93), .endless),
        ] as [(String, ProxyHeader.Fault)])
    func badLines(_ text: String, _ fault: ProxyHeader.Fault) {
        #expect(parse(text) == .malformed(fault))
    }

    @Test("a line of 107 bytes is the longest")
    func longest() {
        let line = "PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n"
        #expect(line.utf8.count == 107)
        #expect(parse(line) == .header(.unknown, length: 107))
    }

    static let blocks: [([UInt8], ProxyHeader)] = [
        (binary(0x21, 0x11, four), client),
        (binary(0x21, 0x21, six), .client(.v6(high: 0x2001_0db8_0000_0000, low: 1), port: 56324)),
        // Extensions behind the addresses are skipped.
        (binary(0x21, 0x11, four + [0x04, 0, 3, 1, 2, 3]), client),
        (binary(0x21, 0x21, mapped), client),
        (binary(0x21, 0x00, []), .unknown), (binary(0x21, 0x00, [1, 2, 3]), .unknown),
        (binary(0x21, 0x31, [UInt8](repeating: 0x2f, count: 216)), .unknown), (binary(0x21, 0x12, four), .unknown),
        // LOCAL: whatever else it says is ignored.
        (binary(0x20, 0x00, []), .local), (binary(0x20, 0x11, four), .local), (binary(0x20, 0xff, [1]), .local),
        (binary(0x21, 0x11, four + [UInt8](repeating: 0, count: 4068)), client),
    ]

    @Test("version 2 names the client (§2.2)", arguments: blocks)
    func namedByBlock(_ bytes: [UInt8], _ header: ProxyHeader) {
        #expect(parse(bytes) == .header(header, length: bytes.count))
        #expect(parse(bytes + [0x45]) == .header(header, length: bytes.count))
    }

    @Test(
        "a block that the specification does not allow is refused, with what is wrong",
        arguments: [
            (binary(0x11, 0x11, four), .version), (binary(0x22, 0x11, four), .command),
            (binary(0x21, 0x41, four), .family),
            (binary(0x21, 0x13, four), .family), (binary(0x21, 0x11, Array(four.dropLast())), .short),
            (binary(0x21, 0x21, Array(six.dropLast())), .short), (binary(0x21, 0x31, four), .short),
            (binary(0x21, 0x11, four + [UInt8](repeating: 0, count: 4069)), .long),
            (signature.dropLast() + [0x0b], .absent),
        ] as [([UInt8], ProxyHeader.Fault)])
    func badBlocks(_ bytes: [UInt8], _ fault: ProxyHeader.Fault) {
        #expect(parse(bytes) == .malformed(fault))
    }

    @Test("every beginning of a header is one that may become it, however the reads cut it")
    func prefixes() {
        for header in ProxyHeaderTests.lines.map({ Array(($0.0 + "\r\n").utf8) }) + ProxyHeaderTests.blocks.map(\.0) {
            for end in header.indices { #expect(parse(Array(header[..<end])) == .incomplete, "\(header) \(end)") }
        }
    }

    @Test("no altered byte and no noise crashes it, or makes a header longer than the bytes")
    func mutations() {
        var seed: UInt64 = 1
        func random() -> UInt64 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return seed >> 33
        }
        func check(_ bytes: [UInt8]) {
            if case .header(_, let length) = parse(bytes) { #expect(length <= bytes.count) }
        }
        for header in ProxyHeaderTests.lines.map({ Array(($0.0 + "\r\n").utf8) }) + ProxyHeaderTests.blocks.map(\.0) {
            for index in header.indices.prefix(120) {
                for bit in 0..<8 {
                    var altered = header
                    altered[index] ^= 1 << bit
                    check(altered)
                }
            }
            for _ in 0..<500 {
                var altered = header
                for _ in 0...random() % 4 { altered[Int(random()) % altered.count] = UInt8(random() & 0xff) }
                check(Array(altered.prefix(Int(random()) % (altered.count + 1))))
            }
        }
    }
}
