import Cluster
import Journal
import Node
import Primitives
import Routing
import SMTP
import Testing

/// What an upstream told of one recipient.
typealias Told = SMTP.RecipientResult

/// A node without a shell: a disk in memory that answers at once, or when told; upstreams that say what the test says;
/// a clock that stands still until it is moved. Records everything that the node wanted.
final class NodeProbe {
    enum DiskAnswers { case atOnce, onDemand }

    var node: Node
    let configuration: NodeConfiguration
    private(set) var now: Now
    var diskAnswers = DiskAnswers.atOnce

    // The disk.
    private(set) var files: [JournalID: [UInt8]] = [:]
    private var promises: [JournalID: Promise] = [:]
    private var diskEvents: [NodeEvent] = []
    private(set) var setAside: [JournalID] = []
    private(set) var deleted: [JournalID] = []
    /// New journals wait for room.
    var isFull = false

    // What the node wanted.
    private(set) var answers: [Ticket: SubmissionAnswer] = [:]
    private(set) var commandAnswers: [CommandAnswer] = []
    private(set) var notes: [Note] = []
    private(set) var connects: [(id: ConnectionID, upstream: String)] = []
    private(set) var transactions: [(id: ConnectionID, transaction: Transaction)] = []
    private(set) var permitted: Set<UInt64> = []
    private(set) var interrupted: Set<UInt64> = []
    private(set) var closed: Set<ConnectionID> = []
    private(set) var isDrained = false
    private(set) var refusedRecords: [String] = []
    /// Every frame that was appended, in order.
    private(set) var frames: [(journal: JournalID, epoch: UInt64, record: Record)] = []

    private var nextTicket: UInt64 = 0
    private var unanswered: [(id: ConnectionID, upstream: String)] = []
    private var running: [(id: ConnectionID, transaction: Transaction)] = []

    static let start = Now(
        instant: Instant(nanoseconds: 1_000_000_000_000), wall: WallTime(milliseconds: 1_790_000_000_000))

    init(_ names: String..., change: (inout NodeConfiguration) -> Void = { _ in }) {
        let upstreams = names.map { Upstream(name: $0, addresses: ["\($0).example:25"]) }
        var configuration = NodeConfiguration(
            cluster: "test", replica: ReplicaID(node: "a", disk: DiskID(ULID(high: 1, low: 2))),
            hostname: "relay.example", upstreams: upstreams, routes: [Route(upstreams: names)], seed: 7)
        // Alone it needs no pulses: they would be most of what happens in hours.
        configuration.lease = .hours(1)
        change(&configuration)
        self.configuration = configuration
        now = NodeProbe.start
        node = Node(configuration: configuration, at: now)
    }

    /// Opens the first journal.
    @discardableResult
    func started() -> NodeProbe {
        perform { node.start(at: now, into: &$0) }
        tellSpace()
        return self
    }

    // MARK: Events

    /// How much room there is: a full disk has none.
    func tellSpace() {
        feed(.diskSpace(free: isFull ? 0 : .gibibytes(50), total: .gibibytes(100)))
    }

    func feed(_ event: NodeEvent) {
        if !isFull, !stalled.isEmpty {
            let waiting = stalled
            stalled = []
            for request in waiting { carryOut(request) }
        }
        perform { node.handle(event, at: now, into: &$0) }
    }

    private func perform(_ body: (inout [NodeEffect]) -> Void) {
        var effects: [NodeEffect] = []
        body(&effects)
        node.endTurn(at: now, into: &effects)
        for effect in effects { carryOut(effect) }
        if diskAnswers == .atOnce { answerDisk() }
    }

    /// Lets the disk answer everything that it was asked.
    func answerDisk() {
        while !diskEvents.isEmpty { feedDisk() }
    }

