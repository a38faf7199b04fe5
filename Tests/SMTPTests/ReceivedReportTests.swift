import Primitives
import SMTP
import Testing

struct ReceivedReportTests {
    private func report(_ text: String) throws -> ReceivedReport {
        try #require(ReceivedReport(message: Array(text.replacing("\n", with: "\r\n").utf8)))
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test("a failure as Postfix reports it")
    func postfix() throws {
        let report = try report(ReportSamples.postfix)
        #expect(report.kind == .deliveryStatus)
        #expect(report.reportingHost == "mx.example.org")
        #expect(text(report.originalMessageID) == "<8f1c@shop.example>")
        #expect(text(report.originalSender) == "b+tag@b.example.net")
        let recipient = try #require(report.recipients.first)
        #expect(report.recipients.count == 1)
        #expect(text(recipient.original) == "ann@example.com")
        #expect(text(recipient.final) == "ann@mail.example.com")
        #expect(text(recipient.address) == "ann@example.com")
        #expect(recipient.kind == .bounced)
        #expect(recipient.code == 550)
        #expect(recipient.status == EnhancedCode(5, 1, 1))
        #expect(text(recipient.text) == "<ann@mail.example.com>: Recipient address rejected: User unknown")
        #expect(recipient.remoteHost == "mx1.mail.example.com")
    }

    @Test("several recipients with their own actions, in base64, with bare line feeds")
    func several() throws {
        let bytes = Array(ReportSamples.encoded.utf8)
        let report = try #require(ReceivedReport(message: bytes))
        #expect(report.recipients.map(\.kind) == [.bounced, .deferred, nil, .delivered])
        #expect(report.recipients.map { text($0.final) } == ["a@example.org", "b@example.org", "c@example.org", ""])
        #expect(text(report.recipients[3].original) == "d@example.org")
        #expect(report.recipients[0].status == EnhancedCode(5, 2, 2))
        #expect(report.recipients[1].code == nil)
        #expect(text(report.recipients[1].text) == "no route to host")
        #expect(report.originalEnvelopeID == "QQ314159")
    }

    @Test("a complaint (RFC 5965 §B)")
    func complaint() throws {
        let report = try report(ReportSamples.complaint)
        #expect(report.kind == .complaint)
        #expect(report.feedbackType == "abuse")
        #expect(text(report.originalSender) == "somespammer@example.net")
        #expect(report.recipients.map { text($0.address) } == ["user@example.com"])
        #expect(report.recipients.map(\.kind) == [.complained])
        #expect(text(report.originalMessageID) == "8787KJKJ3K4J3K4J3K4J3.mail@example.net")
    }

    @Test("what takes a complaint back is none")
    func notSpam() throws {
        let report = try report(
            ReportSamples.complaint.replacing("Feedback-Type: abuse", with: "Feedback-Type: not-spam"))
        #expect(report.recipients.map(\.kind) == [nil])
    }

    @Test("our own reports are read as they were meant")
    func own() throws {
        let recipients = ["x@example.com", "grün@example.com"].map {
            DeliveryReport.Recipient(
                Address(parsed: Array($0.utf8)), .refused, reply: Reply(550, 5, 7, 1, "blocked for your reputation"),
                remote: "mx.example.com", lastAttempt: WallTime(milliseconds: 1_760_000_000_000))
        }
        let id = MessageID(ULID(high: 1 << 60, low: 7))
        let content = DeliveryReport(
            .failure, id: id, date: WallTime(milliseconds: 1_760_000_000_000),
            from: Address(parsed: Array("postmaster@relay.example".utf8)),
            to: Address(parsed: Array("s@shop.example".utf8)),
            reportingHost: "relay.example", originalID: id, arrival: WallTime(milliseconds: 1_760_000_000_000),
            recipients: recipients, originalHeader: Array("Message-ID: <1@shop.example>\r\n..Dot: 1\r\n\r\n".utf8)
        ).content()
        let report = try #require(ReceivedReport(message: DotStuffing.unstuffed(content.bytes)))
        #expect(report.recipients.map { text($0.final) } == ["x@example.com", "grün@example.com"])
        #expect(report.recipients.allSatisfy { $0.code == 550 && $0.status == EnhancedCode(5, 7, 1) })
        #expect(text(report.recipients[0].text) == "blocked for your reputation")
        #expect(text(report.originalMessageID) == "<1@shop.example>")
    }

    @Test(
        "other mail is no report",
        arguments: [
            "", "\n", "Subject: hello\n\nI am away until Monday.\n",
            "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: text/plain\n\nwords\n--x--\n",
            "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n--x--\n",
            "Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.org\n",
            "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/feedback-report\n\nVersion: 1\n--x--\n",
        ])
    func none(_ text: String) { #expect(ReceivedReport(message: Array(text.utf8)) == nil) }

    @Test("rubbish made of reports never traps, and stays within the bounds", arguments: 0..<20)
    func rubbish(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let samples = [ReportSamples.postfix, ReportSamples.encoded, ReportSamples.complaint].map { Array($0.utf8) }
        for _ in 0..<100 {
            var bytes = samples[Int(random.next() % UInt64(samples.count))]
            for _ in 0..<(1 + Int(random.next() % UInt64(12))) {
                let place = Int(random.next() % UInt64(bytes.count))
                switch Int(random.next() % UInt64(5)) {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int(random.next() % UInt64(60))))
                case 2:
                    bytes.insert(
                        contentsOf: bytes[place..<min(bytes.count, place + Int(random.next() % UInt64(200)))], at: place
                    )
                case 3:
                    bytes.insert(contentsOf: [0x0a, 0x3a, 0x3d, 0x3c][0..<Int(random.next() % UInt64(5))], at: place)
                default: bytes.swapAt(place, Int(random.next() % UInt64(bytes.count)))
                }
                if bytes.isEmpty { bytes = [0x0a] }
            }
            guard let report = ReceivedReport(message: bytes) else { continue }
            #expect(report.recipients.count <= ReceivedReport.maximumRecipients)
            #expect(report.originalHeader.count <= DeliveryReport.maximumHeader)
            #expect(report.recipients.allSatisfy { $0.text.count <= 1024 && $0.address.count <= 320 })
        }
    }

