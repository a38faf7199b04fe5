internal import Glibc

/// What one thread leaves for another, which sleeps while there is nothing.
///
/// A mutex and a condition variable of the system, since `Mutex` has nothing to wait on.
// Sendable: everything mutable is touched only under `mutex`.
final class Mailbox<Element: Sendable>: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var elements: [Element] = []
    private var isClosed = false
    private var isWaiting = false

    init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(arrived, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(arrived)
        pthread_mutex_destroy(mutex)
        arrived.deallocate()
        mutex.deallocate()
    }

    func put(_ element: Element) {
        locked { elements.append(element) }
    }

    /// Leaves all of them and empties `batch`, whose memory may be exchanged for that of an earlier one.
    func put(all batch: inout [Element]) {
        guard !batch.isEmpty else { return }
        locked {
            if elements.isEmpty {
                swap(&elements, &batch)
            } else {
                elements.append(contentsOf: batch)
            }
        }
        batch.removeAll(keepingCapacity: true)
    }

    /// What was left before is still taken; after that `take` says false.
    func close() {
        locked { isClosed = true }
    }

    /// Waits until there is something or the time is up, and takes it all into `batch`; false once closed and empty.
    func take(into batch: inout [Element], within seconds: Double? = nil) -> Bool {
        batch.removeAll(keepingCapacity: true)
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if elements.isEmpty, !isClosed { wait(seconds) }
        swap(&elements, &batch)
        return !batch.isEmpty || !isClosed
    }

    private func wait(_ seconds: Double?) {
        isWaiting = true
        defer { isWaiting = false }
        guard let seconds else {
            while elements.isEmpty, !isClosed { pthread_cond_wait(arrived, mutex) }
            return
        }
        var end = timespec()
        clock_gettime(CLOCK_MONOTONIC, &end)
        let nanoseconds = Int(seconds * 1e9) + end.tv_nsec
        end.tv_sec += nanoseconds / 1_000_000_000
        end.tv_nsec = nanoseconds % 1_000_000_000
        while elements.isEmpty, !isClosed {
            if pthread_cond_timedwait(arrived, mutex, &end) == ETIMEDOUT { return }
        }
    }

    private func locked(_ change: () -> Void) {
        pthread_mutex_lock(mutex)
        change()
        let wakes = isWaiting
        pthread_mutex_unlock(mutex)
        // Only one thread takes.
        if wakes { pthread_cond_signal(arrived) }
    }
}