    private func feedDisk() {
        let event = diskEvents.removeFirst()
        if case .cluster(.stored(let journal, let mark)) = event, let end = ends[journal]?[mark] {
            synced[journal] = end
        }
        var effects: [NodeEffect] = []
        node.handle(event, at: now, into: &effects)
        node.endTurn(at: now, into: &effects)
        for effect in effects { carryOut(effect) }
    }

    /// Moves the clocks on, with a tick at each deadline on the way.
    func advance(_ duration: Duration) {
        let end = now.instant + duration
        let endWall = now.wall + duration
        var turns = 0
        while let deadline = node.nextDeadline, deadline <= end {
            turns += 1
            #expect(turns < 10_000, "one tick after another")
            if turns >= 10_000 { return }
            let step = max(.zero, deadline - now.instant)
            now = Now(instant: now.instant + step, wall: now.wall + step)
            feed(.tick)
        }
        now = Now(instant: end, wall: endWall)
        feed(.tick)
    }

    func stepWallClock(_ duration: Duration) { now = Now(instant: now.instant, wall: now.wall + duration) }

    // MARK: Clients

    @discardableResult
    func submit(
        from sender: String? = "s@a.example", to recipients: String..., content: String = "Subject: x\r\n\r\nhello\r\n",
        change: (inout Submission) -> Void = { _ in }
    ) -> (id: MessageID, ticket: Ticket) {
        let id = node.allotMessageID(at: now)
        nextTicket += 1
        let all = recipients.isEmpty ? ["r@b.example"] : recipients
        var submission = Submission(
            id: id,
            envelope: Envelope(
                reversePath: sender.map { Address(parsed: Array($0.utf8)) },
                recipients: all.map { Address(parsed: Array($0.utf8)) }), prefix: Array("Received: here\r\n".utf8),
            content: .inline(Array(content.utf8)), size: UInt64(content.utf8.count), hasEightBit: false)
        change(&submission)
        let ticket = Ticket(nextTicket)
        feed(.submitted(ticket, submission))
        return (id, ticket)
    }

    func beginStream() -> StreamID? { node.beginStream(at: now) }

    func command(_ verb: Command.Verb, _ id: MessageID, reason: String = "") {
        nextTicket += 1
        feed(.command(Ticket(nextTicket), Command(verb, id, by: "me", reason: reason)))
    }

    func redirect(_ id: MessageID, to upstream: String) {
        nextTicket += 1
        feed(.command(Ticket(nextTicket), Command(.redirect, id, by: "me", upstream: upstream)))
    }

    /// Writes records of the cluster, as a person does.
    func write(_ records: [RecordWrite]) {
        nextTicket += 1
        feed(.records(Ticket(nextTicket), records, by: "me"))
    }

    func refusal(to recipient: String) -> Reply? {
        node.refusal(ofRecipient: Address(parsed: Array(recipient.utf8)), at: now)
    }

    /// For what the node's own parts ask of each other.
    func mutate(_ body: (inout Node, inout [NodeEffect]) -> Void) { perform { body(&node, &$0) } }

    /// Switches an upstream on or off for the whole cluster, as a person does.
    func enable(_ upstream: String, _ isEnabled: Bool) {
        nextTicket += 1
        feed(
            .record(
                Ticket(nextTicket), key: "upstream/\(upstream)/off", value: isEnabled ? nil : Array("me".utf8),
                expiry: nil))
    }

    func answer(_ ticket: Ticket) -> Int? {
        switch answers[ticket] {
        case nil: nil
        case .queued: 250
        case .refused(let reply): reply.code
        }
    }

    func mayFinish(_ transaction: Transaction) -> Bool { node.mayFinish(transaction: transaction.request.id, at: now) }
    func message(_ id: MessageID) -> MessageStatus? { node.message(id, at: now) }
    func list(_ filter: QueueFilter) -> [MessageID] { node.list(filter, limit: 100, at: now).messages.map(\.id) }
    var status: NodeStatus { node.status(at: now) }
    var admission: Reply? { node.admission(at: now) }

