import Cluster
import Primitives

/// One simulated machine: its clock, its disk, and the process on it while there is one.
final class SimulatedClusterNode {
    let index: Int
    let name: String
    /// Local time = `clockStart` + true time · `clockRate`.
    let clockStart: Int64
    let clockRate: Double
    var id: ReplicaID
    var incarnation: UInt64 = 0
    var disk: [JournalID: SimulatedJournalFiles] = [:]
    var acquainted: Set<ReplicaID> = []
    var core: ClusterNode?
    var isWiped = false

    /// SIGSTOP: what comes waits.
    var isPaused = false
    var inbox: [ClusterEvent] = []
    /// How long a sync takes, by true time.
    var syncDelay: ClosedRange<Int64> = 200_000...3_000_000
    var syncScheduled: Set<JournalID> = []
    /// The earliest tick that is scheduled, in true time.
    var tickAt = Int64.max
    /// The connection to each other node, while there is one: both ends name the same number.
    var connections: [Int: UInt64] = [:]

    init(index: Int, id: ReplicaID, clockStart: Int64, clockRate: Double) {
        self.index = index
        self.id = id
        name = id.node
        self.clockStart = clockStart
        self.clockRate = clockRate
    }

    var isUp: Bool { core != nil }

    func local(_ time: Int64) -> Instant { Instant(nanoseconds: clockStart + Int64(Double(time) * clockRate)) }

    /// The first true time at which the local clock is not before `instant`.
    func trueTime(_ instant: Instant) -> Int64 {
        guard instant < .distantFuture else { return .max }
        guard instant.nanoseconds > clockStart else { return 0 }
        let elapsed = Double(instant.nanoseconds - clockStart) / clockRate
        return elapsed > 9e17 ? .max : Int64(elapsed.rounded(.up)) + 1
    }

    /// Whether this node holds the journal's lease at this very instant.
    func holdsLease(_ journal: JournalID, at time: Int64) -> Bool {
        core?.journals[journal]?.owner?.holdsLease(for: .zero, at: local(time)) ?? false
    }
}
