internal import Cluster
package import EventLoop
internal import Journal
package import Node
internal import Primitives
internal import Routing
internal import SMTP

/// Runs a `Node` on its loop: feeds it what happens, carries out what it decides, in order.
///
/// Writes are handed to the disk thread once a turn, log lines likewise, and what a turn appended goes to the replicas in one
/// message each. What a carried-out effect causes at once waits until the effects before it are carried out.
// Sendable: confined to the loop; `feed`, through which everything goes, checks it in debug builds.
package final class NodeHost: @unchecked Sendable {
    /// What a node needs around it. All of it is there before `start`.
    struct Surroundings {
        var disk: DiskThread
        var reader: WorkThread
        var log: LogWriter
        var events: EventRing
        /// How long what is under way may take when the node drains.
        var drainTimeout: Duration
        /// The node says that going on would break a promise. Does not return in the product.
        var mustEnd: @Sendable (String) -> Void
    }

    package let loop: Loop
    private var node: Node
    let disk: DiskThread
    let reader: WorkThread
    let log: LogWriter
    let events: EventRing
    let mustEnd: @Sendable (String) -> Void
    // Set once, before `start`.
    weak var deliveries: Deliveries?
    weak var server: SMTPServer?
    /// Nil in a cluster of one.
    var peers: Peers?
    /// Nil where nothing is ever said after a 250.
    var feedback: FeedbackDesk?
    lazy var questions = PeerQuestions(self)

    private var effects: [NodeEffect] = []
    /// Events that came while effects were being carried out.
    private var queue: [NodeEvent] = []
    private var isRunning = false
    var diskJobs: [DiskThread.Job] = []
    private var logEntries: [LogWriter.Entry] = []

    private var nextTicket: UInt64 = 1
    private var submissions: [UInt64: UnsafeContinuation<SubmissionAnswer, Never>] = [:]
    private var commands: [UInt64: UnsafeContinuation<CommandAnswer, Never>] = [:]
    var recordings: [UInt64: UnsafeContinuation<RecordOutcome, Never>] = [:]
    private var streams: [StreamID: StreamFlow] = [:]
    /// In the order of their last greetings as far as that matters: of one node's disks the last is the one it has now.
    var acquainted: [Acquaintance] = []
    var draining: Draining
    private var timer: TimerToken?
    private var timerAt = Instant.distantFuture
    private(set) var isStopped = false

    init(node: consuming Node, loop: Loop, in surroundings: Surroundings) {
        self.node = node
        self.loop = loop
        disk = surroundings.disk
        reader = surroundings.reader
        log = surroundings.log
        events = surroundings.events
        mustEnd = surroundings.mustEnd
        draining = Draining(timeout: surroundings.drainTimeout)
    }

    /// On the loop: claims the journals and opens for mail, as far as disk and peers answer.
    func start() {
        loop.addTurnHook { [weak self] in self?.endTurn() }
        isRunning = true
        node.start(at: Clock.now(), into: &effects)
        carryOut()
        handleQueue()
        isRunning = false
    }

    /// Nothing that happens reaches the node any more.
    func stop() {
        isStopped = true
        if let timer { loop.cancel(timer) }
        draining.cancelTimer(on: loop)
        questions.stop()
        for continuation in recordings.values { continuation.resume(returning: .unanswered) }
        recordings = [:]
    }

    // MARK: Events

    package func feed(_ event: NodeEvent) {
        assert(loop.isCurrent, "the node is touched off its loop")
        guard !isStopped else { return }
        guard !isRunning else { return queue.append(event) }
        isRunning = true
        node.handle(event, at: Clock.now(), into: &effects)
        carryOut()
        handleQueue()
        isRunning = false
    }

    func feed(_ events: [NodeEvent]) {
        for event in events { feed(event) }
    }

    private func handleQueue() {
        var next = 0
        while next < queue.count {
            node.handle(queue[next], at: Clock.now(), into: &effects)
            next += 1
            carryOut()
        }
        queue.removeAll(keepingCapacity: true)
    }

    // MARK: Effects

    private func carryOut() {
        var index = 0
        while index < effects.count {
            carryOut(effects[index])
            index += 1
        }
        effects.removeAll(keepingCapacity: true)
    }

    private func carryOut(_ effect: NodeEffect) {
        switch effect {
        case .cluster(let request): carryOut(request)
        case .scan(let journal, let scan, let end): diskJobs.append(.scan(journal, scan: scan, upTo: end))
        case .setAside(let journal): diskJobs.append(.setAside(journal))
        case .storeRecords(let records, let offset, let version):
            diskJobs.append(.storeRecords(records, at: offset, version: version))
        case .readContent(let ticket, let content, let limit): readContent(ticket, content, limit)
        case .answer(let ticket, let answer):
            submissions.removeValue(forKey: ticket.number)?.resume(returning: answer)
        case .streamDurable(let stream, let bytes): streams[stream]?.durable(bytes)
        case .streamLost(let stream): streams[stream]?.lose()
        case .connect(let connection, let upstream): deliveries?.connect(connection, upstream)
        case .transact(let connection, let transaction): deliveries?.transact(connection, transaction)
        case .mayFinish(let connection, let transaction): deliveries?.mayFinish(connection, transaction)
        case .interrupt(let connection, let transaction): deliveries?.interrupt(connection, transaction)
        case .close(let connection): deliveries?.close(connection)
        case .commandAnswer(let ticket, let answer):
            commands.removeValue(forKey: ticket.number)?.resume(returning: answer)
        case .recorded(let ticket, let refused):
            let outcome = refused.map { RecordOutcome.refused($0) } ?? .done
            recordings.removeValue(forKey: ticket.number)?.resume(returning: outcome)
        case .forgotten(let peer): forget(peer)
        case .asked(let peer, let ask): questions.asked(by: peer, ask)
        case .answered(let peer, let answer): questions.answered(by: peer, answer)
        case .note(let note):
            if case .result(let result) = note { feedback?.sent(result) }
            logEntries.append(.note(note, Clock.wall()))
            events.add(note)
        case .drainSessions: drainSessions()
        case .admitSessions: admitSessions()
        case .drained: drained()
        }
    }

    private func readContent(_ ticket: Ticket, _ content: ContentReference, _ limit: Int) {
        let files = disk.files
        reader.begin { [self] in
            let bytes = files.read(content, limit: limit)
            loop.post { _ in self.feed(.contentRead(ticket, bytes)) }
        }
    }

    /// Questions go this way: asked of the property itself, each would copy the whole value first.
    @inline(__always)
    func borrow<Result>(_ ask: (inout Node) -> Result) -> Result { ask(&node) }

    // MARK: Turns

    private func endTurn() {
        if !isStopped {
            isRunning = true
            node.endTurn(at: Clock.now(), into: &effects)
            carryOut()
            // What follows from that at once belongs to this turn too.
            while !queue.isEmpty {
                handleQueue()
                node.endTurn(at: Clock.now(), into: &effects)
                carryOut()
            }
            isRunning = false
        }
        disk.take(&diskJobs)
        if !logEntries.isEmpty { log.log(all: &logEntries) }
        armTimer()
    }

    private func armTimer() {
        guard !isStopped, let deadline = borrow({ $0.nextDeadline }) else { return }
        // An armed timer that is early does no harm: the tick finds nothing, and the next one is armed.
        guard deadline < timerAt else { return }
        if let timer { loop.cancel(timer) }
        // Never in the same instant again, so that a deadline in the past is no endless loop.
        timerAt = max(deadline, Clock.instant() + .milliseconds(1))
        timer = loop.timer(at: timerAt) { [weak self] in
            self?.timer = nil
            self?.timerAt = .distantFuture
            self?.feed(.tick)
        }
    }

    // MARK: Log and events

    /// A line of the log.
    func note(_ entry: LogWriter.Entry) { logEntries.append(entry) }

    /// A line of the log, and an event for whoever follows them.
    func tell(_ event: StaticString, _ level: LogWriter.Level = .info, _ fields: [LogWriter.Field] = []) {
        logEntries.append(.event(event, level, fields, Clock.wall()))
        events.add(event, fields)
    }

    func takeTicket() -> Ticket {
        nextTicket += 1
        return Ticket(nextTicket)
    }
}

