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
            if message.recipients[index].final != nil, !message.isDamaged {
                fail("\(name) for \(recipient), who is finished")
            }
        }
        for other in links.values.sorted(by: { $0.id.number < $1.id.number }) {
            for running in other.transactions.values where running.message == transaction.message {
                let both = running.request.recipients.contains { transaction.request.recipients.contains($0) }
                if both { fail("\(name) while another is under way for the same recipient") }
            }
        }
    }

    /// The final dot is written: its attempt has to be on the disk, and nothing may speak against it.
    func checkDot(_ transaction: Transaction, _ link: Link) {
        let key = AttemptKey(
            journal: transaction.content.journal, message: transaction.message, number: transaction.attempt)
        guard let recipients = books.attempts[key] else {
            return fail("the dot of \(transaction.message), attempt \(key.number), before the attempt is durable")
        }
        guard let message = books.messages[transaction.message] else { return }
        if !message.isPromised, message.journals.isEmpty { fail("\(message.id) is sent before its accept is durable") }
        for recipient in transaction.request.recipients where !recipients.contains(recipient.bytes) {
            fail("the dot of \(transaction.message) for \(recipient), whom attempt \(key.number) does not name")
        }
        for recipient in message.recipients
        where transaction.request.recipients.contains(where: { $0.bytes == recipient.address }) && !message.isDamaged {
            let name = "\(message.id) to \(String(decoding: recipient.address, as: UTF8.self))"
            if recipient.final == .cancelled { fail("the dot of \(name) after it was cancelled") }
            if recipient.isHeld { fail("the dot of \(name), which is held") }
            if !recipient.deliveries.isEmpty, node?.message(message.id, at: now)?.isUncertain != true {
                fail("\(name) is sent again and was not listed as uncertain")
            }
        }
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
            if case .refused(let then) = message.answer, then == process {
                fail("\(id) was refused and is delivered by the same process")
            }
        }
    }

    /// A message delivered twice had a committed attempt whose outcome was missing at a start, or was unanswered.
    private func checkRepetition(_ id: MessageID, _ index: Int) {
        guard let message = books.messages[id] else { return }
        let recipient = message.recipients[index]
        guard recipient.deliveries.count > 1 else { return }
        totals.duplicates += 1
        if message.isDamaged { return }
        let name = "\(id) to \(String(decoding: recipient.address, as: UTF8.self))"
        let certain = recipient.deliveries.filter { !books.isUncertain($0.attempt) && !isOrphan($0.attempt) }
        if certain.count > 1 { fail("\(name) is delivered twice, and no attempt was uncertain") }
        if configuration.uncertain == .hold, !message.wasReleased {
            fail("\(name) is delivered twice in spite of 'hold'")
        }
    }

    /// While no process runs, every open attempt will be an orphan at the next start.
    private func isOrphan(_ attempt: AttemptKey) -> Bool { node == nil && books.open.contains(attempt) }

    /// At the end of a run: nobody was forgotten.
    func finish() {
        guard violation == nil else { return }
        for id in books.order {
            guard let message = books.messages[id], message.isPromised, !message.isDamaged else { continue }
            for recipient in message.recipients {
                let name = "\(id) to \(String(decoding: recipient.address, as: UTF8.self))"
                switch recipient.final {
                case .delivered where recipient.deliveries.isEmpty:
                    fail("\(name) is lost: 'delivered', and nobody has it")
                case .cancelled where !message.cancelAsked: fail("\(name) was cancelled, and nobody asked for it")
                case nil: fail("\(name) is neither finished nor queued")
                default: break
                }
            }
        }
        guard violation == nil, let status = node?.status(at: now) else { return }
        if status.queue.messages > 0 {
            let oldest = status.queue.oldest.map { "\($0.id.short), \($0.state)" } ?? "none"
            fail("\(status.queue.messages) messages in the queue, which has to be empty, the oldest \(oldest)")
        }
        let journals = disk.journals.count
        if journals > 3 { fail("\(journals) journals are left, though everything is finished") }
    }
}

extension MessageStatus {
    var hasHeld: Bool { recipients.contains { $0.state == "held" } }
}
