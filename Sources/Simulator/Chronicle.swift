import Cluster
import Journal
import Primitives

/// What truly became of one journal: every frame that any owner wrote, who holds it, what is committed, who owned it.
/// No node knows this.
struct Chronicle {
    struct Frame {
        var record: Record
        var end: UInt64
        var checksum: UInt32
        /// The disks that held it durably and did not cut it, by their numbers.
        var holders: UInt64 = 0
    }

    struct Place: Hashable {
        var epoch: UInt64
        var offset: UInt64
    }

    let id: JournalID
    let replicas: [ReplicaID]
    var written: [Place: Frame] = [:]
    /// The frames that were committed, in order.
    var committed: [SimulatedDisk.Placed] = []
    var owners: [UInt64: String] = [:]
    /// The highest epoch in which something was committed.
    var committedEpoch: UInt64 = 0
    var isRetired = false
    /// The only copy was damaged: nothing is promised of its frames any more.
    var isDamaged = false
    /// Its messages live on in another journal.
    var isSetAside = false

    init(id: JournalID, replicas: [ReplicaID]) {
        self.id = id
        self.replicas = replicas
    }

    var end: UInt64 { committed.last?.end ?? 0 }
    var majority: Int { replicas.count / 2 + 1 }
}

/// What is held against the journals after every step (`protocol.md`, invariants 1 to 4, 8 and 9).
extension Simulation {
    // MARK: Owners and commits

    /// Looks into the node that has just done something: what it owns, and what it holds for committed.
    func observe(_ machine: Machine) {
        guard machine.node != nil else { return }
        var owned: [(id: JournalID, replicas: [ReplicaID], owner: JournalOwner)] = []
        machine.node?.eachOwned { owned.append(($0, $1, $2)) }
        if owned.count > 1 { owned.sort { $0.id < $1.id } }
        for (id, replicas, owner) in owned {
            checkOwner(id, replicas, owner.epoch, machine)
            checkLeases(id, machine)
        }
        var committed: [(id: JournalID, epoch: UInt64, end: UInt64)] = []
        machine.node?.eachCommitted { id, epoch, end in
            let isNews = end > chronicles[id]?.end ?? 0 || epoch > chronicles[id]?.committedEpoch ?? 0
            if isNews { committed.append((id, epoch, end)) }
        }
        if committed.count > 1 { committed.sort { $0.id < $1.id } }
        for (id, epoch, end) in committed where chronicles[id]?.isSetAside == false {
            commit(id, epoch: epoch, upTo: end, machine)
        }
    }

    private func checkOwner(_ id: JournalID, _ replicas: [ReplicaID], _ epoch: UInt64, _ machine: Machine) {
        if chronicles[id] == nil { chronicles[id] = Chronicle(id: id, replicas: replicas) }
        let name = "\(machine.name), process \(machine.process)"
        guard let known = chronicles[id]?.owners[epoch] else {
            say("      \(machine.name) owns \(id.short) at epoch \(epoch)")
            chronicles[id]?.owners[epoch] = name
            if let chronicle = chronicles[id] { checkStaysRetired(chronicle, epoch, machine) }
            return
        }
        if known != name { fail("I2: epoch \(epoch) of \(id.short) is owned by \(known) and by \(name)") }
    }

    private func checkStaysRetired(_ chronicle: Chronicle, _ epoch: UInt64, _ machine: Machine) {
        guard chronicle.isRetired, epoch > chronicle.committedEpoch, !chronicle.isDamaged,
            machine.node?.holdsRetired(chronicle.id) != true
        else { return }
        fail("I8: \(machine.name) owns \(chronicle.id.short) at epoch \(epoch) without its retire frame")
    }

    /// Another owns the journal by now, and this former owner has not noticed: what it appends is never committed.
    func isStale(_ machine: Machine, _ id: JournalID) -> Bool {
        guard let newest = chronicles[id]?.owners.keys.max() else { return false }
        return machine.node?.owner(of: id).map { $0.epoch < newest } ?? true
    }

    /// Time alone ends leases and begins none, so only what was just touched can be held twice.
    private func checkLeases(_ id: JournalID, _ machine: Machine) {
        guard machines.count > 1, machine.node?.holdsLease(id, at: machine.now(scheduler.now)) == true else { return }
        for other in machines where other !== machine {
            guard other.node?.holdsLease(id, at: other.now(scheduler.now)) == true else { continue }
            totals.doubleLeases += 1
            if !plan.mayBreakLeases { fail("I1: \(machine.name) and \(other.name) hold the lease of \(id.short)") }
        }
    }

