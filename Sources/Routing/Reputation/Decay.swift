internal import Glibc
internal import Primitives

/// Exponential forgetting.
enum Decay {
    /// What is left of a count after a time: 1 down to 0, halved once each half-life. A clock that went back leaves all.
    static func factor(_ elapsed: Duration, halfLife: Duration) -> Double {
        factor(elapsed, perNanosecond: 1 / Double(halfLife.nanoseconds))
    }

    /// The same with the halves per nanosecond at hand.
    static func factor(_ elapsed: Duration, perNanosecond: Double) -> Double {
        let halves = Double(elapsed.nanoseconds) * perNanosecond
        return halves <= 0 ? 1 : exp2(-halves)
    }

    /// How many half-lives it takes to get from one count to a smaller.
    static func halves(from: Double, to: Double) -> Double { log2(from / to) }

    /// `base` to the power of γ, for bases from 0 to 1.
    static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 2 ? base * base : pow(base, exponent)
    }
}
