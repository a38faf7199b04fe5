package import Journal
package import Primitives
internal import Routing
package import SMTP

/// Taking mail: admission, whole messages, long ones while they arrive.
extension Node {
    /// Nil: it may accept now. Otherwise the reply that MAIL and the final dot get; always a 4xx.
    package func admission(at now: Now) -> Reply? {
        state == .draining || state == .drained ? drainingReply : room()
    }

    /// The same for a message whose MAIL was answered: while the node drains it still comes in.
    private func roomForRest() -> Reply? { state == .drained ? drainingReply : room() }

    private var drainingReply: Reply {
        Reply(421, 4, 3, 2, "\(configuration.hostname) is shutting down, try again or another server")
    }

    private func room() -> Reply? {
        if isDiskLow || isDiskFull { return Reply(452, 4, 3, 1, "Disk space is low, try again later") }
        guard let current, journals.isActive(current) else {
            return Reply(451, 4, 3, 2, "Too few servers of the cluster can be reached, try again later")
        }
        if !hasRoom(current) { return Reply(452, 4, 3, 1, "Disk space is low on other servers, try again later") }
        if messages.count >= configuration.maximumQueuedMessages {
            return Reply(452, 4, 3, 1, "Too many messages are queued, try again later")
        }
        if journals.backlog(of: current) > configuration.maximumBacklog.bytes {
            return Reply(451, 4, 3, 2, "The disk is slow, try again later")
        }
        return nil
    }

    /// The id of the next submission.
    package mutating func allotMessageID(at now: Now) -> MessageID { MessageID(identifiers.next(at: now.wall)) }

    /// The message that arrives is long; nil when none can be taken now.
    package mutating func beginStream(at now: Now) -> StreamID? {
        guard roomForRest() == nil, let current else { return nil }
        let stream = StreamID(nextStream)
        nextStream += 1
        streams[stream] = ArrivingStream(journal: current)
        journals[current]?.openStreams += 1
        return stream
    }

    mutating func streamed(_ stream: StreamID, _ bytes: [UInt8], _ now: Now, _ effects: inout [NodeEffect]) {
        guard let journal = streams[stream]?.journal else {
            effects.append(.streamLost(stream))
            return
        }
        let frame = append(
            .body(stream, bytes), to: journal, then: .piece(stream, bytes: UInt64(bytes.count)), now, &effects)
        let start = frame.offset + UInt64(frame.bytes.count - bytes.count)
        streams[stream]?.pieces.append(ContentPiece(offset: start, count: UInt32(bytes.count)))
    }

    mutating func streamAborted(_ stream: StreamID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let arriving = streams.removeValue(forKey: stream) else { return }
        append(.abort(stream), to: arriving.journal, then: .nothing, now, &effects)
        endStream(in: arriving.journal, now, &effects)
    }

    mutating func endStream(in id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        journals[id]?.openStreams -= 1
        sealIfUnused(id, now, &effects)
    }

    mutating func submitted(_ ticket: Ticket, _ submission: Submission, _ now: Now, _ effects: inout [NodeEffect]) {
        if let refusal = roomForRest() ?? refusal(of: submission, now) {
            if case .streamed(let stream) = submission.content { streamAborted(stream, now, &effects) }
            effects.append(.answer(ticket, .refused(refusal)))
            return
        }
        var record = AcceptRecord(
            id: submission.id, time: now.wall, reversePath: submission.envelope.reversePath?.bytes,
            recipients: submission.envelope.recipients.map(\.bytes), content: .inline([]),
            size: submission.size)
        record.prefixCount = UInt64(submission.prefix.count)
        record.isEightBit = submission.hasEightBit
        record.isInternationalized = submission.envelope.smtputf8
        record.messageIDField = submission.messageIDField
        record.headerFields = submission.headerFields
        record.clientAddress = submission.clientAddress
        record.helo = submission.helo
        record.user = submission.user
        record.tls = submission.tls
        let key: MessageKey
        switch submission.content {
        case .inline(let content):
            guard let current else { preconditionFailure("admission was given without a journal") }
            key = accept(&record, slices: [submission.prefix[...], content[...]], in: current, now, &effects)
        case .streamed(let stream):
            guard let arriving = streams.removeValue(forKey: stream) else {
                effects.append(.answer(ticket, .refused(Reply(451, 4, 3, 0, "The message was lost, send it again"))))
                return
            }
            key = acceptStream(&record, arriving, stream, prefix: submission.prefix, now, &effects)
            endStream(in: arriving.journal, now, &effects)
        }
        messages[key].ticket = ticket
        accepting.append((now.instant + Node.acceptTimeout, key))
        if has(.acceptBeforeCommit) { effects.append(.answer(ticket, .queued(submission.id))) }
        rollIfFull(now, &effects)
    }

