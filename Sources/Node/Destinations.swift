internal import Primitives
internal import SMTP

typealias DestinationKey = SlabKey
typealias ParkedKey = SlabKey

/// Recipient domains that defer, and the messages that wait until each takes mail again.
///
/// A domain that defers so many transactions in a row is *backed off*: it is **closed**, and who is due for it is *parked*,
/// without a job and in no lane's way. When its wait is over one of them goes as the *probe*. A deferred probe closes it for
/// twice as long; a good one **opens** it for two at a time, then four, …, until it is as good as any other and forgotten.
/// While it is open and something fails, fewer go. Parked messages leave oldest first, fairly by user.
///
/// Pure, and bounded: at most `limit` domains are known; those that only ever failed a few times make way.
struct Destinations: Sendable {
    /// Deferred transactions in a row, none good in between, that close a domain.
    static let threshold = 5
    /// The first wait for a probe, and the longest whatever the retry schedule says.
    static let firstWait = Duration.seconds(5)
    static let longestWait = Duration.minutes(15)
    /// So many at a time are no restriction any more.
    static let widest = 1024
    /// Domains that are known at a time; beyond it a further one is tried like any other.
    static let limit = 100_000
    /// What nobody was deferred at and nobody waits for is forgotten after this.
    static let memory = Duration.hours(1)

    enum Phase: Hashable, Sendable {
        /// Some failures, not enough yet.
        case counting
        case closed(until: Instant)
        /// So many may be in progress at a time; 1 is the probe.
        case open(Int)
    }

    struct Destination: Sendable {
        /// In lower case.
        let domain: [UInt8]
        let name: UInt64
        var phase = Phase.counting
        /// Failures in a row, and when the row began.
        var failures = 0
        var since: Instant
        var lastHeard: Instant
        var lastReply: Reply
        /// Of the next probe, if the present one fails half of it.
        var wait = Duration.zero
        /// Jobs that its window let go.
        var inProgress = 0
        var isReady = false
        /// The messages that wait, and by age: to expire, and to be warned of.
        var parked = FairQueue<ParkedKey>()
        var oldest: [MinimumHeap<Age>] = []
    }

    /// By which of its heaps a destination finds who has waited longest.
    enum Waiting: Int, CaseIterable { case withSender, withoutSender, unwarned }

    /// One message that waits for one destination.
    struct Parked: Sendable {
        let message: MessageKey
        let destination: DestinationKey
        var handle: FairQueue<ParkedKey>.Handle?
    }

    struct Age: Comparable, Sendable {
        let accepted: WallTime
        let key: ParkedKey

        static func < (a: Age, b: Age) -> Bool {
            a.accepted == b.accepted ? a.key.number < b.key.number : a.accepted < b.accepted
        }
    }

    private struct Probe: Comparable, Sendable {
        let at: Instant
        let key: DestinationKey

        static func < (a: Probe, b: Probe) -> Bool {
            a.at == b.at ? a.key.number < b.key.number : a.at < b.at
        }
    }

    private(set) var all = Slab<Destination>()
    private(set) var parked = Slab<Parked>()
    private var index: [UInt64: DestinationKey] = [:]
    /// When closed ones that somebody waits for are to be tried. Some entries speak of an earlier wait.
    private var probes = MinimumHeap<Probe>()
    /// Open ones that may have room for somebody.
    private var ready = Ring<DestinationKey>()
    /// All, to be looked at in turns; some are gone.
    private var known = Ring<DestinationKey>()

    var isEmpty: Bool { index.isEmpty }
    var count: Int { index.count }
    var parkedCount: Int { parked.count }
    /// A domain's own number of those that wait.
    func parkedCount(of key: DestinationKey) -> Int { all.contains(key) ? all[key].parked.count : 0 }
    func contains(_ key: DestinationKey) -> Bool { all.contains(key) }

    // MARK: Asking

    func known(_ address: Address) -> DestinationKey? {
        // Two domains of one number are told apart; the second is never known.
        guard let key = index[address.destinationKey], all[key].isFor(address.domain) else { return nil }
        return key
    }

    /// The destination that keeps this address from being tried like any other.
    func limited(_ address: Address) -> DestinationKey? {
        guard let key = known(address), all[key].phase != .counting else { return nil }
        return key
    }

    /// How long until the next probe of what this one waits for; nil when some may go already.
    func wait(of entry: ParkedKey, at now: Instant) -> Duration? {
        guard parked.contains(entry), all.contains(parked[entry].destination),
            case .closed(let until) = all[parked[entry].destination].phase
        else { return nil }
        return max(.zero, until - now)
    }

