import Node
import Primitives
import Routing
import SMTP

/// A connection to an upstream, of whichever machine.
struct LinkID: Hashable, Comparable {
    var machine: Int
    var connection: ConnectionID

    static func < (a: LinkID, b: LinkID) -> Bool {
        (a.machine, a.connection.number) < (b.machine, b.connection.number)
    }
}

/// One connection to an upstream: the real client session at this end, a simulated server at the other, a wire between.
final class Link {
    let id: ConnectionID
    unowned let machine: Machine
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
    /// Under which epoch each of them was begun.
    var epochs: [UInt64: UInt64] = [:]
    var permitted: Set<UInt64> = []
    var contentSent: Set<UInt64> = []
    /// What is on the way arrives in order.
    var lastToServer = Instant(nanoseconds: 0)
    var lastToClient = Instant(nanoseconds: 0)
    /// Counts the deadlines: only the last one is due.
    var deadline = 0

    init(id: ConnectionID, machine: Machine, upstream: Int, session: ClientSession) {
        self.id = id
        self.machine = machine
        self.upstream = upstream
        self.session = session
        process = machine.process
    }

    var key: LinkID { LinkID(machine: machine.index, connection: id) }
    /// For the timeline.
    var name: String { "\(machine.name) connection \(id.number)" }
    /// This end is open, and the process that opened it lives.
    var isAlive: Bool { isOpen && machine.process == process && machine.node != nil }
}

/// The shell around a client session, as the product has one.
extension Simulation {
    func connect(_ id: ConnectionID, _ name: String, _ machine: Machine) {
        guard let index = upstreams.firstIndex(where: { $0.name == name }) else { return fail("connect to \(name)?") }
        let settings = upstreams[index].settings
        let link = Link(
            id: id, machine: machine, upstream: index,
            session: ClientSession(
                ClientSession.Configuration(
                    helo: "relay.example.com", tls: .opportunistic, pipelining: settings.pipelining)))
        links[link.key] = link
        upstreams[index].connections.insert(link.key)
        onConnect?(name, scheduler.now)
        let count = upstreams[index].connections.count { $0.machine == machine.index }
        if count > settings.maximumConnections {
            fail("\(count) connections to \(name), which takes \(settings.maximumConnections)")
        }
        if upstreams[index].isSwitchedOff { fail("a connection to \(name), which is switched off") }
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
        feed(link.machine, .connectionFailed(link.id, UpstreamFailure(stage: .connect, text: text)))
    }

    func transact(_ id: ConnectionID, _ transaction: Transaction, _ machine: Machine) {
        guard let link = links[LinkID(machine: machine.index, connection: id)], link.isReady else {
            // It ended, and the node has not heard it yet.
            if machine.inbox.contains(where: { $0.isEnd(of: id) }) { return }
            return fail("a transaction for connection \(id.number), not open")
        }
        checkTransaction(transaction, link)
        guard violation == nil else { return }
        link.transactions[transaction.request.id] = transaction
        link.epochs[transaction.request.id] = machine.node?.owner(of: transaction.content.journal)?.epoch
        act(link) { session, actions in session.handle(.begin(transaction.request), &actions) }
    }

    func mayFinish(_ id: ConnectionID, _ transaction: UInt64, _ machine: Machine) {
        guard let link = links[LinkID(machine: machine.index, connection: id)] else { return }
        link.permitted.insert(transaction)
        finishIfReady(link, transaction)
    }

    /// Asks the node at the last instant, as the product does.
    private func finishIfReady(_ link: Link, _ transaction: UInt64) {
        guard link.permitted.contains(transaction), link.contentSent.contains(transaction), link.isAlive
        else { return }
        let now = link.machine.now(scheduler.now)
        let may = link.machine.node?.mayFinish(transaction: transaction, at: now) == true
        act(link) { session, actions in
            session.handle(may ? .mayFinish(transaction) : .mayNotFinish(transaction), &actions)
        }
    }

    func interrupt(_ id: ConnectionID, _ transaction: UInt64, _ machine: Machine) {
        guard let link = links[LinkID(machine: machine.index, connection: id)] else { return }
        act(link) { session, actions in session.handle(.mayNotFinish(transaction), &actions) }
    }

    func close(_ id: ConnectionID, _ machine: Machine) {
        guard let link = links[LinkID(machine: machine.index, connection: id)] else { return }
        link.isKnownEnded = true
        if !link.isReady { return forget(link) }
        act(link) { session, actions in session.handle(.quit, &actions) }
    }