// MARK: - What sessions, deliveries and people ask, on the loop

extension NodeHost {
    func admission() -> Reply? { borrow { $0.admission(at: Clock.now()) } }

    func refusal(ofSender sender: Address?, user: String) -> Reply? {
        borrow { $0.refusal(ofSender: sender, user: user, at: Clock.now()) }
    }

    func refusal(ofRecipient address: Address) -> Reply? {
        borrow { $0.refusal(ofRecipient: address, at: Clock.now()) }
    }

    func allotMessageID() -> MessageID { node.allotMessageID(at: Clock.now()) }

    /// Hands a message in; returns once it is committed or refused.
    func submit(_ submission: Submission) async -> SubmissionAnswer {
        guard !isStopped else { return .refused(Reply(421, 4, 3, 2, "Shutting down, try again later")) }
        let ticket = takeTicket()
        let answer = await withUnsafeContinuation { continuation in
            submissions[ticket.number] = continuation
            feed(.submitted(ticket, submission))
        }
        if case .streamed(let stream) = submission.content { streams[stream] = nil }
        return answer
    }

    /// Begins a long message; nil when none can be taken now.
    func beginStream() -> StreamFlow? {
        guard let stream = node.beginStream(at: Clock.now()) else { return nil }
        let flow = StreamFlow(id: stream, host: self)
        streams[stream] = flow
        return flow
    }

    func abortStream(_ stream: StreamID) {
        guard streams.removeValue(forKey: stream) != nil else { return }
        feed(.streamAborted(stream))
    }

    func mayFinish(_ transaction: UInt64) -> Bool {
        borrow { $0.mayFinish(transaction: transaction, at: Clock.now()) }
    }

    func command(_ command: Command) async -> CommandAnswer {
        guard !isStopped else { return .tryAgain }
        let ticket = takeTicket()
        return await withUnsafeContinuation { continuation in
            commands[ticket.number] = continuation
            feed(.command(ticket, command))
        }
    }

    func status() -> NodeStatus { borrow { $0.status(at: Clock.now()) } }

    func list(_ filter: QueueFilter, limit: Int) -> (messages: [MessageStatus], matched: Int) {
        borrow { $0.list(filter, limit: limit, at: Clock.now()) }
    }

    func explain(_ subject: RouteSubject) -> RouteExplanation { borrow { $0.explain(subject, at: Clock.now()) } }

    func trust(of upstream: String, at provider: String?) -> UpstreamTrust? {
        borrow { $0.trust(of: upstream, at: provider, Clock.now()) }
    }

    func message(_ id: MessageID) -> MessageStatus? { borrow { $0.message(id, at: Clock.now()) } }

    func logRefusal(client: String, stage: StaticString, _ reply: Reply) {
        note(.refused(client: client, stage: stage, reply: reply, Clock.wall()))
    }
}
