import Cluster
import Node
import Primitives

/// What stands between the nodes: cuts in each direction, loss, delay, copies, disorder.
struct SimulatedNetwork {
    /// `isCut[from][to]`: nothing passes.
    var isCut: [[Bool]]
    var loss = 0.0
    var copies = 0.0
    var delay: ClosedRange<Duration> = .microseconds(50)...(.milliseconds(2))
    /// How many messages take much longer, up to this.
    var stragglers = 0.0
    var straggler = Duration.milliseconds(400)
    /// Messages overtake each other.
    var isDisorderly = false

    /// What is cut for so long ends by time-out, which proves nothing.
    static let patience = Duration.seconds(3)

    init(nodes: Int) { isCut = Array(repeating: Array(repeating: false, count: nodes), count: nodes) }

    mutating func heal() { self = SimulatedNetwork(nodes: isCut.count) }

    mutating func mend() {
        for from in isCut.indices { for to in isCut.indices { isCut[from][to] = false } }
    }
}

extension Simulation {
    func networkDelay() -> Duration {
        if network.stragglers > 0, random.chance(network.stragglers) {
            return random.duration(.zero...network.straggler)
        }
        return random.duration(network.delay)
    }

    /// To this peer, if there is a connection; else it is lost, like anything on a network.
    func send(_ message: Message, to peer: ReplicaID, from machine: Machine) {
        for (journal, epoch) in message.promises {
            machine.disk.said[journal] = max(epoch, machine.disk.said[journal] ?? 0)
        }
        guard let other = machines.first(where: { $0.replica == peer }),
            let connection = machine.peers[other.index], connection.replica == peer,
            !network.isCut[machine.index][other.index], network.loss == 0 || !random.chance(network.loss)
        else { return }
        if case .claimAnswers(let answers) = message { checkGrants(answers, machine) }
        let sender = machine.replica
        let incarnation = machine.incarnation
        repeat {
            var arrival = scheduler.now + networkDelay()
            if !network.isDisorderly {
                arrival = max(arrival, connection.lastArrival)
                machine.peers[other.index]?.lastArrival = arrival
            }
            scheduler.at(arrival) { [unowned self] in
                other.whenLive { [unowned self] in
                    guard other.peers[machine.index]?.connection == connection.connection else { return }
                    feed(other, .cluster(.received(message, from: sender, incarnation: incarnation)))
                }
            }
        } while network.copies > 0 && random.chance(network.copies)
    }

    // MARK: Connections

    func isReachable(_ a: Machine, _ b: Machine) -> Bool {
        !network.isCut[a.index][b.index] && !network.isCut[b.index][a.index]
    }

    func connectSoon(_ a: Machine, _ b: Machine) {
        let wait = random.duration(.milliseconds(1)...(.milliseconds(100)))
        let process = a.process
        scheduler.after(wait) { [unowned self] in
            guard a.process == process, a.isUp, a.peers[b.index] == nil else { return }
            guard a.isLive, b.isLive, isReachable(a, b) else { return connectSoon(a, b) }
            connect(a, b)
        }
    }

    private func connect(_ a: Machine, _ b: Machine) {
        let connection = random.next()
        for (near, far) in [(a, b), (b, a)] {
            near.peers[far.index] = Machine.Peer(
                connection: connection, replica: far.replica, incarnation: far.incarnation)
            feed(near, .cluster(.greeted(far.replica, incarnation: far.incarnation)))
        }
    }

    /// This end of a connection learns that it is over; it connects again.
    func ended(_ machine: Machine, _ peer: Machine, _ connection: UInt64, _ end: ProcessWatch.End) {
        guard let known = machine.peers[peer.index], known.connection == connection else { return }
        machine.peers[peer.index] = nil
        guard machine.isUp else { return }
        feed(machine, .cluster(.disconnected(known.replica, end)))
        connectSoon(machine, peer)
    }

    func endSoon(
        _ machine: Machine, _ peer: Machine, _ connection: UInt64, _ end: ProcessWatch.End, after wait: Duration
    ) {
        scheduler.after(wait) { [unowned self] in
            machine.whenLive { [unowned self] in ended(machine, peer, connection, end) }
        }
    }

    /// The process at one end is dead: its kernel says so to those whom it reaches; without power there is silence.
    func endConnections(of machine: Machine) {
        for (index, peer) in machine.peers.sorted(by: { $0.key < $1.key }) {
            let other = machines[index]
            if !machine.hasPower || network.isCut[machine.index][index] {
                endSoon(other, machine, peer.connection, .timedOut, after: SimulatedNetwork.patience)
            } else {
                let end = random.pick([ProcessWatch.End.endOfFile, .reset])
                let arrival = network.isDisorderly ? Instant(nanoseconds: 0) : peer.lastArrival
                let wait = random.duration(.zero...(.milliseconds(20)))
                endSoon(other, machine, peer.connection, end, after: max(wait, arrival - scheduler.now))
            }
        }
        machine.peers = [:]
    }

