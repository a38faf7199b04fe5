import SMTP
import Testing

@Suite("Paths of MAIL and RCPT (RFC 5321 §4.1.2)")
struct AddressPathTests {
    @Test(
        "an address is taken as it stands, without brackets and source route",
        arguments: [
            ("<ann@example.net>", "ann@example.net"),
            ("ann@example.net", "ann@example.net"),
            ("<Ann.B+tag@Example.NET>", "Ann.B+tag@Example.NET"),
            ("<a!#$%&'*+-/=?^_`{|}~b@example.net>", "a!#$%&'*+-/=?^_`{|}~b@example.net"),
            // §4.1.2: 'Quoted-string = DQUOTE *QcontentSMTP DQUOTE'
            ("<\"a b\"@example.net>", "\"a b\"@example.net"),
            ("<\"a@b\"@example.net>", "\"a@b\"@example.net"),
            ("<\"a\\\"b>\"@example.net>", "\"a\\\"b>\"@example.net"),
            ("<\"\"@example.net>", "\"\"@example.net"),
            ("<\"a..b\"@example.net>", "\"a..b\"@example.net"),
            // §4.1.3
            ("<a@[192.0.2.1]>", "a@[192.0.2.1]"),
            ("<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
            ("<a@[ipv6:::ffff:192.0.2.1]>", "a@[ipv6:::ffff:192.0.2.1]"),
            // appendix C: 'Servers … MUST accept source route syntax … SHOULD ignore'
            ("<@one.example:ann@example.net>", "ann@example.net"),
            ("<@one.example,@two.example,@[192.0.2.1]:ann@example.net>", "ann@example.net"),
            // a domain of one label, and hosts with underscores, which the grammar lacks and the world has
            ("<a@localhost>", "a@localhost"),
            ("<a@my_host.example>", "a@my_host.example"),
            ("<a@xn--bcher-kva.example>", "a@xn--bcher-kva.example"),
            ("<a@1.2>", "a@1.2"),
            // RFC 6531 §3.3
            ("<jürgen@bücher.example>", "jürgen@bücher.example"),
            ("<\"ü b\"@例え.テスト>", "\"ü b\"@例え.テスト"),
            // §4.1.1.3: 'Postmaster' needs no domain
            ("<PostMaster>", "PostMaster"),
        ])
    func takes(path: String, expected: String) throws {
        let address = try Address(path: path.utf8)
        #expect(address.description == expected)
        #expect(address == Address(parsed: Array(expected.utf8)))
    }

    @Test("the local part and the domain are told apart at the right @")
    func parts() throws {
        let address = try Address(path: "<\"a@b\"@Example.net>".utf8)
        #expect(String(decoding: address.localPart, as: UTF8.self) == "\"a@b\"")
        #expect(address.domainKey == "example.net")
        let postmaster = try Address(path: "postmaster".utf8)
        #expect(postmaster.domain.isEmpty)
        #expect(postmaster.at == 10)
    }

    @Test(
        "what is no path is refused with the reason",
        arguments: [
            ("<>", PathError.nullPath),
            ("<ann@example.net", .missingClosingBracket),
            ("<ann@example.net> x", .trailingText),
            ("<ann@example.net>>", .trailingText),
            ("<ann>", .missingDomain),
            ("<postmasterx>", .missingDomain),
            ("<ann@>", .badDomain),
            ("<@example.net>", .badSourceRoute),
            ("<@one.example>", .badSourceRoute),
            ("<@one.example,two.example:a@b>", .badSourceRoute),
            ("<@one..example:a@b>", .badSourceRoute),
            ("<.a@example.net>", .badLocalPart),
            ("<a.@example.net>", .badLocalPart),
            ("<a..b@example.net>", .badLocalPart),
            ("<a b@example.net>", .badLocalPart),
            ("< a@example.net>", .badLocalPart),
            ("<a@b@example.net>", .badDomain),
            ("<a(c)@example.net>", .badLocalPart),
            ("<\"a@example.net>", .unterminatedQuote),
            ("<\"a\u{7}\"@example.net>", .unterminatedQuote),
            ("<\"a\\\u{7}\"@example.net>", .unterminatedQuote),
            ("<\"a\"b@example.net>", .badLocalPart),
            ("<a@example..net>", .badDomain),
            ("<a@.example.net>", .badDomain),
            // §2.3.5: no dot at the end
            ("<a@example.net.>", .badDomain),
            ("<a@-example.net>", .badDomain),
            ("<a@example-.net>", .badDomain),
            ("<a@exa mple.net>", .badDomain),
            ("<a@example.net\n>", .badDomain),
            ("<a@[192.0.2.256]>", .badAddressLiteral),
            ("<a@[192.0.2]>", .badAddressLiteral),
            ("<a@[192.0.2.1.1]>", .badAddressLiteral),
            ("<a@[192.0.2.1>", .badAddressLiteral),
            ("<a@[]>", .badAddressLiteral),
            ("<a@[IPv6:1:2:3:4:5:6:7]>", .badAddressLiteral),
            ("<a@[IPv6:1:2:3:4:5:6:7:8:9]>", .badAddressLiteral),
            ("<a@[IPv6:1::2::3]>", .badAddressLiteral),
            ("<a@[IPv6:]>", .badAddressLiteral),
            ("<a@[IPv6:12345::]>", .badAddressLiteral),
            ("<a@[IPv6:1:2:3:4:5:6:7:]>", .badAddressLiteral),
            ("<a@[IPv6]:::1>", .badAddressLiteral),
            ("<a@[2001:db8::1]>", .badAddressLiteral),
            ("<a@[X400:junk]>", .badAddressLiteral),
        ])
    func refuses(path: String, reason: PathError) {
        #expect(throws: reason) { try Address(path: path.utf8) }
        #expect(!reason.text.isEmpty)
    }

    @Test(
        "IPv6 literals in every form are taken",
        arguments: [
            "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3::6:7:8", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::192.0.2.1",
            "1:2:3:4:5:6:192.0.2.1", "fe80::ABCD",
        ])
    func takesIPv6(text: String) throws {
        #expect(try Address(path: "<a@[IPv6:\(text)]>".utf8).description == "a@[IPv6:\(text)]")
    }

    @Test("local part 64, domain 255, path 256 octets are the limits (§4.5.3.1.1 to §4.5.3.1.3)")
    func limits() throws {
        let local = String(repeating: "a", count: 64)
        #expect(try Address(path: "<\(local)@example.net>".utf8).at == 64)
        #expect(throws: PathError.localPartTooLong) { try Address(path: "<\(local)a@example.net>".utf8) }
        #expect(throws: PathError.localPartTooLong) { try Address(path: "<\"\(local.dropFirst())\"@example.net>".utf8) }

        let label = String(repeating: "d", count: 63)
        let long = Array(repeating: label, count: 4).joined(separator: ".")  // 255
        #expect(throws: PathError.pathTooLong) { try Address(path: "<a@\(long)>".utf8) }
        #expect(throws: PathError.domainTooLong) { try Address(path: "<a@\(long).e>".utf8) }
        #expect(throws: PathError.domainTooLong) { try Address(path: "<a@\(label)d.example>".utf8) }

        let longest = long.dropLast(3)  // 252 octets: 1 + 1 + 252 + 2 are 256
        #expect(try Address(path: "<a@\(longest)>".utf8).bytes.count == 254)
        #expect(throws: PathError.pathTooLong) { try Address(path: "<aa@\(longest)>".utf8) }
        // A source route is dropped before the path is measured.
        #expect(try Address(path: "<@one.example:a@\(longest)>".utf8).bytes.count == 254)
    }

    @Test(
        "bytes that are not UTF-8 are refused (RFC 3629 §4)",
        arguments: [
            [0xff], [0xc3], [0xc0, 0xaf], [0xe0, 0x80, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80],
            [0xf5, 0x80, 0x80, 0x80],
            [0x80], [0xe3, 0x81], [0xf0, 0x80, 0x80, 0x80], [0xe3, 0x81, 0x41],
            // U+009B moves terminals' cursors
            [0xc2, 0x9b],
        ] as [[UInt8]])
    func refusesBadUTF8(bytes: [UInt8]) {
        let path = Array("<a".utf8) + bytes + Array("@example.net>".utf8)
        #expect(throws: PathError.notUTF8) { try Address(path: path) }
        let domain = Array("<a@b".utf8) + bytes + Array(".net>".utf8)
        #expect(throws: PathError.notUTF8) { try Address(path: domain) }
    }

    @Test("every path cut short or with any byte changed is refused or taken, never a crash")
    func mutations() {
        let seeds = ["<@a.b,@c:\"x\\\"y\"@[IPv6:1::2]>", "<jürgen.x@bücher.example>", "<a@[192.0.2.1]>"]
        for seed in seeds {
            let bytes = Array(seed.utf8)
            for index in 0...bytes.count {
                _ = try? Address(path: bytes[..<index])
                guard index < bytes.count else { continue }
                for value in UInt8.min...UInt8.max {
                    var changed = bytes
                    changed[index] = value
                    if let address = try? Address(path: changed) {
                        #expect(!address.bytes.contains { $0 < 0x20 || $0 == 0x7f })
                    }
                }
            }
        }
    }
}
