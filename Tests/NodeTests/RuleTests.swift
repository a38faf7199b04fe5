import Cluster
import Journal
import Primitives
import SMTP
import Testing

@testable import Node

@Suite("Rules for mail to come")
struct RuleTests {
    private func set(
        _ subject: MailRule.Subject, _ action: MailRule.Action, at probe: NodeProbe, until: Duration? = nil
    ) {
        let rule = MailRule(
            subject, action, by: "me", reason: "stolen password", at: probe.now.wall,
            until: until.map { probe.now.wall + $0 })
        probe.write([rule.write])
    }

    private func refusal(of sender: String?, user: String = "", at probe: NodeProbe) -> Int? {
        probe.node.refusal(ofSender: sender.map { Address(parsed: Array($0.utf8)) }, user: user, at: probe.now)?.code
    }

    @Test("a suspended sender is refused for good, one suspended for a while for now; why is not told")
    func refused() throws {
        let probe = NodeProbe("up").started()
        set(.from("ann@a.example"), .reject, at: probe)
        set(.from("@b.example"), .reject, at: probe, until: .hours(1))
        set(.user("shop"), .reject, at: probe)
        set(.from("<>"), .reject, at: probe, until: .hours(1))
        #expect(refusal(of: "Ann@A.example", at: probe) == 550)
        #expect(refusal(of: "bob@a.example", at: probe) == nil)
        #expect(refusal(of: "anyone@B.example", at: probe) == 450)
        #expect(refusal(of: nil, at: probe) == 450)
        #expect(refusal(of: "x@y.example", user: "shop", at: probe) == 550)
        let reply = probe.node.refusal(ofSender: Address(parsed: Array("ann@a.example".utf8)), user: "", at: probe.now)
        #expect(reply?.description.contains("suspended") == true)
        #expect(reply?.description.contains("stolen") == false)
        probe.advance(.hours(2))
        #expect(refusal(of: "anyone@b.example", at: probe) == nil)
        #expect(refusal(of: "ann@a.example", at: probe) == 550)
    }

    @Test("a rule that is newer than the reply to MAIL counts at the end of the message")
    func atTheDot() {
        let probe = NodeProbe("up").started()
        set(.user("shop"), .reject, at: probe)
        let (_, ticket) = probe.submit { $0.user = "shop" }
        #expect(probe.answer(ticket) == 550)
        #expect(probe.answer(probe.submit().ticket) == 250)
    }

    @Test("a suspended destination is refused at RCPT")
    func destination() {
        let probe = NodeProbe("up").started()
        set(.toDomain("b.example"), .reject, at: probe)
        #expect(probe.refusal(to: "r@B.example")?.code == 550)
        #expect(probe.refusal(to: "r@c.example") == nil)
    }

    @Test("held mail is accepted, held by a frame before its first try, and goes when a person releases it")
    func held() throws {
        let probe = NodeProbe("up").started()
        set(.user("shop"), .hold, at: probe)
        let (id, ticket) = probe.submit { $0.user = "shop" }
        #expect(probe.answer(ticket) == 250)
        #expect(probe.message(id)?.state == .held)
        #expect(probe.wanted.isEmpty)
        guard case .hold(let record)? = probe.frames.last?.record else {
            Issue.record("no hold")
            return
        }
        #expect(record.reason == "mail of user shop is suspended by me: stolen password")
        // The rule stands; this message is free.
        probe.command(.release, id)
        try probe.deliver(id)
        #expect(probe.message(id) == nil)
    }

