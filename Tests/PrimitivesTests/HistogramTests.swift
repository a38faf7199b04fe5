import Primitives
import Testing

@Suite("Histograms")
struct HistogramTests {
    @Test("a quantile is never too small, and at most 25 % or 1 µs too large")
    func bounds() {
        for seed in 0..<UInt64(50) {
            var random = SeededRandom(seed: seed)
            var histogram = Histogram()
            var values: [Int64] = []
            for _ in 0..<Int.random(in: 1...300, using: &random) {
                let value = Int64(random.next() >> UInt64.random(in: 20..<64, using: &random))
                values.append(value)
                histogram.record(.nanoseconds(value))
            }
            values.sort()
            for share in [0, 0.01, 0.5, 0.9, 0.99, 1] {
                let exact = values[max(0, Int((Double(values.count) * share).rounded(.up)) - 1)]
                let bound = histogram.quantile(share).nanoseconds
                #expect(bound >= exact && Double(bound) <= Double(exact) * 1.25 + 1000, "seed \(seed), \(share)")
            }
            #expect(histogram.quantile(1) == histogram.maximum && histogram.count == UInt64(values.count))
            #expect(histogram.maximum.nanoseconds == values.last)
        }
    }

    @Test("durations beyond every bucket and below zero are counted")
    func extremes() {
        var histogram = Histogram()
        #expect(histogram.quantile(0.5) == .zero)
        histogram.record(.seconds(-1))
        #expect(histogram.quantile(1) == .zero && histogram.sum == 0)
        histogram.record(.days(400))
        #expect(histogram.quantile(1) == .days(400) && histogram.quantile(0.5) <= .microseconds(1))
        #expect(histogram.countAtMost(.days(1000)) == 2 && histogram.countAtMost(.seconds(1)) == 1)
    }

    @Test("merged histograms count as one")
    func merge() {
        var a = Histogram()
        var b = Histogram()
        var both = Histogram()
        for value in 1...1000 {
            if value % 3 == 0 { a.record(.microseconds(value)) } else { b.record(.microseconds(value)) }
            both.record(.microseconds(value))
        }
        a.merge(b)
        #expect(a.count == both.count && a.quantile(0.5) == both.quantile(0.5) && a.maximum == both.maximum)
        #expect(abs(a.sum - both.sum) < 1e-9)
    }
}
