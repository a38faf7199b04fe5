import Node
import Primitives
import Routing
import SMTP

/// One connection to an upstream: the real client session at this end, a simulated server at the other, a wire between.
final class Link {
    let id: ConnectionID
    let upstream: Int
    let process: Int
    var session: ClientSession
    var server = ServerDialogue()
    /// This end is open.
    var isOpen = true
    var isReady = false
    /// The node asked for its end, or was told of it.
    var isKnownEnded = false
    var transactions: [UInt64: Transaction] = [:]
    var permitted: Set<UInt64> = []
    var contentSent: Set<UInt64> = []
    /// What is on the way arrives in order.
    var lastToServer = Instant(nanoseconds: 0)
    var lastToClient = Instant(nanoseconds: 0)
    /// Counts the deadlines: only the last one is due.
    var deadline = 0

    init(id: ConnectionID, upstream: Int, process: Int, session: ClientSession) {
        self.id = id
        self.upstream = upstream
        self.process = process
        self.session = session
    }
}

/// The shell around a client session, as the product has one.
extension Simulation {
    func connect(_ id: ConnectionID, _ name: String) {
        guard let index = upstreams.firstIndex(where: { $0.name == name }) else { return fail("connect to \(name)?") }
        let settings = upstreams[index].settings
        upstreams[index].connections.insert(id)
        upstreams[index].connectsSeen += 1
        if upstreams[index].connections.count > settings.maximumConnections {
            fail(
                "\(upstreams[index].connections.count) connections to \(name), which takes \(settings.maximumConnections)"
            )
        }
        if upstreams[index].isSwitchedOff { fail("a connection to \(name), which is switched off") }
        let session = ClientSession(
            ClientSession.Configuration(
                helo: "relay.example.com", tls: .opportunistic, pipelining: settings.pipelining))
        let link = Link(id: id, upstream: index, process: process, session: session)
        links[id] = link
        if strikes(.refuseConnect, index) {
            return later(wire() + wire(), link) { [unowned self] in failConnect(link, "connection refused") }
        }
        if strikes(.hangConnect, index) {
            return later(settings.timeouts.connect, link) { [unowned self] in failConnect(link, "no answer in time") }
        }
        later(wire() + wire(), link) { [unowned self] in
            act(link) { session, actions in session.start(&actions) }
            greet(link)
        }
    }

    private func failConnect(_ link: Link, _ text: String) {
        guard link.isOpen else { return }
        forget(link)
        feed(.connectionFailed(link.id, UpstreamFailure(stage: .connect, text: text)))
    }

    func transact(_ id: ConnectionID, _ transaction: Transaction) {
        guard let link = links[id], link.isReady else {
            return fail("a transaction for connection \(id.number), not open")
        }
        checkTransaction(transaction, link)
        link.transactions[transaction.request.id] = transaction
        act(link) { session, actions in session.handle(.begin(transaction.request), &actions) }
    }

    func mayFinish(_ id: ConnectionID, _ transaction: UInt64) {
        guard let link = links[id] else { return }
        link.permitted.insert(transaction)
        finishIfReady(link, transaction)
    }

    /// Asks the node at the last instant, as the product does.
    private func finishIfReady(_ link: Link, _ transaction: UInt64) {
        guard link.permitted.contains(transaction), link.contentSent.contains(transaction), node != nil else { return }
        let may = node?.mayFinish(transaction: transaction, at: now) == true
        act(link) { session, actions in
            session.handle(may ? .mayFinish(transaction) : .mayNotFinish(transaction), &actions)
        }
    }

    func interrupt(_ id: ConnectionID, _ transaction: UInt64) {
        guard let link = links[id] else { return }
        act(link) { session, actions in session.handle(.mayNotFinish(transaction), &actions) }
    }

    func close(_ id: ConnectionID) {
        guard let link = links[id] else { return }
        link.isKnownEnded = true
        if !link.isReady { return forget(link) }
        act(link) { session, actions in session.handle(.quit, &actions) }
    }

    /// The process died: what was under way to the upstream may arrive yet or not.
    func cutByDeath(_ id: ConnectionID) {
        guard let link = links[id] else { return }
        link.isOpen = false
        upstreams[link.upstream].connections.remove(id)
        if random.chance(0.3) { link.server.phase = .over } else { send(.end, link) }
    }

