import Node
import Primitives
import SMTP
import Testing

@Suite("Fairness")
struct FairnessTests {
    /// A node whose only connection is busy, so that everything else waits for it.
    private func busy() throws -> NodeProbe {
        let probe = NodeProbe("up") {
            $0.upstreams[0].maximumConnections = 1
            $0.upstreams[0].maximumMessagesPerConnection = 10_000
        }.started()
        probe.submit(from: "first@other.example")
        try probe.connect("up")
        return probe
    }

    /// Delivers everything that waits, one after another; returns the order of the ids.
    private func order(_ probe: NodeProbe) throws -> [MessageID] {
        var order: [MessageID] = []
        while let transaction = probe.runningTransactions.first {
            order.append(transaction.message)
            probe.end(transaction, .delivered)
        }
        return Array(order.dropFirst())
    }

    @Test("a user's single message does not wait behind another's thousand")
    func users() throws {
        let probe = try busy()
        let many = (0..<1000).map { _ in probe.submit { $0.user = "newsletter" }.id }
        let one = probe.submit { $0.user = "shop" }.id
        let order = try order(probe)
        #expect(order.firstIndex(of: one) == 1)
        #expect(order.filter { $0 != one } == many, "each user's own goes in order")
    }

    @Test("without a login the sender's domain is the user, without a sender the client")
    func otherUsers() throws {
        let probe = try busy()
        let many = (0..<10).map { probe.submit(from: "s\($0)@many.example").id }
        let domain = probe.submit(from: "s@few.example").id
        let client = probe.submit(from: nil) { $0.clientAddress = "192.0.2.1" }.id
        let other = probe.submit(from: nil) { $0.clientAddress = "192.0.2.2" }.id
        let order = try order(probe)
        #expect(Array(order.prefix(5)) == [many[0], domain, client, other, many[1]])
    }

    @Test("one user's destinations take turns")
    func destinations() throws {
        let probe = try busy()
        let many = (0..<10).map { probe.submit(to: "r\($0)@slow.example").id }
        let one = probe.submit(to: "r@Quick.example").id
        let two = probe.submit(to: "q@quick.example").id
        let order = try order(probe)
        #expect(Array(order.prefix(5)) == [many[0], one, many[1], two, many[2]])
    }

    @Test("turns are the same for what was recovered after a restart")
    func restart() throws {
        let before = NodeProbe("up") { $0.upstreams[0].maximumConnections = 1 }.started()
        let many = (0..<20).map { _ in before.submit { $0.user = "newsletter" }.id }
        let one = before.submit { $0.user = "shop" }.id
        let probe = try before.restarted()
        try probe.connect("up")
        var order: [MessageID] = []
        while let transaction = probe.runningTransactions.first {
            order.append(transaction.message)
            probe.end(transaction, .delivered)
        }
        #expect(order.prefix(2) == [many[0], one])
        #expect(order.count == 21)
    }

    @Test("what is cancelled out of a backlog is not tried, and its neighbours keep their order")
    func cancelled() throws {
        let probe = try busy()
        let ids = (0..<6).map { _ in probe.submit().id }
        for id in [ids[0], ids[3], ids[5]] { probe.command(.cancel, id) }
        #expect(probe.commandAnswers == [.done, .done, .done])
        #expect(try order(probe) == [ids[1], ids[2], ids[4]])
    }
}
