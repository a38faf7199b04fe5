import Cluster
import Journal
import Node
import Primitives

/// A node's process: its starts, from what the disk holds, and its ends.
extension Simulation {
    /// Recovers a new node from the disk and starts it.
    func boot(_ machine: Machine) {
        guard machine.node == nil, violation == nil else { return }
        machine.forget()
        machine.process += 1
        machine.incarnation += 1
        machine.hasPower = true
        totals.starts += 1
        machine.configuration.seed = random.next()
        machine.configuration.replica = machine.replica
        machine.configuration.incarnation = machine.incarnation
        let now = machine.now(scheduler.now)
        say("\(machine.name) starts (process \(machine.process)), journals: \(machine.disk.journals.map(\.short))")
        machine.node = Node(configuration: machine.configuration, at: now)
        do {
            try machine.node?.recover(records: machine.disk.records)
        } catch {
            return fail("\(machine.name): the records can't be read: \(error)")
        }
        // Alone, whatever is open is nobody's: its journal need not change hands for that.
        if machines.count == 1 { books.orphaned.formUnion(books.open) }
        machine.node?.recover(acquainted: machine.disk.acquainted.sorted())
        for (_, tombstone) in machine.disk.tombstones.sorted(by: { $0.key < $1.key }) {
            machine.node?.recover(tombstone: tombstone)
        }
        checkPromises(machine)
        for journal in machine.disk.journals { recover(journal, machine, now) }
        diskChanged(machine)
        var effects: [NodeEffect] = []
        machine.node?.start(at: now, into: &effects)
        feed(machine, .describe("address", Array("\(machine.name).example:2526".utf8)))
        feed(machine, .diskSpace(free: diskFree(machine), total: plan.diskTotal))
        observe(machine)
        perform(effects, machine)
        for other in machines where other !== machine { connectSoon(machine, other) }
        step(machine)
    }

    /// Epochs never go back on any disk (invariant 2): what it answered for, it knows.
    private func checkPromises(_ machine: Machine) {
        for (journal, epoch) in machine.disk.said where chronicles[journal]?.isRetired == false {
            let promised = machine.disk.promises[journal]?.epoch ?? 0
            if promised < epoch {
                fail("I2: \(machine.name) starts at \(promised) of \(journal.short), having answered for \(epoch)")
            }
        }
    }

    func bootSoon(_ machine: Machine, within longest: Duration) {
        let process = machine.process
        scheduler.after(random.duration(acrossOrdersOf: min(.milliseconds(5), longest)...longest)) { [unowned self] in
            if machine.process == process { boot(machine) }
        }
    }

    private func recover(_ journal: JournalID, _ machine: Machine, _ now: Now) {
        let disk = machine.disk
        let isMarked = disk.files[journal]?.isMarkedDamaged ?? false
        machine.node?.recover(
            journal: journal, promise: disk.promises[journal], isMarkedDamaged: isMarked, at: now)
        var found: [Chronicle.Place] = []
        do {
            let result = try scanJournal(
                journal, length: disk.length(journal), afterDamage: .resynchronize,
                read: { offset, count in disk.read(journal, at: offset, count: count) },
                frame: {
                    found.append(Chronicle.Place(epoch: $0.header.epoch, offset: $0.offset))
                    machine.node?.recover(frame: $0, of: journal)
                })
            if let damage = result.damage {
                say("  \(journal.short): \(damage)\(result.framesAfterDamage ? ", frames follow" : "")")
            }
            let committed = chronicles[journal]?.end ?? 0
            if machines.count == 1, result.end < committed, chronicles[journal]?.isDamaged == false {
                fail("journal \(journal.short) was committed up to \(committed), and the scan ends at \(result.end)")
            }
            guard let repair = machine.node?.recovered(journal: journal, scan: result) else { return }
            carryOut(repair, journal, disk)
            if repair == .leave { applySalvaged(found, journal, from: committed) }
        } catch {
            fail("the scan of \(journal.short) threw \(error)")
        }
    }

    /// What survived behind a gap without having been committed counts from now on.
    private func applySalvaged(_ places: [Chronicle.Place], _ journal: JournalID, from committed: UInt64) {
        for place in places where place.offset >= committed {
            guard let frame = chronicles[journal]?.written[place] else { continue }
            let key = FrameKey(journal: journal, epoch: place.epoch, offset: place.offset)
            books.apply(frame.record, key, end: frame.end)
        }
    }

    private func carryOut(_ repair: Repair, _ journal: JournalID, _ disk: SimulatedDisk) {
        disk.files[journal]?.isDamagedUnseen = false
        switch repair {
        case .none: break
        case .leave: break
        case .cut(let end, let isMarked):
            say("  \(journal.short) is cut to \(end)\(isMarked ? " and marked" : "")")
            if isMarked { disk.files[journal]?.isMarkedDamaged = true }
            disk.cut(journal, to: end)
        }
        disk.changed.insert(journal)
    }

    /// The process is gone at once, with everything in its memory.
    func die(_ machine: Machine, losing loss: SimulatedDisk.Loss, restarts: Bool = true) {
        guard machine.node != nil else { return }
        let waiting = machine.submissions.sorted { $0.key.number < $1.key.number }.map(\.value.letter)
        machine.forget()
        machine.hasPower = loss == .nothing
        var chance = random
        machine.disk.processDied(
            losing: loss, mayTear: { mayTear($0, of: machine) },
            isSyncedAtStart: !plan.configuration.mutations.contains(.restartUnsynced), &chance)
        random = chance
        for id in links.keys.filter({ $0.machine == machine.index }).sorted() { cutByDeath(id) }
        endConnections(of: machine)
        if machines.count == 1, hits(.flippedBits, 0.3) { flipOnlyCopy(machine) }
        if machines.count > 1, hits(.flippedBits, 0.3) { flipSomeCopies(machine) }
        diskChanged(machine)
        for letter in waiting { connectionBroke(letter) }
        if restarts { bootSoon(machine, within: isHealed ? .milliseconds(500) : plan.longestRest) }
    }

    /// Of a node alone: what its frames say can't be relied upon any more.
    private func flipOnlyCopy(_ machine: Machine) {
        guard !machine.disk.files.isEmpty else { return }
        let journal = random.pick(machine.disk.files.keys.sorted())
        guard let offset = machine.disk.flipBits(journal, &random) else { return }
        let hit = books.damage(journal, at: offset)
        chronicles[journal]?.isDamaged = true
        say("bits flip in \(journal.short) at \(offset): frame of \(hit.map(\.short).joined(separator: ", "))")
    }

    /// One of the kinds of death that are on, if any.
    func crashSomehow(_ machine: Machine) {
        guard machine.node != nil, !isHealed else { return }
        let kinds = [Fault.powerLoss, .kill].filter { plan.faults.contains($0) }
        guard !kinds.isEmpty else { return }
        crash(random.pick(kinds), machine)
    }

    func crash(_ kind: Fault, _ machine: Machine) {
        guard machine.node != nil else { return }
        count(kind)
        say("\(machine.name): \(kind.rawValue)")
        die(machine, losing: kind == .powerLoss ? .unsynced : .nothing)
    }

    func diskFree(_ machine: Machine) -> ByteCount {
        let used = machine.disk.used
        return machine.disk.isFull ? 0 : ByteCount(bytes: plan.diskTotal.bytes - min(plan.diskTotal.bytes, used))
    }
}
