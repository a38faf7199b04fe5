package import Primitives

/// How well each upstream is trusted at each mailbox provider, by the results of the whole cluster.
///
/// Two clocks. The *posterior*: counts that halve each hour, of all nodes, into a Beta distribution; its mean to the power of γ
/// multiplies the weight, and since it begins as if 20 good results were known, little evidence has little effect. The
/// *block* (`Block.swift`): a circuit that opens within seconds when the latest results are mostly refusals.
///
/// Each node publishes what it counted itself and how it sees the blocks; it keeps the last word of each peer, decays that by its
/// own clock and routes by the sum. So the evidence of a node that died fades, and one that restarts knows what its peers
/// know.
///
/// An upstream that queues answers 250 to everything and tells later, by feedback, what became of it. Once it has told
/// anything, its bare 250s count a fifth, and nothing at all once it also tells of deliveries.
package struct Reputation: Sendable {
    package enum Evidence: Hashable, Sendable {
        case good
        /// Against this upstream at this provider.
        case refused
    }

    /// What `factor` needs of a pair.
    private struct Hot {
        var good = 0.0
        var refused = 0.0
        var at: Instant
        var share = 1.0
    }

    /// When an upstream told something later.
    struct Feedback: Hashable, Sendable {
        var last: Instant?
        var lastConfirmation: Instant?
    }

    struct KnownNode: Sendable {
        var name: String
        var hash: UInt64
        var heard: Instant
        /// Per upstream: of the last record, so that one told twice is no news, and the pairs in it.
        var lastValues: [UInt64]
        var told: [[UInt16]]
    }

    struct Told: Sendable {
        var at: Instant?
        var isUrgent = false
        var sequence: UInt8 = 0
        /// The last record had something in it.
        var hadContent = false
    }

    static let maximumProviders = 512
    static let maximumNodes = 1024
    static let maximumEvents = 1024
    static let maximumReply = 120
    /// Feedback may come for so long after the message.
    static let feedbackKept = Duration.days(7)
    static let confirmationKept = Duration.hours(6)
    /// What a bare 250 of an upstream is worth that tells later.
    static let acceptedWorthBesideFeedback = 0.2

    let upstreams: [String]
    let settings: ReputationSettings
    let me: String
    let myHash: UInt64
    /// Halves of the slow counts per nanosecond.
    let perNanosecond: Double

    /// Per upstream and provider, where its pair is, less one; 0 for none.
    private var slots: [UInt16]
    private var hot: [Hot] = []
    var pairs: [Pair] = []
    private var free: [UInt16] = []

    var feedback: [Feedback]
    /// What a bare 250 is worth now, per upstream.
    var acceptedWorth: [Double]
    var nodes: [KnownNode] = []
    /// Who is alive, this node included; empty when nobody said so.
    var alive: [UInt64] = []
    var told: [Told]
    var nextSweep = Instant(nanoseconds: .min)
    private var changes: [ReputationEvent] = []

    /// `me` is this node's name among those that `absorb` names.
    package init(
        upstreams: [String], settings: ReputationSettings = ReputationSettings(), me: String = ""
    ) {
        precondition(upstreams.count <= Router.maximumUpstreams)
        self.upstreams = upstreams
        self.settings = settings
        self.me = me
        myHash = Reputation.hash(me.utf8)
        perNanosecond = 1 / Double(max(1, settings.halfLife.nanoseconds))
        slots = Array(repeating: 0, count: upstreams.count * Reputation.maximumProviders)
        feedback = upstreams.map { _ in Feedback() }
        acceptedWorth = upstreams.map { _ in 1 }
        told = upstreams.map { _ in Told() }
    }

    // MARK: Deciding

    /// What the weight is multiplied with: posterior^γ × what a block leaves (0 while blocked).
    package func factor(upstream: Int, provider: ProviderID, at now: Instant) -> Double {
        let slot = slots[index(upstream, provider)]
        if slot == 0 { return 1 }
        let known = hot[Int(slot) - 1]
        if known.share == 0 || known.refused == 0 { return known.share }
        let decay = Decay.factor(from: known.at, to: now, perNanosecond: perNanosecond)
        return known.share * Decay.power(posterior(known.good * decay, known.refused * decay), settings.exponent)
    }

    /// The mean of Beta(20 + good, refused): 1 before any evidence against it.
    func posterior(_ good: Double, _ refused: Double) -> Double {
        let positive = settings.priorGood + good
        return positive / (positive + refused)
    }

    // MARK: Learning

    /// A transaction's result. One for all its recipients at the provider: a single message must not open a circuit.
    /// Only what speaks for or against the upstream counts; `reply` is the refusal's, for people.
    package mutating func record(
        _ evidence: Evidence, upstream: Int, provider: ProviderID, reply: String, fromFeedback: Bool, at now: Instant
    ) {
        guard upstreams.indices.contains(upstream) else { return }
        let kind: Tally.Kind =
            switch (evidence, fromFeedback) {
            case (.good, false): .accepted
            case (.good, true): .confirmed
            case (.refused, false): .refused
            case (.refused, true): .refusedLater
            }
        if fromFeedback { noteFeedback(upstream, isConfirmation: evidence == .good, at: now, seen: now) }
        let slot = slotMaking(upstream, provider, at: now)
        let worth = kind == .accepted ? acceptedWorth[upstream] : 1
        pairs[slot].add(kind, worth: worth, perNanosecond, at: now)
        if evidence == .refused {
            pairs[slot].lastReply = Reputation.shortened(reply)
            refused(slot, at: now)
        } else {
            good(slot, worth: worth, at: now)
        }
        refresh(slot)
    }

    /// An upstream tells later: `seen` is when it did, `now` when this node heard of it.
    mutating func noteFeedback(_ upstream: Int, isConfirmation: Bool, at now: Instant, seen: Instant) {
        func later(_ one: Instant?) -> Instant { max(one ?? seen, seen) }
        feedback[upstream].last = later(feedback[upstream].last)
        if isConfirmation { feedback[upstream].lastConfirmation = later(feedback[upstream].lastConfirmation) }
        reviewWorth(of: upstream, at: now)
    }

    /// How much a bare 250 is worth changes with the first word of feedback, and for what was counted before it too.
    mutating func reviewWorth(of upstream: Int, at now: Instant) {
        let isTold = feedback[upstream].last.map { now - $0 < Reputation.feedbackKept } ?? false
        let worth = !isTold ? 1 : confirms(upstream, at: now) ? 0 : Reputation.acceptedWorthBesideFeedback
        guard worth != acceptedWorth[upstream] else { return }
        acceptedWorth[upstream] = worth
        told[upstream].isUrgent = true
        for slot in slots(of: upstream) { refresh(slot) }
    }

    /// Whether it tells of deliveries too, so that its silence is no good news.
    func confirms(_ upstream: Int, at now: Instant) -> Bool {
        feedback[upstream].lastConfirmation.map { now - $0 < Reputation.confirmationKept } ?? false
    }

    /// Whether someone tells later what became of its mail; without, `status` says `blind`.
    package func hasFeedback(upstream: Int, at now: Instant) -> Bool {
        upstreams.indices.contains(upstream) && acceptedWorth[upstream] < 1
    }

    /// It is solved, a person says: everything is forgotten, on all nodes.
    package mutating func reset(upstream: Int, provider: ProviderID?, at now: Instant) {
        guard upstreams.indices.contains(upstream) else { return }
        let all = provider.map { [slotMaking(upstream, $0, at: now)] } ?? slots(of: upstream)
        for slot in all {
            if pairs[slot].block.phase != .open { note(.unblocked, slot) }
            pairs[slot].block.nextTerm(.open, at: now)
            pairs[slot].block.since = now
            pairs[slot].block.lastProbe = nil
            pairs[slot].lastReply = ""
            restart(slot, at: now)
        }
    }

    // MARK: Pairs

    /// Providers without a number here are of the long tail.
    private func index(_ upstream: Int, _ provider: ProviderID) -> Int {
        let number = Int(provider.number)
        return upstream * Reputation.maximumProviders + (number < Reputation.maximumProviders ? number : 0)
    }

    func slot(_ upstream: Int, _ provider: ProviderID) -> Int? {
        let slot = slots[index(upstream, provider)]
        return slot == 0 ? nil : Int(slot) - 1
    }

    mutating func slotMaking(_ upstream: Int, _ provider: ProviderID, at now: Instant) -> Int {
        let index = index(upstream, provider)
        if slots[index] != 0 { return Int(slots[index]) - 1 }
        let number = ProviderID(number: UInt16(index % Reputation.maximumProviders))
        let pair = Pair(upstream: upstream, provider: number, at: now)
        let slot: Int
        if let reused = free.popLast() {
            slot = Int(reused)
            pairs[slot] = pair
            hot[slot] = Hot(at: now)
        } else {
            slot = pairs.count
            pairs.append(pair)
            hot.append(Hot(at: now))
        }
        slots[index] = UInt16(slot + 1)
        return slot
    }

    /// Of one upstream, by provider.
    func slots(of upstream: Int) -> [Int] {
        let first = upstream * Reputation.maximumProviders
        return slots[first..<first + Reputation.maximumProviders].compactMap { $0 == 0 ? nil : Int($0) - 1 }
    }

    /// Gives back the pairs that say nothing any more.
    mutating func sweep(at now: Instant) {
        for index in slots.indices where slots[index] != 0 {
            let slot = Int(slots[index]) - 1
            guard pairs[slot].isNegligible(perNanosecond, at: now) else { continue }
            slots[index] = 0
            for peer in pairs[slot].peers {
                nodes[peer.node].told[pairs[slot].upstream].removeAll { $0 == UInt16(slot) }
            }
            pairs[slot].peers = []
            pairs[slot].lastReply = ""
            free.append(UInt16(slot))
        }
    }

    /// What `factor` reads follows the pair.
    mutating func refresh(_ slot: Int) {
        let pair = pairs[slot]
        hot[slot] = Hot(
            good: pair.total.good(acceptedWorth: acceptedWorth[pair.upstream]), refused: pair.total.refused,
            at: pair.totalAt, share: pair.block.share)
    }

    // MARK: Telling people

    /// Blocked, returning, unblocked since the last call.
    package mutating func events() -> [ReputationEvent] {
        defer { changes = [] }
        return changes
    }

    mutating func note(_ change: ReputationEvent.Change, _ slot: Int) {
        guard changes.count < Reputation.maximumEvents else { return }
        changes.append(
            ReputationEvent(upstream: pairs[slot].upstream, provider: pairs[slot].provider, change: change))
    }

    static func shortened(_ reply: String) -> String {
        reply.utf8.count <= maximumReply ? reply : String(decoding: reply.utf8.prefix(maximumReply), as: UTF8.self)
    }

    /// FNV-1a: the same on all nodes.
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