    /// An owner buries in the very step in which it commits `retire`.
    func committedRetirement(_ id: JournalID, _ machine: Machine) {
        guard let chronicle = chronicles[id], !chronicle.isRetired, !chronicle.committed.isEmpty else { return }
        let name = "\(machine.name), process \(machine.process)"
        guard let epoch = chronicle.owners.keys.max(), chronicle.owners[epoch] == name else {
            return fail("I4: \(machine.name) buries \(id.short), which is not retired")
        }
        let own = chronicle.written.filter { $0.key.epoch == epoch && isHeld($0.value, chronicle) }
        if let end = own.values.map(\.end).max() { commit(id, epoch: epoch, upTo: end, machine) }
        if chronicles[id]?.isRetired == false {
            fail("I4: \(machine.name) buries \(id.short), whose retire frame is not committed")
        }
    }

    private func commit(_ id: JournalID, epoch ownEpoch: UInt64, upTo target: UInt64, _ machine: Machine) {
        guard var chronicle = chronicles[id] else { return }
        let file = agree(machine.disk, id)
        let agreed = file?.agreed ?? 0
        if chronicle.isDamaged {
            if agreed < chronicle.committed.count { chronicle.isRetired = false }
            chronicle.committed.removeSubrange(agreed...)
        } else if agreed < min(file?.frames.count ?? 0, chronicle.committed.count) {
            return fail("I3: \(machine.name) commits other frames of \(id.short), epoch \(ownEpoch)")
        }
        var end = chronicle.end
        var fresh: [(SimulatedDisk.Placed, Chronicle.Frame)] = []
        while end < target {
            let index = chronicle.committed.count + fresh.count
            let epoch = epochOf(end, index, file, ownEpoch)
            guard let frame = chronicle.written[Chronicle.Place(epoch: epoch, offset: end)] else {
                return fail("\(machine.name) commits a frame of \(id.short) at \(end), epoch \(epoch), never written")
            }
            fresh.append((SimulatedDisk.Placed(offset: end, end: frame.end, epoch: epoch), frame))
            end = frame.end
        }
        if target > 0 { chronicle.committedEpoch = max(chronicle.committedEpoch, ownEpoch) }
        for (placed, frame) in fresh {
            checkCommitted(placed, frame, &chronicle, machine)
            chronicle.committed.append(placed)
        }
        chronicles[id] = chronicle
        for (placed, frame) in fresh {
            let key = FrameKey(journal: id, epoch: placed.epoch, offset: placed.offset)
            books.apply(frame.record, key, end: placed.end)
        }
        if !fresh.isEmpty { dirty.insert(id) }
    }

    private func epochOf(_ offset: UInt64, _ index: Int, _ file: SimulatedDisk.File?, _ own: UInt64) -> UInt64 {
        guard let frames = file?.frames, index < frames.count, frames[index].offset == offset else { return own }
        return frames[index].epoch
    }

    private func checkCommitted(
        _ placed: SimulatedDisk.Placed, _ frame: Chronicle.Frame, _ chronicle: inout Chronicle, _ machine: Machine
    ) {
        if !isHeld(frame, chronicle) {
            fail(
                "commit: \(machine.name) holds \(chronicle.id.short)@\(placed.offset) for committed, "
                    + "no majority of the \(chronicle.replicas.count) disks has it")
        }
        if chronicle.isRetired, frame.record.kind != FrameKind.takeover.rawValue {
            fail("I8: a frame of kind \(frame.record.kind) after retire in \(chronicle.id.short)")
        }
        if case .retire = frame.record {
            chronicle.isRetired = true
            checkMayGo(chronicle.id, "retired")
        }
    }

    /// Whether a majority of the journal's disks held this frame durably.
    private func isHeld(_ frame: Chronicle.Frame, _ chronicle: Chronicle) -> Bool {
        let holders = chronicle.replicas.count { replica in
            guard let number = disks[replica]?.number ?? lostDisks[replica] else { return false }
            return frame.holders >> UInt64(number) & 1 == 1
        }
        return holders >= chronicle.majority
    }

    // MARK: Disks