    /// Those that somebody waits for.
    var waitedFor: [DestinationKey] {
        var keys: [DestinationKey] = []
        all.forEach { key, destination in if !destination.parked.isEmpty { keys.append(key) } }
        return keys
    }

    // MARK: Hearing

    /// A transaction was deferred for a reason of the destination's. `isProbe`: its window had let it go.
    ///
    /// - Parameter longest: The retry schedule's longest step: no probe waits longer, so that who is tried alone is never
    ///   late for its own schedule.
    /// - Parameter spread: 0 to 1, for jitter.
    mutating func failed(
        _ address: Address, _ reply: Reply, isProbe: Bool, longest: Duration, spread: Double, at now: Instant
    ) {
        guard let key = known(address) ?? begin(address, reply, at: now) else { return }
        if all[key].phase == .counting, now - all[key].lastHeard > Destinations.memory { all[key].failures = 0 }
        if all[key].failures == 0 { all[key].since = now }
        all[key].failures += 1
        all[key].lastHeard = now
        all[key].lastReply = reply.shortened
        switch all[key].phase {
        case .counting where all[key].failures >= Destinations.threshold:
            close(key, longest: longest, spread: spread, at: now)
        case .open(let window) where isProbe:
            if window > 1 {
                all[key].phase = .open(window / 2)
            } else {
                close(key, longest: longest, spread: spread, at: now)
            }
        // What began before it was closed says nothing new.
        case .counting, .closed, .open: break
        }
    }

    private mutating func close(_ key: DestinationKey, longest: Duration, spread: Double, at now: Instant) {
        let most = min(longest, Destinations.longestWait) * 0.8
        all[key].wait = min(max(all[key].wait * 2, Destinations.firstWait), most)
        // Never beyond the longest step with its own jitter.
        all[key].phase = .closed(until: now + all[key].wait * (0.9 + 0.2 * spread))
        awaitProbe(key)
    }

    /// It took a message, or refused one for good: it is there.
    mutating func succeeded(_ address: Address, at now: Instant) {
        guard let key = known(address) else { return }
        all[key].failures = 0
        all[key].lastHeard = now
        switch all[key].phase {
        case .counting: return forget(key)
        case .closed: all[key].phase = .open(2)
        case .open(let window):
            if window >= Destinations.widest, all[key].parked.isEmpty { return forget(key) }
            all[key].phase = .open(min(window * 2, Destinations.widest))
        }
        all[key].wait = .zero
        makeReady(key)
    }

    // MARK: Waiting

    /// A message is due for it and may not go. `isWarned`: its sender needs no delay warning any more.
    mutating func park(
        _ message: MessageKey, user: UInt64, accepted: WallTime, hasSender: Bool, isWarned: Bool,
        at key: DestinationKey, _ now: Instant
    ) -> ParkedKey {
        let entry = parked.insert(Parked(message: message, destination: key, handle: nil))
        parked[entry].handle = all[key].parked.append(entry, for: FairKey(user: user, destination: 0))
        if all[key].oldest.isEmpty { all[key].oldest = Waiting.allCases.map { _ in MinimumHeap() } }
        let age = Age(accepted: accepted, key: entry)
        all[key].oldest[hasSender ? Waiting.withSender.rawValue : Waiting.withoutSender.rawValue].insert(age)
        if hasSender, !isWarned { all[key].oldest[Waiting.unwarned.rawValue].insert(age) }
        if case .closed(let until) = all[key].phase, until <= now { all[key].phase = .open(1) }
        if all[key].parked.count == 1 { awaitProbe(key) }
        makeReady(key)
        compact(key)
        return entry
    }

    /// It waits no more.
    mutating func unpark(_ entry: ParkedKey) {
        guard let waiting = parked.remove(entry), all.contains(waiting.destination), let handle = waiting.handle else {
            return
        }
        all[waiting.destination].parked.remove(handle)
    }

    /// Who has waited longest for it, of those that still do.
    mutating func oldest(_ waiting: Waiting, of key: DestinationKey) -> ParkedKey? {
        guard all.contains(key), !all[key].oldest.isEmpty else { return nil }
        while let first = all[key].oldest[waiting.rawValue].first {
            if parked.contains(first.key) { return first.key }
            _ = all[key].oldest[waiting.rawValue].popFirst()
        }
        return nil
    }