    /// The process died: what was under way to the upstream may arrive yet or not.
    func cutByDeath(_ id: LinkID) {
        guard let link = links.removeValue(forKey: id) else { return }
        link.isOpen = false
        upstreams[link.upstream].connections.remove(id)
        if random.chance(0.3) { link.server.phase = .over } else { send(.end, link) }
    }

    private func forget(_ link: Link) {
        guard link.isOpen else { return }
        link.isOpen = false
        links[link.key] = nil
        upstreams[link.upstream].connections.remove(link.key)
        send(.end, link)
    }

    // MARK: The session's actions

    func act(_ link: Link, _ body: (inout ClientSession, inout [ClientSession.Action]) -> Void) {
        guard link.isAlive, violation == nil else { return }
        var actions: [ClientSession.Action] = []
        body(&link.session, &actions)
        for action in actions { carryOut(action, link) }
    }

    private func carryOut(_ action: ClientSession.Action, _ link: Link) {
        switch action {
        case .write(let bytes): send(.bytes(bytes), link)
        case .sendContent(let id):
            guard let transaction = link.transactions[id] else { return fail("content of an unknown transaction") }
            guard let content = link.machine.disk.content(transaction.content) else {
                return fail("the content of \(transaction.message) is in no file")
            }
            send(.content(content, transaction), link)
            // A slow wire takes it slowly.
            later(random.duration(.zero...max(.milliseconds(2), plan.wire.upperBound)), link) { [unowned self] in
                link.contentSent.insert(id)
                act(link) { session, actions in session.handle(.contentSent(id), &actions) }
                finishIfReady(link, id)
            }
        case .writeDot(let id):
            guard let transaction = link.transactions[id] else { return fail("the dot of an unknown transaction") }
            checkDot(transaction, link)
            guard violation == nil else { return }
            send(.dot(transaction), link)
            feed(link.machine, .dotSent(link.id))
        case .startTLS: send(.handshake, link)
        case .ready(let capabilities):
            link.isReady = true
            let name = upstreams[link.upstream].name
            feed(link.machine, .connected(link.id, capabilities, remote: "\(name).example[192.0.2.1]:25", tls: ""))
        case .wait(let kind): arm(link, kind)
        case .finished(let result):
            link.transactions[result.id] = nil
            if !result.connectionUsable { link.isKnownEnded = true }
            feed(link.machine, .transactionEnded(link.id, result))
        case .failed(let failure):
            link.isKnownEnded = true
            feed(link.machine, .connectionFailed(link.id, failure))
        case .close:
            if !link.isKnownEnded { feed(link.machine, .connectionClosed(link.id)) }
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
            say("\(link.name): no answer within \(limit)")
            act(link) { session, actions in session.handle(.timedOut, &actions) }
        }
    }

    // MARK: The wire

    func wire() -> Duration { random.duration(acrossOrdersOf: plan.wire) }

    /// Soon, unless the process or the connection is gone by then.
    func later(_ wait: Duration, _ link: Link, _ body: @escaping () -> Void) {
        scheduler.after(wait) { [unowned self] in whenAlive(link, body) }
    }

    /// In the link's process now, or when it goes on.
    private func whenAlive(_ link: Link, _ body: @escaping () -> Void) {
        guard link.isAlive else { return }
        link.machine.whenLive { if link.isAlive { body() } }
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
            whenAlive(link) { [unowned self] in
                say("\(link.name) ⇐ \(reply)")
                act(link) { session, actions in session.handle(.reply(reply), &actions) }
            }
        }
    }

    /// The upstream's end is closed.
    func hangUp(_ link: Link) {
        link.server.phase = .over
        let arrival = max(scheduler.now + wire(), link.lastToClient)
        link.lastToClient = arrival
        scheduler.at(arrival) { [unowned self] in
            whenAlive(link) { [unowned self] in
                say("\(link.name) is closed by the upstream")
                act(link) { session, actions in session.handle(.connectionEnded("closed by the upstream"), &actions) }
            }
        }
    }

    /// Whether an upstream's present mood has this fault strike now.
    func strikes(_ fault: Fault, _ upstream: Int) -> Bool {
        guard let probability = upstreams[upstream].mood.faults[fault], random.chance(probability) else { return false }
        count(fault)
        return true
    }
}

extension NodeEvent {
    fileprivate func isEnd(of id: ConnectionID) -> Bool {
        if case .connectionClosed(id) = self { true } else { false }
    }
}
