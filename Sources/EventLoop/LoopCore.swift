internal import CLinux
internal import Glibc
internal import Primitives

/// The part of a loop that its own thread alone touches: who waits for events, deadlines and timers.
final class LoopCore {
    private let epoll: Int32
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: Loop.eventsPerTurn)
    private var slots = Slots()
    let pool = BufferPool()
    var timers = TimerHeap()
    private var wheel = DeadlineWheel(now: Clock.instant())
    private var due: [UInt64] = []
    var hooks: [() -> Void] = []
    var endOfTurn: [() -> Void] = []
    /// Tasks that had their share of this turn and go on in the next.
    private var postponed: [UnsafeContinuation<Void, Never>] = []
    /// Connections with output that nobody has flushed yet.
    private var written: [UInt64] = []
    private(set) var turn: UInt64 = 0

    init(epoll: Int32) { self.epoll = epoll }

    deinit { events.deallocate() }

    /// Connections, listeners and watched descriptors.
    var sourceCount: Int { slots.count }

    // MARK: Events

    /// Reports events of a descriptor to a source until `unregister`.
    func register(_ source: Slots.Source, descriptor: Int32, events: UInt32) throws(SystemError) -> UInt64 {
        let token = slots.add(source)
        var event = epoll_event(events: events, data: epoll_data_t(u64: token))
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
            let error = SystemError("epoll_ctl")
            slots.remove(token)
            throw error
        }
        return token
    }

    /// Call it before the descriptor is closed.
    func unregister(_ token: UInt64, descriptor: Int32) {
        slots.remove(token)
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    func connection(_ token: UInt64) -> Connection? { slots.connection(token) }
    func listener(_ token: UInt64) -> Listener? { slots.listener(token) }

    /// Waits for events, and passes them on.
    func poll(timeout: Int32) {
        let count = epoll_wait(epoll, events, Int32(Loop.eventsPerTurn), timeout)
        turn &+= 1
        guard count > 0 else { return }
        for index in 0..<Int(count) {
            let event = events[index]
            guard event.data.u64 != Slots.alarm, let source = slots[event.data.u64] else { continue }
            switch source {
            case .connection(let connection): connection.takeUnretainedValue().happened(event.events)
            case .listener(let listener): listener.takeUnretainedValue().happened()
            case .watched(let watched): watched.happened()
            case .free: break
            }
        }
    }

    /// Milliseconds until something is due, rounded up, and at most an hour; -1 would be for ever.
    func timeout() -> Int32 {
        let next = min(timers.nextInstant(), wheel.nextInstant)
        guard next != .distantFuture else { return -1 }
        let nanoseconds = next.nanoseconds - Clock.instant().nanoseconds
        return nanoseconds <= 0 ? 0 : Int32(min((nanoseconds + 999_999) / 1_000_000, 3_600_000))
    }

    // MARK: Deadlines

    /// Looks at a connection's deadline when it comes; returns when that will be.
    func lookAgain(_ token: UInt64, at instant: Instant) -> Instant { wheel.add(token, at: instant) }

    func fireDeadlines(at now: Instant) {
        wheel.takeDue(at: now, into: &due)
        for token in due { slots.connection(token)?.lookAtDeadlines(at: now) }
        due.removeAll(keepingCapacity: due.count < 1024)
    }

    // MARK: Turns

    var hasPostponed: Bool { !postponed.isEmpty }

    func postpone(_ task: UnsafeContinuation<Void, Never>) { postponed.append(task) }

    func resumePostponed() {
        guard !postponed.isEmpty else { return }
        for task in postponed { task.resume() }
        postponed.removeAll(keepingCapacity: true)
    }

    func noteWritten(_ token: UInt64) { written.append(token) }

    /// Output that was written and not flushed goes out at the end of the turn: one send for all of it.
    func flushWritten() {
        guard !written.isEmpty else { return }
        for token in written { slots.connection(token)?.flushAtEndOfTurn() }
        written.removeAll(keepingCapacity: true)
    }
}