    /// Appends an accept with this content and puts the message into the index.
    mutating func accept(
        _ record: inout AcceptRecord, slices: [ArraySlice<UInt8>], in id: JournalID, _ now: Now,
        _ effects: inout [NodeEffect]
    ) -> MessageKey {
        let (epoch, offset) = journals.nextPlace(in: id)
        let (bytes, start) = Frame.encodeAccept(record, slices: slices, epoch: epoch, journal: id, offset: offset)
        let run = ContentPiece(offset: offset + UInt64(start), count: UInt32(bytes.count - start))
        let key = insert(
            Message(record, in: id, frameOffset: offset, frame: bytes, runs: [run], due: now.instant), record)
        _ = appendEncoded(bytes, to: id, then: .accepted(key, since: now.instant, Origin(record)), now, &effects)
        cache(key)
        return key
    }

    mutating func acceptStream(
        _ record: inout AcceptRecord, _ arriving: ArrivingStream, _ stream: StreamID, prefix: [UInt8], _ now: Now,
        _ effects: inout [NodeEffect]
    ) -> MessageKey {
        let id = arriving.journal
        // The prefix is known last and goes first.
        let frame = append(.body(stream, prefix), to: id, then: .nothing, now, &effects)
        let start = frame.offset + UInt64(frame.bytes.count - prefix.count)
        let pieces = [ContentPiece(offset: start, count: UInt32(prefix.count))] + arriving.pieces
        record.content = .pieces(stream, pieces)
        let offset = journals.nextPlace(in: id).offset
        let key = insert(
            Message(record, in: id, frameOffset: offset, frame: nil, runs: pieces, due: now.instant), record)
        append(.accept(record), to: id, then: .accepted(key, since: now.instant, Origin(record)), now, &effects)
        return key
    }

    mutating func insert(_ message: Message, _ record: AcceptRecord) -> MessageKey {
        let key = messages.insert(message)
        messages[key].marks = router.marks(for: RouteFacts(record))
        index[message.id] = key
        journals.count(unfinished: 1, in: message.journal)
        return key
    }

    mutating func acceptCommitted(
        _ key: MessageKey, since: Instant, _ origin: Origin, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard messages.contains(key) else { return }
        messages[key].isCommitted = true
        // Cancelled meanwhile: nobody was told that it was taken.
        guard messages[key].unfinished > 0 else { return }
        counters.accepted += 1
        recent.add(.accepted, at: now.instant)
        counters.acceptTime.record(now.instant - since)
        if let ticket = messages[key].ticket.take() {
            effects.append(.answer(ticket, .queued(messages[key].id)))
        }
        while let first = accepting.first, !messages.contains(first.key) || messages[first.key].isCommitted {
            _ = accepting.popFirst()
        }
        effects.append(.note(.accepted(messages[key].note(origin, took: now.instant - since))))
        // Moved out of a damaged journal: it may have been delivered by an attempt that was lost.
        if messages[key].isUncertain {
            decideUncertain(
                key, messages[key].recipients.indices.filter { messages[key].recipients[$0].openAttempt != 0 }, now,
                &effects)
        }
        if state == .serving { beginTry(key, now, &effects) } else { schedule(key) }
    }

    mutating func submitterGone(_ ticket: Ticket) {
        for position in 0..<accepting.count {
            let key = accepting[position].key
            if messages.contains(key), messages[key].ticket == ticket { messages[key].ticket = nil }
        }
    }

    /// An accept that is not committed in time: nobody may believe that it was taken, so a frame cancels it.
    mutating func expireAccepts(_ now: Now, _ effects: inout [NodeEffect]) {
        while let first = accepting.first, first.deadline <= now.instant {
            _ = accepting.popFirst()
            guard messages.contains(first.key), !messages[first.key].isCommitted,
                let ticket = messages[first.key].ticket.take()
            else { continue }
            effects.append(.answer(ticket, .refused(Reply(451, 4, 3, 2, "The disk is slow, try again later"))))
            appendCancel(first.key, by: "baton", reason: "not committed in time", now, &effects)
        }
    }

    // MARK: Frames in memory

    private mutating func cache(_ key: MessageKey) {
        guard let frame = messages[key].frame else { return }
        cachedBytes += frame.count
        cached.append(key)
        while cachedBytes > Node.cacheLimit, let oldest = cached.popFirst() { uncache(oldest) }
        // Finished messages leave their keys behind.
        while cached.count > 2 * messages.count + 1024 { cached.removeAll { !messages.contains($0) } }
    }

    mutating func uncache(_ key: MessageKey) {
        guard messages.contains(key), let frame = messages[key].frame else { return }
        cachedBytes -= frame.count
        messages[key].frame = nil
    }
}

extension RouteFacts {
    init(_ record: AcceptRecord) {
        self.init(
            user: record.user, client: record.clientAddress, size: record.size, headerFields: record.headerFields)
    }
}

extension Origin {
    init(_ record: AcceptRecord) {
        self.init(client: record.clientAddress, helo: record.helo, user: record.user, tls: record.tls)
    }
}

extension Message {
    fileprivate func note(_ origin: Origin, took: Duration) -> Note.Accepted {
        Note.Accepted(
            id: id, client: origin.client, helo: origin.helo, user: origin.user, tls: origin.tls,
            from: reversePath?.bytes ?? [], messageIDField: messageIDField, size: size, recipients: recipients.count,
            took: took, concerns: concerns)
    }
}
