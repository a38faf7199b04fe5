internal import Cluster
internal import EventLoop
internal import Node
internal import Primitives

/// Questions and commands between nodes: `Ask` and `Answer` (`queue.md`, 'Commands'). Confined to the loop.
///
/// An ask that may be lost is sent again under the same id, and whoever is asked does what it says once: it remembers the
/// ids for a while, with the answers. An answer travels in parts that come in order; where one is missing, the ask is sent
/// again and all parts come anew.
final class PeerQuestions {
    typealias Answerer = @Sendable ([UInt8], ReplicaID) async -> [UInt8]

    static let part = 256 << 10
    static let longest = 64 << 20
    /// What waits in a connection for a slow peer, besides what it must not delay: pulses and frames.
    static let window = 1 << 20
    /// Asks of others that are answered at once; more are dropped, and asked again.
    static let concurrent = 256
    static let look = Duration.milliseconds(100)
    /// A peer without a connection is waited for so long: it may be dialing.
    static let reconnect = Duration.milliseconds(300)
    /// An answer of which no further part comes is asked for anew.
    static let stall = Duration.seconds(2)

    private struct Waiting {
        var peer: ReplicaID
        var ask: Ask
        var deadline: Instant
        var continuation: UnsafeContinuation<[UInt8]?, Never>
        var parts: [UInt8] = []
        var nextPart: UInt32 = 0
        var sendAgainAt: Instant
        /// Since when there is no connection.
        var lostAt: Instant?
    }

    private unowned let host: NodeHost
    private var answerer: Answerer?
    private var identifiers = ULIDGenerator(seed: randomBits())
    private var waiting: [ULID: Waiting] = [:]
    private var timer: TimerToken?
    private var memory = AnswerMemory()
    private var answering = 0

    init(_ host: NodeHost) { self.host = host }

    /// Who answers what others ask from now on.
    func answer(with answerer: @escaping Answerer) { self.answerer = answerer }

    func stop() {
        if let timer { host.loop.cancel(timer) }
        for question in waiting.values { question.continuation.resume(returning: nil) }
        waiting = [:]
    }

    // MARK: Asking

    /// Nil when the answer did not come in time, or is longer than what is taken.
    func ask(_ peer: ReplicaID, _ what: [UInt8], patience: Duration) async -> [UInt8]? {
        guard !host.isStopped, host.peers != nil, what.count <= PeerQuestions.part else { return nil }
        let id = identifiers.next(at: Clock.wall())
        return await withUnsafeContinuation { continuation in
            let now = Clock.instant()
            waiting[id] = Waiting(
                peer: peer, ask: Ask(id: id, patience: patience, what: what), deadline: now + patience,
                continuation: continuation, sendAgainAt: now)
            look(at: id, now)
            arm()
        }
    }

    func answered(by peer: ReplicaID, _ answer: Answer) {
        guard var question = waiting[answer.id], question.peer == peer else { return }
        // One that came before comes again; behind one that was lost nothing is of use.
        guard answer.part == question.nextPart else { return }
        question.parts += answer.what
        question.nextPart += 1
        question.sendAgainAt = Clock.instant() + PeerQuestions.stall
        waiting[answer.id] = question
        if question.parts.count > PeerQuestions.longest {
            finish(answer.id, nil)
        } else if !answer.hasMore {
            finish(answer.id, question.parts)
        }
    }

    /// A connection is gone, and what travelled on it.
    func lookAgain(_ peer: ReplicaID) {
        for (id, question) in waiting where question.peer == peer {
            waiting[id]?.sendAgainAt = Clock.instant()
            look(at: id, Clock.instant())
        }
    }

    private func finish(_ id: ULID, _ answer: [UInt8]?) {
        waiting.removeValue(forKey: id)?.continuation.resume(returning: answer)
    }

    private func look(at id: ULID, _ now: Instant) {
        guard var question = waiting[id], let peers = host.peers else { return }
        guard now < question.deadline else { return finish(id, nil) }
        guard peers.isConnected(to: question.peer) else {
            let lostAt = question.lostAt ?? now
            question.lostAt = lostAt
            question.sendAgainAt = now
            waiting[id] = question
            if now - lostAt >= PeerQuestions.reconnect { finish(id, nil) }
            return
        }
        question.lostAt = nil
        if now >= question.sendAgainAt {
            // It may be working on it, or sending: the wait grows with what is left.
            question.sendAgainAt = now + max(PeerQuestions.reconnect, (question.deadline - now) / 3)
            question.parts = []
            question.nextPart = 0
            peers.send(.ask(question.ask), to: question.peer)
        }
        waiting[id] = question
    }

