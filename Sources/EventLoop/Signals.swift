internal import CLinux
internal import Glibc

/// The signals that end or reload the program, read on a loop like any other input. Confined to its loop.
package final class Signals {
    private let descriptor: Descriptor
    private var watched: WatchedDescriptor?
    private var pending: [Int32] = []
    private var waiter: UnsafeContinuation<Void, Never>?

    /// The first statement of the program, before any thread: all threads inherit it. TERM, INT and HUP are then read
    /// here; a broken pipe is an error of the call that meets it.
    package static func block() {
        var set = handled
        pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    package init(on loop: Loop) throws(SystemError) {
        var set = Signals.handled
        let raw = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        guard raw >= 0 else { throw SystemError("signalfd") }
        descriptor = Descriptor(owning: raw)
        watched = try loop.watch(raw) { [weak self] in self?.read() }
    }

    deinit { watched?.cancel() }

    /// The next signal. One task waits at a time; it is not to be cancelled before the loop stops.
    package func next() async -> Int32 {
        while pending.isEmpty {
            precondition(waiter == nil, "two tasks wait for signals")
            await withUnsafeContinuation { continuation in
                if pending.isEmpty { waiter = continuation } else { continuation.resume() }
            }
        }
        return pending.removeFirst()
    }

    private func read() {
        var information = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while Glibc.read(descriptor.raw, &information, size) == size {
            pending.append(Int32(bitPattern: information.ssi_signo))
        }
        let continuation = waiter
        waiter = nil
        continuation?.resume()
    }

    private static var handled: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP] { sigaddset(&set, number) }
        return set
    }
}
