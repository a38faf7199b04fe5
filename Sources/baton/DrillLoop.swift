internal import CLinux
internal import Glibc

/// The event loop of `baton send` and `baton sink`: one thread, callbacks that run to completion, no tasks.
///
/// It is not the relay's `EventLoop` on purpose. A source and a sink share the machine with the relay that they measure, so
/// they have to cost less than it (callbacks took 5 µs of user time a message where actor-isolated tasks took 8, 2026-11);
/// and books that prove the relay right should not be kept by the relay's own code.
final class DrillLoop {
    /// Nanoseconds on the monotonic clock, read once after each wait.
    private(set) var now = DrillClock.monotonic()
    /// Runs after each turn, before the loop waits again: books are written here.
    var endOfTurn: () -> Void = {}
    var isStopped = false

    private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    private var sources: [DrillSource?] = []
    private var timers = DrillTimers()
    /// Descriptors closed in this turn. They stay open until its end, so that no event of it reaches a successor.
    private var closing: [Int32] = []
    private static let eventsPerTurn = 256
    private let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: DrillLoop.eventsPerTurn)
    /// Lent to whoever reads, so that an idle connection holds no buffer.
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 64)

    deinit {
        events.deallocate()
        scratch.deallocate()
        close(epoll)
    }

    func add(_ source: DrillSource, writable: Bool = false) {
        let descriptor = Int(source.descriptor)
        while sources.count <= descriptor { sources.append(nil) }
        sources[descriptor] = source
        control(EPOLL_CTL_ADD, source.descriptor, writable: writable)
    }

    func watch(_ source: DrillSource, writable: Bool) {
        control(EPOLL_CTL_MOD, source.descriptor, writable: writable)
    }

    func remove(_ source: DrillSource) {
        sources[Int(source.descriptor)] = nil
        control(EPOLL_CTL_DEL, source.descriptor, writable: false)
        closing.append(source.descriptor)
    }

    func after(_ delay: Duration, _ work: @escaping () -> Void) {
        let (seconds, attoseconds) = delay.components
        timers.add(at: now + seconds * 1_000_000_000 + attoseconds / 1_000_000_000, work)
    }

    /// Runs until `isStopped`.
    func run() {
        while !isStopped {
            let count = Int(epoll_wait(epoll, events, Int32(DrillLoop.eventsPerTurn), timers.wait(from: now)))
            now = DrillClock.monotonic()
            for index in 0..<max(0, count) {
                let event = events[index]
                guard let source = sources[Int(event.data.fd)] else { continue }
                let failed = event.events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0
                if failed || event.events & EPOLLOUT.rawValue != 0 { source.writable() }
                if failed || event.events & EPOLLIN.rawValue != 0, sources[Int(event.data.fd)] === source {
                    source.readable()
                }
            }
            while let work = timers.next(at: now) { work() }
            endOfTurn()
            for descriptor in closing { close(descriptor) }
            closing.removeAll(keepingCapacity: true)
        }
    }

    private func control(_ operation: Int32, _ descriptor: Int32, writable: Bool) {
        let events = EPOLLIN.rawValue | (writable ? EPOLLOUT.rawValue : 0)
        var event = epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        epoll_ctl(epoll, operation, descriptor, &event)
    }
}

/// Something with a descriptor that the loop watches until it is removed.
class DrillSource {
    let descriptor: Int32

    init(descriptor: Int32) { self.descriptor = descriptor }

    func readable() {}
    func writable() {}
}

enum DrillClock {
    static func monotonic() -> Int64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970 by the wall clock.
    static func wall() -> Int64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Work by time, then in the order of asking: a binary heap.
private struct DrillTimers {
    private struct Entry {
        let time: Int64
        let order: UInt64
        let work: () -> Void

        func isBefore(_ other: Entry) -> Bool { time != other.time ? time < other.time : order < other.order }
    }

    private var heap: [Entry] = []
    private var order: UInt64 = 0

    mutating func add(at time: Int64, _ work: @escaping () -> Void) {
        order += 1
        heap.append(Entry(time: time, order: order, work: work))
        var child = heap.count - 1
        while child > 0, heap[child].isBefore(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func next(at now: Int64) -> (() -> Void)? {
        guard let first = heap.first, first.time <= now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].isBefore(heap[least])
            {
                least = child
            }
            if least == parent { return first.work }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    /// Milliseconds for `epoll_wait`, rounded up; -1 is for ever.
    func wait(from now: Int64) -> Int32 {
        guard let first = heap.first else { return -1 }
        return Int32(clamping: max(0, first.time - now + 999_999) / 1_000_000)
    }
}
