import Cluster
import Glibc
import Journal
import Primitives

/// What must hold after every step (`protocol.md`, 'Invariants' 1 to 4, 8 and 9), and at the end (10).
///
/// It knows what no node knows: every committed byte, every owner, every disk.
struct ClusterInvariants {
    private struct Ghost {
        let replicas: [ReplicaID]
        var committed: [UInt8] = []
        var committedEpoch: UInt64 = 0
        var owners: [UInt64: String] = [:]
        var isRetired = false
    }

    private var ghosts: [JournalID: Ghost] = [:]
    private var dirty: Set<JournalID> = []
    private(set) var violation: String?
    /// Invariant 1 is not checked in the negative tests.
    var allowsTwoLeases = false
    private(set) var sawTwoLeases = false
    /// Where messages outlive connections, a retired journal may still be held at the end.
    var allowsGhosts = false
    /// The highest epoch of each journal that each disk's answers stood for.
    private var said: [ReplicaID: [JournalID: UInt64]] = [:]
    private(set) var commits = 0
    private(set) var takeovers = 0
    private(set) var retirements = 0

    mutating func fail(_ what: String) { violation = violation ?? what }
    mutating func touched(_ journal: JournalID) { dirty.insert(journal) }
    mutating func opened(_ journal: JournalID, _ replicas: [ReplicaID]) { ghosts[journal] = Ghost(replicas: replicas) }

    // MARK: Events

    mutating func promised(_ promise: Promise, _ journal: JournalID, by node: SimulatedClusterNode) {
        // A promise that a power cut took before it was synced was never given.
        let before = node.disk[journal]?.cache.promise?.epoch ?? 0
        if promise.epoch < before {
            fail("I2: \(node.name) promises epoch \(promise.epoch) of \(journal.short) after \(before)")
        }
    }

    mutating func won(_ journal: JournalID, _ epoch: UInt64, by node: SimulatedClusterNode) {
        takeovers += 1
        if let other = ghosts[journal]?.owners[epoch] {
            fail("I2: epoch \(epoch) of \(journal.short) is owned by \(other) and \(node.name)")
        }
        ghosts[journal]?.owners[epoch] = node.name
        if let last = node.core?.journals[journal]?.copy.lastEpoch, last >= epoch {
            fail("I2: \(node.name) owns \(journal.short) at epoch \(epoch), and its copy is of epoch \(last)")
        }
        if let ghost = ghosts[journal], ghost.isRetired, epoch > ghost.committedEpoch,
            node.core?.journals[journal]?.copy.retiredEnd == nil
        {
            fail("I8: \(node.name) owns \(journal.short) at epoch \(epoch) without its retire frame")
        }
    }

    mutating func committed(_ journal: JournalID, epoch: UInt64, upTo end: UInt64, by node: SimulatedClusterNode) {
        guard var ghost = ghosts[journal], let bytes = node.disk[journal]?.cache.bytes, bytes.count >= Int(end) else {
            return fail("\(node.name) commits \(journal.short) up to \(end), which it does not hold")
        }
        commits += 1
        dirty.insert(journal)
        let both = min(Int(end), ghost.committed.count)
        if commonPrefix(bytes, ghost.committed) < both {
            return fail("I3: \(node.name) commits other bytes of \(journal.short) below \(end), epoch \(epoch)")
        }
        guard Int(end) > ghost.committed.count else { return }
        let fresh = Array(bytes[ghost.committed.count..<Int(end)])
        for frame in walkFrames(fresh, of: journal, at: UInt64(ghost.committed.count)) {
            if ghost.isRetired, frame.kind != FrameKind.takeover.rawValue {
                fail("I8: a frame of kind \(frame.kind) after retire in \(journal.short)")
            }
            if frame.kind == FrameKind.retire.rawValue { ghost.isRetired = true }
        }
        ghost.committed += fresh
        ghost.committedEpoch = max(ghost.committedEpoch, epoch)
        ghosts[journal] = ghost
    }

    /// Called before the disk does it.
    mutating func cut(_ journal: JournalID, to length: UInt64, by node: SimulatedClusterNode) {
        guard let ghost = ghosts[journal], let bytes = node.disk[journal]?.cache.bytes else { return }
        // Two frames may begin alike: only whole ones are the same.
        let common = commonPrefix(bytes, ghost.committed)
        let held = walkFrames(Array(bytes[..<common]), of: journal, at: 0).last?.end ?? 0
        if length < held { fail("I3: \(node.name) cuts \(journal.short) to \(length), \(held) bytes are committed") }
    }

    mutating func entombed(_ journal: JournalID, by node: SimulatedClusterNode) {
        if ghosts[journal]?.isRetired != true { fail("I4: \(node.name) buries \(journal.short), which is not retired") }
        retirements += 1
    }

    mutating func answered(_ answers: ClaimAnswers, by node: SimulatedClusterNode) {
        for case .granted(let offer) in answers.items {
            if let ghost = ghosts[offer.journal], !ghost.replicas.contains(node.id) {
                fail("I9: \(node.name) grants \(offer.journal.short), whose replica it is not")
            }
        }
    }

    /// Whoever acknowledges, grants or renews has promised that epoch, and its disk has to know that ever after.
    mutating func says(_ message: Message, by node: SimulatedClusterNode) {
        for (journal, epoch) in message.promises {
            said[node.id, default: [:]][journal] = max(epoch, said[node.id]?[journal] ?? 0)
        }
    }