    @Test("what was released before a rule is held by it all the same")
    func releasedBefore() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        probe.command(.hold, id)
        probe.command(.release, id)
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        probe.advance(.seconds(1))
        set(.toDomain("b.example"), .hold, at: probe)
        probe.advance(.minutes(2))
        #expect(probe.message(id)?.state == .held)
    }

    @Test("what waits for an upstream meets a new rule of its destination at once")
    func waitingForUpstream() throws {
        let probe = NodeProbe("one", "two") { $0.routes[0].upstreams = ["one"] }.started()
        let (id, _) = probe.submit()
        let (other, _) = probe.submit(to: "r@c.example")
        try probe.refuse("one")
        while probe.wanted.contains("one") { try probe.refuse("one") }
        #expect(probe.message(id)?.state == .waitingForUpstream)
        set(.toDomain("b.example"), .redirect(upstream: "two"), at: probe)
        #expect(probe.wanted == ["two"])
        try probe.deliver(id)
        #expect(probe.message(id) == nil)
        set(.toDomain("c.example"), .hold, at: probe)
        #expect(probe.message(other)?.state == .held)
    }

    @Test("what another node wrote counts here, and is told of there")
    func otherNode() throws {
        let probe = NodeProbe("up").started()
        let other = ReplicaID(node: "b", disk: DiskID(ULID(high: 3, low: 4)))
        var records = ClusterRecords(me: other)
        let rule = MailRule(.user("shop"), .reject, by: "me", reason: "", at: probe.now.wall)
        let entry = Suppression(
            address: "ann@b.example", cause: .hand, reason: "", by: "me", at: probe.now.wall, until: nil)
        _ = try records.set([rule.write, entry.write], at: probe.now.wall)
        while let writing = records.fileToStore() { records.stored(through: writing.mark) }
        let delta = try #require(records.delta(forPeer: probe.configuration.replica))
        probe.feed(.cluster(.received(.recordsDelta(delta), from: other, incarnation: 1)))
        #expect(refusal(of: "a@b", user: "shop", at: probe) == 550)
        #expect(probe.refusal(to: "ann@b.example")?.code == 550)
        #expect(!probe.notes.contains { if case .ruled = $0 { true } else { false } })
    }

    @Test("a release outlives a restart while the rule stands")
    func releasedSurvives() throws {
        let before = NodeProbe("up").started()
        set(.from("s@a.example"), .hold, at: before)
        let (id, _) = before.submit()
        before.command(.release, id)
        let probe = try before.restarted()
        try probe.deliver(id)
        #expect(probe.message(id) == nil)
    }

    @Test("mail that was tried before its sender was suspended goes on")
    func triedBefore() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit()
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        set(.from("s@a.example"), .hold, at: probe)
        probe.advance(.minutes(2))
        #expect(probe.message(id)?.state == .sending)
    }

    @Test("a held destination holds what is queued for it too, at its next try, and no other recipient")
    func heldDestination() throws {
        let probe = NodeProbe("up").started()
        let (id, _) = probe.submit(to: "r@b.example", "r@c.example")
        try probe.connect("up")
        probe.end(try probe.transaction(), .deferred(450))
        set(.toDomain("b.example"), .hold, at: probe)
        probe.advance(.minutes(2))
        if probe.runningCount == 0 { try probe.connect("up") }
        let transaction = try probe.transaction(of: id)
        #expect(transaction.request.recipients.map(\.description) == ["r@c.example"])
        probe.end(transaction, .delivered)
        #expect(probe.message(id)?.state == .held)
    }

    @Test("a redirected destination goes by the named upstream alone until the rule is taken back")
    func redirectedDestination() throws {
        let probe = NodeProbe("one", "two") { $0.routes[0].upstreams = ["one"] }.started()
        set(.toDomain("b.example"), .redirect(upstream: "two"), at: probe)
        let (id, _) = probe.submit()
        #expect(probe.wanted == ["two"])
        try probe.deliver(id)
        probe.write([RecordWrite(key: MailRule.key(redirecting: .toDomain("b.example")), value: nil)])
        _ = probe.submit()
        #expect(probe.wanted == ["one"])
    }

    @Test("a redirect to an upstream that this node does not have changes nothing")
    func unknownUpstream() {
        let probe = NodeProbe("one").started()
        set(.toDomain("b.example"), .redirect(upstream: "three"), at: probe)
        let (id, _) = probe.submit()
        #expect(probe.wanted == ["one"])
        probe.redirect(id, to: "three")
        #expect(probe.commandAnswers == [.nothingToDo])
    }

    @Test("one message redirected goes at once by the named upstream, and by its route again after the next outcome")
    func redirectedMessage() throws {
        let probe = NodeProbe("one", "two") { $0.routes[0].upstreams = ["one"] }.started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        probe.end(try probe.transaction(), .deferred(450))
        probe.redirect(id, to: "two")
        #expect(probe.commandAnswers == [.done])
        try probe.connect("two")
        #expect(probe.upstream(of: try probe.transaction(of: id)) == "two")
        probe.end(try probe.transaction(of: id), .deferred(450))
        probe.command(.retry, id)
        if probe.wanted.contains("one") { try probe.connect("one") }
        #expect(probe.upstream(of: try probe.transaction(of: id)) == "one")
    }

    @Test("before the dot a redirect stops the transaction and takes its recipients along")
    func redirectStops() throws {
        let probe = NodeProbe("one", "two") { $0.routes[0].upstreams = ["one"] }.started()
        let (id, _) = probe.submit()
        try probe.connect("one")
        let transaction = try probe.transaction()
        probe.redirect(id, to: "two")
        #expect(probe.interrupted == [transaction.request.id])
        probe.end(transaction, .notSent(.notPermitted, .content), usable: false)
        #expect(probe.commandAnswers == [.done])
        #expect(probe.wanted == ["two"])
    }

    @Test("a redirect is in the journal: the next owner goes that way")
    func redirectSurvives() throws {
        let before = NodeProbe("one", "two") { $0.routes[0].upstreams = ["one"] }.started()
        let (id, _) = before.submit()
        before.command(.hold, id)
        before.redirect(id, to: "two")
        #expect(before.message(id)?.state == .held, "a redirect releases nothing")
        let probe = try before.restarted()
        probe.command(.release, id)
        #expect(probe.wanted == ["two"])
    }

    @Test("rules are told of by the node that wrote them, when set and when they end")
    func told() throws {
        let probe = NodeProbe("up").started()
        set(.user("shop"), .reject, at: probe, until: .hours(1))
        #expect(probe.status.rules.map(\.key) == ["rule/suspend/user/shop"])
        probe.advance(.hours(2))
        #expect(probe.status.rules.isEmpty)
        let told = probe.notes.compactMap { note -> String? in
            switch note {
            case .ruled(let rule): "set \(rule.key)"
            case .ruleEnded(let rule): "ended \(rule.key)"
            default: nil
            }
        }
        #expect(told == ["set rule/suspend/user/shop", "ended rule/suspend/user/shop"])
    }

    @Test("a record of a newer version is no rule here, and no harm")
    func unknown() {
        let probe = NodeProbe("up").started()
        probe.write([
            RecordWrite(key: "rule/suspend/planet/mars", value: [1, 2, 65, 66]),
            RecordWrite(key: "rule/suspend/user/shop", value: [0xff, 0xff]),
            RecordWrite(key: "rule/nothing", value: [5, 4, 104, 111, 108, 100]),
        ])
        #expect(probe.status.rules.isEmpty)
        #expect(refusal(of: "a@b", user: "shop", at: probe) == nil)
    }

    @Test("every rule reads back from its record as it was written")
    func roundTrip() throws {
        let at = WallTime(milliseconds: 1_790_000_000_000)
        let rules = [
            MailRule(.user("a/b"), .reject, by: "ann", reason: "ä", at: at),
            MailRule(.from("@x.example"), .hold, by: "", reason: "", at: at, until: at + .hours(1)),
            MailRule(.toDomain("x.example"), .redirect(upstream: "ses"), by: "bob", reason: "r", at: at),
        ]
        for rule in rules {
            let write = rule.write
            let version = RecordVersion(wall: at, node: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2))))
            let record = ClusterRecord(key: write.key, value: write.value, version: version, expiry: write.expiry)
            #expect(MailRule(record) == rule)
        }
    }
}
