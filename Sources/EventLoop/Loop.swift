internal import CLinux
internal import Glibc
package import Primitives
internal import Synchronization

/// One thread that waits for sockets, timers and other threads, and runs the tasks of its own actor in between.
///
/// Everything that belongs to a loop (connections, listeners, sessions, the node) is confined to it: plain classes and plain
/// `async` code, without locks. What is `nonisolated` here and not marked 'from any thread' must be called on the loop's
/// thread, which is checked: so it can be called from isolated code and from plain `async` functions that run on the loop.
///
/// A *turn* is: wait for events, take what other threads sent, fire timers, run the jobs that are ready, run the hooks. Each
/// part has a bound, so that nothing waits behind an endless supply of something else.
package actor Loop {
    /// The most events and jobs of one turn; the rest follows in the next.
    static let eventsPerTurn = 512
    static let jobsPerTurn = 4096

    package nonisolated let name: String
    nonisolated let executor: LoopExecutor
    // Safe: reached through `core` alone, which checks that the caller is on the loop's thread.
    private nonisolated(unsafe) let confined: LoopCore
    private nonisolated let stopping = Atomic<Bool>(false)

    package init(name: String) throws(SystemError) {
        self.name = name
        executor = try LoopExecutor()
        confined = LoopCore(epoll: executor.epoll.raw)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// What belongs to the loop's thread.
    nonisolated var core: LoopCore {
        executor.checkIsolated()
        return confined
    }

    // MARK: Life

    /// Spawns the loop's thread.
    package nonisolated func start() throws(SystemError) {
        let box = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Loop>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw SystemError("pthread_create", result)
        }
        pthread_detach(thread)
    }

    /// Runs the loop on the calling thread until `stop()`.
    package nonisolated func run() {
        precondition(!executor.isCurrent, "the loop runs already")
        pthread_setname_np(pthread_self(), String(name.prefix(15)))
        executor.adoptThread(true)
        while !stopping.load(ordering: .relaxed) { turn() }
        executor.adoptThread(false)
    }

    /// From any thread: ends `run()` after the present turn. Tasks that are suspended then stay so.
    package nonisolated func stop() {
        post { $0.stopping.store(true, ordering: .relaxed) }
    }

    /// From any thread: whether the caller is on the loop's thread.
    package nonisolated var isCurrent: Bool { executor.isCurrent }

    // MARK: From any thread

    /// A task that is isolated to the loop and prefers it, so that nothing in it hops elsewhere.
    @discardableResult
    package nonisolated func spawn(_ body: @escaping @Sendable (isolated Loop) async -> Void) -> Task<Void, Never> {
        Task(executorPreference: executor) { await body(self) }
    }

    /// Runs `work` on the loop, in the order of the calls from one thread; the loop is woken once for a batch.
    package nonisolated func post(_ work: @escaping @Sendable (isolated Loop) -> Void) {
        executor.post(work)
    }

    package nonisolated func now() -> Now { Clock.now() }

    // MARK: On the loop

    /// Like `spawn`, from the loop itself: the body may hold what is confined to it.
    @discardableResult
    package nonisolated func spawnLocal(_ body: @escaping () async -> Void) -> Task<Void, Never> {
        executor.checkIsolated()
        let local = OnLoop(body)
        return Task(executorPreference: executor) { await self.run(local) }
    }

    private func run(_ body: OnLoop<() async -> Void>) async { await body.value() }

    /// Runs `work` at the end of every turn, after its events and jobs: to hand over batches and to flush.
    package nonisolated func addTurnHook(_ work: @escaping () -> Void) { core.hooks.append(work) }

    /// Runs `work` once, at the end of the present turn, before the hooks.
    package nonisolated func atEndOfTurn(_ work: @escaping () -> Void) { core.endOfTurn.append(work) }

    /// Runs `work` at an instant or soon after. For few timers: connections have deadlines of their own.
    @discardableResult
    package nonisolated func timer(at instant: Instant, _ work: @escaping () -> Void) -> TimerToken {
        core.timers.add(at: instant, work)
    }

    /// A timer that fired or was cancelled before is no mistake.
    package nonisolated func cancel(_ token: TimerToken) {
        core.timers.cancel(token)
    }

    /// Suspends the task until an instant, or throws at once when it is cancelled.
    package nonisolated func sleep(until instant: Instant) async throws(CancellationError) {
        executor.checkIsolated()
        let pause = Pause()
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                guard pause.wait(continuation) else { return continuation.resume() }
                pause.timer = timer(at: instant) { pause.end() }
            }
        } onCancel: {
            pause.end()
        }
        if let timer = pause.timer { cancel(timer) }
        if Task.isCancelled { throw CancellationError() }
    }

    // MARK: The same for work that calls what is isolated to the loop

    package nonisolated func addTurnHook(_ work: @escaping (isolated Loop) -> Void) { addTurnHook(local(work)) }

    package nonisolated func atEndOfTurn(_ work: @escaping (isolated Loop) -> Void) { atEndOfTurn(local(work)) }

    @discardableResult
    package nonisolated func timer(at instant: Instant, _ work: @escaping (isolated Loop) -> Void) -> TimerToken {
        timer(at: instant, local(work))
    }

    private nonisolated func local(_ work: @escaping (isolated Loop) -> Void) -> () -> Void {
        let local = OnLoop(work)
        return { [unowned self] in assumeIsolated { local.value($0) } }
    }

    // MARK: The turn

    private nonisolated func turn() {
        let core = core
        let timeout = executor.hasReadyJobs || core.hasPostponed || !executor.prepareToSleep() ? 0 : core.timeout()
        core.poll(timeout: timeout)
        assumeIsolated { loop in
            let core = loop.core
            for work in loop.executor.takeArrivals() { work(loop) }
            let now = Clock.instant()
            core.fireDeadlines(at: now)
            while let work = core.timers.popDue(at: now) { work() }
        }
        core.resumePostponed()
        executor.runReadyJobs(limit: Loop.jobsPerTurn)
        assumeIsolated { loop in
            let core = loop.core
            while !core.endOfTurn.isEmpty {
                let works = core.endOfTurn
                core.endOfTurn.removeAll(keepingCapacity: true)
                for work in works { work() }
            }
            for hook in core.hooks { hook() }
        }
        core.flushWritten()
    }
}

/// Something that belongs to a loop, on its way through a type that must be sendable.
// Safe to send: it never leaves the thread. It is made on the loop's thread, and unpacked by what is isolated to the same loop.
struct OnLoop<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// One sleep: whoever comes first, the timer or the cancellation (on any thread), ends it.
// Sendable: `timer` is touched on the loop alone, the rest is under the lock.
private final class Pause: @unchecked Sendable {
    private enum State { case before, waiting(UnsafeContinuation<Void, Never>), over }

    private let state = Mutex(State.before)
    var timer: TimerToken?

    func wait(_ continuation: UnsafeContinuation<Void, Never>) -> Bool {
        state.withLock { state in
            guard case .before = state else { return false }
            state = .waiting(continuation)
            return true
        }
    }

    func end() {
        let continuation = state.withLock { state -> UnsafeContinuation<Void, Never>? in
            defer { state = .over }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume()
    }
}