    /// Before a process begins: epochs never go back on any disk.
    mutating func checkStart(of node: SimulatedClusterNode) {
        for (journal, epoch) in said[node.id] ?? [:] {
            guard let ghost = ghosts[journal], !ghost.isRetired else { continue }
            let promised = node.disk[journal]?.cache.promise?.epoch ?? 0
            if promised < epoch {
                fail("I2: \(node.name) starts at epoch \(promised) of \(journal.short), having answered for \(epoch)")
            }
        }
    }

    // MARK: After every step

    /// Only what the nodes that just did something own can be owned twice: time alone ends leases and begins none.
    mutating func checkStep(_ nodes: [SimulatedClusterNode], busy: [Int], at time: Int64) {
        for index in busy {
            for (journal, replica) in nodes[index].core?.journals ?? [:] where replica.owner != nil {
                let holders = nodes.filter { $0.holdsLease(journal, at: time) }
                guard holders.count > 1 else { continue }
                sawTwoLeases = true
                if !allowsTwoLeases { fail("I1: \(holders.map(\.name)) hold the lease of \(journal.short)") }
            }
        }
        guard !dirty.isEmpty else { return }
        for journal in dirty {
            checkQuorums(journal, nodes)
            for node in nodes {
                guard let copy = node.core?.journals[journal]?.copy, let files = node.disk[journal] else { continue }
                if copy.end != files.cache.bytes.count {
                    fail("I3: \(node.name)'s file of \(journal.short) goes on beyond the end of its copy")
                }
            }
        }
        dirty = []
    }

    /// Invariant 4: every set of replicas that could win a claim has what is committed in its best copy.
    private mutating func checkQuorums(_ journal: JournalID, _ nodes: [SimulatedClusterNode]) {
        guard let ghost = ghosts[journal], !ghost.isRetired, !ghost.committed.isEmpty else { return }
        let disks = ghost.replicas.map { id in nodes.first { $0.id == id }?.disk[journal] }
        let majority = disks.count / 2 + 1
        let held = disks.map { files in files.map { commonPrefix($0.durable.bytes, ghost.committed) } ?? 0 }
        for set in 1..<(1 << disks.count) {
            let members = disks.indices.filter { set >> $0 & 1 == 1 && disks[$0] != nil }
            let isAll = members.count == disks.count
            let whole = members.count { disks[$0]?.durable.isWhole == true }
            guard whole >= majority || isAll else { continue }
            let best = members.max { a, b in rank(disks[a]) < rank(disks[b]) }
            if let best, held[best] < ghost.committed.count {
                let names = members.map { ghost.replicas[$0].node }
                return fail(
                    "I4: \(names) could win \(journal.short) with \(held[best]) of \(ghost.committed.count) committed bytes"
                )
            }
        }
    }

    private func rank(_ files: SimulatedJournalFiles?) -> (UInt64, UInt64) {
        (files?.durableRuns.lastEpoch ?? 0, files?.durableRuns.end ?? 0)
    }

    // MARK: At the end

    /// Invariant 10: with a majority whole and up for long enough, every journal has an active owner that commits, and a
    /// retired one is gone.
    mutating func checkEnd(_ nodes: [SimulatedClusterNode], at time: Int64) {
        for (journal, ghost) in ghosts.sorted(by: { $0.key < $1.key }) where !ghost.committed.isEmpty {
            let members = ghost.replicas.compactMap { id in nodes.first { $0.id == id } }
            if ghost.isRetired {
                // The memory of what was buried ends with the process, as connections do: a message that outlives both may
                // bring an empty copy back.
                if allowsGhosts { continue }
                if let holder = members.first(where: { $0.core?.journals[journal] != nil }) {
                    fail("I10: \(holder.name) still holds \(journal.short), which is retired")
                }
                continue
            }
            let whole = members.count { $0.disk[journal]?.durable.isWhole == true }
            guard whole > ghost.replicas.count / 2 || members.count == ghost.replicas.count else { continue }
            let owner = members.first { $0.core?.journals[journal]?.owner?.phase == .active }
            guard let owner, let replica = owner.core?.journals[journal] else {
                fail("I10: nobody owns \(journal.short) after healing")
                continue
            }
            if replica.owner?.acknowledged(by: owner.id) ?? 0 > 0, replica.copy.end > replica.committed + 400 {
                fail("I10: \(owner.name) commits nothing in \(journal.short)")
            }
            for member in members where member.core?.journals[journal]?.copy.isWhole != true {
                fail("I10: \(member.name)'s copy of \(journal.short) is not whole after healing")
            }
        }
    }
}

func commonPrefix(_ a: [UInt8], _ b: [UInt8]) -> Int {
    let count = min(a.count, b.count)
    let isEqual = a.withUnsafeBytes { a in
        b.withUnsafeBytes { b in
            guard count > 0, let a = a.baseAddress, let b = b.baseAddress else { return true }
            return memcmp(a, b, count) == 0
        }
    }
    if isEqual { return count }
    return (0..<count).first { a[$0] != b[$0] } ?? count
}

extension Message {
    /// What its sender must have promised.
    var promises: [(journal: JournalID, epoch: UInt64)] {
        switch self {
        case .durable(let durable): [(durable.journal, durable.epoch)]
        case .pulseReply(let reply): reply.renewed.map { ($0.journal, $0.epoch) }
        case .claimAnswers(let answers):
            answers.items.compactMap { if case .granted(let offer) = $0 { (offer.journal, offer.epoch) } else { nil } }
        default: []
        }
    }
}
