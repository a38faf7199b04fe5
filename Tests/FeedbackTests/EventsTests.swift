import Feedback
import Primitives
import SMTP
import Testing

/// Each service's events in the form that it documents, signed with keys made for these tests.
struct EventsTests {
    private let now = WallTime(milliseconds: 1_764_504_030_000)
    private let remote = "0102019ad5f0a1b2-0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5-000000"

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func events(_ reading: EventsReading) throws -> [ReportedEvent] {
        guard case .events(let events, _) = reading else {
            Issue.record("\(reading)")
            return []
        }
        return events
    }

    private var certificate: PublicKey {
        get throws { try #require(.certificate(pem: bytes(EventSamples.certificate))) }
    }

    // MARK: SES

    private func ses(_ text: String) throws -> [ReportedEvent] {
        let message = try #require(SNSMessage(bytes(text)))
        #expect(message.kind == .notification)
        #expect(message.isSigned(by: try certificate))
        return try events(SESEvents.read(message))
    }

    @Test("SES: a bounce names message, recipient and reply")
    func sesBounce() throws {
        let event = try #require(try ses(EventSamples.sesBounce).first)
        #expect(event.kind == .bounced)
        #expect(event.recipient == "ann@example.com")
        #expect(event.remoteID == remote)
        #expect(event.messageID == "<8f1c@shop.example>")
        #expect((event.code, event.enhanced) == (550, EnhancedCode(5, 1, 1)))
        #expect(event.text == "<ann@example.com>... User unknown")
        #expect(event.at?.rfc3339 == "2026-11-30T12:00:05.655Z")
    }

    @Test("SES: complaint, delivery and delay")
    func sesOthers() throws {
        let complaint = try #require(try ses(EventSamples.sesComplaint).first)
        #expect((complaint.kind, complaint.recipient, complaint.text) == (.complained, "bob@example.org", "abuse"))
        let deliveries = try ses(EventSamples.sesDelivery)
        #expect(deliveries.map(\.recipient) == ["ann@example.com", "bob@example.org"])
        #expect(deliveries.allSatisfy { $0.kind == .delivered && $0.code == 250 })
        #expect(Set(deliveries.map(\.eventID)).count == 2)
        let delay = try #require(try ses(EventSamples.sesDelay).first)
        #expect((delay.kind, delay.code, delay.enhanced) == (.deferred, 421, EnhancedCode(4, 7, 28)))
        #expect(try ses(EventSamples.sesOpen).isEmpty)
    }

    @Test("SNS: what was changed after signing, or signed by another key, is not signed")
    func snsForged() throws {
        for text in [EventSamples.sesBounce, EventSamples.sesComplaint, EventSamples.subscription] {
            let good = try #require(SNSMessage(bytes(text)))
            #expect(good.isSigned(by: try certificate))
            let changed = try #require(SNSMessage(bytes(text.replacing("ses-events", with: "his-events"))))
            #expect(!changed.isSigned(by: try certificate))
            let other = try #require(PublicKey.publicKey(text: bytes(EventSamples.sendGridKey)))
            #expect(!good.isSigned(by: other))
            let version = text.replacing("\"SignatureVersion\": \"1\"", with: "\"SignatureVersion\": \"3\"")
            if version != text {
                #expect(try #require(SNSMessage(bytes(version))).isSigned(by: try certificate) == false)
            }
        }
    }

    @Test("SNS: a subscription says where to confirm")
    func subscription() throws {
        let message = try #require(SNSMessage(bytes(EventSamples.subscription)))
        #expect(message.kind == .subscription)
        #expect(message.topic == "arn:aws:sns:eu-west-1:123456789012:ses-events")
        #expect(SNSMessage.isAmazon(message.subscribeURL))
        #expect(SNSMessage.isAmazon(message.certificateURL))
    }

    @Test(
        "SNS: addresses that only look like Amazon's are not asked",
        arguments: [
            "http://sns.eu-west-1.amazonaws.com/x.pem", "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
            "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
            "https://sns.x/.amazonaws.com/", "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
            "https://sns..amazonaws.com/x",
            "https://s3.eu-west-1.amazonaws.com/x.pem", "https://sns.evil.bucket.s3.amazonaws.com/x", "",
            "file:///etc/passwd",
            "https://sns.eu-west-1.amazonaws.com#.evil/x",
        ])
    func amazon(_ url: String) { #expect(!SNSMessage.isAmazon(url)) }

    // MARK: SendGrid

    private func sendGrid(_ body: String, signature: String = EventSamples.sendGridSignature) -> EventRequest {
        EventRequest(
            headers: [
                ("X-Twilio-Email-Event-Webhook-Signature", signature),
                ("X-Twilio-Email-Event-Webhook-Timestamp", EventSamples.sendGridTimestamp),
            ], body: bytes(body))
    }

    @Test("SendGrid: a signed list of events, with the key in either form")
    func sendGrid() throws {
        for key in [EventSamples.sendGridKey, EventSamples.sendGridPEM] {
            let key = try #require(PublicKey.publicKey(text: bytes(key)))
            let found = try events(SendGridEvents.read(sendGrid(EventSamples.sendGrid), key: key))
            #expect(found.map(\.kind) == [.deferred, .delivered, .bounced, .bounced, .complained])
            #expect(found.map(\.eventID) == ["sgev-1", "sgev-2", "sgev-3", "sgev-4", "sgev-5"])
            #expect((found[0].code, found[0].enhanced) == (421, EnhancedCode(4, 7, 0)))
            #expect(found[0].remoteID == "14c5d75ce93.dfd.64b469")
            #expect(found[2].remoteID == "Jx5Xq1")
            #expect((found[2].code, found[2].text) == (550, "blocked by policy"))
            #expect(
                (found[3].code, found[3].enhanced, found[3].text) == (nil, EnhancedCode(5, 0, 0), "Bounced Address"))
        }
    }

    @Test("SendGrid: a changed body, another key, no signature: forged")
    func sendGridForged() throws {
        let key = try #require(PublicKey.publicKey(text: bytes(EventSamples.sendGridKey)))
        let requests = [
            sendGrid(EventSamples.sendGrid + " "), sendGrid(EventSamples.sendGrid, signature: "AAAA"),
            EventRequest(headers: [], body: bytes(EventSamples.sendGrid)),
        ]
        for request in requests {
            guard case .forged = SendGridEvents.read(request, key: key) else {
                Issue.record("taken")
                continue
            }
        }
        #expect(PublicKey.publicKey(text: bytes("no key")) == nil)
    }

    // MARK: Mailgun

    private func mailgun(_ body: String, _ secret: String = "mailgun-signing-key", at: WallTime? = nil) -> EventsReading
    {
        MailgunEvents.read(EventRequest(headers: [], body: bytes(body)), secret: bytes(secret), at: at ?? now)
    }

    @Test("Mailgun: failures, permanent and temporary, deliveries and complaints")
    func mailgun() throws {
        let failed = try #require(try events(mailgun(EventSamples.mailgunFailed)).first)
        #expect((failed.kind, failed.code, failed.enhanced) == (.bounced, 550, EnhancedCode(5, 1, 1)))
        #expect(
            (failed.messageID, failed.recipient, failed.remoteHost) == (
                "<8f1c@shop.example>", "ann@example.com", "mx.example.com"
            ))
        let temporary = try #require(try events(mailgun(EventSamples.mailgunTemporary)).first)
        #expect((temporary.kind, temporary.code, temporary.enhanced) == (.deferred, 421, EnhancedCode(4, 7, 28)))
        #expect(try events(mailgun(EventSamples.mailgunDelivered)).map(\.kind) == [.delivered])
        let suppressed = try #require(try events(mailgun(EventSamples.mailgunSuppressed)).first)
        #expect((suppressed.code, suppressed.text) == (nil, "Not delivering to previously bounced address"))
        #expect(try events(mailgun(EventSamples.mailgunComplained)).map(\.kind) == [.complained])
        #expect(mailgun(EventSamples.mailgunOpened) == .events([], others: 1))
    }

