/// A thread for what may block, one piece of work after another.
package final class WorkThread: Sendable {
    private let inbox = Mailbox<@Sendable () -> Void>()
    private let thread: SystemThread

    package init(_ name: String) {
        let inbox = inbox
        thread = SystemThread(name) {
            var batch: [@Sendable () -> Void] = []
            while inbox.take(into: &batch) {
                for work in batch { work() }
            }
        }
    }

    func begin(_ work: @escaping @Sendable () -> Void) { inbox.put(work) }

    /// Runs `work` on the thread; the caller goes on where it was.
    package func run<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
        await withUnsafeContinuation { continuation in
            inbox.put { continuation.resume(returning: work()) }
        }
    }

    /// Ends the thread after what was begun before.
    package func stop() {
        inbox.close()
        thread.join()
    }
}
