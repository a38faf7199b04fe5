import Feedback
import Primitives
import SMTP
import Testing

struct EnvelopeTagsTests {
    private let message = MessageID(ULID(high: 0x0193_4f2a_1c00_beef, low: 0x0123_4567_89ab_cdef))
    private let tags = EnvelopeTags(
        secrets: [Array("a secret of some length".utf8)],
        senders: [("ses", "b+{id}@b.example.net"), ("own", "b+{id}@b.example.net"), ("other", "{id}-x@c.example.net")])

    private var now: WallTime { message.ulid.time + .hours(1) }

    private func sender(_ upstream: String, _ recipient: Int? = 3) throws -> Address {
        try #require(tags.sender(of: message, recipient: recipient, at: upstream))
    }

    @Test(
        "a tag tells message, recipient and upstream, in any case of its letters", arguments: ["ses", "own", "other"])
    func roundTrip(_ upstream: String) throws {
        for recipient in [0, 3, 999, nil] {
            let made = try sender(upstream, recipient)
            let expected = EnvelopeTags.Tag(message: message, recipient: recipient, upstream: upstream)
            #expect(tags.read(made, at: now) == .valid(expected))
            let shouted = Address(parsed: Array(made.description.uppercased().utf8))
            #expect(tags.read(shouted, at: now) == .valid(expected))
            #expect(made.localPart.count <= Address.Limit.localPart)
            #expect(throws: Never.self) { try Address(path: made.bytes) }
        }
    }

    @Test("no tag with one character changed is valid")
    func forged() throws {
        let made = try sender("ses").bytes
        for position in 2..<50 {
            var bytes = made
            bytes[position] = bytes[position] == 0x37 ? 0x38 : 0x37
            #expect(tags.read(Address(parsed: bytes), at: now) == .forged)
        }
    }

    @Test("an upstream without a sender of its own, and addresses of other forms, have no tag")
    func none() throws {
        #expect(tags.sender(of: message, recipient: 0, at: "plain") == nil)
        for text in ["b+x@b.example.net", "postmaster@b.example.net", "b+@b.example.net", "x"] {
            #expect(tags.read(Address(parsed: Array(text.utf8)), at: now) == nil)
        }
        let short = try sender("ses").description.replacing("b+", with: "c+")
        #expect(tags.read(Address(parsed: Array(short.utf8)), at: now) == nil)
    }

    @Test("a tag ends after fourteen days")
    func old() throws {
        let made = try sender("ses")
        #expect(tags.read(made, at: message.ulid.time + .days(13)) != .tooOld)
        #expect(tags.read(made, at: message.ulid.time + .days(15)) == .tooOld)
    }

    @Test("the former secret is still taken after a change, and another cluster's is not")
    func rotation() throws {
        let made = try sender("ses")
        let (new, old) = (Array("another secret altogether".utf8), Array("a secret of some length".utf8))
        let rotated = EnvelopeTags(secrets: [new, old], senders: [("ses", "b+{id}@b.example.net")])
        #expect(rotated.read(made, at: now) != .forged)
        let foreign = EnvelopeTags(secrets: [new], senders: [("ses", "b+{id}@b.example.net")])
        #expect(foreign.read(made, at: now) == .forged)
    }
}
