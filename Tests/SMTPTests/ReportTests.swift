import Primitives
import Testing

@testable import SMTP

@Suite("Delivery reports")
struct ReportTests {
    static let id = MessageID(ULID(text: "01JD9Q4X7M2TAAAAAAAAAAAAAA") ?? .zero)
    static let originalID = MessageID(ULID(text: "01JD8Z1K0000000000000000ZZ") ?? .zero)
    /// 2026-11-24 12:04:31 UTC.
    static let date = WallTime(milliseconds: 1_795_521_871_000)
    static let header = """
        Received: from x\r
        From: a@x.example\r
        Subject: hello\r
        \tfolded\r
        \r

        """

    static func report(
        _ kind: DeliveryReport.Kind, to: String = "a@x.example", header: [UInt8] = Array(header.utf8),
        _ recipients: [DeliveryReport.Recipient]
    ) -> DeliveryReport {
        DeliveryReport(
            kind, id: id, date: date, from: Address(parsed: Array("postmaster@relay.example".utf8)),
            to: Address(parsed: Array(to.utf8)), reportingHost: "relay.example", originalID: originalID,
            arrival: date + .seconds(-60), recipients: recipients, originalHeader: header)
    }

    static func address(_ text: String) -> Address { Address(parsed: Array(text.utf8)) }

    static let refused = DeliveryReport.Recipient(
        address("b@y.example"), .refused, reply: Reply(550, 5, 1, 1, "no such user\nsee https://y.example/help"),
        remote: "mx.y.example", lastAttempt: date)

    @Test("a bounce, whole")
    func whole() {
        let content = Self.report(.failure, [Self.refused]).content()
        #expect(content.body == .sevenBit && !content.smtputf8)
        let expected = """
            Date: Tue, 24 Nov 2026 12:04:31 +0000
            From: Mail Delivery System <postmaster@relay.example>
            To: <a@x.example>
            Subject: Undelivered Mail Returned to Sender
            Message-ID: <01JD9Q4X7M2TAAAAAAAAAAAAAA@relay.example>
            Auto-Submitted: auto-replied
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            \tboundary="=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA"

            This is a MIME-encoded message (RFC 3464).

            --=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA
            Content-Type: text/plain; charset=us-ascii
            Content-Description: Notification

            This is the mail system at host relay.example.

            I'm sorry to have to inform you that your message could not be delivered to:

            <b@y.example>
                It was refused, and the refusal is final:
                mx.y.example said: 550 5.1.1 no such user see https://y.example/help

            The message arrived here on Tue, 24 Nov 2026 12:03:31 +0000 and had the queue
            id 01JD8Z1K0000000000000000ZZ.

            --=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA
            Content-Type: message/delivery-status
            Content-Description: Delivery report

            Reporting-MTA: dns; relay.example
            X-Baton-Queue-ID: 01JD8Z1K0000000000000000ZZ
            Arrival-Date: Tue, 24 Nov 2026 12:03:31 +0000

            Final-Recipient: rfc822; b@y.example
            Action: failed
            Status: 5.1.1
            Remote-MTA: dns; mx.y.example
            Diagnostic-Code: smtp; 550 5.1.1 no such user see https://y.example/help
            Last-Attempt-Date: Tue, 24 Nov 2026 12:04:31 +0000

            --=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA
            Content-Type: text/rfc822-headers
            Content-Description: Undelivered Message Headers

            Received: from x
            From: a@x.example
            Subject: hello
            \tfolded

            --=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA--

            """
        #expect(String(decoding: content.bytes, as: UTF8.self).replacing("\r\n", with: "\n") == expected)
    }

    @Test("a delay warning says until when, and that nothing need be sent again")
    func delay() throws {
        let until = Self.date + .hours(71)
        let parsed = try ParsedReport(
            Self.report(
                .delay(until: until),
                [
                    .init(
                        Self.address("b@y.example"), .delayed, reply: Reply(451, 4, 7, 1, "greylisted"), remote: "mx"),
                    .init(Self.address("c@y.example"), .delayed),
                ]
            ).content())
        #expect(parsed.header["Subject"] == "Delayed Mail (still being retried)")
        #expect(parsed.parts[0].body.contains("DO NOT NEED TO SEND"))
        #expect(parsed.parts[0].body.replacing("\n", with: " ").contains(until.rfc5322))
        #expect(parsed.status.map { $0["Action"] } == [nil, "delayed", "delayed"])
        #expect(parsed.status.map { $0["Status"] } == [nil, "4.7.1", "4.0.0"])
        #expect(parsed.status[1]["Will-Retry-Until"] == until.rfc5322)
        #expect(parsed.status[2]["Diagnostic-Code"] == nil && parsed.status[2]["Remote-MTA"] == nil)
    }