    private func arm() {
        guard timer == nil, !waiting.isEmpty else { return }
        timer = host.loop.timer(at: Clock.instant() + PeerQuestions.look) { [weak self] in
            guard let self else { return }
            timer = nil
            for id in Array(waiting.keys) { look(at: id, Clock.instant()) }
            arm()
        }
    }

    // MARK: Answering

    func asked(by peer: ReplicaID, _ ask: Ask) {
        guard let answerer else { return }
        let now = Clock.instant()
        switch memory.recall(ask.id, at: now) {
        case .working: return
        case .answered(let answer): return send(answer, to: peer, ask.id, until: now + ask.patience)
        case .unknown: break
        }
        guard answering < PeerQuestions.concurrent else { return }
        answering += 1
        memory.begin(ask.id, at: now)
        host.loop.spawnLocal { [self] in
            let answer = await answerer(ask.what, peer)
            answering -= 1
            memory.finish(ask.id, answer, at: Clock.instant())
            send(answer, to: peer, ask.id, until: now + ask.patience)
        }
    }

    private func send(_ answer: [UInt8], to peer: ReplicaID, _ id: ULID, until deadline: Instant) {
        guard answer.count <= PeerQuestions.longest else {
            return host.tell(
                "answer-too-long", .warning,
                [.init("peer", peer.node), .init("bytes", "\(answer.count)")])
        }
        host.loop.spawnLocal { [self] in
            var part: UInt32 = 0
            var sent = 0
            repeat {
                // A long answer goes as fast as it is taken.
                while let queued = host.peers?.queued(to: peer), queued > PeerQuestions.window {
                    guard Clock.instant() < deadline, !host.isStopped else { return }
                    do { try await host.loop.sleep(until: Clock.instant() + .milliseconds(5)) } catch { return }
                }
                let end = min(answer.count, sent + PeerQuestions.part)
                let message = Answer(id: id, part: part, hasMore: end < answer.count, what: Array(answer[sent..<end]))
                host.peers?.send(.answer(message), to: peer)
                part += 1
                sent = end
            } while sent < answer.count
        }
    }
}

/// What was asked here lately, so that an ask that comes twice has no second effect.
struct AnswerMemory {
    enum Recollection { case unknown, working, answered([UInt8]) }

    private struct Entry {
        /// Nil while it is being worked on, or when it was too much to keep.
        var answer: [UInt8]?
    }

    static let limit = 1000
    static let age = Duration.seconds(60)
    static let bytes = 64 << 20

    private var entries: [ULID: Entry] = [:]
    private var order = Deque<(id: ULID, at: Instant)>()
    private var size = 0

    /// An id whose answer is gone stays in the state of being worked on: whoever asks again hears nothing.
    mutating func recall(_ id: ULID, at now: Instant) -> Recollection {
        forget(now)
        guard let entry = entries[id] else { return .unknown }
        return entry.answer.map { .answered($0) } ?? .working
    }

    mutating func begin(_ id: ULID, at now: Instant) {
        entries[id] = Entry()
        order.append((id, now))
        forget(now)
    }

    mutating func finish(_ id: ULID, _ answer: [UInt8], at now: Instant) {
        guard entries[id] != nil, size + answer.count <= AnswerMemory.bytes else { return }
        entries[id]?.answer = answer
        size += answer.count
    }

    private mutating func forget(_ now: Instant) {
        while let oldest = order.first, order.count > AnswerMemory.limit || now - oldest.at > AnswerMemory.age {
            _ = order.popFirst()
            size -= entries.removeValue(forKey: oldest.id)?.answer?.count ?? 0
        }
    }
}

extension Peers {
    func isConnected(to peer: ReplicaID) -> Bool { peers[peer]?.isConnected == true }

    /// Bytes that wait to be sent to it; nil without a connection.
    func queued(to peer: ReplicaID) -> Int? { peers[peer]?.sending?.queued }

    /// Where its last greeting said that it listens.
    func address(of peer: ReplicaID) -> String? { peers[peer]?.address }
}
