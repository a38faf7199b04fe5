internal import Primitives
internal import Routing
internal import SMTP

/// The way to one upstream: what is ready to go there, and the connections that take it.
///
/// First tries and retries wait apart, each fairly between users and between destinations.
struct Lane: Sendable {
    /// Where a ready job stands.
    enum Standing: Hashable, Sendable {
        case none
        case first(FairQueue<JobKey>.Handle)
        case retry(FairQueue<JobKey>.Handle)
        case fresh
    }

    /// Of all slots, what retries may take while first tries wait.
    private static let retryShare = 0.7

    let upstream: Upstream
    private var first = FairQueue<JobKey>()
    private var retries = FairQueue<JobKey>()
    /// Begun on a used connection that turned out dead: these take a fresh one.
    private var fresh = Ring<JobKey>()
    /// Connections that may take a transaction, the latest used last.
    var idle: [ConnectionID] = []
    /// Connections whose final dot is out: the next transaction may be pipelined behind it.
    var pipelinable: [ConnectionID] = []
    var open = 0
    var connecting = 0
    var busyRetries = 0
    /// Counts the choices, so that with a single slot too retries get at most 7 of 10.
    private var turn = 0

    init(_ upstream: Upstream) { self.upstream = upstream }

    var readyCount: Int { first.count + retries.count + fresh.count }
    var freshCount: Int { fresh.count }
    /// What a connection may take that was used before.
    var reusableCount: Int { first.count + retries.count }

    /// Behind what its user has for the same destination.
    mutating func enqueue(_ job: JobKey, for key: FairKey, isRetry: Bool) -> Standing {
        isRetry ? .retry(retries.append(job, for: key)) : .first(first.append(job, for: key))
    }

    mutating func enqueueFresh(_ job: JobKey) -> Standing {
        fresh.append(job)
        return .fresh
    }

    /// Before all others.
    mutating func enqueueFirst(_ job: JobKey, isRetry: Bool) -> Standing {
        isRetry ? .retry(retries.prepend(job)) : .first(first.prepend(job))
    }

    /// The next one for a connection, of which so many are allowed now.
    mutating func dequeue(isFresh: Bool, allowed: Int) -> JobKey? {
        if isFresh, let job = fresh.popFirst() { return job }
        if first.isEmpty { return retries.popFirst() }
        if retries.isEmpty { return first.popFirst() }
        turn = (turn + 1) % 10
        let slots = max(1, Int(Double(allowed) * Lane.retryShare))
        if turn < 7, busyRetries < slots { return retries.popFirst() }
        return first.popFirst()
    }

    /// Everything that was ready, in order of the choices that would have been made.
    mutating func drain() -> [JobKey] { fresh.drain() + retries.drain() + first.drain() }

    mutating func remove(_ job: JobKey, at standing: Standing) {
        switch standing {
        case .none: break
        case .first(let handle): first.remove(handle)
        case .retry(let handle): retries.remove(handle)
        // There are never more of these than connections.
        case .fresh: fresh.removeAll { $0 == job }
        }
    }
}

/// A connection to an upstream, as the node sees it.
struct LaneConnection: Sendable {
    /// A transaction that was handed to it.
    struct Handed: Sendable {
        let id: UInt64
        let job: JobKey
        let attempt: UInt32
        let recipients: [UInt32]
        let isRetry: Bool
        let began: Instant
        let queued: Instant
        var isDotSent = false
    }

    let lane: Int
    var isReady = false
    var remote = ""
    var capabilities = Capabilities()
    /// The upstream's and the configuration's, the lower of the two.
    var sizeLimit: UInt64?
    var present: Handed?
    /// Pipelined behind the present one's final dot.
    var next: Handed?
    var used = 0
    var idleSince: Instant
    var isClosing = false
}

extension LaneConnection {
    /// Whether another transaction may travel behind the present one's dot.
    var mayPipeline: Bool { next == nil && capabilities.pipelining }

    /// What this upstream lacks for this message, as the reply that the sender would get; nil: nothing.
    func lack(for message: Message) -> Reply? {
        if message.isInternationalized, !capabilities.smtputf8 {
            return Reply(550, 5, 6, 7, "The next server does not take internationalized mail (SMTPUTF8)")
        }
        if message.isEightBit, !capabilities.eightBitMIME {
            return Reply(550, 5, 6, 3, "The next server does not take 8-bit mail (8BITMIME)")
        }
        if let sizeLimit, message.contentCount > sizeLimit {
            return Reply(552, 5, 3, 4, "The message is larger than the next server takes (\(sizeLimit) bytes)")
        }
        return nil
    }
}
