import Journal
import Node
import Primitives
import SMTP

/// Clients: what they send, and what they were told.
extension Simulation {
    func scheduleClients() {
        for _ in 0..<plan.messages {
            scheduler.after(random.duration(.zero...plan.duration)) { [unowned self] in submitSomething() }
        }
    }

    /// A message as a client would send it now.
    func submitSomething() {
        nextToken += 1
        let token = nextToken
        let sender = random.chance(0.12) ? nil : Array("s\(token)@example.com".utf8)
        var recipients: [[UInt8]] = []
        for number in 0..<random.number(1...max(1, random.pick([1, 1, plan.mostRecipients]))) {
            let kind = random.chance(plan.deadRecipients) ? "dead" : random.chance(0.02) ? "späße" : "r"
            recipients.append(Array("\(kind)\(number).\(token)@d\(number % 3).example.net".utf8))
        }
        submit(token: token, from: sender, to: recipients, size: random.number(0...plan.largestContent))
    }

    /// Hands a message in; nil when it was not admitted.
    @discardableResult
    func submit(token: Int, from sender: [UInt8]?, to recipients: [[UInt8]], size: Int) -> MessageID? {
        totals.submitted += 1
        guard node != nil else {
            totals.refused += 1
            return nil
        }
        if let refusal = node?.admission(at: now) {
            say("client \(token) is refused: \(refusal)")
            totals.refused += 1
            if refusal.code < 400 || refusal.code >= 500 { fail("admission says \(refusal)") }
            return nil
        }
        guard let id = node?.allotMessageID(at: now) else { return nil }
        if books.messages[id] != nil { fail("message id \(id) is given twice") }
        let isEightBit = random.chance(0.2)
        let content = Simulation.content(token: token, size: size, isEightBit: isEightBit)
        let prefix = Array("Received: by relay.example.com id \(id)\r\n".utf8)
        var envelope = Envelope(
            reversePath: sender.map { Address(parsed: $0) }, body: isEightBit ? .eightBit : .sevenBit)
        envelope.recipients = recipients.map { Address(parsed: $0) }
        envelope.smtputf8 = envelope.recipients.contains { $0.isInternationalized }
        let submission = Submission(
            id: id, envelope: envelope, prefix: prefix, content: .inline(content), size: UInt64(content.count),
            hasEightBit: isEightBit, clientAddress: "192.0.2.7", helo: Array("client.example".utf8))
        books.add(
            BookedMessage(
                id: id, reversePath: sender, recipients: recipients, content: prefix + content, isEightBit: isEightBit,
                isInternationalized: envelope.smtputf8, submitted: scheduler.now))
        if content.count > Node.inlineLimit || random.chance(0.2) {
            stream(submission, content)
        } else {
            handIn(submission)
        }
        return id
    }

    private static func content(token: Int, size: Int, isEightBit: Bool) -> [UInt8] {
        var content = Array("Subject: \(token)\r\nX-Token: \(token)\r\n\r\n".utf8)
        if isEightBit { content += Array("Grüße\r\n".utf8) }
        var line = 0
        while content.count < size {
            line += 1
            if line % 7 == 0 { content.append(contentsOf: [0x2e, 0x2e]) }
            content += Array("line \(line) of message \(token) ".utf8)
            content.append(contentsOf: repeatElement(UInt8(0x61 + line % 26), count: min(size, 900) / (1 + line % 5)))
            content.append(contentsOf: [0x0d, 0x0a])
        }
        return content
    }

    private func handIn(_ submission: Submission) {
        let ticket = ticket()
        submissions[ticket] = submission.id
        feed(.submitted(ticket, submission))
        guard hits(.vanish, 0.1) else { return }
        let owner = process
        scheduler.after(random.duration(.zero...(.milliseconds(20)))) { [unowned self] in
            guard process == owner, submissions.removeValue(forKey: ticket) != nil else { return }
            feed(.submitterGone(ticket))
        }
    }

    // MARK: Long messages

