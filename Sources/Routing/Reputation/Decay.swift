internal import Glibc
internal import Primitives

/// Exponential forgetting.
enum Decay {
    /// What is left of a count after a time: 1 down to 0, halved once each half-life. A clock that went back leaves all.
    static func factor(_ elapsed: Duration, halfLife: Duration) -> Double {
        left(Double(elapsed.nanoseconds) / Double(halfLife.nanoseconds))
    }

    /// The same for what is asked for each decision: with the halves per nanosecond at hand, and without the wide numbers
    /// of `Duration`.
    static func factor(from: Instant, to: Instant, perNanosecond: Double) -> Double {
        left(Double(to.nanoseconds &- from.nanoseconds) * perNanosecond)
    }

    private static func left(_ halves: Double) -> Double {
        if halves <= 0 { return 1 }
        // What was counted lately has hardly decayed: three terms of the series are right to a tenth of a millionth.
        let exponent = halves * 0.693_147_180_559_945_3
        if exponent < 0.01 { return 1 - exponent * (1 - exponent * 0.5) }
        return exp2(-halves)
    }

    /// How many half-lives it takes to get from one count to a smaller.
    static func halves(from: Double, to: Double) -> Double { log2(from / to) }

    /// `base` to the power of γ, for bases from 0 to 1.
    static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 2 ? base * base : pow(base, exponent)
    }
}
