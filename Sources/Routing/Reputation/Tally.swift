internal import Primitives

/// Results by what they say and who says it, each decayed.
struct Tally: Hashable, Sendable {
    enum Kind: Int, Sendable {
        /// A 250, which says little where the upstream queues and tells later.
        case accepted
        /// Delivered, by feedback.
        case confirmed
        /// In the SMTP reply.
        case refused
        /// Refused after a 250, by feedback.
        case refusedLater
    }

    private(set) var counts = SIMD4<Double>()

    init() {}

    init(_ counts: SIMD4<Double>) { self.counts = counts }

    subscript(_ kind: Kind) -> Double { counts[kind.rawValue] }

    var refused: Double { counts[2] + counts[3] }
    var sum: Double { counts.sum() }

    /// What speaks for the upstream, when a bare 250 is worth so much (0 to 1).
    func good(acceptedWorth: Double) -> Double { counts[0] * acceptedWorth + counts[1] }

    mutating func add(_ kind: Kind) { counts[kind.rawValue] += 1 }

    static func += (one: inout Tally, another: Tally) { one.counts += another.counts }

    /// Never below zero, though rounding may want it.
    static func -= (one: inout Tally, another: Tally) {
        one.counts = (one.counts - another.counts).clamped(
            lowerBound: SIMD4(repeating: 0), upperBound: SIMD4(repeating: .greatestFiniteMagnitude))
    }

    static func * (tally: Tally, factor: Double) -> Tally { Tally(tally.counts * factor) }
}

/// The latest results: what decides about a block, long before the posterior has noticed.
///
/// They halve each 25 s, so that a busy pair is judged by its last minute; of a quiet pair some ten are remembered for
/// minutes, so that it is judged at all. The floor is shared by the nodes that have evidence.
enum Recent {
    static let perNanosecond = 1 / 25e9
    /// The half-life of what is remembered longer: ten minutes.
    static let quietPerNanosecond = 1 / 600e9
    static let floor = 10.0

    /// What is left after a time of counts that sum to `sum`.
    static func decay(sum: Double, from: Instant, to: Instant, floor: Double) -> Double {
        if sum <= floor { return Decay.factor(from: from, to: to, perNanosecond: quietPerNanosecond) }
        let fast = Decay.factor(from: from, to: to, perNanosecond: perNanosecond)
        if sum * fast >= floor { return fast }
        let untilFloor = Int64(Decay.halves(from: sum, to: floor) / perNanosecond)
        let floorAt = Instant(nanoseconds: from.nanoseconds &+ untilFloor)
        return floor / sum * Decay.factor(from: floorAt, to: to, perNanosecond: quietPerNanosecond)
    }
}
