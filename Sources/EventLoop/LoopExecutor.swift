internal import CLinux
internal import Glibc
internal import Synchronization

/// The one object through which Swift hands tasks to a loop: executor of its actor and preference of its tasks at once,
/// so that neither a suspension nor a hop leaves the thread. (A serial executor without the preference sends every
/// resumption through the global pool.)
// Sendable: `inbox` is under a lock, `ready` and `next` are touched only on the loop's own thread, and the descriptors never change.
final class LoopExecutor: TaskExecutor, SerialExecutor, @unchecked Sendable {
    typealias Work = @Sendable (isolated Loop) -> Void

    private struct Inbox {
        var jobs: [UnownedJob] = []
        var work: [Work] = []
        /// The thread is, or is about to be, asleep in `epoll_wait`: the next to put something in wakes it.
        var asleep = false
    }

    private let inbox = Mutex(Inbox())
    private let arrived = Atomic<Bool>(false)
    let epoll: Descriptor
    private let alarm: Descriptor

    private var ready: [UnownedJob] = []
    private var next = 0

    init() throws(SystemError) {
        let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw SystemError("epoll_create1") }
        self.epoll = Descriptor(owning: epoll)
        let alarm = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard alarm >= 0 else { throw SystemError("eventfd") }
        self.alarm = Descriptor(owning: alarm)
        // Edge-triggered: each write is an edge, so the counter need never be read.
        var event = epoll_event(events: EPOLLIN.rawValue | EPOLLET.rawValue, data: epoll_data_t(u64: Slots.alarm))
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, alarm, &event) == 0 else { throw SystemError("epoll_ctl") }
    }

    // MARK: Swift's side

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if isCurrent {
            ready.append(job)
        } else {
            put { $0.jobs.append(job) }
        }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    func checkIsolated() {
        precondition(isCurrent, "what belongs to a loop was touched on another thread")
    }

    func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Whether the calling thread is the loop's.
    var isCurrent: Bool { baton_current_loop() == identity }

    private var identity: UnsafeRawPointer { UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque()) }

    /// The calling thread is the loop's from now on, or no longer.
    func adoptThread(_ adopt: Bool) { baton_set_current_loop(adopt ? identity : nil) }

    // MARK: From other threads

    func post(_ work: @escaping Work) {
        put { $0.work.append(work) }
    }

    private func put(_ change: (inout Inbox) -> Void) {
        let wake = inbox.withLock { inbox in
            change(&inbox)
            arrived.store(true, ordering: .releasing)
            defer { inbox.asleep = false }
            return inbox.asleep
        }
        if wake { eventfd_write(alarm.raw, 1) }
    }

    /// False when something has arrived, so that the thread must not sleep.
    func prepareToSleep() -> Bool {
        inbox.withLock { inbox in
            inbox.asleep = inbox.jobs.isEmpty && inbox.work.isEmpty
            return inbox.asleep
        }
    }

    /// Takes the jobs that arrived, and returns the work.
    func takeArrivals() -> [Work] {
        guard arrived.load(ordering: .acquiring) else { return [] }
        return inbox.withLock { inbox in
            arrived.store(false, ordering: .relaxed)
            ready.append(contentsOf: inbox.jobs)
            inbox.jobs.removeAll(keepingCapacity: true)
            defer { inbox.work = [] }
            return inbox.work
        }
    }

    // MARK: The loop's own side

    var hasReadyJobs: Bool { next < ready.count }

    /// Runs what is ready and what becomes ready meanwhile, `limit` jobs at most.
    func runReadyJobs(limit: Int) {
        let serial = asUnownedSerialExecutor()
        let task = UnownedTaskExecutor(ordinary: self)
        var left = limit
        while next < ready.count, left > 0 {
            let job = ready[next]
            next += 1
            left -= 1
            job.runSynchronously(isolatedTo: serial, taskExecutor: task)
        }
        if next == ready.count {
            ready.removeAll(keepingCapacity: true)
        } else {
            ready.removeSubrange(..<next)
        }
        next = 0
    }
}
