import Node
import Primitives

/// The run's second and third part: everything is healed, what is queued must go, and the books of all sides must agree.
extension Simulation {
    package func settle() {
        heal()
        runUntilQuiet("after everything was healed")
        // Connections of before may end in another unanswered dot.
        for _ in 0..<5 where !heldMessages.isEmpty && violation == nil {
            for id in heldMessages {
                totals.held += 1
                give(Command(.release, id, by: "simulator"))
            }
            runUntilQuiet("after what was held was released")
        }
        finish()
    }

    private func runUntilQuiet(_ when: String) {
        // What an outcome said before a change of the schedule still holds.
        let retry = machines.flatMap(\.configuration.retry) + plan.configuration.retry
        let end = scheduler.now + (retry.max() ?? .hours(1)) * 3 + plan.longestSettling
        var turns = 0
        while violation == nil, let action = scheduler.next(before: end) {
            turn(action)
            turns += 1
            if turns % 16 == 0, isQuiet { break }
        }
        totals.simulated = scheduler.now - Simulation.beginning
        guard violation == nil, !isQuiet else { return }
        fail(whyNotQuiet(when))
    }

    private func whyNotQuiet(_ when: String) -> String {
        if let machine = machines.first(where: { !$0.isLive }) { return "I10: \(machine.name) does not run \(when)" }
        for machine in machines {
            if let (ticket, sent) = machine.submissions.min(by: { $0.key.number < $1.key.number }) {
                return "the client of \(sent.id.short), ticket \(ticket.number), has no answer \(when)"
            }
        }
        let stuck = books.order.filter { isMoving($0) }
        if !stuck.isEmpty {
            let states = stuck.prefix(5).map { id in
                "\(id.short) \(status(of: id).map { "\($0.state)" } ?? "unknown to the nodes")"
            }
            return "I10: \(stuck.count) messages are still queued \(when): \(states.joined(separator: ", "))"
        }
        for id in chronicles.keys.sorted() {
            if let why = whyUnsettled(id) { return "I10: \(why) \(when)" }
        }
        return "I10: a disk is busy \(when)"
    }

    /// What waits for a person, by the books and by the nodes.
    private var heldMessages: [MessageID] {
        books.order.filter { id in
            guard let message = books.messages[id] else { return false }
            if message.isHeld, !message.isFinished { return true }
            return machines.count == 1 && status(of: id)?.hasHeld == true
        }
    }

    /// Nothing is left to do but for what is held.
    private var isQuiet: Bool {
        machines.allSatisfy { $0.isLive && $0.disk.isIdle && $0.submissions.isEmpty && $0.inbox.isEmpty }
            && books.order.allSatisfy { !isMoving($0) } && chronicles.keys.allSatisfy { whyUnsettled($0) == nil }
    }

    /// Something has to become of it yet, without anybody's help.
    private func isMoving(_ id: MessageID) -> Bool {
        guard let message = books.messages[id] else { return false }
        if message.isDamaged { return status(of: id)?.hasHeld == false }
        return (message.isPromised || !message.journals.isEmpty) && message.isMoving
    }

    /// Invariant 10: with a majority whole, every journal has an owner that commits, and a retired one is gone.
    private func whyUnsettled(_ id: JournalID) -> String? {
        guard let chronicle = chronicles[id], !chronicle.committed.isEmpty, !chronicle.isDamaged, !chronicle.isSetAside
        else { return nil }
        if chronicle.isRetired {
            let holder = machines.first { $0.disk.files[id] != nil && chronicle.replicas.contains($0.replica) }
            return holder.map { "\($0.name) still holds \(id.short), which is retired" }
        }
        guard let owner = owner(of: id)?.node?.owner(of: id) else { return "nobody owns \(id.short)" }
        if owner.end > owner.committed { return "\(id.short) is committed up to \(owner.committed) of \(owner.end)" }
        let members = machines.filter { chronicle.replicas.contains($0.replica) }
        if let member = members.first(where: { $0.disk.files[id]?.isWhole == false }) {
            return "\(member.name)'s copy of \(id.short) is not whole"
        }
        if let member = members.first(where: { $0.disk.files[id]?.frames.last?.end != owner.end }) {
            return "\(member.name)'s copy of \(id.short) lags"
        }
        return nil
    }

    /// At the end of a run: nobody was forgotten.
    private func finish() {
        guard violation == nil else { return }
        checkCopies()
        for id in books.order {
            guard let message = books.messages[id], message.isPromised, !message.isDamaged else { continue }
            for recipient in message.recipients {
                let name = "\(id) to \(String(decoding: recipient.address, as: UTF8.self))"
                switch recipient.final {
                case .delivered where recipient.deliveries.isEmpty:
                    fail("I5: \(name) is lost: 'delivered', and nobody has it")
                case .cancelled where !message.cancelAsked: fail("\(name) was cancelled, and nobody asked for it")
                case nil: fail("I5: \(name) is neither finished nor queued")
                default: break
                }
            }
        }
        for machine in machines { checkEmpty(machine) }
    }

    private func checkEmpty(_ machine: Machine) {
        guard violation == nil, let status = machine.node?.status(at: machine.now(scheduler.now)) else { return }
        if status.queue.messages > 0 {
            let oldest = status.queue.oldest.map { "\($0.id.short), \($0.state)" } ?? "none"
            fail(
                "\(status.queue.messages) messages in \(machine.name)'s queue, which has to be empty, the oldest \(oldest)"
            )
        }
        let journals = machine.disk.journals.count { chronicles[$0]?.committed.isEmpty == false }
        if journals > 3 * machines.count {
            fail("\(machine.name) is left with \(journals) journals, though everything is finished")
        }
    }
}
