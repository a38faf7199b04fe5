import SMTP
import Testing

@Suite("What is noted of a header as it passes")
struct ContentHeaderTests {
    private func summary(_ header: String) throws -> ContentSummary {
        let wire = header.replacing("\n", with: "\r\n") + ".\r\n"
        let whole = try #require(Collected(wire).summary)
        for pieces in cuts(wire) { #expect(Collected(pieces).summary == whole) }
        return whole
    }

    @Test("Date, From, Message-ID and Received are found in whatever case")
    func fields() throws {
        let found = try summary(
            "Received: by a\nRECEIVED : by b\n\tfor c\nReceived-SPF: none\ndate: now\nFROM: a@b\nMessage-Id:  <x@y> \n\nDate: no\n"
        )
        #expect(found.receivedCount == 2)
        #expect(found.hasDate && found.hasFrom && found.hasMessageID && found.beginsWithHeader)
        #expect(String(decoding: found.messageID, as: UTF8.self) == "<x@y>")
    }

    @Test("what is in the body doesn't count")
    func body() throws {
        let found = try summary("Subject: x\n\nDate: now\nFrom: a@b\nMessage-ID: <x@y>\nReceived: by a\n")
        #expect(found.receivedCount == 0)
        #expect(!found.hasDate && !found.hasFrom && !found.hasMessageID && found.messageID.isEmpty)
    }

    @Test("a Message-ID on the line after its name is found, the first of several counts, an empty one is there")
    func messageID() throws {
        #expect(try summary("Message-ID:\n <x@y>\nMessage-ID: <z@y>\n\n").messageID == Array("<x@y>".utf8))
        #expect(try summary("Message-ID:\nX: <x@y>\n <z>\n\n").messageID.isEmpty)
        #expect(try summary("Message-ID:\n\n").hasMessageID)
    }

    @Test(
        "whether fields can go in front as they are",
        arguments: [
            ("A: b\n", true), ("\nbody\n", true), ("", true), ("no field\n", false), ("word\n", false),
            (" A: b\n", false),
            (": x\n", false), ("A b: c\n", false), ("A: b\nno field\nDate: x\n", true),
            // A separator of a mailbox file, with the header behind it.
            ("From a@b Tue Nov 24 12:00:00 2026\nDate: x\n", true),
        ])
    func begins(content: String, expected: Bool) throws {
        #expect(try summary(content).beginsWithHeader == expected)
    }

    @Test("the header ends at the first line that is no field")
    func noField() throws {
        #expect(try !summary("A: b\nno field\nDate: x\n").hasDate)
        #expect(try summary(">From a@b Tue Nov 24 12:00:00 2026\nDate: x\n").hasDate)
    }

    @Test("100 Received fields are a loop: 554 5.4.6 (RFC 5321 §6.3)")
    func loop() {
        let hop = "Received: by a\r\n"
        #expect(Collected(String(repeating: hop, count: 99) + "\r\n.\r\n").refusal == nil)
        #expect(Collected(String(repeating: hop, count: 100) + "\r\n.\r\n").refusal == "554 5.4.6")
    }

    @Test("the header section is taken out of stuffed content, unstuffed, with whole fields")
    func section() {
        let content = Array(
            "Subject: Grüße\r\n\taus\r\n  Köln \r\nMessage-ID: <x@y>\r\n..Odd: yes\r\n\r\nSubject: body\r\n".utf8)
        let header = HeaderSection(ofStuffed: content, limit: 1000)
        #expect(!header.isCut)
        #expect(String(decoding: header.bytes, as: UTF8.self).hasSuffix("<x@y>\r\n.Odd: yes\r\n"))
        #expect(header.field("subject").map { String(decoding: $0, as: UTF8.self) } == "Grüße\taus  Köln")
        #expect(header.field("Message-ID") == Array("<x@y>".utf8))
        #expect(header.field("Date") == nil)
    }

    @Test("a header section is cut at whole lines where the limit says")
    func sectionLimit() {
        let content = Array("A: b\r\nC: d\r\nE: f\r\n\r\nbody\r\n".utf8)
        for limit in 0...content.count + 1 {
            let header = HeaderSection(ofStuffed: content, limit: limit)
            let lines = limit < 6 ? 0 : limit < 12 ? 1 : limit < 18 ? 2 : 3
            #expect(header.bytes == Array(content[..<(lines * 6)]))
            #expect(header.isCut == (limit < 20))
        }
        #expect(HeaderSection(ofStuffed: Array("no header\r\n".utf8), limit: 100).bytes.isEmpty)
        #expect(
            HeaderSection(ofStuffed: Array("A: b\r\nno header\r\n".utf8), limit: 100).bytes == Array("A: b\r\n".utf8))
        #expect(HeaderSection(ofStuffed: [], limit: 100).bytes.isEmpty)
    }

    @Test("stuffing and unstuffing are each other's inverse over any cut (RFC 5321 §4.5.2)")
    func stuffing() {
        let plain = Array(".\r\n..a\r\nb.\r\n\n.c\r\n.".utf8)
        let wire = Array("..\r\n...a\r\nb.\r\n\n.c\r\n..".utf8)
        #expect(DotStuffing.stuffed(plain) == wire)
        #expect(DotStuffing.unstuffed(wire) == plain)
        for cut in 0...plain.count {
            var stuffer = DotStuffer()
            var output: [UInt8] = []
            plain[..<cut].withUnsafeBytes { stuffer.append($0, to: &output) }
            plain[cut...].withUnsafeBytes { stuffer.append($0, to: &output) }
            #expect(output == wire)
        }
        for cut in 0...wire.count {
            var unstuffer = DotUnstuffer()
            var output: [UInt8] = []
            wire[..<cut].withUnsafeBytes { unstuffer.append($0, to: &output) }
            wire[cut...].withUnsafeBytes { unstuffer.append($0, to: &output) }
            #expect(output == plain)
        }
    }
}
