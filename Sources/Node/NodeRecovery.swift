package import Cluster
package import Journal
package import Primitives
internal import SMTP

/// What start-up must do with a journal's file before the node starts.
package enum Repair: Hashable, Sendable {
    case none
    /// Nothing behind this can be trusted. Marked: first, durably, as a copy that is not whole (`protocol.md`, 'Damaged copy').
    case cut(to: UInt64, isMarked: Bool)
    /// Of a node alone: its messages are moved, then it is set aside.
    case leave
}

/// What start-up found, until everything is handed to the cluster's core.
struct Recovery: Sendable {
    struct Found: Sendable {
        var promise: Promise?
        var copy = JournalCopy()
        var isRetired = false
        /// Damage with intact frames behind it, of a node alone.
        var isTorn = false
    }

    var journals: [JournalID: Found] = [:]
    /// The frames of the journal that is being read, for the case that there are gaps in it.
    var salvage = Salvage()
    var isOver = false
}

/// Start-up: the frames that were found become the queue again, and each journal is claimed (`protocol.md`, 'Restart').
extension Node {
    /// The disks that this node had met before.
    package mutating func recover(acquainted: [ReplicaID]) { cluster.recover(acquainted: acquainted) }

    package mutating func recover(tombstone: Tombstone) { cluster.recover(tombstone) }

    /// Announces a journal and its promise, before its frames; a promise may stand alone.
    package mutating func recover(journal id: JournalID, promise: Promise?, isMarkedDamaged: Bool, at now: Now) {
        present = now
        recovery.journals[id] = Recovery.Found(promise: promise)
        recovery.journals[id]?.copy.isWhole = !isMarkedDamaged
        recovery.salvage = Salvage()
        journals[id] = HeldJournal(id)
        identifiers.raise(to: id.ulid)
    }

    /// Takes one frame. What stands behind a gap is only kept for `recovered`.
    package mutating func recover(frame: ScannedFrame, of id: JournalID) {
        guard let found = recovery.journals[id] else { return }
        // Of several replicas the others have what a gap hides.
        if found.copy.replicas?.count ?? 1 == 1 { recovery.salvage.add(frame) }
        guard frame.offset == found.copy.end else { return }
        recovery.journals[id]?.copy.append(frame)
        if case .retire = frame.record { recovery.journals[id]?.isRetired = true }
        fold(frame, of: id)
    }

    /// The file was read to its end, as `scan` says.
    package mutating func recovered(journal id: JournalID, scan: ScanResult) -> Repair {
        let salvage = recovery.salvage
        recovery.salvage = Salvage()
        guard let damage = scan.damage else { return .none }
        if has(.flipTakenForTorn), !scan.framesAfterDamage { return .cut(to: scan.end, isMarked: false) }
        effectsOfStart.append(.note(.damage(id, at: damage.at, reason: damage.description)))
        damaged.append("journal \(id): \(damage.description)")
        // An empty copy may be one of many: whose it is stands in the frame that is gone.
        let isAlone = configuration.replicas == 1 && recovery.journals[id]?.copy.replicas?.count ?? 1 == 1
        guard isAlone else {
            recovery.journals[id]?.copy.isWhole = false
            return .cut(to: scan.end, isMarked: true)
        }
        // Nothing of it is left: cut, it would be an empty journal that nobody claims and nobody retires.
        guard scan.framesAfterDamage || scan.end == 0 else { return .cut(to: scan.end, isMarked: false) }
        let report = salvage.finish(scan, tail: .torn)
        // Only a newer version may salvage what this one does not understand.
        guard report.unknownKinds.isEmpty else { return .leave }
        recovery.journals[id]?.isTorn = true
        takeSalvaged(report, of: id)
        return .leave
    }

    /// Hands what was found to the cluster's core, which claims it. A journal for new mail is opened once the disk is known
    /// to have room.
    package mutating func start(at now: Now, into effects: inout [NodeEffect]) {
        present = now
        recovery.isOver = true
        effects.append(contentsOf: effectsOfStart)
        effectsOfStart = []
        for (id, found) in recovery.journals.sorted(by: { $0.key < $1.key }) {
            if found.isTorn, !found.isRetired {
                journals[id]?.isSealed = true
                journals[id]?.role = .setAside(moved: nil)
                damagedJournals.append(id)
            } else {
                // It was finished before the end of the process, whatever a gap hides.
                if found.isRetired { forgetMessages(of: id) }
                cluster.recover(id, copy: found.copy, promise: found.promise, at: now.instant)
                if found.copy.isEmpty, configuration.replicas == 1, cluster.otherNodes.isEmpty {
                    carryOut(cluster.abandon(id, at: now.instant), now, &effects)
                }
            }
        }
        recovery.journals = [:]
        state = .serving
        describeSelf()
        applyRecords(now, &effects)
        tick(now, &effects)
    }

