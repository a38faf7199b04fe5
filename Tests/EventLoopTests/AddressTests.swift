import Testing

@testable import EventLoop

struct AddressTests {
    @Test(
        "an address is read and written back",
        arguments: ["127.0.0.1:25", "0.0.0.0:0", "[::1]:25", "[2001:db8::5]:65535", "/run/baton.sock"])
    func roundTrip(text: String) throws {
        #expect(try #require(SocketAddress(text)).description == text)
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", "25", "mail.example:25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:25", "[::1]", "run/x",
        ])
    func refused(text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test("a name and a port are told apart")
    func hostAndPort() {
        #expect(SocketAddress.splitHostPort("mail.example:25")?.host == "mail.example")
        #expect(SocketAddress.splitHostPort("[::1]:25")?.host == "::1")
        #expect(SocketAddress.splitHostPort(":25") == nil)
        #expect(SocketAddress.splitHostPort("mail.example") == nil)
    }

    @Test(
        "a range holds what its prefix says",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false), ("0.0.0.0/0", "203.0.113.9", true), ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false),
            ("2001:db8::/96", "2001:db8::ffff:1", true), ("2001:db8::/96", "2001:db8::1:0:1", false),
            ("::1/128", "::1", true), ("::/0", "fe80::1", true),
        ])
    func ranges(range: String, address: String, holds: Bool) throws {
        let range = try #require(AddressRange(range))
        #expect(range.contains(try #require(IPAddress(address))) == holds)
    }

    @Test("a range that is none is refused", arguments: ["10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0.0/x", "ten/8"])
    func noRange(text: String) {
        #expect(AddressRange(text) == nil)
    }
}
