import Cluster
import Journal
import Node
import Primitives

/// One simulated machine: its clocks, its disk, its connections, and the process on it while there is one.
final class Machine {
    /// A connection to another machine: both ends name the same number.
    struct Peer {
        var connection: UInt64
        var replica: ReplicaID
        /// Of the process at the other end, as it greeted.
        var incarnation: UInt64
        /// What is on the way there arrives in order, unless the network is disorderly.
        var lastArrival = Instant(nanoseconds: 0)
    }

    let index: Int
    let name: String
    /// Local time = `clockStart` + true time · `clockRate`.
    let clockStart: Int64
    let clockRate: Double
    /// The wall clock less the true time.
    var wallOffset: Duration
    /// When the wall clock last stepped by more than a minute under the living process.
    var lastStep: Instant?

    var disk: SimulatedDisk
    /// Out of the machine, its contents kept.
    var shelved: SimulatedDisk?

    var node: Node?
    var configuration: NodeConfiguration
    /// Processes so far: what was meant for an earlier one is lost.
    var process = 0
    var incarnation: UInt64 = 0
    var isDraining = false
    /// Without power it refuses no connection.
    var hasPower = true
    /// SIGSTOP: what would happen in the process waits.
    private(set) var isPaused = false
    private var waiting: [() -> Void] = []

    var peers: [Int: Peer] = [:]
    var inbox: [NodeEvent] = []
    /// What follows now was decided before a read, and so may be before a step of the clock.
    var isAnsweringRead = false
    var isDiskScheduled = false
    var nextTick: Instant?
    /// Ticks since then.
    var ticksSince = Instant(nanoseconds: 0)
    var ticksNow = 0
    /// How long a sync takes at most.
    var slowestSync = Duration.milliseconds(10)
    var submissions: [Ticket: Client.Attempt] = [:]
    var commands: [Ticket: Command] = [:]
    var recordTickets: [Ticket: String] = [:]
    var streamDurable: [StreamID: UInt64] = [:]
    /// Late outcomes that reached this process.
    var lateOutcomes: [LatePlace: LateOutcome] = [:]
    /// Under which epoch this process last began a transaction of each message.
    var begun: [MessageID: UInt64] = [:]
    /// Epochs whose release this process has heard.
    var heardReleases: Set<JournalEpoch> = []

    init(index: Int, disk: SimulatedDisk, clockStart: Int64, clockRate: Double, configuration: NodeConfiguration) {
        self.index = index
        name = configuration.replica.node
        self.disk = disk
        self.clockStart = clockStart
        self.clockRate = clockRate
        self.configuration = configuration
        wallOffset = .milliseconds(1_790_000_000_000)
    }

    var replica: ReplicaID { ReplicaID(node: name, disk: disk.id) }
    var isUp: Bool { node != nil }
    /// Up and running.
    var isLive: Bool { node != nil && !isPaused }

    /// What its clocks show at this true time.
    func now(_ time: Instant) -> Now {
        let local = clockRate == 1 ? time.nanoseconds : Int64(Double(time.nanoseconds) * clockRate)
        return Now(
            instant: Instant(nanoseconds: clockStart + local),
            wall: WallTime(milliseconds: time.nanoseconds / 1_000_000) + wallOffset)
    }

    /// The first true time at which the local clock is not before `instant`.
    func trueTime(_ instant: Instant) -> Instant {
        guard instant < .distantFuture else { return .distantFuture }
        let elapsed = instant.nanoseconds - clockStart
        if clockRate == 1 { return Instant(nanoseconds: elapsed) }
        return Instant(nanoseconds: Int64((Double(elapsed) / clockRate).rounded(.up)) + 1)
    }

    /// Runs this in the process now, or when it goes on.
    func whenLive(_ body: @escaping () -> Void) {
        if isPaused { waiting.append(body) } else { body() }
    }

    func pause() { isPaused = true }

    /// Goes on with what waited, in order.
    func resume() {
        isPaused = false
        let bodies = waiting
        waiting = []
        for body in bodies {
            if isPaused { waiting.append(body) } else { body() }
        }
    }

    /// The process is gone, with everything in its memory.
    func forget() {
        node = nil
        isPaused = false
        waiting.removeAll()
        inbox.removeAll()
        submissions.removeAll()
        commands.removeAll()
        recordTickets.removeAll()
        streamDurable.removeAll()
        lateOutcomes.removeAll()
        begun.removeAll()
        heardReleases.removeAll()
        isDiskScheduled = false
        isDraining = false
        nextTick = nil
        lastStep = nil
    }
}

/// What a late outcome is about.
struct LatePlace: Hashable {
    var journal: JournalID
    var message: MessageID
    var recipient: UInt32
}
