import Journal
import Node
import Primitives

/// The node's process: its starts, from what the disk holds, and its ends.
extension Simulation {
    /// Recovers a new node from the disk and starts it.
    func boot() {
        process += 1
        totals.starts += 1
        inbox.removeAll()
        isDiskScheduled = false
        isDraining = false
        nextTick = nil
        lastStep = nil
        for index in upstreams.indices { upstreams[index].isSwitchedOff = false }
        configuration.seed = random.next()
        say("the process starts (number \(process)), journals: \(disk.journals.map(\.short).joined(separator: ", "))")
        node = Node(configuration: configuration, at: now)
        for journal in disk.journals { recover(journal) }
        for (key, _) in books.attempts where books.open.contains(key) { books.orphaned.insert(key) }
        var effects: [NodeEffect] = []
        node?.start(at: now, into: &effects)
        feed(.diskSpace(free: diskFree, total: plan.diskTotal))
        perform(effects)
        checkNothingForgotten()
        step()
    }

    private func recover(_ journal: JournalID) {
        node?.recover(journal: journal, promise: disk.promises[journal])
        let known = books.applied[journal] ?? 0
        do {
            let result = try scanJournal(
                journal, length: disk.length(journal), afterDamage: .resynchronize,
                read: { offset, count in disk.read(journal, at: offset, count: count) },
                frame: { frame in
                    node?.recover(frame: frame, of: journal)
                    // What survived without having been acknowledged counts from now on.
                    if frame.offset >= known {
                        books.apply(frame.record, in: journal, offset: frame.offset, end: frame.end)
                    }
                })
            let damage = result.damage.map { ($0.at, $0.description, result.framesAfterDamage) }
            if let damage { say("  \(journal.short): \(damage.1)\(damage.2 ? ", frames follow" : "")") }
            // Frames behind a hole of unsynced sectors are read too, and were never acknowledged.
            let committed = committedEnd[journal] ?? 0
            if result.end < committed, !books.damagedJournals.contains(journal) {
                fail("journal \(journal.short) was durable up to \(committed), and the scan ends at \(result.end)")
            }
            node?.recovered(journal: journal, scan: result)
        } catch {
            fail("the scan of \(journal.short) threw \(error)")
        }
    }

    /// Everyone who was promised something finds it in the node's index.
    private func checkNothingForgotten() {
        guard violation == nil, node != nil else { return }
        for id in books.unfinished where books.messages[id]?.isDamaged == false {
            if node?.message(id, at: now) == nil {
                return fail("message \(id) is unfinished and unknown after a start")
            }
        }
    }

    /// The process is gone at once, with everything in its memory.
    func die(losing loss: SimulatedDisk.Loss) {
        guard node != nil else { return }
        node = nil
        inbox.removeAll()
        submissions.removeAll()
        commands.removeAll()
        streamDurable.removeAll()
        books.undurable.removeAll()
        disk.processDied(losing: loss, &random)
        for id in links.keys.sorted(by: { $0.number < $1.number }) { cutByDeath(id) }
        links.removeAll()
        if hits(.flippedBits, 0.3) { flipBits() }
        let rest = random.duration(acrossOrdersOf: .milliseconds(10)...(.minutes(2)))
        scheduler.after(rest) { [unowned self] in
            if node == nil { boot() }
        }
    }

    private func flipBits() {
        guard let (journal, offset) = disk.flipBits(&random) else { return }
        let hit = books.damage(journal, at: offset)
        say("bits flip in \(journal.short) at \(offset): frame of \(hit.map(\.short).joined(separator: ", "))")
    }

    /// One of the kinds of death that are on, if any.
    func crashSomehow() {
        guard node != nil, !isHealed else { return }
        let kinds = [Fault.powerLoss, .kill].filter { plan.faults.contains($0) }
        guard !kinds.isEmpty else { return }
        crash(random.pick(kinds))
    }

    package func crash(_ kind: Fault) {
        guard node != nil else { return }
        count(kind)
        say("\(kind.rawValue)")
        die(losing: kind == .powerLoss ? .unsynced : .nothing)
    }

    var diskFree: ByteCount {
        disk.isFull ? 0 : ByteCount(bytes: plan.diskTotal.bytes - min(plan.diskTotal.bytes, disk.used))
    }
}
