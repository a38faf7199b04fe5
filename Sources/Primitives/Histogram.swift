/// Counts of durations in buckets, four to an octave: quantiles at most 25 % or 1 µs too large, from 1 µs to 4 h.
package struct Histogram: Hashable, Sendable {
    private static let bucketsPerOctave = 4
    private static let octaves = 34

    private var counts = [UInt64](repeating: 0, count: octaves * bucketsPerOctave)
    package private(set) var count: UInt64 = 0
    /// The sum of everything recorded, in seconds.
    package private(set) var sum = 0.0
    package private(set) var maximum = Duration.zero

    package init() {}

    package mutating func record(_ duration: Duration) {
        let nanoseconds = UInt64(max(0, duration.nanoseconds))
        counts[Histogram.bucket(nanoseconds / 1000)] += 1
        count += 1
        sum += Double(nanoseconds) / 1e9
        maximum = max(maximum, duration)
    }

    package mutating func merge(_ other: Histogram) {
        for index in counts.indices { counts[index] += other.counts[index] }
        count += other.count
        sum += other.sum
        maximum = max(maximum, other.maximum)
    }

    /// An upper bound of the smallest duration that this share (0 to 1) of all did not exceed; zero when empty.
    package func quantile(_ share: Double) -> Duration {
        guard count > 0 else { return .zero }
        let wanted = max(1, UInt64((Double(count) * share).rounded(.up)))
        var seen: UInt64 = 0
        for index in counts.indices {
            seen += counts[index]
            // The last bucket has no upper bound but the maximum.
            if seen >= wanted, index < counts.count - 1 {
                return min(maximum, .nanoseconds(Int64((Histogram.upperBound(index) + 1) * 1000)))
            }
        }
        return maximum
    }

    /// How many were at most this long, counted by whole buckets (for Prometheus' cumulative buckets).
    package func countAtMost(_ duration: Duration) -> UInt64 {
        let limit = UInt64(max(0, duration.nanoseconds)) / 1000
        var total: UInt64 = 0
        for index in counts.indices where Histogram.upperBound(index) <= limit { total += counts[index] }
        return total
    }

    private static func bucket(_ microseconds: UInt64) -> Int {
        guard microseconds >= 4 else { return Int(microseconds) }
        let octave = 63 - microseconds.leadingZeroBitCount
        let quarter = Int(microseconds >> UInt64(octave - 2)) & 3
        return min((octave - 1) * bucketsPerOctave + quarter, octaves * bucketsPerOctave - 1)
    }

    /// The largest number of whole microseconds in the bucket.
    private static func upperBound(_ bucket: Int) -> UInt64 {
        guard bucket >= 4 else { return UInt64(bucket) }
        let octave = UInt64(bucket / bucketsPerOctave + 1)
        return (UInt64(4 + bucket % 4 + 1) << (octave - 2)) - 1
    }
}
