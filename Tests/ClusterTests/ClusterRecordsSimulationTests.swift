import Cluster
import Foundation
import Primitives
import Testing

/// Nodes that write, exchange, lose messages, power and disks; a wipe is never more than a minority can bear.
private final class RecordsSimulation {
    final class Machine {
        let name: String
        var id: ReplicaID
        var records: ClusterRecords
        var file: [UInt8]?
        var writing: ClusterRecords.Writing?
        /// Since its disk was wiped: what it must have again before another may be.
        var lacks: RecordsDigest?
        var clock: Int64 = 1_000_000

        func write(_ writing: ClusterRecords.Writing) {
            if writing.offset > 0 {
                #expect(writing.offset == UInt64(file?.count ?? 0), "a part is appended without a gap")
            }
            file = writing.offset == 0 ? writing.bytes : (file ?? []) + writing.bytes
        }

        init(_ id: ReplicaID) {
            self.id = id
            name = id.node
            records = ClusterRecords(me: id)
        }
    }

    var random: SeededRandom
    var machines: [Machine] = []
    var network: [(from: ReplicaID, to: ReplicaID, message: Message)] = []
    var asked: [(by: Int, key: String, version: RecordVersion)] = []
    /// What somebody was told is held by a majority.
    var held: [String: RecordVersion] = [:]
    var disks: UInt64 = 0
    var loss = 0.3
    var wipes = 0
    var parts = 0

    init(seed: UInt64, nodes: Int) {
        random = SeededRandom(seed: seed)
        for index in 0..<nodes { machines.append(Machine(freshID("n\(index)"))) }
    }

    func freshID(_ name: String) -> ReplicaID {
        disks += 1
        return ReplicaID(node: name, disk: DiskID(ULID(high: 0, low: disks)))
    }

    func tell(_ machine: Machine, withDelta: Bool) {
        for peer in machines where peer.id != machine.id {
            send(.recordsDigest(machine.records.digest(for: peer.id)), machine.id, peer.id)
            if withDelta, let delta = machine.records.delta(forPeer: peer.id) {
                send(.recordsDelta(delta), machine.id, peer.id)
            }
        }
    }

    func send(_ message: Message, _ from: ReplicaID, _ to: ReplicaID) {
        guard !random.chance(loss), network.count < 200 else { return }
        if case .recordsDelta(let delta) = message, delta.upTo != nil { parts += 1 }
        network.append((from, to, message))
        if random.chance(loss / 2) { network.append((from, to, message)) }
    }

    func deliver() {
        guard !network.isEmpty else { return }
        let index = loss == 0 ? 0 : Int.random(in: 0..<network.count, using: &random)
        let (from, to, message) = network.remove(at: index)
        guard let machine = machines.first(where: { $0.id == to }) else { return }
        switch message {
        case .recordsDigest(let digest):
            machine.records.acknowledged(by: from, digest)
            if let delta = machine.records.delta(for: digest) { send(.recordsDelta(delta), to, from) }
        case .recordsDelta(let delta):
            if machine.records.take(delta, from: from) == .wantsMore {
                send(.recordsDigest(machine.records.digest(for: from)), to, from)
            }
        default: break
        }
    }

    func sync(_ machine: Machine) {
        if let writing = machine.writing {
            machine.write(writing)
            machine.records.stored(through: writing.mark)
            tell(machine, withDelta: true)
        }
        machine.writing = machine.records.fileToStore()
    }

    /// The file that was on its way is there, or is not.
    func crash(_ machine: Machine) throws {
        if var writing = machine.writing, random.chance(0.5) {
            // A part may be torn; a whole file is there or is not.
            if writing.offset > 0, random.chance(0.5) {
                writing.bytes = Array(writing.bytes[..<Int.random(in: 0..<writing.bytes.count, using: &random)])
            }
            machine.write(writing)
        }
        machine.writing = nil
        asked.removeAll { machines[$0.by] === machine }
        machine.records =
            try machine.file.map { try ClusterRecords(me: machine.id, file: $0) } ?? ClusterRecords(me: machine.id)
    }