    /// Hands a message in by pieces, never more than two ahead of the disk.
    private func stream(_ submission: Submission, _ content: [UInt8]) {
        guard let stream = node?.beginStream(at: now) else {
            totals.refused += 1
            return
        }
        streamDurable[stream] = 0
        let piece = min(Node.inlineLimit, max(100, content.count / random.number(1...5)))
        next(piece: piece, of: content, from: 0, stream, submission, process)
    }

    private func next(
        piece: Int, of content: [UInt8], from start: Int, _ stream: StreamID, _ submission: Submission, _ owner: Int
    ) {
        guard process == owner, node != nil else { return }
        guard let durable = streamDurable[stream] else {
            // `streamLost`: the session answers 451.
            books.messages[submission.id]?.answer = .refused(process: process)
            return
        }
        if start - Int(durable) > 2 * piece {
            scheduler.after(.milliseconds(1)) { [unowned self] in
                next(piece: piece, of: content, from: start, stream, submission, owner)
            }
            return
        }
        if hits(.abortStream, 0.05) {
            streamDurable[stream] = nil
            books.messages[submission.id]?.answer = .refused(process: process)
            return feed(.streamAborted(stream))
        }
        if start >= content.count {
            streamDurable[stream] = nil
            var whole = submission
            whole.content = .streamed(stream)
            return handIn(whole)
        }
        let end = min(start + piece, content.count)
        feed(.streamed(stream, Array(content[start..<end])))
        scheduler.after(wire()) { [unowned self] in
            next(piece: piece, of: content, from: end, stream, submission, owner)
        }
    }

    func submissionAnswered(_ ticket: Ticket, _ answer: SubmissionAnswer) {
        // A client that is gone gets no answer.
        guard let id = submissions.removeValue(forKey: ticket) else { return }
        switch answer {
        case .queued(let given):
            totals.accepted += 1
            if given != id { return fail("\(id) is answered as \(given)") }
            books.messages[id]?.answer = .queued
            let queued = books.unfinished.filter {
                // What was damaged may be gone.
                books.messages[$0]?.answer == .queued && books.messages[$0]?.isDamaged == false
            }.count
            if queued > configuration.maximumQueuedMessages {
                fail("\(queued) messages are queued, and \(configuration.maximumQueuedMessages) are allowed")
            }
            if books.messages[id]?.journals.isEmpty == true {
                fail("\(id) is answered 250 before its accept is durable")
            }
        case .refused(let reply):
            totals.refused += 1
            if !reply.isTransient { fail("a submission is answered \(reply)") }
            books.messages[id]?.answer = .refused(process: process)
        }
    }

    // MARK: People

    func give(_ command: Command) {
        guard node != nil else { return }
        count(.command)
        let ticket = ticket()
        commands[ticket] = command
        switch command.verb {
        case .cancel: books.messages[command.message]?.cancelAsked = true
        case .bounce: books.messages[command.message]?.bounceAsked = true
        case .release: books.messages[command.message]?.wasReleased = true
        case .hold, .retry: break
        }
        feed(.command(ticket, command))
    }

    func commandAnswered(_ ticket: Ticket, _ answer: CommandAnswer) {
        guard let command = commands.removeValue(forKey: ticket) else { return fail("a command is answered twice") }
        totals.commands += 1
        guard let message = books.messages[command.message] else { return }
        switch (command.verb, answer) {
        case (.cancel, .done):
            if !message.isFinished { fail("'cancel' of \(message.id) is done, and it is not finished on the disk") }
        case (.hold, .done):
            if !message.isHeld, !message.isFinished, !message.wasReleased {
                fail("'hold' of \(message.id) is done, and no frame says so")
            }
        case (.bounce, .done):
            if !message.isFinished { fail("'bounce' of \(message.id) is done, and it is not finished on the disk") }
        case (_, .notFound):
            // What finishes it may be on its way to the disk.
            if message.answer == .queued, !message.isFinished, !message.isDamaged, !books.isOnItsWay(message.id) {
                fail("\(message.id) is 'not found'")
            }
        default: break
        }
    }

    func drained() {
        guard isDraining else { return fail("drained, and nobody asked for it") }
        say("drained: the process ends")
        die(losing: .nothing)
    }
}
