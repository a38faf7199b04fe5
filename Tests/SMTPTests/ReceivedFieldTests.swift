import Primitives
import SMTP
import Testing

@Suite("The trace field (RFC 5321 §4.4)")
struct ReceivedFieldTests {
    private let time = WallTime(milliseconds: 1_795_521_871_123)
    private let id = ULID(high: 0x0193_5e8b_1234_5678, low: 42)

    private func session(hello: String = "EHLO client.example", address: String = "192.0.2.1", tls: TLSInfo? = nil)
        -> ServerSession
    {
        let policy = ServerPolicy(hostname: "relay.example", maximumMessageSize: 1000, mayRelay: true)
        var session = ServerSession(policy: policy, client: ClientInfo(address: address, tls: tls))
        _ = Array(hello.utf8).withUnsafeBytes { session.receive(line: $0) }
        return session
    }

    private func field(
        _ session: ServerSession, recipients: [String] = ["ann@example.net"], smtputf8: Bool = false
    ) -> ReceivedField {
        let envelope = Envelope(
            reversePath: nil, recipients: recipients.map { Address(parsed: Array($0.utf8)) }, smtputf8: smtputf8)
        return ReceivedField(session: session, envelope: envelope, id: id, time: time)
    }

    private func text(_ field: ReceivedField) -> String {
        var bytes: [UInt8] = Array("before".utf8)
        field.append(to: &bytes)
        return String(decoding: bytes.dropFirst(6), as: UTF8.self)
    }

    @Test("the field as it should be, folded before column 78")
    func whole() {
        #expect(
            text(field(session()))
                == "Received: from client.example ([192.0.2.1]) by relay.example with ESMTP\r\n"
                + " id \(id) for <ann@example.net>;\r\n Tue, 24 Nov 2026 12:04:31 +0000\r\n")
    }

    @Test("TLS and IPv6 are shown; 'for' only with a single recipient (§7.6)")
    func tls() {
        let tls = TLSInfo(version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384")
        #expect(
            text(field(session(address: "2001:db8::1", tls: tls), recipients: ["a@b", "c@d"]))
                == "Received: from client.example ([IPv6:2001:db8::1]) by relay.example\r\n"
                + " with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) id \(id);\r\n"
                + " Tue, 24 Nov 2026 12:04:31 +0000\r\n")
    }

    @Test("the transport's name is of RFC 3848 and RFC 6531 §4.3")
    func transport() {
        let tls = TLSInfo(version: "TLSv1.3", cipher: "X")
        func name(_ field: ReceivedField) -> Substring {
            text(field).replacing("\r\n", with: "").components(" with ")[1].prefix { $0 != " " }
        }
        #expect(name(field(session(hello: "HELO x"))) == "SMTP")
        #expect(name(field(session(hello: "HELO x", tls: tls))) == "SMTP")
        #expect(name(field(session())) == "ESMTP")
        #expect(name(field(session(), smtputf8: true)) == "UTF8SMTP")
        #expect(name(field(session(tls: tls))) == "ESMTPS")
        #expect(name(field(session(tls: tls), smtputf8: true)) == "UTF8SMTPS")
    }

    @Test(
        "nothing that a client says of itself can add a field or a clause",
        arguments: ["EHLO a(b)c", "EHLO x;y", "EHLO <x>", "EHLO \"x", "EHLO a\\", "EHLO =?utf-8?q?x?="])
    func injection(hello: String) {
        let line = text(field(session(hello: hello)))
        let name = line.dropFirst("Received: from ".count).prefix { $0 != " " }
        #expect(name.allSatisfy { $0.isLetter || $0.isNumber || "._-:[]".contains($0) })
        #expect(!name.isEmpty)
    }

    @Test("bytes of a forged address or name never break the line")
    func hostileBytes() {
        var forged = field(session())
        forged.hello = Array("a\r\nBcc: x".utf8)
        forged.clientAddress = Array("1)\r\n\r\n".utf8)
        let text = text(forged)
        #expect(text.components("\r\n").dropLast().allSatisfy { $0.hasPrefix("Received:") || $0.hasPrefix(" ") })
        forged.hello = []
        #expect(self.text(forged).hasPrefix("Received: from unknown ("))
    }

    @Test("no line is longer than 78 where a fold can help")
    func folding() {
        for length in 1...50 {
            let name = String(repeating: "h", count: length)
            let lines = text(field(session(hello: "EHLO \(name)"), recipients: ["\(name)@example.net"])).components(
                "\r\n")
            #expect(lines.dropFirst().dropLast().allSatisfy { $0.hasPrefix(" ") && $0.utf8.count <= 78 })
            #expect(lines.first?.hasPrefix("Received: from \(name) ([192.0.2.1])") == true)
            #expect(lines.last == "")
        }
    }

    @Test("Date and Message-ID are added where they lack, and an empty line where no header begins")
    func prefix() {
        func prefix(_ content: ContentSummary) -> String {
            var bytes: [UInt8] = []
            field(session()).appendPrefix(for: content, to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        let received = text(field(session()))
        var content = ContentSummary()
        content.hasDate = true
        content.hasMessageID = true
        #expect(prefix(content) == received)
        content.hasDate = false
        #expect(prefix(content) == received + "Date: Tue, 24 Nov 2026 12:04:31 +0000\r\n")
        content.hasMessageID = false
        content.beginsWithHeader = false
        #expect(
            prefix(content)
                == received + "Date: Tue, 24 Nov 2026 12:04:31 +0000\r\nMessage-ID: <\(id)@relay.example>\r\n\r\n")
    }

    @Test("dates are what `WallTime` says, at any time")
    func dates() {
        var random = SplitMix(state: 3)
        for _ in 0..<2000 {
            let time = WallTime(
                milliseconds: Int64.random(in: -62_000_000_000_000...250_000_000_000_000, using: &random))
            var bytes: [UInt8] = []
            bytes.appendDate(time)
            #expect(String(decoding: bytes, as: UTF8.self) == time.rfc5322)
        }
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        var parts: [Substring] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return parts + [rest]
    }
}
