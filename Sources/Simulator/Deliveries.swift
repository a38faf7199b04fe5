import Cluster
import Journal
import Node
import Primitives
import SMTP

/// What is held against each transaction, each final dot and each message that arrives (`protocol.md`, invariants 5 to 7).
extension Simulation {
    func checkTransaction(_ transaction: Transaction, _ link: Link) {
        let settings = upstreams[link.upstream].settings
        let name = "a transaction of \(transaction.message) to \(settings.name)"
        let count = transaction.request.recipients.count
        onTransaction?(
            Begun(
                message: transaction.message, upstream: settings.name, recipients: count, at: scheduler.now,
                attempt: transaction.attempt))
        if count == 0 || count > settings.maximumRecipients { fail("\(name) with \(count) recipients") }
        if link.transactions.count >= 2 { fail("\(name) behind two others") }
        if transaction.request.reversePath == nil, !settings.nullSender {
            fail("\(name), which takes no null reverse-path")
        }
        guard let message = books.messages[transaction.message] else { return fail("\(name), which nobody sent") }
        if transaction.request.reversePath?.bytes != message.reversePath { fail("\(name) with another reverse-path") }
        for recipient in transaction.request.recipients {
            guard let index = message.index(of: recipient.bytes) else {
                return fail("\(name) for a stranger: \(recipient)")
            }
            if message.recipients[index].final != nil, !message.isDamaged,
                !isStale(link.machine, transaction.content.journal)
            {
                fail("\(name) for \(recipient), who is finished")
            }
        }
        for other in links.values where other.machine === link.machine {
            for running in other.transactions.values where running.message == transaction.message {
                let both = running.request.recipients.contains { transaction.request.recipients.contains($0) }
                if both, !isOrphaned(running, other) {
                    fail("\(name) while another is under way for the same recipient")
                }
            }
        }
        checkBegins(transaction, link.machine)
    }

    /// Its attempt was made under an epoch that is over, and what becomes of it is a late outcome.
    private func isOrphaned(_ transaction: Transaction, _ link: Link) -> Bool {
        let journal = transaction.content.journal
        return link.machine.node?.owner(of: journal)?.epoch != link.epochs[transaction.request.id]
    }

    /// What speaks against beginning it now: that it is known to be delivered, or may yet become known.
    private func checkBegins(_ transaction: Transaction, _ machine: Machine) {
        let journal = transaction.content.journal
        guard let message = books.messages[transaction.message], !message.isDamaged,
            let epoch = machine.node?.owner(of: journal)?.epoch
        else { return }
        for address in transaction.request.recipients.map(\.bytes) {
            let name = "\(message.id) to \(text(address))"
            let number = books.recipients(of: message.id, in: journal).firstIndex(of: address) ?? 0
            let place = LatePlace(journal: journal, message: message.id, recipient: UInt32(number))
            if let late = machine.lateOutcomes[place], late.epoch < epoch, machine.begun[message.id] != epoch {
                fail("I7: \(name) is sent again, and its outcome came too late, but it came")
            }
            for key in message.attempts where key.journal == journal && books.open.contains(key) {
                guard let attempt = books.attempts[key], attempt.pending.contains(address), attempt.epoch < epoch else {
                    continue
                }
                checkReleased(key, attempt, epoch, machine, name)
            }
        }
        machine.begun[message.id] = epoch
    }

    /// An attempt of a released epoch is left alone while its process lives, for ten minutes.
    private func checkReleased(
        _ key: AttemptKey, _ attempt: Books.Attempt, _ epoch: UInt64, _ machine: Machine, _ name: String
    ) {
        // A person who asks for it now does not wait.
        if books.messages[key.message]?.retryAsked == true { return }
        let item = JournalEpoch(key.journal, attempt.epoch)
        guard machine.heardReleases.contains(item), let release = releases[item],
            chronicles[key.journal]?.owners.keys.contains(where: { $0 > attempt.epoch && $0 < epoch }) == false,
            machines[release.machine].process == release.process, machines[release.machine].isUp,
            scheduler.now - release.at < .minutes(9), !plan.faults.contains(.forgedDeath)
        else { return }
        fail("I7: \(name), attempt \(key.number) of a released epoch, is sent again at once")
    }

    /// The final dot is written: its attempt has to be committed, the lease to hold, and nothing may speak against it.
    func checkDot(_ transaction: Transaction, _ link: Link) {
        let machine = link.machine
        let now = machine.now(scheduler.now)
        let key = AttemptKey(
            journal: transaction.content.journal, message: transaction.message, number: transaction.attempt)
        guard let attempt = books.attempts[key] else {
            return fail("I7: the dot of \(transaction.message), attempt \(key.number), before the attempt is committed")
        }
        if !plan.mayBreakLeases {
            guard let owner = machine.node?.owner(of: key.journal), owner.epoch == attempt.epoch else {
                return fail(
                    "I6: the dot of \(transaction.message) by \(machine.name), who does not own \(key.journal.short)")
            }
            if !owner.holdsLease(for: .zero, at: now.instant) {
                fail("I6: the dot of \(transaction.message) by \(machine.name), whose lease is over")
            }
        }
        guard let message = books.messages[transaction.message] else { return }
        if message.journals.isEmpty { fail("\(message.id) is sent before its accept is committed") }
        for recipient in transaction.request.recipients where !attempt.recipients.contains(recipient.bytes) {
            fail("the dot of \(transaction.message) for \(recipient), whom attempt \(key.number) does not name")
        }
        if message.answer == .refused, attempt.epoch == message.acceptEpoch, message.journals.first == key.journal {
            fail("\(message.id) was refused and is delivered by the same owner")
        }
        let isListed = machine.node?.message(message.id, at: now)?.isUncertain == true
        if isListed { books.messages[message.id]?.wasListed = true }
        for recipient in message.recipients
        where transaction.request.recipients.contains(where: { $0.bytes == recipient.address }) && !message.isDamaged {
            checkDot(key, message, recipient, isListed: isListed)
        }
    }

