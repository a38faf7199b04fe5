import Journal
import Node
import Primitives
import SMTP

/// What each new frame says is held against what clients and upstreams know.
extension Simulation {
    func checkWritten(_ record: Record, in journal: JournalID, _ machine: Machine) {
        switch record {
        case .accept(let accept):
            checkAccept(accept)
            books.indices[journal, default: [:]][accept.id] = accept.recipients
        case .outcome(let outcome): checkOutcome(outcome, in: journal, machine)
        case .attempt(let attempt):
            let key = AttemptKey(journal: journal, message: attempt.message, number: attempt.number)
            // A damaged attempt in a journal's last frame is cut off, and its number is given again.
            if books.attempts[key] != nil, books.messages[attempt.message]?.isDamaged == false,
                !isStale(machine, journal)
            {
                fail("attempt \(key.number) of \(attempt.message) begins twice")
            }
        default: break
        }
    }

    /// A message that goes on in a new journal keeps its bytes and its recipients.
    private func checkAccept(_ accept: AcceptRecord) {
        guard let message = books.messages[accept.id] else { return fail("accept of a message that nobody sent") }
        for recipient in accept.recipients where message.index(of: recipient) == nil {
            fail("\(accept.id) is accepted for \(String(decoding: recipient, as: UTF8.self)), whom nobody named")
        }
        if accept.reversePath != message.reversePath { fail("\(accept.id) is accepted with another reverse-path") }
    }

    private func checkOutcome(_ outcome: OutcomeRecord, in journal: JournalID, _ machine: Machine) {
        guard let message = books.messages[outcome.message] else { return fail("an outcome of an unknown message") }
        let all = books.recipients(of: outcome.message, in: journal)
        var lost: [[UInt8]] = []
        for result in outcome.results {
            guard Int(result.recipient) < all.count, let index = message.index(of: all[Int(result.recipient)]) else {
                return fail("an outcome of \(outcome.message) for recipient \(result.recipient), who does not exist")
            }
            let recipient = message.recipients[index]
            let name = "\(outcome.message) to \(String(decoding: recipient.address, as: UTF8.self))"
            if recipient.final != nil, !message.isDamaged, !isStale(machine, journal) {
                fail("\(name) is finished and gets another outcome")
            }
            switch result.status {
            case .delivered:
                if recipient.deliveries.isEmpty { fail("I5: \(name): delivered, and no upstream has it") }
            case .failed:
                lost.append(recipient.address)
                if !mayFail(message, recipient, machine) {
                    fail("\(name) failed, and no upstream refused it: \(text(result.reply))")
                }
            case .expired:
                lost.append(recipient.address)
                checkExpiry(message, outcome.time, name, machine)
            case .deferred, .notSent, .unanswered: break
            }
        }
        checkNotice(outcome, of: message, lost, machine)
        if let notice = outcome.notice { book(notice, of: message) }
    }

    private func mayFail(
        _ message: BookedMessage, _ recipient: BookedMessage.Recipient, _ machine: Machine
    ) -> Bool {
        if message.bounceAsked || message.isDamaged { return true }
        let lacks = upstreams.contains { $0.everLacked(message) }
        return lacks || (recipient.isRefused && !machine.configuration.softBounce)
    }

    private func checkExpiry(_ message: BookedMessage, _ time: WallTime, _ name: String, _ machine: Machine) {
        let settings = machine.configuration
        let lifetime = message.reversePath == nil ? settings.nullSenderLifetime : settings.lifetime
        guard let accepted = message.accepted else { return }
        if let lastStep = machine.lastStep, scheduler.now - lastStep < .minutes(10) {
            // A report quotes the header: when it had to be read, the decision may be older than the step.
            if !machine.isAnsweringRead {
                fail("\(name) expired \(scheduler.now - lastStep) after a step of the wall clock")
            }
            return
        }
        if time - accepted < lifetime { fail("\(name) expired at an age of \(time - accepted)") }
    }

    private func checkNotice(
        _ outcome: OutcomeRecord, of message: BookedMessage, _ lost: [[UInt8]], _ machine: Machine
    ) {
        guard let notice = outcome.notice else {
            if !lost.isEmpty, message.reversePath != nil, machine.configuration.bounces.send {
                fail("\(message.id) loses \(lost.count) recipients without a bounce")
            }
            return
        }
        if lost.isEmpty { totals.warnings += 1 } else { totals.bounces += 1 }
        if message.reversePath == nil { fail("\(message.id) has the null reverse-path and causes a notice") }
        if notice.reversePath != nil { fail("the notice about \(message.id) has a reverse-path") }
        if notice.recipients != [message.reversePath] { fail("the notice about \(message.id) goes to somebody else") }
        if notice.concerns != message.id { fail("the notice about \(message.id) names another message") }
        if lost.isEmpty, machine.configuration.delayWarning == nil {
            fail("a notice about \(message.id) without a reason")
        }
        guard case .inline(let content) = notice.content else { return }
        for address in lost where address.allSatisfy({ $0 < 0x80 }) && !content.contains(bytes: address) {
            fail("the bounce of \(message.id) does not name \(text(address))")
        }
    }

    private func book(_ notice: AcceptRecord, of message: BookedMessage) {
        guard case .inline(let content) = notice.content else { return fail("a notice without its content") }
        var booked = BookedMessage(
            id: notice.id, reversePath: notice.reversePath, recipients: notice.recipients, content: content,
            isEightBit: notice.isEightBit, isInternationalized: notice.isInternationalized, submitted: scheduler.now)
        booked.answer = .notice(of: message.id)
        books.add(booked)
    }

    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

extension [UInt8] {
    func contains(bytes: [UInt8]) -> Bool {
        guard let first = bytes.first, count >= bytes.count else { return bytes.isEmpty }
        for start in 0...(count - bytes.count) where self[start] == first {
            if self[start..<start + bytes.count].elementsEqual(bytes) { return true }
        }
        return false
    }
}
