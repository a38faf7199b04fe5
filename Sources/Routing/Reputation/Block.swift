internal import Primitives

/// The circuit of one upstream at one provider, the same on all nodes as far as gossip has come.
///
/// *open* → most of the latest results are refusals → *blocked*: factor 0, one probe a minute in the whole cluster → two good
/// ones in a row → *returning*: a tenth of the share, one more with each 20 good ones → *open*. Each transition has a term,
/// one above the last; the higher term wins, of two with the same term the more cautious, so that all nodes agree once they
/// have heard of each other. What a step needs is counted by each node within the term and summed over the nodes.
/// With *returning* the counts begin anew (`restart`), so that what was true during the block does not hold the share down.
struct Block: Hashable, Sendable {
    enum Phase: UInt8, Hashable, Sendable { case open, returning, blocked }

    /// A node's own counts within the present term.
    struct Step: Hashable, Sendable {
        /// By what they are worth.
        var good = 0.0
        var goodResults = 0
        var refused = 0

        static func += (one: inout Step, another: Step) {
            one.good += another.good
            one.goodResults += another.goodResults
            one.refused += another.refused
        }
    }

    /// A node's own results since shortly before the block, for people.
    struct Story: Hashable, Sendable {
        var results = 0
        var refused = 0
        var refusedLater = 0
    }

    /// More than one a second for a lifetime; what claims more is garbage.
    static let maximumTerm: UInt32 = 1 << 30
    static let levels: UInt8 = 10

    var phase = Phase.open
    /// In tenths of the share: 1 to 9 while returning.
    var level: UInt8 = 0
    var term: UInt32 = 0
    /// The term since which results count.
    var restart: UInt32 = 0
    /// When the phase began.
    var since = Instant(nanoseconds: 0)
    var stepBegan = Instant(nanoseconds: 0)
    var step = Step()
    /// By any node, as far as heard.
    var lastProbe: Instant?
    /// In this term.
    var probes: UInt32 = 0
    var story = Story()

    /// What the share is multiplied with.
    var share: Double {
        switch phase {
        case .open: 1
        case .blocked: 0
        case .returning: Double(level) / Double(Block.levels)
        }
    }

    /// Whether another node's state replaces this one.
    func yields(to other: Block) -> Bool {
        if other.term != term { return other.term > term }
        if other.phase != phase { return other.phase.rawValue > phase.rawValue }
        return other.phase == .returning && other.level < level
    }

    mutating func nextTerm(_ phase: Phase, level: UInt8 = 0, at now: Instant) {
        if self.phase != phase { since = now }
        self.phase = phase
        self.level = level
        term = min(term + 1, Block.maximumTerm)
        step = Step()
        stepBegan = now
        probes = 0
    }
}
