internal import EventLoop
internal import Node
internal import Primitives

/// The shell's side of a drain (`protocol.md`, 'Drain and stop'): clients are sent elsewhere, and what is under way has so
/// long and no longer.
struct Draining {
    var timeout: Duration
    /// Everything is handed over.
    private(set) var isOver = false
    private var isUnderWay = false
    /// Counts drains, so that a wait for sessions knows its own.
    private var number = 0
    private var waitedFor = 0
    private var isWaiting = false
    private var timer: TimerToken?
    private var waiters: [UnsafeContinuation<Void, Never>] = []

    init(timeout: Duration) { self.timeout = timeout }

    mutating func cancelTimer(on loop: Loop) {
        if let timer { loop.cancel(timer) }
        timer = nil
    }
}

extension NodeHost {
    /// The node drains: by SIGTERM, by a person, or by the record of its drain.
    func drainSessions() {
        tell("drain")
        draining.begin(
            timer: loop.timer(at: Clock.instant() + draining.timeout) { [weak self] in
                self?.feed(.drainTimedOut)
            }, on: loop)
        server?.drain()
        guard draining.beginsToWait() else { return }
        loop.spawnLocal { [self] in
            while let limit = draining.nextWait() { await server?.untilEmpty(within: limit) }
            feed(.sessionsEnded)
        }
    }

    func admitSessions() {
        draining.end(isOver: false, on: loop)
        tell("resume")
        do throws(ListenError) {
            try server?.resume()
        } catch {
            tell("listen-failed", .error, [.init("reason", "\(error)")])
        }
    }

    func drained() {
        draining.end(isOver: true, on: loop)
        tell("drained")
    }

    /// Ends this node's part in everything; returns once it is over, at the latest when its time is over by `grace`.
    func drain(grace: Duration) async {
        feed(.drain)
        guard !draining.isOver, !isStopped else { return }
        let timer = loop.timer(at: Clock.instant() + draining.timeout + grace) { [weak self] in
            self?.draining.giveUp()
        }
        await withUnsafeContinuation { draining.wait($0) }
        loop.cancel(timer)
    }
}

extension Draining {
    mutating func begin(timer new: TimerToken, on loop: Loop) {
        cancelTimer(on: loop)
        timer = new
        number += 1
        isUnderWay = true
        isOver = false
    }

    mutating func end(isOver: Bool, on loop: Loop) {
        cancelTimer(on: loop)
        isUnderWay = false
        self.isOver = isOver
        if isOver { wake() }
    }

    /// What still is under way is given up: it is on the disk, and goes on at the next start or elsewhere.
    mutating func giveUp() { wake() }

    mutating func wait(_ continuation: UnsafeContinuation<Void, Never>) { waiters.append(continuation) }

    /// One wait for the sessions is enough, however often a drain is begun and taken back.
    mutating func beginsToWait() -> Bool {
        defer { isWaiting = true }
        return !isWaiting
    }

    /// How long to wait for the sessions of the present drain; nil when there is nothing to wait for any more.
    mutating func nextWait() -> Duration? {
        guard isUnderWay, waitedFor != number else {
            isWaiting = false
            return nil
        }
        waitedFor = number
        return timeout
    }

    private mutating func wake() {
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}