    static let statuses: [(DeliveryReport.Cause, Reply?, String)] = [
        (.refused, Reply(550, 5, 1, 1, "no"), "5.1.1"), (.refused, Reply(550, text: []), "5.0.0"),
        (.expired, Reply(451, 4, 7, 1, "no"), "5.4.7"), (.expired, nil, "5.4.7"), (.refused, nil, "5.0.0"),
        (.givenUp("spam run"), Reply(451, 4, 7, 1, "no"), "5.7.0"),
    ]

    @Test("a failed recipient has a status of failure", arguments: statuses)
    func status(cause: DeliveryReport.Cause, reply: Reply?, status: String) throws {
        let recipient = DeliveryReport.Recipient(Self.address("b@y.example"), cause, reply: reply)
        let parsed = try ParsedReport(Self.report(.failure, [recipient]).content())
        #expect(parsed.status[1]["Status"] == status)
        #expect(parsed.status[1]["Action"] == "failed")
        if case .givenUp(let reason) = cause { #expect(parsed.parts[0].body.contains(reason)) }
    }

    @Test("what a stranger's reply, host and header say cannot leave their places")
    func hostile() throws {
        let recipient = DeliveryReport.Recipient(
            Self.address("b@y.example"), .refused,
            reply: Reply(
                550,
                text: Array("x\r\n\r\n--=_report_01JD9Q4X7M2TAAAAAAAAAAAAAA--\r\n.\r\nRSET\u{0}\u{1b}[2J\u{7f}é".utf8)
                    + [0xff] + [UInt8](repeating: 0x41, count: 1900)),
            remote: "mx\r\nAction: delivered")
        let header = Array("Subject: x\u{0}y\r\n..dots\r\nX: \u{1b}[2J\r\nlone\rcr\r\n".utf8)
        let parsed = try ParsedReport(Self.report(.failure, header: header, [recipient]).content())
        #expect(parsed.status[1]["Action"] == "failed")
        #expect(parsed.parts[2].body == "Subject: x?y\n.dots\nX: ?[2J\nlone?cr\n\n")
        #expect(parsed.status.count == 2)
    }

    @Test("internationalised addresses get the types of RFC 6533")
    func international() throws {
        let recipient = DeliveryReport.Recipient(
            Self.address("bücher@y.example"), .refused, reply: Reply(550, 5, 1, 1, "no"))
        var content = Self.report(.failure, [recipient]).content()
        #expect(content.body == .eightBit && !content.smtputf8)
        var parsed = try ParsedReport(content)
        #expect(parsed.parts.map(\.type) == ["text/plain", "message/global-delivery-status", "text/rfc822-headers"])
        #expect(parsed.status[1]["Final-Recipient"] == "utf-8; bücher@y.example")

        content = Self.report(.failure, to: "ä@x.example", header: Array("Subject: ä\r\n".utf8), [Self.refused])
            .content()
        #expect(content.body == .eightBit && content.smtputf8)
        parsed = try ParsedReport(content)
        #expect(parsed.parts.map(\.type) == ["text/plain", "message/delivery-status", "message/global-headers"])
        #expect(parsed.header["To"] == "<ä@x.example>")
        #expect(parsed.parts[2].body == "Subject: ä\n\n")
    }

    @Test("an original header in no known charset is returned as ASCII")
    func latin1() throws {
        let content = Self.report(.failure, header: Array("Subject: ".utf8) + [0xe4, 0x0d, 0x0a], [Self.refused])
            .content()
        #expect(content.body == .sevenBit)
        #expect(try ParsedReport(content).parts[2].body == "Subject: ?\n\n")
    }

    @Test("a large original header and many recipients stay within bounds, cut at a line")
    func bounds() throws {
        let line = Array("X-Long: \(String(repeating: "é", count: 1000))\r\n".utf8)
        var header: [UInt8] = []
        for _ in 0..<100 { header += line }
        let recipients = (0..<1500).map { DeliveryReport.Recipient(Self.address("b\($0)@y.example"), .expired) }
        let parsed = try ParsedReport(Self.report(.failure, header: header, recipients).content())
        #expect(parsed.parts[2].body.utf8.count <= DeliveryReport.maximumHeader + 1)
        #expect(parsed.parts[2].body.utf8.count > DeliveryReport.maximumHeader - 2100)
        #expect(parsed.status.count == 1 + DeliveryReport.maximumRecipients)
        #expect(parsed.parts[0].body.contains("and 500 more recipients."))
    }

    @Test("random replies and headers give a report that is whole")
    func random() throws {
        var random = SeededRandom(seed: 9)
        for _ in 0..<300 {
            func bytes(_ limit: Int) -> [UInt8] {
                (0..<Int.random(in: 0...limit, using: &random)).map { _ in
                    random.chance(0.3)
                        ? Array(" \r\n.-".utf8).randomElement(using: &random)!
                        : UInt8.random(in: 0...255, using: &random)
                }
            }
            let recipient = DeliveryReport.Recipient(
                Self.address("b@y.example"), .refused, reply: Reply(550, text: bytes(2048)),
                remote: String(decoding: bytes(100), as: UTF8.self))
            let parsed = try ParsedReport(Self.report(.failure, header: bytes(3000), [recipient]).content())
            #expect(parsed.parts.count == 3 && parsed.status.count == 2)
        }
    }
}

/// A report taken apart again by its structure, and checked as a message on the wire on the way.
struct ParsedReport {
    struct Part {
        var type: String
        var body: String
    }