    // MARK: Upstreams

    static var everything: Capabilities {
        var all = Capabilities()
        all.pipelining = true
        all.eightBitMIME = true
        all.smtputf8 = true
        return all
    }

    /// Connections that the node wants and that are neither ready nor failed.
    var wanted: [String] { unanswered.map(\.upstream) }

    /// Lets the oldest connection that is wanted to this upstream succeed.
    @discardableResult
    func connect(_ upstream: String, _ capabilities: Capabilities = everything) throws -> ConnectionID {
        let index = try #require(
            unanswered.firstIndex { $0.upstream == upstream }, "no connection to \(upstream) wanted")
        let id = unanswered.remove(at: index).id
        feed(.connected(id, capabilities, remote: "\(upstream).example[192.0.2.1]:25", tls: ""))
        return id
    }

    func refuse(_ upstream: String, _ stage: Stage = .connect, _ reply: Reply? = nil) throws {
        let index = try #require(
            unanswered.firstIndex { $0.upstream == upstream }, "no connection to \(upstream) wanted")
        let id = unanswered.remove(at: index).id
        feed(.connectionFailed(id, UpstreamFailure(stage: stage, reply: reply, text: "refused")))
    }

    /// The transaction that the node handed out and that has not ended, the oldest one, or that of a message.
    func transaction(of message: MessageID? = nil) throws -> Transaction {
        try #require(running.first { message == nil || $0.transaction.message == message }, "no transaction")
            .transaction
    }

    var runningCount: Int { running.count }
    var runningTransactions: [Transaction] { running.map(\.transaction) }

    func dotSent(_ transaction: Transaction) { feed(.dotSent(connection(of: transaction))) }

    func connection(of transaction: Transaction) -> ConnectionID {
        transactions.last { $0.transaction.request.id == transaction.request.id }?.id ?? ConnectionID(.max)
    }

    func upstream(of transaction: Transaction) -> String {
        let id = connection(of: transaction)
        return connects.last { $0.id == id }?.upstream ?? ""
    }

    /// Ends a transaction with the same for all recipients, or with one result each.
    func end(
        _ transaction: Transaction, _ results: Told..., usable: Bool = true, stale: Bool = false
    ) {
        let all =
            results.count == 1
            ? Array(repeating: results[0], count: transaction.request.recipients.count) : results
        running.removeAll { $0.transaction.request.id == transaction.request.id }
        feed(
            .transactionEnded(
                connection(of: transaction),
                TransactionResult(
                    id: transaction.request.id, recipients: all, connectionUsable: usable, staleConnection: stale)))
    }

    func close(_ id: ConnectionID) {
        running.removeAll { $0.id == id }
        feed(.connectionClosed(id))
    }

    /// From submission to delivery, over a connection that is ready or becomes it.
    func deliver(_ message: MessageID) throws {
        if let missing = unanswered.first?.upstream { try connect(missing) }
        end(try transaction(of: message), .delivered)
    }

    // MARK: Restart

    /// Another process on what the disk has: with everything that was written, or with what was synced only.
    func restarted(
        losingUnsynced: Bool = false, after pause: Duration = .seconds(1), isFull: Bool = false,
        answers: DiskAnswers = .atOnce, change: (inout NodeConfiguration) -> Void = { _ in },
        damage: (inout [JournalID: [UInt8]]) -> Void = { _ in }
    ) throws -> NodeProbe {
        let next = NodeProbe(configuration, now: now, pause, change)
        next.isFull = isFull
        next.diskAnswers = answers
        next.files = files
        next.promises = promises
        next.records = records
        try next.node.recover(records: records)
        if losingUnsynced {
            for (journal, end) in synced { next.files[journal] = Array((files[journal] ?? []).prefix(Int(end))) }
        }
        damage(&next.files)
        for journal in Set(next.files.keys).union(promises.keys).sorted() {
            let bytes = next.files[journal] ?? []
            next.node.recover(
                journal: journal, promise: next.promises[journal], isMarkedDamaged: false, at: next.now)
            let result = try scanJournal(
                journal, length: UInt64(bytes.count), afterDamage: .resynchronize,
                read: { offset, count in Array(bytes[Int(offset)..<min(bytes.count, Int(offset) + count)]) },
                frame: { next.node.recover(frame: $0, of: journal) })
            if case .cut(let end, _) = next.node.recovered(journal: journal, scan: result) {
                next.files[journal] = Array(bytes.prefix(Int(end)))
            }
        }
        next.started()
        // What was due is due at once.
        if answers == .atOnce { next.advance(.zero) }
        return next
    }

    private init(
        _ old: NodeConfiguration, now: Now, _ pause: Duration, _ change: (inout NodeConfiguration) -> Void
    ) {
        var configuration = old
        configuration.seed += 1
        change(&configuration)
        self.configuration = configuration
        self.now = Now(instant: now.instant + pause, wall: now.wall + pause)
        node = Node(configuration: configuration, at: self.now)
    }

    private var synced: [JournalID: UInt64] = [:]
    /// Up to where each mark's write reaches.
    private var ends: [JournalID: [DiskMark: UInt64]] = [:]
    private var records: [UInt8]?
    private var stalled: [ClusterRequest] = []

    // MARK: Effects

    private func carryOut(_ effect: NodeEffect) {
        switch effect {
        case .cluster(let request): carryOut(request)
        case .scan(let journal, let scan, let end):
            let bytes = Array((files[journal] ?? []).prefix(Int(end)))
            var found: [ScannedFrame] = []
            _ = try? scanJournal(
                journal, length: UInt64(bytes.count), afterDamage: .stop,
                read: { offset, count in Array(bytes[Int(offset)..<min(bytes.count, Int(offset) + count)]) },
                frame: { found.append($0) })
            diskEvents.append(.scanned(journal, scan: scan, found, isLast: true))
        case .setAside(let journal):
            files[journal] = nil
            setAside.append(journal)
        case .storeRecords(let bytes, let offset, let version):
            #expect(offset == 0 || offset == UInt64(records?.count ?? 0))
            records = offset == 0 ? bytes : (records ?? []) + bytes
            diskEvents.append(.recordsStored(version: version))
        case .readContent(let ticket, let content, let limit):
            diskEvents.append(.contentRead(ticket, bytes(of: content, limit: limit)))
        case .answer(let ticket, let answer): answers[ticket] = answer
        case .streamDurable, .streamLost: break
        case .connect(let id, let upstream):
            connects.append((id, upstream))
            unanswered.append((id, upstream))
        case .transact(let id, let transaction):
            transactions.append((id, transaction))
            running.append((id, transaction))
        case .mayFinish(_, let transaction): permitted.insert(transaction)
        case .interrupt(_, let transaction): interrupted.insert(transaction)
        case .close(let id): closed.insert(id)
        case .commandAnswer(_, let answer): commandAnswers.append(answer)
        case .recorded(_, let refused): if let refused { refusedRecords.append(refused) }
        case .forgotten, .asked, .answered: break
        case .note(let note): notes.append(note)
        // No session is in the middle of anything.
        case .drainSessions: diskEvents.append(.sessionsEnded)
        case .admitSessions: break
        case .drained: isDrained = true
        }
    }

    private func carryOut(_ request: ClusterRequest) {
        switch request {
        case .storePromise(let journal, let promise, let mark):
            promises[journal] = promise
            diskEvents.append(.cluster(.stored(journal, through: mark)))
        case .write(let journal, let offset, _, _) where isFull && offset == 0 && files[journal] == nil:
            // A file that has to be made waits for room.
            stalled.append(request)
            diskEvents.append(.diskFull)
        case .write(let journal, let offset, let bytes, let mark):
            #expect(UInt64(files[journal]?.count ?? 0) == offset, "frames are appended without gaps")
            files[journal, default: []].append(contentsOf: bytes)
            note(bytes, of: journal, at: offset)
            synced[journal] = synced[journal] ?? 0
            ends[journal, default: [:]][mark] = offset + UInt64(bytes.count)
            diskEvents.append(.cluster(.stored(journal, through: mark)))
        case .cut(let journal, let end, let mark):
            files[journal] = Array((files[journal] ?? []).prefix(Int(end)))
            diskEvents.append(.cluster(.stored(journal, through: mark)))
        case .entomb(let tombstone, let mark):
            files[tombstone.journal] = nil
            promises[tombstone.journal] = nil
            deleted.append(tombstone.journal)
            diskEvents.append(.cluster(.stored(tombstone.journal, through: mark)))
        case .read(let request):
            let file = files[request.journal] ?? []
            let start = min(Int(request.offset), file.count)
            let bytes = Array(file[start..<min(start + request.count, file.count)])
            diskEvents.append(.cluster(.read(request, bytes)))
        case .forgetTombstone, .whole, .send, .knock, .met: break
        case .stop(let reason): Issue.record("the node stops: \(reason)")
        }
    }

    func bytes(of content: ContentReference, limit: Int = .max) -> [UInt8] {
        let file = files[content.journal] ?? []
        var bytes: [UInt8] = []
        for run in content.runs where bytes.count < limit {
            bytes += file[Int(run.offset)..<Int(run.offset) + Int(run.count)].prefix(limit - bytes.count)
        }
        return bytes
    }

    private func note(_ bytes: [UInt8], of journal: JournalID, at offset: UInt64) {
        guard case .header(let header) = FrameHeader.parse(bytes, at: 0, journal: journal, offset: offset),
            let record = try? Frame.decodeRecord(
                kind: header.kind, body: bytes, in: FrameHeader.size..<bytes.count,
                at: offset + UInt64(FrameHeader.size), content: .kept)
        else {
            Issue.record("what is appended is no frame")
            return
        }
        frames.append((journal, header.epoch, record))
    }
}