    // MARK: Taking over

    /// The takeover is committed: its messages move, the uncertain ones as configured.
    mutating func tookOver(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let held = journals[id], held.scan == nil else { return }
        journals[id]?.recovered = []
        let keys = held.recovered.filter { messages.contains($0) }
        let uncertain = keys.filter { hasOpenAttempt($0) }
        takenOver(id, keys.count, uncertain: uncertain.count, now, &effects)
        for key in uncertain {
            messages[key].isUncertain = !has(.uncertainUnlisted)
        }
        // Those that a former owner decided to hold among them.
        for key in keys where messages.contains(key) { useLateOutcomes(key, now, &effects) }
        if case .released = held.predecessor, !has(.releasedResent) {
            // Its process may still learn what became of the dots that it sent.
            for key in uncertain where messages.contains(key) {
                for position in undecided(key) {
                    messages[key].recipients[position].state = .waiting(until: now.instant + Node.lateOutcomePatience)
                }
            }
        }
        for key in keys where messages.contains(key) {
            if state == .serving { beginTry(key, now, &effects) } else { schedule(key) }
        }
        // A journal of nothing but finished messages has nothing else that would retire it.
        retireIfFinished(id, now, &effects)
    }

    private mutating func takenOver(
        _ id: JournalID, _ count: Int, uncertain: Int, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard let held = journals[id] else { return }
        counters.takeovers += 1
        let from = held.lastWriter
        journals[id]?.lastWriter = configuration.replica.node
        let took = now.instant - held.wonAt
        effects.append(
            .note(.takeover(id, epoch: held.epoch, from: from, messages: count, uncertain: uncertain, took: took)))
        guard from != configuration.replica.node else { return }
        journals[id]?.reclaimedFrom = from
        recentTakeovers.append(
            NodeStatus.Takeover(
                journal: id, epoch: held.epoch, from: from, at: now.wall, messages: count, uncertain: uncertain))
        if recentTakeovers.count > Node.takeoversKept { recentTakeovers.removeFirst() }
    }

    /// The first delivery after a takeover is what people wait for.
    mutating func noteReclaimed(_ id: JournalID, _ now: Now, _ effects: inout [NodeEffect]) {
        guard let held = journals[id] else { return }
        journals[id]?.reclaimedFrom = nil
        let after = now.instant - held.wonAt
        effects.append(.note(.reclaimed(id, after: after)))
        if let position = recentTakeovers.lastIndex(where: { $0.journal == id && $0.epoch == held.epoch }) {
            recentTakeovers[position].firstDelivery = after
        }
    }

    /// Attempts without an outcome of a former epoch, whose fate is to be decided.
    func undecided(_ key: MessageKey) -> [Int] {
        messages[key].recipients.indices.filter { position in
            let recipient = messages[key].recipients[position]
            guard recipient.openAttempt != 0, case .waiting = recipient.state else { return false }
            return true
        }
    }

    /// What may have been delivered is listed, and sent again or held (`queue.md`, 'Uncertain').
    mutating func decideUncertain(_ key: MessageKey, _ recipients: [Int], _ now: Now, _ effects: inout [NodeEffect]) {
        messages[key].isUncertain = !has(.uncertainUnlisted)
        for position in recipients {
            let recipient = messages[key].recipients[position]
            counters.uncertain += 1
            recent.add(.uncertain, at: now.instant)
            effects.append(
                .note(
                    .result(
                        Note.Result(
                            id: messages[key].id, to: recipient.address.bytes, upstream: recipient.upstream, remote: "",
                            status: .uncertain, code: 0, enhanced: "",
                            reply: Array("the node ended before this attempt's outcome was written".utf8),
                            attempt: recipient.openAttempt, delay: now.wall - messages[key].accepted, queued: .zero,
                            transaction: .zero, epoch: journals[messages[key].journal]?.epoch ?? 0, next: nil))))
            messages[key].recipients[position].openAttempt = 0
        }
        if configuration.uncertain == .hold, !has(.uncertainNotHeld) {
            appendHold(key, recipients, reason: "it may have been delivered already", now, &effects)
        }
    }

}
