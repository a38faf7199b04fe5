package import EventLoop
internal import Journal
package import Node
internal import Primitives
internal import SMTP

/// Runs a `Node` on its loop: feeds it what happens, carries out what it decides, in order.
///
/// Appends are handed to the disk thread once a turn, log lines likewise. What a carried-out effect causes at once waits
/// until the effects before it are carried out.
// Sendable: confined to the loop; `feed`, through which everything goes, checks it in debug builds.
package final class NodeHost: @unchecked Sendable {
    package let loop: Loop
    private var node: Node
    private let disk: DiskThread
    private let reader: WorkThread
    private let background: WorkThread
    private let history: History
    let log: LogWriter
    /// Set once, before `start`.
    weak var deliveries: Deliveries?

    private var effects: [NodeEffect] = []
    /// Events that came while effects were being carried out.
    private var queue: [NodeEvent] = []
    private var isRunning = false
    private var diskJobs: [DiskThread.Job] = []
    private var logEntries: [LogWriter.Entry] = []

    private var nextTicket: UInt64 = 1
    private var submissions: [UInt64: UnsafeContinuation<SubmissionAnswer, Never>] = [:]
    private var commands: [UInt64: UnsafeContinuation<CommandAnswer, Never>] = [:]
    private var streams: [StreamID: StreamFlow] = [:]
    private var drainWaiters: [UnsafeContinuation<Void, Never>] = []
    private var hasDrained = false
    private var timer: TimerToken?
    private var timerAt = Instant.distantFuture
    private var isStopped = false

    init(
        node: consuming Node, loop: Loop, disk: DiskThread, reader: WorkThread, background: WorkThread,
        history: History,
        log: LogWriter
    ) {
        self.node = node
        self.loop = loop
        self.disk = disk
        self.reader = reader
        self.background = background
        self.history = history
        self.log = log
    }

    /// On the loop: claims the journals and opens for mail, as far as the disk answers.
    func start() {
        loop.addTurnHook { [weak self] in self?.endTurn() }
        node.start(at: Clock.now(), into: &effects)
        isRunning = true
        carryOut()
        isRunning = false
    }

    /// Nothing that happens reaches the node any more.
    func stop() {
        isStopped = true
        if let timer { loop.cancel(timer) }
    }

    // MARK: Events

    package func feed(_ event: NodeEvent) {
        assert(loop.isCurrent, "the node is touched off its loop")
        guard !isStopped else { return }
        guard !isRunning else { return queue.append(event) }
        isRunning = true
        node.handle(event, at: Clock.now(), into: &effects)
        carryOut()
        var next = 0
        while next < queue.count {
            node.handle(queue[next], at: Clock.now(), into: &effects)
            next += 1
            carryOut()
        }
        queue.removeAll(keepingCapacity: true)
        isRunning = false
    }

    func feed(_ events: [NodeEvent]) {
        for event in events { feed(event) }
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
        case .append(let journal, let offset, let bytes):
            diskJobs.append(.append(journal, offset: offset, bytes))
        case .storePromise(let journal, let promise): diskJobs.append(.storePromise(journal, promise))
        case .createJournal(let journal): diskJobs.append(.create(journal))
        case .cut(let journal, let end): diskJobs.append(.cut(journal, to: end))
        case .setAside(let journal): diskJobs.append(.setAside(journal))
        case .deleteJournal(let journal): deleteJournal(journal)
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
        case .note(let note): logEntries.append(.note(note, Clock.wall()))
        case .drained:
            hasDrained = true
            for waiter in drainWaiters { waiter.resume() }
            drainWaiters = []
        }
    }

    private func readContent(_ ticket: Ticket, _ content: ContentReference, _ limit: Int) {
        let files = disk.files
        reader.begin { [self] in
            let bytes = files.read(content, limit: limit)
            loop.post { _ in self.feed(.contentRead(ticket, bytes)) }
        }
    }

    /// Its history is kept first; only then the file goes.
    private func deleteJournal(_ journal: JournalID) {
        let history = history
        let disk = disk
        background.begin {
            history.keep(journal, disk.files[journal])
            disk.take(.delete(journal))
        }
    }

    /// Questions go this way: asked of the property itself, each would copy the whole value first.
    @inline(__always)
    fileprivate func borrow<Result>(_ ask: (inout Node) -> Result) -> Result { ask(&node) }

    // MARK: Turns

    private func endTurn() {
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
}

// MARK: - What sessions, deliveries and people ask, on the loop

extension NodeHost {
    func admission() -> Reply? { borrow { $0.admission(at: Clock.now()) } }

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

    func drain() async {
        guard !hasDrained, !isStopped else { return }
        await withUnsafeContinuation { continuation in
            drainWaiters.append(continuation)
            feed(.drain)
        }
    }

    /// What still is under way is given up: it is on the disk, and goes on at the next start.
    func giveUpDraining() {
        hasDrained = true
        for waiter in drainWaiters { waiter.resume() }
        drainWaiters = []
    }

    func status() -> NodeStatus { borrow { $0.status(at: Clock.now()) } }

    func list(_ filter: QueueFilter, limit: Int) -> (messages: [MessageStatus], matched: Int) {
        borrow { $0.list(filter, limit: limit, at: Clock.now()) }
    }

    func message(_ id: MessageID) -> MessageStatus? { borrow { $0.message(id, at: Clock.now()) } }

    func logRefusal(client: String, stage: StaticString, _ reply: Reply) {
        logEntries.append(.refused(client: client, stage: stage, reply: reply, Clock.wall()))
    }

    private func takeTicket() -> Ticket {
        nextTicket += 1
        return Ticket(nextTicket)
    }
}

/// A long message on its way in: how much of it is not on the disk yet, so that its session stops reading in time.
final class StreamFlow {
    /// What a session may have on the way to the disk.
    static let limit: UInt64 = 1 << 20

    let id: StreamID
    private(set) var isLost = false
    private unowned let host: NodeHost
    private var pending: UInt64 = 0
    private var waiter: UnsafeContinuation<Void, Never>?

    init(id: StreamID, host: NodeHost) {
        self.id = id
        self.host = host
    }

    /// Takes a piece, and returns when more may follow; false when the stream was lost.
    func send(_ piece: [UInt8]) async -> Bool {
        guard !isLost else { return false }
        pending += UInt64(piece.count)
        host.feed(.streamed(id, piece))
        // A piece is at most a quarter of the limit.
        while pending > StreamFlow.limit / 4 * 3, !isLost {
            await withUnsafeContinuation { waiter = $0 }
        }
        return !isLost
    }

    func durable(_ bytes: UInt64) {
        pending -= min(pending, bytes)
        wake()
    }

    func lose() {
        isLost = true
        wake()
    }

    private func wake() {
        let continuation = waiter
        waiter = nil
        continuation?.resume()
    }
}
