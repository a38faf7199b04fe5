internal import Cluster
internal import Journal
package import Primitives
internal import Routing
internal import SMTP

/// Everything that a node decides, as one value without I/O (`architecture.md`, 'A node is a value').
///
/// What happens comes in by `handle` with the time; what is to be done goes out as effects, to be carried out in order.
/// A message's life: *submitted* → its `accept` frame is appended → committed: the client gets its 250 and the first *try*
/// begins. A try makes a *job* of the recipients of each route; a job goes to an upstream's *lane*, and when a connection
/// there is free it becomes a *transaction*: an `attempt` frame is appended, the dialogue begins, and once the frame is
/// committed the final dot may go. The replies become an `outcome` frame, with the time of the next try for those who were
/// deferred and with the bounce that it causes. When all recipients are finished the message leaves the index; when all
/// messages of a sealed journal are finished the journal retires.
package struct Node: ~Copyable, Sendable {
    /// Longer content comes as a stream, in bytes.
    package static let inlineLimit = 256 << 10
    /// A journal whose replicas let it wait longer is given up for another.
    static let openingPatience = Duration.seconds(3)
    /// For `status`.
    static let takeoversKept = 16
    /// An accept that is not committed by then is answered 451 and cancelled.
    static let acceptTimeout = Duration.seconds(30)
    /// Frames of messages that are kept in memory for their delivery, in bytes.
    static let cacheLimit = 64 << 20
    /// A step of the wall clock of more than a minute stops expiry for ten.
    static let clockStep = Duration.minutes(1)
    static let expiryPause = Duration.minutes(10)

    var configuration: NodeConfiguration
    var random: SeededRandom
    var identifiers: ULIDGenerator
    let began: Instant

    // The queue.
    var messages = Slab<Message>()
    var index: [MessageID: MessageKey] = [:]
    var jobs = Slab<Job>()
    var due = MinimumHeap<DueEntry>()
    /// Jobs that no usable upstream takes, and how many each upstream would get.
    var waiting = Ring<JobKey>()
    var waitingFor: [Int]
    /// Recipient domains that defer, and what waits for them.
    var destinations = Destinations()
    /// Failed probes, which count for everything that waits for the same destination.
    var failedProbes: [FailedProbe] = []
    var cached = Ring<MessageKey>()
    var cachedBytes = 0
    /// Accepts that wait for their commit, oldest first.
    var accepting = Ring<(deadline: Instant, key: MessageKey)>()

    // The journals.
    var cluster: ClusterNode
    var journals = JournalTable()
    /// The one that takes new mail.
    var current: JournalID?
    /// Opened ahead of need.
    var upcoming: JournalID?
    var streams: [StreamID: ArrivingStream] = [:]
    var nextStream: UInt64 = 1
    var recovery = Recovery()
    var effectsOfStart: [NodeEffect] = []
    var openedAt: Instant
    var nextScan: UInt64 = 0
    /// Something waits for `endTurn`.
    var hasAppended = false
    var recentTakeovers: [NodeStatus.Takeover] = []
    /// Whom gossip held alive when it was last looked at, and whose death was proved since.
    var alive: Set<ReplicaID> = []
    var dead: Set<ReplicaID> = []

    // The ways out.
    var router: Router
    var lanes: [Lane]
    var connections = Slab<LaneConnection>()
    /// Transactions under way: whether the attempt is committed, and where it stands.
    var transactions = Slab<TransactionState>()
    /// Outcomes that wait for a message's header.
    var settling: [Ticket: Settlement] = [:]
    var reaccepting: [Ticket: MessageKey] = [:]
    var nextTicket: UInt64 = 1

    // What belongs to the whole cluster.
    var records: ClusterRecords
    var recordAskers: [RecordAsker] = []
    var nextRecordsExchange: Instant
    var isDrainedByRecord = false
    /// What of each peer's gossip the router has heard.
    var heard: [ReplicaID: GossipDigest] = [:]
    var nextSharing: Instant
    var nextRoutingRecords: Instant
    /// Up to which change the router's records were read, by their kind.
    var routingRecordsRead: [String: UInt64] = [:]
    var rules = MailRules()
    /// Up to which change of their records they were read.
    var rulesRead: UInt64 = 0
    /// Keys of addresses that had one uncertain hard bounce.
    var bouncedOnce: Set<String> = []
    /// Suppressions in force, when they were last counted, and up to which change.
    var suppressionCount: (count: Int, at: Instant, changes: UInt64)

    // The state of the whole.
    var state = NodeStatus.State.starting
    var haveSessionsEnded = false
    var isDrainOverdue = false
    /// The time of the present event.
    var present: Now
    var isSpaceKnown = false
    var isDiskFull = false
    var diskFree = ByteCount(bytes: .max)
    var diskTotal = ByteCount(bytes: 0)
    var isDiskLow = false
    /// The wall clock less the monotonic one, as last seen, in milliseconds.
    var clockOffset: Int64
    var patience: Patience
    var counters = NodeCounters()
    var recent = RecentCounts()
    var laneRecent: [RecentCounts]
    /// Per lane, and at the end for what had none.
    var totals: [ResultTotals]
    var laneTimes: [RecentDurations]
    var recentResults: [RecentResults]
    var resultCounts: [ResultKind: UInt64] = [:]
    /// What start-up found to be damaged, for the log and for `status`.
    var damaged: [String] = []
    /// Journals whose messages are being moved.
    var damagedJournals: [JournalID] = []

    package init(configuration: NodeConfiguration, at now: Now) {
        self.configuration = configuration
        random = SeededRandom(seed: configuration.seed)
        identifiers = ULIDGenerator(seed: configuration.seed ^ 0x5bd1_e995)
        began = now.instant
        present = now
        openedAt = now.instant
        nextRecordsExchange = now.instant
        nextSharing = now.instant
        nextRoutingRecords = now.instant
        suppressionCount = (0, now.instant, 0)
        records = ClusterRecords(me: configuration.replica)
        cluster = ClusterNode(settings: ClusterSettings(configuration), at: now.instant)
        router = Router(
            upstreams: configuration.upstreams, routes: configuration.routes,
            bounceUpstreams: configuration.bounces.upstreams, settings: configuration.routing,
            classifier: configuration.classifier, me: configuration.replica.description,
            start: configuration.incarnation)
        lanes = configuration.upstreams.map { Lane($0) }
        waitingFor = configuration.upstreams.map { _ in 0 }
        laneRecent = configuration.upstreams.map { _ in RecentCounts() }
        totals = Array(repeating: ResultTotals(), count: configuration.upstreams.count + 1)
        laneTimes = configuration.upstreams.map { _ in RecentDurations() }
        recentResults = configuration.upstreams.map { _ in RecentResults() }
        clockOffset = now.wall.milliseconds - now.instant.nanoseconds / 1_000_000
        patience = Patience(configuration, expiryAllowedFrom: now.instant)
    }

    /// Takes what happened and appends what follows.
    package mutating func handle(_ event: NodeEvent, at now: Now, into effects: inout [NodeEffect]) {
        present = now
        watchClock(now, into: &effects)
        switch event {
        case .cluster(.received(.recordsDigest(let digest), from: let peer, _)):
            recordsDigestCame(digest, from: peer, now, &effects)
        case .cluster(.received(.recordsDelta(let delta), from: let peer, _)):
            recordsDeltaCame(delta, from: peer, now, &effects)
        case .cluster(let event): run(event, now, &effects)
        case .scanned(let journal, let scan, let frames, let isLast):
            scanned(journal, scan, frames, isLast: isLast, now, &effects)
        case .recordsStored(let version): recordsStored(version, now, &effects)
        case .diskFull: diskFull(now, &effects)
        case .diskSpace(let free, let total): diskSpace(free: free, total: total, now, &effects)
        case .contentRead(let ticket, let bytes): contentRead(ticket, bytes, now, &effects)
        case .submitted(let ticket, let submission): submitted(ticket, submission, now, &effects)
        case .streamed(let stream, let bytes): streamed(stream, bytes, now, &effects)
        case .streamAborted(let stream): streamAborted(stream, now, &effects)
        case .submitterGone(let ticket): submitterGone(ticket)
        case .connected(let connection, let capabilities, let remote, _, let facts):
            connected(connection, capabilities, remote: remote, facts, now, &effects)
        case .connectionFailed(let connection, let failure): connectionFailed(connection, failure, now, &effects)
        case .dotSent(let connection): dotSent(connection, now, &effects)
        case .transactionEnded(let connection, let result): transactionEnded(connection, result, now, &effects)
        case .connectionClosed(let connection): connectionClosed(connection, now, &effects)
        case .feedback(let event): feedbackCame(event, now, &effects)
        case .command(let ticket, let command): self.command(ticket, command, now, &effects)
        case .record(let ticket, let key, let value, let expiry):
            record(ticket, [RecordWrite(key: key, value: value, expiry: expiry)], by: "", now, &effects)
        case .records(let ticket, let writes, let by): record(ticket, writes, by: by, now, &effects)
        case .forget(let ticket, let node): forget(ticket, node, now, &effects)
        case .describe(let key, let value): cluster.describe(key, value)
        case .resetTrust(let upstream, let provider): resetTrust(of: upstream, at: provider, now, &effects)
        case .reconfigured(let new): reconfigure(new, now, &effects)
        case .drain: drain(now, &effects)
        case .sessionsEnded: sessionsEnded(now, &effects)
        case .drainTimedOut: drainTimedOut(now, &effects)
        case .resume: resume(now, &effects)
        case .tick: tick(now, &effects)
        }
        if !destinations.isEmpty || !failedProbes.isEmpty { attendDestinations(now, &effects) }
        switch state {
        case .draining, .drained: handOver(now, &effects)
        case .serving where current == nil && upcoming == nil: moveOn(now, &effects)
        case .starting, .serving: break
        }
    }

    /// The latest time for the next `.tick`.
    package var nextDeadline: Instant? {
        var next: Instant?
        func consider(_ at: Instant?) {
            if let at, next.map({ at < $0 }) ?? true { next = at }
        }
        consider(accepting.first?.deadline)
        guard recovery.isOver else { return next }
        consider(cluster.deadline(at: present.instant))
        guard state == .serving else { return next }
        consider(due.first?.at)
        consider(failedProbes.isEmpty ? destinations.nextProbe : present.instant)
        for index in lanes.indices {
            consider(nextProbe(index))
            if lanes[index].readyCount > 0 { consider(router.health[index].holdOpeningUntil) }
            // One that is overdue waits for a connection, not for the time.
            if let at = lanes[index].nextPaced, at > present.instant { consider(at) }
            // The longest idle is first: connections are taken from the end.
            if let longest = lanes[index].idle.first, connections.contains(longest.key) {
                consider(connections[longest.key].idleSince + lanes[index].upstream.idleTimeout)
            }
        }
        consider(sharingDeadline)
        consider(router.limits.nextDeadline(at: present.instant))
        return next
    }

    mutating func tick(_ now: Now, _ effects: inout [NodeEffect]) {
        run(.tick, now, &effects)
        watchPeers(now, &effects)
        exchangeRecords(now, &effects)
        shareRouting(now, &effects)
        expireAccepts(now, &effects)
        guard state == .serving else { return }
        moveOn(now, &effects)
        beginDueTries(now, &effects)
        for lane in lanes.indices {
            probe(lane, now, &effects)
            closeIdle(lane, now, &effects)
            pump(lane, now, &effects)
        }
    }

    /// Notices a step of the wall clock against the monotonic one: lifetimes that it seems to have ended get a pause.
    private mutating func watchClock(_ now: Now, into effects: inout [NodeEffect]) {
        let offset = now.wall.milliseconds - now.instant.nanoseconds / 1_000_000
        let (moved, overflow) = offset.subtractingReportingOverflow(clockOffset)
        guard overflow || moved.magnitude > UInt64(Node.clockStep.milliseconds) else {
            // Slow drift and slewing are no steps.
            clockOffset = offset
            return
        }
        clockOffset = offset
        patience.expiryAllowedFrom = now.instant + Node.expiryPause
        effects.append(.note(.clockStepped(by: .milliseconds(overflow ? 0 : moved))))
    }

    /// Takes what may change at run time.
    private mutating func reconfigure(_ new: NodeConfiguration, _ now: Now, _ effects: inout [NodeEffect]) {
        // Lanes are numbered by upstreams, so those and the routes take a restart; all else is read when it is used.
        let upstreams = configuration.upstreams
        let routes = configuration.routes
        let before = configuration
        configuration = new
        configuration.upstreams = upstreams
        configuration.routes = routes
        configuration.routing = before.routing
        configuration.replica = before.replica
        configuration.incarnation = before.incarnation
        configuration.lease = before.lease
        configuration.isFastFailover = before.isFastFailover
        if configuration.replyRules != before.replyRules { router.classifier = configuration.classifier }
        patience = Patience(configuration, expiryAllowedFrom: patience.expiryAllowedFrom)
    }

    /// A guard left out, for tests and `ops/mutants` only.
    func has(_ mutation: Mutation) -> Bool { cluster.settings.has(mutation) }

    mutating func ticket() -> Ticket {
        nextTicket += 1
        // The shell's tickets count from 1; the node's own have the highest bit.
        return Ticket(nextTicket | 1 << 63)
    }
}

/// Where a transaction stands.
struct TransactionState: Sendable {
    let connection: ConnectionID
    let journal: JournalID
    var isAttemptCommitted = false
    /// Its journal was lost meanwhile.
    var orphan: Orphan?
}

extension ClusterSettings {
    init(_ configuration: NodeConfiguration) {
        self.init(me: configuration.replica, incarnation: configuration.incarnation)
        lease = configuration.lease
        isFastFailover = configuration.isFastFailover
        mutations = configuration.mutations
    }
}
