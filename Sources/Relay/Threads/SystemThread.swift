internal import CLinux
internal import Glibc

/// A thread of the system that is waited for before what it uses goes away.
// Sendable: the thread's name never changes, and `join` is called once, by the owner.
final class SystemThread: @unchecked Sendable {
    private final class Body {
        let run: () -> Void
        init(_ run: @escaping () -> Void) { self.run = run }
    }

    private var thread = pthread_t()
    private var isJoined = false

    /// - Parameter name: at most 15 characters; `top -H` shows it.
    init(_ name: String, _ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(run))
        let result = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        precondition(result == 0, "the system gives no thread")
        pthread_setname_np(thread, name)
    }

    func join() {
        if !isJoined { pthread_join(thread, nil) }
        isJoined = true
    }
}
