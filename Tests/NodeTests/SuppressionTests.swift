import Cluster
import Journal
import Primitives
import SMTP
import Testing

@testable import Node

@Suite("Suppressions")
struct SuppressionTests {
    private func add(
        _ address: String, to probe: NodeProbe, until: Duration? = nil, reason: String = "asked for it"
    ) {
        let entry = Suppression(
            address: address, cause: .hand, reason: reason, by: "me", at: probe.now.wall,
            until: until.map { probe.now.wall + $0 })
        probe.write([entry.write])
    }

    private func address(_ text: String) -> Address { Address(parsed: Array(text.utf8)) }

    @Test("at RCPT an address on the list is refused with where, since when and why")
    func refused() throws {
        let probe = NodeProbe("up").started()
        add("Ann@Example.net", to: probe)
        let reply = try #require(probe.refusal(to: "ann@example.NET"))
        #expect(reply.code == 550 && reply.enhanced == EnhancedCode(5, 1, 1))
        let text = reply.description
        #expect(text.contains("suppression list here since 2026-09-21"))
        #expect(text.contains("by hand") && text.contains("asked for it"))
        #expect(probe.refusal(to: "bob@example.net") == nil)
        #expect(probe.status.counters.suppressed == 1)
    }

    @Test("a whole domain may be on it, and its subdomains are not")
    func domain() throws {
        let probe = NodeProbe("up").started()
        add("@example.net", to: probe)
        #expect(probe.refusal(to: "anyone@EXAMPLE.net")?.code == 550)
        #expect(probe.refusal(to: "anyone@sub.example.net") == nil)
    }

    @Test("an entry ends by itself, and by its removal")
    func ends() {
        let probe = NodeProbe("up").started()
        add("ann@b", to: probe, until: .hours(1))
        add("bob@b", to: probe)
        probe.advance(.hours(2))
        #expect(probe.refusal(to: "ann@b") == nil)
        #expect(probe.refusal(to: "bob@b") != nil)
        probe.write([RecordWrite(key: Suppression.key("BOB@b"), value: nil)])
        #expect(probe.refusal(to: "bob@b") == nil)
    }

    @Test("it survives a restart")
    func restart() throws {
        let before = NodeProbe("up").started()
        add("ann@b", to: before)
        let probe = try before.restarted()
        #expect(probe.refusal(to: "ann@b") != nil)
    }

    @Test("checked at routing, the recipient is accepted, fails as suppressed, and its sender is told")
    func atRouting() throws {
        let probe = NodeProbe("up") { $0.suppressions.check = .routing }.started()
        add("ann@b.example", to: probe)
        #expect(probe.refusal(to: "ann@b.example") == nil)
        let (id, ticket) = probe.submit(to: "ann@b.example", "bob@b.example")
        #expect(probe.answer(ticket) == 250)
        try probe.connect("up")
        let transaction = try probe.transaction(of: id)
        #expect(transaction.request.recipients.map(\.description) == ["bob@b.example"])
        probe.end(transaction, .delivered)
        #expect(probe.results(id) == ["suppressed", "sent"])
        #expect(probe.message(id) == nil)
        #expect(probe.notices.count == 1)
        #expect(probe.status.counters.suppressed == 1)
        #expect(probe.status.counters.results.filter { $0.key.status == "suppressed" }.values.map(Int.init) == [1])
    }

    @Test("switched off, the list is for nobody")
    func off() throws {
        let probe = NodeProbe("up") { $0.suppressions.check = .off }.started()
        add("r@b.example", to: probe)
        #expect(probe.refusal(to: "r@b.example") == nil)
        let (id, _) = probe.submit()
        try probe.deliver(id)
        #expect(probe.results(id) == ["sent"])
    }

    @Test("one bounce that says there is no such mailbox suppresses; words alone need two")
    func bounces() {
        let probe = NodeProbe("up") { $0.suppressions.expiry = .hours(2) }.started()
        let sure = Reply(550, 5, 1, 1, "No such user")
        let words = Reply(550, text: Array("user unknown".utf8))
        probe.mutate { $0.hardBounced(address("ann@b"), sure, upstream: "up", probe.now, &$1) }
        #expect(probe.refusal(to: "ann@b")?.description.contains("5.1.1 No such user") == true)
        probe.mutate { $0.hardBounced(address("bob@b"), words, upstream: "up", probe.now, &$1) }
        #expect(probe.refusal(to: "bob@b") == nil)
        probe.mutate { $0.hardBounced(address("Bob@b"), words, upstream: "up", probe.now, &$1) }
        #expect(probe.refusal(to: "bob@b") != nil)
        let noted = probe.notes.compactMap { if case .suppressed(let entry) = $0 { entry.address } else { nil } }
        #expect(noted == ["ann@b", "Bob@b"])
        probe.advance(.hours(3))
        #expect(probe.refusal(to: "ann@b") == nil)
    }

    @Test("what bounces again and again is written once a day at most, and never over an entry without end")
    func writtenOnce() {
        let probe = NodeProbe("up").started()
        add("ann@b", to: probe)
        let reply = Reply(550, 5, 1, 1, "No such user")
        for _ in 0..<3 { probe.mutate { $0.hardBounced(address("ann@b"), reply, upstream: "up", probe.now, &$1) } }
        for _ in 0..<3 { probe.mutate { $0.hardBounced(address("bob@b"), reply, upstream: "up", probe.now, &$1) } }
        let noted = probe.notes.count { if case .suppressed = $0 { true } else { false } }
        #expect(noted == 1)
    }

    @Test("without hardBounces no bounce suppresses")
    func noBounces() {
        let probe = NodeProbe("up") { $0.suppressions.hardBounces = false }.started()
        let reply = Reply(550, 5, 1, 1, "No such user")
        probe.mutate { $0.hardBounced(address("ann@b"), reply, upstream: "up", probe.now, &$1) }
        #expect(probe.refusal(to: "ann@b") == nil)
    }

    @Test("when the records are full a list is refused as a whole, and status says so")
    func full() {
        let probe = NodeProbe("up").started()
        func entries(_ range: Range<Int>) -> [RecordWrite] {
            range.map {
                Suppression(address: "u\($0)@b", cause: .hand, reason: "", by: "", at: probe.now.wall, until: nil).write
            }
        }
        probe.write(entries(0..<99_000))
        probe.advance(.hours(2))
        #expect(probe.status.suppressions == 99_000)
        #expect(probe.problems.contains("records-full"))
        probe.write(entries(99_000..<101_000))
        #expect(probe.refusedRecords.count == 1)
        #expect(probe.refusal(to: "u98999@b") != nil)
        #expect(probe.refusal(to: "u99000@b") == nil)
    }
}