    var header: [String: String]
    var parts: [Part]
    /// The groups of fields of the delivery-status part.
    var status: [[String: String]]

    init(_ content: DeliveryReport.Content) throws {
        try #require(content.bytes.suffix(2) == [0x0d, 0x0a])
        var lines: [String] = []
        for line in content.bytes.split(separator: 0x0a, omittingEmptySubsequences: false).dropLast() {
            try #require(line.last == 0x0d)
            let words = line.dropLast()
            #expect(words.count <= 998)
            #expect(words.allSatisfy { $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f })
            if content.body == .sevenBit { #expect(words.allSatisfy { $0 < 0x80 }) }
            #expect(words.first != 0x2e || words.count > 1 && words[words.startIndex + 1] == 0x2e)
            lines.append(
                try #require(String(validating: words.first == 0x2e ? words.dropFirst() : words, as: UTF8.self)))
        }
        let end = try #require(lines.firstIndex(of: ""))
        header = Self.fields(lines[..<end])
        let type = try #require(header["Content-Type"])
        #expect(type.hasPrefix("multipart/report; report-type=delivery-status;"))
        let boundary = try #require(type.split(separator: "\"").dropFirst().first)
        #expect(lines.last == "--\(boundary)--")
        #expect(lines.count(where: { $0 == "--\(boundary)--" }) == 1)
        parts = lines[end...].split(separator: "--\(boundary)").dropFirst().map { lines in
            let end = lines.firstIndex(of: "") ?? lines.endIndex
            let fields = Self.fields(lines[lines.startIndex..<end])
            let isEightBit = lines.contains { $0.utf8.contains { $0 >= 0x80 } }
            #expect(!isEightBit || fields["Content-Transfer-Encoding"] == "8bit")
            let type = fields["Content-Type"]?.split(separator: ";").first.map(String.init) ?? ""
            let body = lines[(end + 1)...].filter { $0 != "--\(boundary)--" }
            return Part(type: type, body: body.map { $0 + "\n" }.joined())
        }
        #expect(parts.count == 3)
        status = parts[1].body.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            .split(separator: "").map { Self.fields($0) }
    }

    private static func fields(_ lines: some Sequence<String>) -> [String: String] {
        var fields: [String: String] = [:]
        var name = ""
        for line in lines {
            if line.hasPrefix(" ") || line.hasPrefix("\t") {
                fields[name]? += " " + line.drop { $0 == " " || $0 == "\t" }
            } else if let colon = line.firstIndex(of: ":") {
                name = String(line[..<colon])
                #expect(fields[name] == nil)
                fields[name] = String(line[line.index(after: colon)...].drop { $0 == " " })
            } else {
                Issue.record("not a field: \(line)")
            }
        }
        return fields
    }
}