    @Test("Mailgun: another key, an old signature, none: forged")
    func mailgunForged() {
        let readings = [
            mailgun(EventSamples.mailgunFailed, "another"), mailgun(EventSamples.mailgunFailed, at: now + .days(2)),
            mailgun(EventSamples.mailgunFailed, at: now + .days(-2)), mailgun("{\"event-data\": {}}"),
            mailgun("rubbish"),
        ]
        for reading in readings {
            guard case .forged = reading else {
                Issue.record("\(reading)")
                continue
            }
        }
    }

    // MARK: Postmark

    private func postmark(_ body: String, _ authorization: String) -> EventsReading {
        PostmarkEvents.read(
            EventRequest(headers: [("Authorization", authorization)], body: bytes(body)),
            secret: bytes("user:pass word"))
    }

    @Test("Postmark: bounce, delivery and complaint, by the URL's user and password")
    func postmark() throws {
        let basic = "Basic dXNlcjpwYXNzIHdvcmQ="
        let bounce = try #require(try events(postmark(EventSamples.postmarkBounce, basic)).first)
        #expect((bounce.kind, bounce.code, bounce.enhanced) == (.bounced, 550, EnhancedCode(5, 1, 1)))
        #expect(bounce.remoteID == "883953f4-6105-42a2-a16a-77a8eac79483")
        #expect(bounce.recipient == "john@example.com")
        #expect(bounce.at?.rfc3339 == "2026-11-30T12:09:10.000Z")
        #expect(try events(postmark(EventSamples.postmarkDelivery, basic)).map(\.kind) == [.delivered])
        #expect(try events(postmark(EventSamples.postmarkComplaint, basic)).map(\.kind) == [.complained])
        #expect(postmark(EventSamples.postmarkOutOfOffice, basic) == .events([], others: 1))
        for wrong in ["Basic dXNlcjpwYXNzIHdvcmR4", "Bearer x", "", "Basic"] {
            guard case .forged = postmark(EventSamples.postmarkBounce, wrong) else {
                Issue.record("taken with \(wrong)")
                continue
            }
        }
        let bearer = postmark(EventSamples.postmarkDelivery, "Bearer user:pass word")
        #expect(try events(bearer).count == 1)
        let header = EventRequest(
            headers: [("X-Feedback-Secret", "user:pass word")], body: bytes(EventSamples.postmarkDelivery))
        #expect(try events(PostmarkEvents.read(header, secret: bytes("user:pass word"))).count == 1)
    }

