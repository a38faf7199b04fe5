import Primitives
import Testing

@testable import baton

@Suite("What baton sink reads")
struct SinkContentTests {
    static let message = "Received: by x\r\nX-Baton-Number: r-17\r\nX-Baton-Sent: 5000\r\n\r\n..dot\r\n.x\r\nend.\r\n"

    /// Feeds the bytes in two pieces, as a connection would: what was not taken comes again with the rest.
    private func read(_ wire: [UInt8], splitAt cut: Int) -> (content: SinkContent, taken: Int, isComplete: Bool) {
        var content = SinkContent(keeps: true)
        var taken = 0
        var isComplete = false
        for end in [cut, wire.count] where !isComplete {
            let (more, done) = wire[taken..<end].withUnsafeBytes { content.take($0) }
            taken += more
            isComplete = done
        }
        return (content, taken, isComplete)
    }

    @Test("the final dot is found wherever the network cuts the message")
    func everyCut() {
        let wire = Array((SinkContentTests.message + ".\r\nQUIT\r\n").utf8)
        let length = SinkContentTests.message.utf8.count
        var expected = CRC32C()
        expected.update(wire["Received: by x\r\n".utf8.count..<length])
        for cut in 0...wire.count {
            let (content, taken, isComplete) = read(wire, splitAt: cut)
            #expect(isComplete)
            #expect(taken == length + 3)
            #expect(content.kept == Array(SinkContentTests.message.utf8))
            #expect(content.checksum == expected)
            #expect(content.number == Array("r-17".utf8))
            #expect(content.sentAt == 5000)
        }
    }

    @Test(
        "a dot between bare LFs, or with more behind it, ends nothing",
        arguments: ["a\n.\r\nb", "a\r\n.\nb", "a\r\n.b"])
    func notTheEnd(_ text: String) {
        let wire = Array(("\r\n" + text + "\r\n").utf8)
        for cut in 0...wire.count { #expect(!read(wire, splitAt: cut).isComplete) }
    }

    @Test("an empty message is only the dot")
    func empty() {
        let (content, taken, isComplete) = read(Array(".\r\n".utf8), splitAt: 0)
        #expect(isComplete && taken == 3 && content.kept.isEmpty)
    }

    @Test("what baton send makes is what baton sink digests")
    func sameDigest() {
        let mail = SendMail(seed: 7, from: "a%n@example.com", to: ["b@example.net"], size: 4096, run: "run")
        for number in 1...20 {
            var wire = Array("Received: by a relay\r\n\tat noon\r\n".utf8)
            let (digest, size) = mail.append(number, stamp: 1_000_000, to: &wire)
            let (content, _, isComplete) = read(wire, splitAt: wire.count / 2)
            #expect(isComplete)
            #expect(content.checksum.value == digest)
            #expect(content.size == size)
            #expect(content.number == Array("run-\(number)".utf8))
        }
    }
}

@Suite("How baton sink is told to answer")
struct SinkRepliesTests {
    @Test("a rule names a stage, a reply and a share")
    func rules() {
        var replies = SinkReplies(seed: 1)
        let isRule = replies.add("rcpt=450 4.7.1 later@25%")
        #expect(isRule)
        var count = 0
        for _ in 0..<4000 {
            if case .reply(let bytes, let code) = replies.answer(at: .rcpt) {
                #expect(code == 450 && bytes == Array("450 4.7.1 later\r\n".utf8))
                count += 1
            }
        }
        #expect((800...1200).contains(count))
        let answer = replies.answer(at: .mail)
        #expect(answer == nil)
    }

    @Test(
        "nonsense is refused", arguments: ["", "rcpt", "rcpt=", "helo=250", "rcpt=hello", "rcpt=450@400%", "mail=lose"])
    func nonsense(_ text: String) {
        var replies = SinkReplies(seed: 1)
        let isRule = replies.add(text)
        #expect(!isRule)
    }
}
