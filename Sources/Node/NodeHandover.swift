internal import Cluster
internal import Primitives

/// Ending in order: nothing begins any more, what is under way ends, each journal is handed over as soon as it is quiet
/// (`protocol.md`, 'Drain and stop').
extension Node {
    mutating func drain(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .serving || state == .starting else { return }
        state = .draining
        describeSelf()
        run(.mayClaim(false), now, &effects)
        for key in lanes.indices.flatMap({ lanes[$0].idle }) { close(key, now, &effects) }
        effects.append(.drainSessions)
        handOver(now, &effects)
    }

    /// No client is in the middle of a message any more: the journal for new mail may go too.
    mutating func sessionsEnded(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .draining else { return }
        haveSessionsEnded = true
        handOver(now, &effects)
    }

    /// Time is over: transactions before their dot are stopped; dots without an answer stay with their journal, whose next
    /// owner waits for what this process may still learn.
    mutating func drainTimedOut(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .draining else { return }
        isDrainOverdue = true
        haveSessionsEnded = true
        connections.forEach { key, connection in
            for handed in [connection.present, connection.next].compactMap({ $0 }) where !handed.isDotSent {
                effects.append(.interrupt(ConnectionID(key), transaction: handed.id))
            }
        }
        handOver(now, &effects)
    }

    mutating func resume(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .draining || state == .drained else { return }
        state = .serving
        haveSessionsEnded = false
        isDrainOverdue = false
        describeSelf()
        run(.mayClaim(true), now, &effects)
        effects.append(.admitSessions)
        for id in journals.all where journals.isActive(id) {
            for key in messageKeys(of: id) where messages.contains(key) { beginTry(key, now, &effects) }
        }
        moveOn(now, &effects)
    }

    /// Releases every journal in which nothing is under way; once none is left the node is drained. A claim that was under
    /// way may be won after that: such a journal goes on to others too.
    mutating func handOver(_ now: Now, _ effects: inout [NodeEffect]) {
        guard state == .draining || state == .drained else { return }
        var busy: Set<JournalID> = []
        transactions.forEach { key, transaction in
            if transaction.orphan == nil, !(isDrainOverdue && isDotSent(transaction, key)) {
                busy.insert(transaction.journal)
            }
        }
        for settlement in settling.values { busy.insert(messages[settlement.message].journal) }
        for id in journals.all {
            guard let held = journals[id], held.isOwned else { continue }
            let isQuiet =
                held.isActive && held.pending.isEmpty && held.openStreams == 0 && !busy.contains(id)
                && (id != current || haveSessionsEnded)
            if isQuiet { run(.release(id), now, &effects) }
        }
        guard state == .draining, haveSessionsEnded, journals.values.allSatisfy({ !$0.isOwned }) else { return }
        state = .drained
        describeSelf()
        effects.append(.drained)
    }

    private func isDotSent(_ transaction: TransactionState, _ key: SlabKey) -> Bool {
        guard let connection = connection(transaction.connection) else { return false }
        return [connection.present, connection.next].contains { $0?.id == key.number && $0?.isDotSent == true }
    }
}