    /// A silence of this length ends a connection from this end; the other one hears of it if it is reached.
    func timeOut(_ machine: Machine, _ peer: Machine) {
        guard let connection = machine.peers[peer.index]?.connection else { return }
        scheduler.after(SimulatedNetwork.patience) { [unowned self] in
            guard machine.peers[peer.index]?.connection == connection,
                network.isCut[peer.index][machine.index] || peer.isPaused
            else { return }
            machine.whenLive { [unowned self] in ended(machine, peer, connection, .timedOut) }
            guard !network.isCut[machine.index][peer.index] else { return }
            endSoon(peer, machine, connection, .endOfFile, after: networkDelay())
        }
    }

    /// A device resets connections: both ends see an end, and both processes live.
    func resetConnections(of machine: Machine) {
        for (index, peer) in machine.peers.sorted(by: { $0.key < $1.key }) where random.chance(0.5) {
            endSoon(machine, machines[index], peer.connection, .reset, after: networkDelay())
            endSoon(machines[index], machine, peer.connection, .reset, after: networkDelay())
        }
    }

    /// A connect to where that process listened: refused only by a machine that is up and has no such process.
    func knock(_ peer: ReplicaID, by machine: Machine) {
        var result = ProcessWatch.Knock.hung
        var wait = networkDelay()
        if let other = machines.first(where: { $0.name == peer.node }) {
            if !isReachable(machine, other) || !other.hasPower || other.isPaused {
                wait += ProcessWatch.connectLimit
            } else if other.isUp {
                result = random.chance(0.2) ? .endedEarly : .greeted
            } else {
                result = random.chance(0.2) ? .endedEarly : .refused
            }
        }
        say("    \(machine.name) knocks at \(peer.node): \(result)")
        later(wait, machine) { [unowned self] in feed(machine, .cluster(.knocked(peer, result))) }
    }

    /// The negative test: resets, and then refusals, in the name of a process that lives.
    ///
    /// - Parameter share: Of the peers that are taken in.
    func forgeDeath(of victim: Machine, share: Double = 0.8) {
        count(.forgedDeath)
        say("someone forges the death of \(victim.name)")
        for index in victim.peers.keys.sorted() where share >= 1 || random.chance(share) {
            let other = machines[index]
            guard let peer = other.peers[victim.index] else { continue }
            other.peers[victim.index] = nil
            let process = other.process
            other.whenLive { [unowned self] in
                guard other.process == process, other.isUp else { return }
                feed(other, .cluster(.disconnected(peer.replica, .reset)))
                feed(other, .cluster(.knocked(peer.replica, .refused)))
            }
            connectSoon(other, victim)
        }
    }

    // MARK: What is heard and said

    /// Keeps what a process has heard that it must heed.
    func heard(_ event: ClusterEvent, _ machine: Machine) {
        guard case .received(let message, let sender, _) = event else { return }
        switch message {
        case .lateOutcome(let late):
            let place = LatePlace(journal: late.journal, message: late.message, recipient: late.recipient)
            if late.epoch >= machine.lateOutcomes[place]?.epoch ?? 0 { machine.lateOutcomes[place] = late }
        case .release(let epochs):
            for item in epochs where chronicles[item.journal]?.owners[item.epoch]?.hasPrefix(sender.node) == true {
                machine.heardReleases.insert(item)
            }
        default: break
        }
    }

    /// Invariant 9: who is no replica of a journal grants nothing for it.
    private func checkGrants(_ answers: ClaimAnswers, _ machine: Machine) {
        for case .granted(let offer) in answers.items {
            if let chronicle = chronicles[offer.journal], !chronicle.replicas.contains(machine.replica) {
                fail("I9: \(machine.name) grants \(offer.journal.short), whose replica it is not")
            }
        }
    }
}

extension Message {
    /// What its sender must have promised, and its disk must know ever after (invariant 2).
    fileprivate var promises: [(journal: JournalID, epoch: UInt64)] {
        switch self {
        case .durable(let durable): [(durable.journal, durable.epoch)]
        case .pulseReply(let reply): reply.renewed.map { ($0.journal, $0.epoch) }
        case .claimAnswers(let answers):
            answers.items.compactMap { if case .granted(let offer) = $0 { (offer.journal, offer.epoch) } else { nil } }
        default: []
        }
    }
}