    private func forget(_ link: Link) {
        guard link.isOpen else { return }
        link.isOpen = false
        links[link.id] = nil
        upstreams[link.upstream].connections.remove(link.id)
        send(.end, link)
    }

    // MARK: The session's actions

    func act(_ link: Link, _ body: (inout ClientSession, inout [ClientSession.Action]) -> Void) {
        guard link.isOpen, link.process == process, violation == nil else { return }
        var actions: [ClientSession.Action] = []
        body(&link.session, &actions)
        for action in actions { carryOut(action, link) }
    }

    private func carryOut(_ action: ClientSession.Action, _ link: Link) {
        switch action {
        case .write(let bytes): send(.bytes(bytes), link)
        case .sendContent(let id):
            guard let transaction = link.transactions[id] else { return fail("content of an unknown transaction") }
            guard let content = disk.content(transaction.content) else {
                return fail("the content of \(transaction.message) is in no file")
            }
            send(.content(content, transaction), link)
            later(random.duration(.zero...(.milliseconds(2))), link) { [unowned self] in
                link.contentSent.insert(id)
                act(link) { session, actions in session.handle(.contentSent(id), &actions) }
                finishIfReady(link, id)
            }
        case .writeDot(let id):
            guard let transaction = link.transactions[id] else { return fail("the dot of an unknown transaction") }
            checkDot(transaction, link)
            send(.dot(transaction), link)
            feed(.dotSent(link.id))
        case .startTLS: send(.handshake, link)
        case .ready(let capabilities):
            link.isReady = true
            let name = upstreams[link.upstream].name
            feed(.connected(link.id, capabilities, remote: "\(name).example[192.0.2.1]:25", tls: ""))
        case .wait(let kind): arm(link, kind)
        case .finished(let result):
            link.transactions[result.id] = nil
            if !result.connectionUsable { link.isKnownEnded = true }
            feed(.transactionEnded(link.id, result))
        case .failed(let failure):
            link.isKnownEnded = true
            feed(.connectionFailed(link.id, failure))
        case .close:
            if !link.isKnownEnded { feed(.connectionClosed(link.id)) }
            link.isKnownEnded = true
            forget(link)
        }
    }

    private func arm(_ link: Link, _ kind: ClientSession.Deadline) {
        link.deadline += 1
        let mine = link.deadline
        guard let limit = upstreams[link.upstream].settings.timeouts.limit(kind) else { return }
        later(limit, link) { [unowned self] in
            guard link.deadline == mine else { return }
            say("connection \(link.id.number): no answer within \(limit)")
            act(link) { session, actions in session.handle(.timedOut, &actions) }
        }
    }

    // MARK: The wire

    func wire() -> Duration { random.duration(acrossOrdersOf: plan.wire) }

    /// Soon, unless the process or the connection is gone by then.
    func later(_ wait: Duration, _ link: Link, _ body: @escaping () -> Void) {
        scheduler.after(wait) { [unowned self] in
            if link.isOpen, link.process == process, node != nil { body() }
        }
    }

    func send(_ item: ToServer, _ link: Link) {
        let arrival = max(scheduler.now + wire(), link.lastToServer)
        link.lastToServer = arrival
        scheduler.at(arrival) { [unowned self] in arrive(item, link) }
    }

    func reply(_ reply: Reply, _ link: Link, after work: Duration = .zero) {
        let arrival = max(scheduler.now + work + wire(), link.lastToClient)
        link.lastToClient = arrival
        scheduler.at(arrival) { [unowned self] in
            guard link.process == process, link.isOpen else { return }
            say("connection \(link.id.number) ⇐ \(reply)")
            act(link) { session, actions in session.handle(.reply(reply), &actions) }
        }
    }

    /// The upstream's end is closed.
    func hangUp(_ link: Link) {
        link.server.phase = .over
        let arrival = max(scheduler.now + wire(), link.lastToClient)
        link.lastToClient = arrival
        scheduler.at(arrival) { [unowned self] in
            guard link.process == process, link.isOpen else { return }
            say("connection \(link.id.number) is closed by the upstream")
            act(link) { session, actions in session.handle(.connectionEnded("closed by the upstream"), &actions) }
        }
    }

    /// Whether an upstream's present mood has this fault strike now.
    func strikes(_ fault: Fault, _ upstream: Int) -> Bool {
        guard let probability = upstreams[upstream].mood.faults[fault], random.chance(probability) else { return false }
        count(fault)
        return true
    }
}
