internal import Primitives

/// Whose turn it is among the upstreams of a route, for each mailbox provider by itself: smooth weighted round robin.
///
/// Every choice gives each candidate its share as credit, and takes a whole message from the one that has most. So shares
/// hold over any run of choices, equal turns are never bunched, and one that could not be chosen for a while does not
/// catch up. Credits are in messages and sum to zero.
struct Turns: Sendable {
    struct Candidate {
        let upstream: Int
        /// 0 to 1; those of all candidates sum to 1.
        var share: Double
    }

    private struct Key: Hashable, Comparable {
        let route: Int
        let provider: ProviderID

        static func < (a: Key, b: Key) -> Bool { (a.route, a.provider) < (b.route, b.provider) }
    }

    private struct Pair: Sendable {
        var credits: [Double]
        var used: Instant
    }

    /// Routes times providers that are remembered; the longest unused are forgotten beyond it. Forgetting costs nothing but
    /// the order of the next few turns.
    static let maximumPairs = 4096
    /// How many messages an upstream with an idle connection may be ahead of its share, and another behind for its sake.
    private static let stickiness = 2.0
    /// Sums of shares are that exact; a smaller difference is a tie, and the first of the route wins.
    private static let tie = 1e-9

    private let upstreamCount: Int
    private var pairs: [Key: Pair] = [:]

    init(upstreamCount: Int) { self.upstreamCount = upstreamCount }

    var pairCount: Int { pairs.count }

    /// The next one of the candidates, of which there is at least one.
    ///
    /// - Parameter idle: Those with a connection that waits for a message: no handshake is needed there.
    mutating func take(
        route: Int, provider: ProviderID, among candidates: [Candidate], idle: Router.Mask,
        random: inout SeededRandom, at now: Instant
    ) -> Int {
        if candidates.count == 1 { return candidates[0].upstream }
        let key = Key(route: route, provider: provider)
        let place = pairs.index(forKey: key) ?? insert(key, candidates, &random, at: now)
        pairs.values[place].used = now
        return Turns.choose(candidates, idle: idle, &pairs.values[place].credits)
    }

    private static func choose(_ candidates: [Candidate], idle: Router.Mask, _ credits: inout [Double]) -> Int {
        var best = -1
        var bestIdle = -1
        for candidate in candidates {
            let index = candidate.upstream
            credits[index] += candidate.share
            if best < 0 || credits[index] > credits[best] + tie { best = index }
            if idle & (1 << Router.Mask(index)) != 0, bestIdle < 0 || credits[index] > credits[bestIdle] + tie {
                bestIdle = index
            }
        }
        if bestIdle >= 0, credits[bestIdle] > -stickiness, credits[best] < stickiness { best = bestIdle }
        credits[best] -= 1
        return best
    }

    /// Most providers get little mail, and all begin with the heaviest upstream if they begin at the same point. So each
    /// begins somewhere within its round; only the long tail, which is one pair with much mail, begins at its start.
    /// Enough turns to make no difference which of them begin a round.
    private mutating func insert(
        _ key: Key, _ candidates: [Candidate], _ random: inout SeededRandom, at now: Instant
    ) -> Dictionary<Key, Pair>.Index {
        if pairs.count >= Turns.maximumPairs { forgetHalf() }
        var credits = Array(repeating: 0.0, count: upstreamCount)
        if key.provider != .other {
            for _ in 0..<Int(random.next() % UInt64(min(16 * candidates.count, 256))) {
                _ = Turns.choose(candidates, idle: 0, &credits)
            }
        }
        pairs[key] = Pair(credits: credits, used: now)
        guard let place = pairs.index(forKey: key) else { preconditionFailure("what was put in is there") }
        return place
    }

    private mutating func forgetHalf() {
        let oldest = pairs.sorted { ($0.value.used, $0.key) < ($1.value.used, $1.key) }.prefix(pairs.count / 2)
        for (key, _) in oldest { pairs[key] = nil }
    }
}