    // MARK: Our own form

    private let tags = EnvelopeTags(
        secrets: [Array("a secret of some length".utf8)], senders: [("own", "b+{id}@b.example.net")])

    private func plain(_ body: String, _ secret: String = "s3cret") -> EventsReading {
        PlainEvents.read(
            EventRequest(headers: [("authorization", "Bearer \(secret)")], body: bytes(body)), secret: bytes("s3cret"),
            tags: tags, at: now)
    }

    @Test("plain: any of the three names will do")
    func plain() throws {
        let message = MessageID(ULID(high: UInt64(now.milliseconds - 5000) << 16, low: 9))
        let sender = try #require(tags.sender(of: message, recipient: 2, at: "own"))
        let found = try events(
            plain(
                """
                [{"event": "bounced", "messageId": "1@a.example", "recipient": "x@y.example", "reason": "550 5.7.1 no",
                  "at": "2026-11-30T12:00:00Z", "id": "7", "remoteHost": "mx.y.example"},
                 {"event": "delivered", "remoteId": "4XyZ1", "recipient": "x@y.example"},
                 {"event": "complained", "sender": "\(sender)"}]
                """))
        #expect(found.map(\.kind) == [.bounced, .delivered, .complained])
        #expect((found[0].messageID, found[0].code, found[0].text) == ("<1@a.example>", 550, "no"))
        #expect((found[0].eventID, found[0].remoteHost) == ("7", "mx.y.example"))
        #expect(found[1].remoteID == "4XyZ1")
        #expect(found[2].tag == EnvelopeTags.Tag(message: message, recipient: 2, upstream: "own"))
        #expect(
            try events(plain("{\"event\": \"delivered\", \"remoteId\": \"1\", \"recipient\": \"x@y.example\"}")).count
                == 1)
    }

    @Test(
        "plain: what is not of the form is named by its place",
        arguments: [
            ("7", "list"), ("[{}]", "[0].event"), ("[{\"event\": \"opened\"}]", "opened"),
            ("[{\"event\": \"bounced\", \"recipient\": \"x@y\"}]", "remoteId"),
            ("[{\"event\": \"bounced\", \"remoteId\": \"x\"}]", "recipient"), ("[[[[[[", "list"),
        ])
    func plainMalformed(_ body: String, _ word: String) {
        guard case .malformed(let text) = plain(body) else {
            Issue.record("taken: \(body)")
            return
        }
        #expect(text.contains(word))
    }

    @Test("plain: without the secret nothing is read")
    func plainForged() {
        for secret in ["", "s3cre", "s3cret2", "S3cret"] {
            guard case .forged = plain("[]", secret) else {
                Issue.record("taken with \(secret)")
                continue
            }
        }
    }

    @Test("rubbish made of events never traps", arguments: 0..<10)
    func rubbish(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let key = try certificate
        let samples = [
            EventSamples.sesBounce, EventSamples.sendGrid, EventSamples.mailgunFailed, EventSamples.postmarkBounce,
        ]
        for round in 0..<100 {
            var bytes = Array(samples[round % samples.count].utf8)
            for _ in 0..<(1 + random.next() % 6) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            if let message = SNSMessage(bytes) {
                #expect(!message.isSigned(by: key) || message.kind == .notification)
                _ = SESEvents.read(message)
            }
            let request = EventRequest(headers: [("authorization", "Bearer s")], body: bytes)
            _ = MailgunEvents.read(request, secret: self.bytes("mailgun-signing-key"), at: now)
            if case .events(let found, _) = PostmarkEvents.read(request, secret: self.bytes("s")) {
                #expect(found.count <= 1)
            }
        }
    }
}