    private func checkDot(
        _ key: AttemptKey, _ message: BookedMessage, _ recipient: BookedMessage.Recipient, isListed: Bool
    ) {
        let name = "\(message.id) to \(text(recipient.address))"
        // A newer epoch, which this owner may not know of yet, may say so only if leases break.
        if !plan.mayBreakLeases {
            if recipient.final == .cancelled { fail("the dot of \(name) after it was cancelled") }
            if recipient.isHeld { fail("the dot of \(name), which is held") }
        }
        if !recipient.deliveries.isEmpty, !isListed {
            fail("I7: \(name) is sent again and was not listed as uncertain")
        }
        let isUncertain = message.attempts.contains { other in
            other != key && books.isUncertain(other) && (books.open.contains(other) || books.unanswered.contains(other))
                && books.attempts[other]?.recipients.contains(recipient.address) == true
        }
        if isUncertain, !isListed { fail("I7: \(name) has an attempt of unknown fate and is not listed as uncertain") }
    }

    /// An upstream has taken a message.
    func received(
        _ transaction: Transaction, from path: [UInt8], recipients: [[UInt8]], content: [UInt8], isEightBit: Bool,
        isInternationalized: Bool, upstream: Int
    ) {
        let id = transaction.message
        let name = upstreams[upstream].name
        guard let message = books.messages[id] else { return fail("\(name) gets a message that nobody sent: \(id)") }
        say("\(name) takes \(id.short) for \(recipients.map { String(decoding: $0, as: UTF8.self) })")
        if path != message.reversePath ?? [] { fail("\(name) gets \(id) from somebody else") }
        if content != message.content {
            fail("\(name) gets other bytes of \(id): \(content.count) in place of \(message.content.count)")
        }
        if message.isEightBit, !isEightBit { fail("\(name) gets the 8-bit message \(id) without BODY=8BITMIME") }
        let key = AttemptKey(journal: transaction.content.journal, message: id, number: transaction.attempt)
        for address in recipients {
            guard let index = message.index(of: address) else { return fail("\(name) gets \(id) for a stranger") }
            let delivery = BookedMessage.Delivery(attempt: key, upstream: name, at: scheduler.now)
            books.messages[id]?.recipients[index].deliveries.append(delivery)
            totals.deliveries += 1
            onDelivery?(id, address, name)
            checkRepetition(id, index)
        }
    }

    /// A message delivered twice had a committed attempt whose outcome was missing when its journal changed hands, or was
    /// unanswered.
    private func checkRepetition(_ id: MessageID, _ index: Int) {
        guard let message = books.messages[id] else { return }
        let recipient = message.recipients[index]
        guard recipient.deliveries.count > 1 else { return }
        totals.duplicates += 1
        if message.isDamaged { return }
        let name = "\(id) to \(text(recipient.address))"
        let certain = recipient.deliveries.filter { !books.isUncertain($0.attempt) }
        if certain.count > 1 { fail("I7: \(name) is delivered twice, and no attempt was uncertain") }
        if !message.wasListed { fail("I7: \(name) is delivered twice and was never listed as uncertain") }
        if plan.configuration.uncertain == .hold, !message.wasReleased {
            fail("I7: \(name) is delivered twice in spite of 'hold'")
        }
    }

    // MARK: Takeovers

    /// What is reclaimed keeps its id, its age, how often it was tried, and what became of each recipient.
    func checkTakeover(_ journal: JournalID, _ epoch: UInt64, _ machine: Machine) {
        guard let chronicle = chronicles[journal], !chronicle.isDamaged, !chronicle.isRetired,
            machine.node?.owner(of: journal)?.epoch == epoch
        else { return }
        for id in books.order {
            guard let message = books.messages[id], message.journals.last == journal, !message.isFinished,
                !message.isDamaged, message.isNewestCommitted
            else { continue }
            totals.reclaimed += 1
            guard let status = machine.node?.message(id, at: machine.now(scheduler.now)) else {
                return fail("I5: \(machine.name) takes \(journal.short) over and does not know \(id)")
            }
            if status.accepted != message.accepted { fail("\(id) is reclaimed with another age") }
            // Saved from a damaged journal it is another accept, of those who are left.
            guard message.journals.count == 1 else { continue }
            if Int(status.attempts) < message.attempts.filter({ $0.journal == journal }).count {
                fail("\(id) is reclaimed with \(status.attempts) attempts of \(message.attempts.count)")
            }
            for (recipient, known) in zip(message.recipients, status.recipients) {
                checkReclaimed(recipient, known, "\(id) to \(text(recipient.address))")
            }
        }
    }

    private func checkReclaimed(
        _ recipient: BookedMessage.Recipient, _ known: MessageStatus.RecipientStatus, _ name: String
    ) {
        if let final = recipient.final {
            if known.state != final.rawValue { fail("\(name) was \(final) and is reclaimed as \(known.state)") }
        } else if known.tries < Int(recipient.tries) || known.tries > Int(recipient.tries) + 1 {
            fail("\(name) is reclaimed with \(known.tries) tries in place of \(recipient.tries)")
        }
    }
}

extension MessageStatus {
    var hasHeld: Bool { recipients.contains { $0.state == "held" } }
}