    @Test("nesting without end and parts without end are cut")
    func bounds() {
        let nested = String(repeating: "Content-Type: multipart/report; boundary=x\n\n--x\n", count: 5000)
        #expect(ReceivedReport(message: Array(nested.utf8)) == nil)
        let group = "Final-Recipient: rfc822; a@example.org\nAction: failed\nStatus: 5.0.0\n\n"
        let many =
            "Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
            + String(repeating: group, count: 3000)
        #expect(ReceivedReport(message: Array(many.utf8))?.recipients.count == ReceivedReport.maximumRecipients)
    }
}

struct SpokenReplyTests {
    @Test(
        "the upstream's own name for a message is in its 250",
        arguments: [
            ("Ok: queued as 4XyZ1", "4XyZ1"), ("2.0.0 Ok: queued as 4XyZ1.", "4XyZ1"),
            ("OK id=1tGx2a-0002Xy-1A", "1tGx2a-0002Xy-1A"),
            (
                "Ok 0100018f3c2d1a2b-0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5-000000",
                "0100018f3c2d1a2b-0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5-000000"
            ),
            ("Ok: queued as <AbC-1_x>", "AbC-1_x"), ("Great success", nil), ("OK", nil), ("", nil), ("queued as", nil),
        ] as [(String, String?)])
    func remoteID(_ text: String, _ expected: String?) {
        #expect(
            SpokenReply.remoteID(ofAccepting: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test(
        "a quoted reply is taken apart",
        arguments: [
            ("550 5.1.1 no such user", 550, "5.1.1", "no such user"),
            ("550-5.7.26 unauthenticated", 550, "5.7.26", "unauthenticated"),
            ("(421) 4.7.0 later", 421, "4.7.0", "later"), ("452 full", 452, nil, "full"), ("550", 550, nil, ""),
        ] as [(String, Int, String?, String)])
    func spoken(_ text: String, _ code: Int, _ enhanced: String?, _ words: String) throws {
        let reply = try #require(SpokenReply(text.utf8))
        #expect(reply.code == code)
        #expect(reply.enhanced?.description == enhanced)
        #expect(String(decoding: reply.text, as: UTF8.self) == words)
    }

    @Test("words are no reply", arguments: ["", "55", "5501 x", "5.1.1 no", "no such user", "150 x"])
    func none(_ text: String) { #expect(SpokenReply(text.utf8) == nil) }
}