    /// Brings up to date how many of a copy's frames agree with what is committed.
    @discardableResult
    func agree(_ disk: SimulatedDisk, _ id: JournalID) -> SimulatedDisk.File? {
        guard let file = disk.files[id], let chronicle = chronicles[id] else { return disk.files[id] }
        var agreed = file.agreed
        let count = min(file.frames.count, chronicle.committed.count)
        while agreed < count, file.frames[agreed] == chronicle.committed[agreed] { agreed += 1 }
        if agreed != file.agreed { disk.files[id]?.agreed = agreed }
        return disk.files[id]
    }

    /// Called before the disk cuts.
    func checkCut(_ id: JournalID, to end: UInt64, _ machine: Machine) {
        guard let file = agree(machine.disk, id), chronicles[id]?.isDamaged != true, file.agreed > 0 else { return }
        let held = file.frames[file.agreed - 1].end
        if end < held { fail("I3: \(machine.name) cuts \(id.short) to \(end), \(held) bytes are committed") }
    }

    /// Notes what a disk now holds durably, and no longer.
    func diskChanged(_ machine: Machine) { diskChanged(machine.disk) }

    func diskChanged(_ disk: SimulatedDisk) {
        guard !disk.changed.isEmpty else { return }
        for id in disk.changed {
            dirty.insert(id)
            guard let file = disk.files[id], file.noted < file.frames.count else { continue }
            for frame in file.frames[file.noted...] {
                let place = Chronicle.Place(epoch: frame.epoch, offset: frame.offset)
                chronicles[id]?.written[place]?.holders |= 1 << UInt64(disk.number)
            }
            disk.files[id]?.noted = file.frames.count
        }
        disk.changed = []
    }

    /// A copy lost these frames by its own cut: it holds them no more.
    func forgetHolders(_ id: JournalID, from end: UInt64, _ disk: SimulatedDisk) {
        guard let file = disk.files[id] else { return }
        for frame in file.frames.reversed() {
            guard frame.end > end else { break }
            let place = Chronicle.Place(epoch: frame.epoch, offset: frame.offset)
            chronicles[id]?.written[place]?.holders &= ~(1 << UInt64(disk.number))
        }
    }

    /// After every step.
    func checkJournals() {
        guard !dirty.isEmpty else { return }
        for id in dirty { checkQuorums(id) }
        dirty.removeAll(keepingCapacity: true)
    }

    /// Invariant 4: every set of replicas that could win a claim has what is committed in its best copy.
    private func checkQuorums(_ id: JournalID) {
        guard let chronicle = chronicles[id], !chronicle.isRetired, !chronicle.isDamaged, !chronicle.isSetAside,
            !chronicle.committed.isEmpty
        else { return }
        let present = chronicle.replicas.compactMap { disks[$0] }
        for disk in present { agree(disk, id) }
        let files = present.map { $0.files[id] ?? SimulatedDisk.File() }
        guard files.contains(where: { $0.agreed < chronicle.committed.count }) else { return }
        for set in 1..<(1 << files.count) {
            let members = files.indices.filter { set >> $0 & 1 == 1 }
            let whole = members.count { files[$0].isWhole }
            guard whole >= chronicle.majority || members.count == chronicle.replicas.count else { continue }
            let best = members.max { rank(files[$0]) < rank(files[$1]) }
            if let best, files[best].agreed < chronicle.committed.count {
                return fail(
                    "I4: \(members.map { chronicle.replicas[$0].node }) could win \(id.short) with "
                        + "\(files[best].agreed) of \(chronicle.committed.count) committed frames")
            }
        }
    }

    private func rank(_ file: SimulatedDisk.File) -> (UInt64, UInt64) {
        file.frames.last.map { ($0.epoch, $0.end) } ?? (0, 0)
    }

    /// At quiet points: copies are equal byte for byte where they are committed (invariant 3).
    func checkCopies() {
        for (id, chronicle) in chronicles.sorted(by: { $0.key < $1.key })
        where !chronicle.isDamaged && !chronicle.isRetired {
            let copies = chronicle.replicas.compactMap { disks[$0]?.files[id] }
                .map { $0.bytes.prefix(Int(min(chronicle.end, $0.frames.last?.end ?? 0))) }
            guard let longest = copies.max(by: { $0.count < $1.count }) else { continue }
            for copy in copies where !copy.elementsEqual(longest.prefix(copy.count)) {
                return fail("I3: two copies of \(id.short) differ below what is committed")
            }
        }
    }
}