// MARK: - What tests ask

extension NodeProbe {
    var attempts: [AttemptRecord] { frames.compactMap { if case .attempt(let a) = $0.record { a } else { nil } } }
    var outcomes: [OutcomeRecord] { frames.compactMap { if case .outcome(let o) = $0.record { o } else { nil } } }
    var accepts: [AcceptRecord] { frames.compactMap { if case .accept(let a) = $0.record { a } else { nil } } }
    var notices: [AcceptRecord] { outcomes.compactMap(\.notice) }
    var problems: [String] { status.problems.map(\.name) }
    /// The statuses of a message's results as the log has them.
    func results(_ id: MessageID) -> [String] {
        notes.compactMap { if case .result(let result) = $0, result.id == id { result.status.rawValue } else { nil } }
    }
    func has(_ matches: (Note) -> Bool) -> Bool { notes.contains(where: matches) }
}

extension Told {
    static let delivered = Told(.delivered(Reply(250, 2, 0, 0, "Ok")), at: .finalDot)
    static let unanswered = Told(.unanswered("no answer in time"), at: .finalDot)
    static func failed(_ code: Int, _ stage: Stage = .rcpt, _ text: String = "no") -> Told {
        Told(.failed(Reply(code, 5, 1, 1, text)), at: stage)
    }
    static func deferred(_ code: Int, _ stage: Stage = .rcpt) -> Told {
        Told(.deferred(Reply(code, 4, 2, 0, "later")), at: stage)
    }
    static func notSent(_ reason: NotSent, _ stage: Stage = .mail) -> Told {
        Told(.notSent(reason, nil), at: stage)
    }
}

extension Upstream {
    func with(_ change: (inout Upstream) -> Void) -> Upstream {
        var new = self
        change(&new)
        return new
    }
}
