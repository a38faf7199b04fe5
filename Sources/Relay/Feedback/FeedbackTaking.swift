internal import EventLoop
package import Feedback
internal import Node
internal import Primitives
internal import SMTP

/// From events to outcomes.
extension FeedbackDesk {
    /// Takes what an upstream (by its name) reports; returns when it is on the disk of the node that sent the message.
    ///
    /// - Parameters:
    ///   - source: `event` or `report`: by HTTP or by mail.
    ///   - header: Of the message it is about, if it came back.
    package func take(
        _ events: [ReportedEvent], upstream: String, source: String, header: [UInt8] = []
    ) async -> Taken {
        let batch = Batch(upstream: upstream, source: source, header: header)
        let now = Clock.wall()
        var own: [(ReportedEvent, SentIndex.Sent?)] = []
        var others: [ReportedEvent] = []
        for event in events {
            if let sent = find(event, batch.upstream, now), sent.isOwn {
                own.append((event, sent))
            } else {
                others.append(event)
            }
        }
        var taken = await write(own, batch)
        var rest = others[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(PeerFeedback.batch))
            rest = rest.dropFirst(some.count)
            taken.add(await takeWithPeers(some, batch, now))
        }
        count("unmatched", at: upstream, taken.unmatched)
        return taken
    }

    struct Batch: Sendable {
        var upstream: String
        var source: String
        var header: [UInt8]
    }

    private func find(_ event: ReportedEvent, _ upstream: String, _ now: WallTime) -> SentIndex.Sent? {
        let address = Array(event.recipient.utf8)
        var names: [SentIndex.Name] = []
        if let tag = event.tag {
            if let index = tag.recipient { names.append(.index(tag.message, index)) }
            names.append(.message(tag.message))
        }
        if !event.remoteID.isEmpty { names.append(.remoteID(event.remoteID, upstream: upstream)) }
        if !event.messageID.isEmpty { names.append(.messageID(event.messageID, upstream: upstream)) }
        return state.withLock { state -> SentIndex.Sent? in
            for name in names {
                if let sent = state.index.find(name, to: address, at: now) { return sent }
            }
            return nil
        }
    }

    // MARK: With the others

    /// Events about messages that this node did not send, as far as it knows.
    private func takeWithPeers(_ events: [ReportedEvent], _ batch: Batch, _ now: WallTime) async -> Taken {
        let (peers, isRecalled) = state.withLock { ($0.peers, $0.early == nil) }
        var matches: [(node: String, matches: [PeerFeedback.Match])] = [(me, self.matches(events, batch, now))]
        var mayKnow = !isRecalled
        if let peers {
            let answers = await peers.askAll(question(.match, events, batch))
            mayKnow = mayKnow || !answers.silent.isEmpty
            for (node, body) in answers.answers {
                let answer: PeerFeedback.Answer? = PeerFeedback.decode(body)
                guard let theirs = answer?.matches, theirs.count == events.count else {
                    mayKnow = true
                    continue
                }
                matches.append((node, theirs))
            }
        }
        var taken = Taken()
        var groups: [String: [ReportedEvent]] = [:]
        for (index, event) in events.enumerated() {
            let known = matches.map { ($0.node, $0.matches[index]) }
            if known.contains(where: \.1.isHeard) {
                taken.known += 1
            } else if let home = FeedbackDesk.home(known) {
                groups[home, default: []].append(event)
            } else if event.tag != nil {
                // It is certain which message is meant, whoever sent it.
                groups[me, default: []].append(event)
            } else if mayKnow {
                taken.tryAgain = "a node that may have sent it does not answer now"
            } else {
                taken.unmatched += 1
            }
        }
        for (home, events) in groups.sorted(by: { $0.key < $1.key }) {
            if home == me {
                taken.add(await write(events.map { ($0, find($0, batch.upstream, now)) }, batch))
            } else {
                taken.add(await hand(events, to: home, batch, peers))
            }
        }
        return taken
    }

    /// Who writes it down: the node that sent it, or else one that holds a copy of its journal, always the same one.
    private static func home(_ known: [(node: String, match: PeerFeedback.Match)]) -> String? {
        let owners = known.filter { $0.match.knowledge == .own }
        return (owners.isEmpty ? known.filter { $0.match.knowledge == .copy } : owners).map(\.node).min()
    }

    private func hand(_ events: [ReportedEvent], to node: String, _ batch: Batch, _ peers: PeerLine?) async -> Taken {
        let body = await peers?.ask(node, question(.record, events, batch))
        let answer: PeerFeedback.Answer? = body.flatMap { PeerFeedback.decode($0) }
        if let taken = answer?.taken { return taken }
        var taken = Taken()
        taken.tryAgain = "\(node), which sent it, does not answer now"
        return taken
    }

    private func question(_ verb: PeerFeedback.Verb, _ events: [ReportedEvent], _ batch: Batch) -> [UInt8] {
        // The header serves only the bounce that whoever records it writes.
        let header = verb == .record ? String(decoding: batch.header, as: UTF8.self) : ""
        return PeerFeedback.encode(
            PeerFeedback.Question(
                verb: verb, upstream: batch.upstream, source: batch.source, events: events.map { WireEvent($0) },
                header: header))
    }

    private func matches(_ events: [ReportedEvent], _ batch: Batch, _ now: WallTime) -> [PeerFeedback.Match] {
        events.map { event in
            let sent = find(event, batch.upstream, now)
            var isHeard = false
            if let message = sent?.message ?? event.tag?.message {
                let record = record(event, of: message, to: Array(event.recipient.utf8), batch, now)
                isHeard = state.withLock { $0.heard.knows(record) }
            }
            return PeerFeedback.Match(knowledge: sent.map { $0.isOwn ? .own : .copy } ?? .none, isHeard: isHeard)
        }
    }

    /// Another node's question.
    package func answer(peer what: [UInt8]) async -> [UInt8]? {
        guard let question: PeerFeedback.Question = PeerFeedback.decode(what) else { return nil }
        let batch = Batch(upstream: question.upstream, source: question.source, header: Array(question.header.utf8))
        let events = question.events.compactMap { $0.event(upstream: question.upstream) }
        guard events.count == question.events.count else { return nil }
        let now = Clock.wall()
        switch question.verb {
        case .match:
            // Before all is read that it sent, it cannot say that it sent none.
            guard state.withLock({ $0.early == nil }) else { return nil }
            return PeerFeedback.encode(PeerFeedback.Answer(matches: matches(events, batch, now)))
        case .record:
            let taken = await write(events.map { ($0, find($0, batch.upstream, now)) }, batch)
            return PeerFeedback.encode(PeerFeedback.Answer(taken: taken))
        }
    }

    // MARK: On this node

    private func record(
        _ event: ReportedEvent, of message: MessageID, to recipient: [UInt8], _ batch: Batch, _ now: WallTime
    ) -> FeedbackRecord {
        FeedbackRecord(
            message: message, recipient: recipient, upstream: batch.upstream, event: event, heard: now,
            source: batch.source)
    }

    /// Writes down what is new, and does what follows from it.
    private func write(_ events: [(event: ReportedEvent, sent: SentIndex.Sent?)], _ batch: Batch) async -> Taken {
        var taken = Taken()
        var records: [FeedbackRecord] = []
        var certain: [FeedbackEvent] = []
        for (event, sent) in events {
            guard let message = sent?.message ?? event.tag?.message else {
                taken.unmatched += 1
                continue
            }
            switch await claim(event, of: message, sent, batch) {
            case .known: taken.known += 1
            case .unmatched: taken.unmatched += 1
            case .notNow: taken.tryAgain = "this node takes nothing now"
            case .new(let record, let isCertain):
                records.append(record)
                if isCertain { certain.append(FeedbackEvent(record)) }
            }
        }
        if let failure = await store.append(records) {
            state.withLock { state in
                for record in records { state.heard.remove(record) }
            }
            taken.tryAgain = failure.description
            return taken
        }
        taken.new = records.count
        let outlets = state.withLock { $0.outlets }
        for record in records {
            count(record.kind.rawValue, at: record.upstream)
            outlets?.log(record)
        }
        for event in certain { outlets?.learn(event) }
        return taken
    }

    private enum Claim {
        /// Certain: the message had this recipient. Whoever got a message can write a report about it, but no other teaches.
        case new(FeedbackRecord, isCertain: Bool)
        case known
        case unmatched
        case notNow
    }

    /// Looks whether it is new, and keeps others from taking the same; tells the sender where that is ours to do.
    ///
    /// The sender is told before it is written down: a crash between the two has it told twice, never not at all.
    private func claim(
        _ event: ReportedEvent, of message: MessageID, _ sent: SentIndex.Sent?, _ batch: Batch
    ) async -> Claim {
        let now = Clock.wall()
        var record = record(event, of: message, to: Array(event.recipient.utf8), batch, now)
        let isKnown = state.withLock { $0.heard.knows(record) }
        if isKnown { return .known }
        let tellsSender = settings.withLock { settings in
            event.kind == .bounced && settings.tagged.contains(batch.upstream) && settings.bounces.send
        }
        var envelope: SentHistory.Envelope?
        if tellsSender || sent == nil || event.tag?.recipient != nil || event.recipient.isEmpty {
            let history = history
            envelope = await reading.run { history.envelope(of: message, in: sent?.journal) }
        }
        // The message's own name for its recipient: reports may use the one that it was forwarded to.
        let index = sent?.recipient ?? event.tag?.recipient
        if let envelope {
            if let index, index < envelope.recipients.count {
                record.recipient = envelope.recipients[index]
            } else if !envelope.has(record.recipient) {
                return .unmatched
            }
        }
        guard !record.recipient.isEmpty else { return .unmatched }
        let isNew = state.withLock { state in
            guard !state.heard.knows(record) else { return false }
            state.heard.add(record)
            return true
        }
        guard isNew else { return .known }
        if tellsSender, let envelope, let sender = envelope.reversePath {
            let notice = SenderNotice(record: record, envelope: envelope, sender: sender, header: batch.header)
            let tell = state.withLock { $0.outlets?.tellSender }
            if let tell, await !tell(notice) {
                state.withLock { $0.heard.remove(record) }
                return .notNow
            }
        }
        return .new(record, isCertain: sent != nil || envelope != nil)
    }
}

extension FeedbackEvent {
    init(_ record: FeedbackRecord) {
        self.init(
            record.kind, of: record.message, upstream: record.upstream, recipient: Address(parsed: record.recipient),
            code: record.code, enhanced: record.enhanced, text: record.text,
            // A report by mail may be written by whoever got the message: it must not teach whose host is whose.
            remoteHost: record.remoteHost.isEmpty || record.source == "report" ? nil : record.remoteHost)
    }
}