    /// Keys of those that left are dropped before they are the most.
    private mutating func compact(_ key: DestinationKey) {
        for waiting in all[key].oldest.indices
        where all[key].oldest[waiting].count > 2 * all[key].parked.count + 64 {
            var kept = MinimumHeap<Age>()
            while let age = all[key].oldest[waiting].popFirst() {
                if parked.contains(age.key) { kept.insert(age) }
            }
            all[key].oldest[waiting] = kept
        }
    }

    // MARK: Going

    /// The next deadline: some probe's time.
    var nextProbe: Instant? {
        // What is left of forgotten ones is passed over when there is one again.
        if isEmpty { return nil }
        return ready.isEmpty ? probes.first?.at : Instant(nanoseconds: 0)
    }

    /// Takes the next one that may go now out of the waiting; it counts as in progress until `ended`.
    mutating func release(at now: Instant) -> Parked? {
        while let probe = probes.first, probe.at <= now {
            _ = probes.popFirst()
            guard all.contains(probe.key), case .closed(let until) = all[probe.key].phase, until <= now,
                !all[probe.key].parked.isEmpty
            else { continue }
            all[probe.key].phase = .open(1)
            makeReady(probe.key)
        }
        while let key = ready.first {
            if all.contains(key), case .open(let window) = all[key].phase, all[key].inProgress < window,
                let entry = all[key].parked.popFirst(), let waiting = parked.remove(entry)
            {
                all[key].inProgress += 1
                return waiting
            }
            _ = ready.popFirst()
            if all.contains(key) { all[key].isReady = false }
        }
        return nil
    }

    /// One more job goes there than `release` said: a person's, or another part of the same message.
    mutating func began(_ key: DestinationKey) {
        if all.contains(key) { all[key].inProgress += 1 }
    }

    /// A job that counted as in progress is over. Without evidence the probe says nothing, and another is due as long after.
    mutating func ended(_ key: DestinationKey, hadEvidence: Bool, at now: Instant) {
        guard all.contains(key) else { return }
        all[key].inProgress -= 1
        if !hadEvidence, all[key].phase == .open(1), all[key].inProgress == 0 {
            all[key].phase = .closed(until: now + max(all[key].wait, Destinations.firstWait))
            awaitProbe(key)
        }
        makeReady(key)
    }

    private mutating func awaitProbe(_ key: DestinationKey) {
        guard case .closed(let until) = all[key].phase, !all[key].parked.isEmpty else { return }
        probes.insert(Probe(at: until, key: key))
    }

    private mutating func makeReady(_ key: DestinationKey) {
        guard case .open(let window) = all[key].phase, all[key].inProgress < window, !all[key].parked.isEmpty,
            !all[key].isReady
        else { return }
        all[key].isReady = true
        ready.append(key)
    }

    // MARK: Remembering

    private mutating func begin(_ address: Address, _ reply: Reply, at now: Instant) -> DestinationKey? {
        makeRoom(at: now)
        let name = address.destinationKey
        guard index.count < Destinations.limit, index[name] == nil else { return nil }
        let domain = address.domain.map { $0 >= 0x41 && $0 <= 0x5a ? $0 | 0x20 : $0 }
        let key = all.insert(
            Destination(domain: domain, name: name, since: now, lastHeard: now, lastReply: reply.shortened))
        index[name] = key
        known.append(key)
        return key
    }

    /// Looks at a few, and forgets those that need no restriction any more; at the limit, also those that never did.
    private mutating func makeRoom(at now: Instant) {
        var looks = index.count < Destinations.limit ? 2 : 8
        while looks > 0, let key = known.popFirst() {
            guard all.contains(key) else { continue }
            looks -= 1
            let isIdle = all[key].parked.isEmpty && all[key].inProgress == 0
            let isOld = now - all[key].lastHeard > Destinations.memory
            let makesWay = index.count >= Destinations.limit && all[key].phase == .counting
            if isIdle, isOld || makesWay { forget(key) } else { known.append(key) }
        }
    }

    private mutating func forget(_ key: DestinationKey) {
        guard let destination = all.remove(key) else { return }
        index[destination.name] = nil
    }
}

extension Reply {
    /// Very many of them are kept.
    fileprivate var shortened: Reply { Reply(code, enhanced, text: Array(text.prefix(256))) }
}

extension Destinations.Destination {
    fileprivate func isFor(_ other: ArraySlice<UInt8>) -> Bool {
        guard other.count == domain.count else { return false }
        for (a, b) in zip(domain, other) where a != (b >= 0x41 && b <= 0x5a ? b | 0x20 : b) { return false }
        return true
    }
}
