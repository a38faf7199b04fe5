/// xoshiro256** seeded by SplitMix64 (Blackman & Vigna 2018): chance that a seed can replay.
///
/// The mind draws all its chance from one of these; the body seeds it from the system, the simulator from the seed.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var a, b, c, d: UInt64

    package init(seed: UInt64) {
        var state = seed
        func mix() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        a = mix()
        b = mix()
        c = mix()
        d = mix()
    }

    package mutating func next() -> UInt64 {
        let product = b &* 5
        let result = (product << 7 | product >> 57) &* 9
        let t = b << 17
        c ^= a
        d ^= b
        b ^= c
        a ^= d
        c ^= t
        d = d << 45 | d >> 19
        return result
    }

    /// True once in so many (`chance(0.2)` is one in five).
    package mutating func chance(_ probability: Double) -> Bool {
        Double(next() >> 11) / 9_007_199_254_740_992 < probability
    }

    /// From 0 up to, but not, 1.
    package mutating func fraction() -> Double { Double(next() >> 11) / 9_007_199_254_740_992 }
}
