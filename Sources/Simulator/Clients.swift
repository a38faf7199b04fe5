import Journal
import Node
import Primitives
import SMTP

/// One client with one message: it goes from node to node, as behind a balancer, until one says 250.
final class Letter {
    let token: Int
    let sender: [UInt8]?
    let recipients: [[UInt8]]
    let size: Int
    let isEightBit: Bool
    var triesLeft: Int
    /// Sends again after a connection that broke behind the final dot, and may so make a duplicate.
    var repeats = false

    init(token: Int, sender: [UInt8]?, recipients: [[UInt8]], size: Int, isEightBit: Bool, tries: Int) {
        self.token = token
        self.sender = sender
        self.recipients = recipients
        self.size = size
        self.isEightBit = isEightBit
        triesLeft = tries
    }
}

enum Client {
    /// What waits for its answer at one node.
    struct Attempt {
        var id: MessageID
        var letter: Letter
    }
}

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
        let letter = Letter(
            token: token, sender: sender, recipients: recipients, size: random.number(0...plan.largestContent),
            isEightBit: random.chance(0.2), tries: machines.count == 1 ? 1 : 6)
        letter.repeats = plan.clientsRepeat
        totals.letters += 1
        submit(letter)
    }

    /// To a node that runs, another one each time.
    func submit(_ letter: Letter) {
        letter.triesLeft -= 1
        let candidates = machines.filter(\.isLive)
        guard !candidates.isEmpty else { return refused(letter) }
        submit(letter, to: random.pick(candidates))
    }

    private func refused(_ letter: Letter) {
        totals.refused += 1
        guard letter.triesLeft > 0 else { return }
        scheduler.after(random.duration(acrossOrdersOf: .milliseconds(20)...(.seconds(5)))) { [unowned self] in
            submit(letter)
        }
    }

    /// The process that had its message died, and nobody answers.
    func connectionBroke(_ letter: Letter) {
        totals.unanswered += 1
        if letter.repeats { refused(letter) }
    }

    /// Hands a message in; nil when it was not admitted.
    @discardableResult
    func submit(_ letter: Letter, to machine: Machine) -> MessageID? {
        totals.submitted += 1
        let now = machine.now(scheduler.now)
        guard machine.isLive else {
            refused(letter)
            return nil
        }
        if let refusal = machine.node?.admission(at: now) {
            say("client \(letter.token) is refused by \(machine.name): \(refusal)")
            if refusal.code < 400 || refusal.code >= 500 { fail("admission says \(refusal)") }
            refused(letter)
            return nil
        }
        guard let id = machine.node?.allotMessageID(at: now) else { return nil }
        if books.messages[id] != nil { fail("message id \(id) is given twice") }
        let content = Simulation.content(token: letter.token, size: letter.size, isEightBit: letter.isEightBit)
        let prefix = Array("Received: by relay.example.com id \(id)\r\n".utf8)
        var envelope = Envelope(
            reversePath: letter.sender.map { Address(parsed: $0) }, body: letter.isEightBit ? .eightBit : .sevenBit)
        envelope.recipients = letter.recipients.map { Address(parsed: $0) }
        envelope.smtputf8 = envelope.recipients.contains { $0.isInternationalized }
        let submission = Submission(
            id: id, envelope: envelope, prefix: prefix, content: .inline(content), size: UInt64(content.count),
            hasEightBit: letter.isEightBit, clientAddress: "192.0.2.7", helo: Array("client.example".utf8))
        books.add(
            BookedMessage(
                id: id, reversePath: letter.sender, recipients: letter.recipients, content: prefix + content,
                isEightBit: letter.isEightBit, isInternationalized: envelope.smtputf8, submitted: scheduler.now))
        if content.count > Node.inlineLimit || random.chance(0.2) {
            stream(Arriving(submission: submission, content: content, letter: letter, machine: machine))
        } else {
            handIn(submission, letter, machine)
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

    private func handIn(_ submission: Submission, _ letter: Letter, _ machine: Machine) {
        let ticket = ticket()
        machine.submissions[ticket] = Client.Attempt(id: submission.id, letter: letter)
        feed(machine, .submitted(ticket, submission))
        guard hits(.vanish, 0.1) else { return }
        later(random.duration(.zero...(.milliseconds(20))), machine) { [unowned self] in
            guard machine.submissions.removeValue(forKey: ticket) != nil else { return }
            feed(machine, .submitterGone(ticket))
        }
    }

    // MARK: Long messages

    /// A long message on its way in.
    private struct Arriving {
        let submission: Submission
        let content: [UInt8]
        let letter: Letter
        let machine: Machine
        var stream = StreamID(0)
        var piece = 0
    }

    /// Hands a message in by pieces, never more than two ahead of the disk.
    private func stream(_ message: Arriving) {
        let machine = message.machine
        guard let stream = machine.node?.beginStream(at: machine.now(scheduler.now)) else {
            return refused(message.letter)
        }
        var message = message
        message.stream = stream
        message.piece = min(Node.inlineLimit, max(100, message.content.count / random.number(1...5)))
        machine.streamDurable[stream] = 0
        next(of: message, from: 0)
    }

    private func next(of message: Arriving, from start: Int) {
        let machine = message.machine
        guard let durable = machine.streamDurable[message.stream] else {
            // `streamLost`: the session answers 451.
            books.messages[message.submission.id]?.answer = .refused
            return refused(message.letter)
        }
        if start - Int(durable) > 2 * message.piece {
            return later(.milliseconds(5), machine) { [unowned self] in next(of: message, from: start) }
        }
        if hits(.abortStream, 0.05) {
            machine.streamDurable[message.stream] = nil
            books.messages[message.submission.id]?.answer = .refused
            return feed(machine, .streamAborted(message.stream))
        }
        if start >= message.content.count {
            machine.streamDurable[message.stream] = nil
            var whole = message.submission
            whole.content = .streamed(message.stream)
            return handIn(whole, message.letter, machine)
        }
        let end = min(start + message.piece, message.content.count)
        feed(machine, .streamed(message.stream, Array(message.content[start..<end])))
        later(wire(), machine) { [unowned self] in next(of: message, from: end) }
    }

    func submissionAnswered(_ ticket: Ticket, _ answer: SubmissionAnswer, _ machine: Machine) {
        // A client that is gone gets no answer.
        guard let sent = machine.submissions.removeValue(forKey: ticket) else { return }
        let id = sent.id
        switch answer {
        case .queued(let given):
            totals.accepted += 1
            if given != id { return fail("\(id) is answered as \(given)") }
            books.messages[id]?.answer = .queued
            if books.messages[id]?.journals.isEmpty == true {
                fail("I5: \(id) is answered 250 before its accept is committed on a majority of disks")
            }
            checkQueueLimit(machine)
        case .refused(let reply):
            if !reply.isTransient { fail("a submission is answered \(reply)") }
            books.messages[id]?.answer = .refused
            refused(sent.letter)
        }
    }

    private func checkQueueLimit(_ machine: Machine) {
        let limit = machine.configuration.maximumQueuedMessages
        guard machines.count == 1, limit < 1000 else { return }
        let queued = books.unfinished.filter {
            // What was damaged may be gone.
            books.messages[$0]?.answer == .queued && books.messages[$0]?.isDamaged == false
        }.count
        if queued > limit { fail("\(queued) messages are queued, and \(limit) are allowed") }
    }
}