    func wipe(_ machine: Machine) throws {
        // A file that was under way may be on the disk for all that anyone knows: it is settled first.
        for other in machines { sync(other) }
        for other in machines {
            if let lacks = other.lacks, other.records.digest(for: machine.id).covers(lacks) { other.lacks = nil }
        }
        let broken = machines.count { $0.lacks != nil && $0 !== machine }
        guard broken + 1 <= (machines.count - 1) / 2 else { return }
        wipes += 1
        let everything = machines.flatMap { $0.records.digest(for: machine.id).heads }
        machine.id = freshID(machine.name)
        machine.file = nil
        machine.writing = nil
        try crash(machine)
        machine.lacks = RecordsDigest(heads: everything)
        if random.chance(0.5) { machine.clock = 1000 }
    }

    func step() throws {
        let index = Int.random(in: 0..<machines.count, using: &random)
        let machine = machines[index]
        machine.clock += Int64.random(in: 0...3, using: &random)
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<50: deliver()
        case 50..<65: sync(machine)
        case 65..<75: tell(machine, withDelta: false)
        case 75..<95:
            let key = "k\(Int.random(in: 0..<60, using: &random))"
            let isRemoval = random.chance(0.2)
            let value = [UInt8](
                repeating: UInt8(index), count: isRemoval ? 0 : Int.random(in: 1...4000, using: &random))
            let version = try machine.records.set(
                key, to: value, expiry: nil, at: WallTime(milliseconds: machine.clock))
            asked.append((index, key, version))
        case 95..<97: try crash(machine)
        case 97: machine.clock -= Int64.random(in: 0...5000, using: &random)
        default: if random.chance(0.3) { try wipe(machine) }
        }
        judge()
    }

    func judge() {
        let known = machines.map(\.id)
        asked.removeAll { ask in
            guard machines[ask.by].records.isHeld(ask.version, byMajorityOf: known) else { return false }
            held[ask.key] = max(held[ask.key] ?? ask.version, ask.version)
            return true
        }
    }

    func run() throws -> String? {
        for _ in 0..<3000 { try step() }
        loss = 0
        for _ in 0..<40 {
            for machine in machines { tell(machine, withDelta: false) }
            while !network.isEmpty { deliver() }
            for machine in machines {
                sync(machine)
                sync(machine)
            }
            judge()
        }
        for machine in machines.dropFirst() {
            for number in 0..<60 where machine.records.record("k\(number)") != machines[0].records.record("k\(number)")
            {
                return "\(machine.name) and n0 differ in k\(number)"
            }
        }
        for (key, version) in held.sorted(by: { $0.key < $1.key }) {
            guard let record = machines[0].records.record(key), record.version >= version else {
                return "\(key) at \(version) was held by a majority and is lost"
            }
        }
        return asked.isEmpty ? nil : "\(asked.count) writes are not held by a majority"
    }
}

/// `BATON_CLUSTER_SEEDS=2000 swift test -c release` runs longer.
@Suite("cluster records under seeded faults")
struct ClusterRecordsSimulationTests {
    @Test("all nodes end equal, and what a majority held survives the loss of any minority", arguments: [3, 5])
    func converges(nodes: Int) throws {
        let seeds = ProcessInfo.processInfo.environment["BATON_CLUSTER_SEEDS"].flatMap(UInt64.init) ?? 4
        var totals = (held: 0, wipes: 0, parts: 0)
        for seed in 1...seeds {
            let simulation = RecordsSimulation(seed: seed, nodes: nodes)
            if let failure = try simulation.run() { Issue.record("seed \(seed), \(nodes) nodes: \(failure)") }
            totals.held += simulation.held.count
            totals.wipes += simulation.wipes
            totals.parts += simulation.parts
        }
        print("records, \(nodes) nodes, \(seeds) seeds: \(totals)")
        #expect(totals.held > 100 && totals.wipes > 5 && totals.parts > 10)
    }
}
