/// How a whole is divided among nodes that want parts of it. All in whole units, and the parts never exceed the whole.
enum Apportionment {
    /// In proportion to the weights; units that rounding leaves go to the largest remainders, earlier ones first.
    static func proportional(_ whole: Int, _ weights: [Double]) -> [Int] {
        let sum = weights.reduce(0, +)
        guard whole > 0, sum > 0 else { return weights.map { _ in 0 } }
        var parts: [Int] = []
        var remainders: [(fraction: Double, index: Int)] = []
        for (index, weight) in weights.enumerated() {
            let exact = Double(whole) * (weight / sum)
            let part = min(Int(exact), whole)
            parts.append(part)
            if weight > 0 { remainders.append((exact - Double(part), index)) }
        }
        var left = whole - parts.reduce(0, +)
        remainders.sort { $0.fraction == $1.fraction ? $0.index < $1.index : $0.fraction > $1.fraction }
        for (_, index) in remainders where left > 0 {
            parts[index] += 1
            left -= 1
        }
        return parts
    }

    /// Who wants nothing keeps a hundredth, so that its first message need not wait; who wants little has a tenth of an
    /// equal part before the rest is divided in proportion.
    static func divided(_ whole: Int, wants: [Double]) -> [Int] {
        guard !wants.isEmpty, wants.contains(where: { $0 > 0 }) else {
            return proportional(whole, wants.map { _ in 1 })
        }
        let tenth = whole / (10 * wants.count)
        let floors = wants.map { $0 > 0 ? tenth : min(tenth, whole / 100) }
        let rest = proportional(whole - floors.reduce(0, +), wants)
        return zip(floors, rest).map { $0 + $1 }
    }

    /// Whole connections: one each to those that want one, longest without first, while there are; then in proportion to
    /// what they could use; what nobody can use in equal parts.
    static func connections(_ whole: Int, wants: [Int], order: [Int]) -> [Int] {
        var parts = wants.map { _ in 0 }
        var left = max(0, whole)
        for index in order where wants[index] > 0 && left > 0 {
            parts[index] = 1
            left -= 1
        }
        let more = proportional(left, zip(wants, parts).map { Double(max(0, $0 - $1)) })
        for index in parts.indices {
            let used = min(more[index], wants[index] - parts[index])
            guard used > 0 else { continue }
            parts[index] += used
            left -= used
        }
        // Rounding aside, all that is wanted is there now.
        for (index, spare) in proportional(left, wants.map { _ in 1 }).enumerated() { parts[index] += spare }
        return parts
    }
}
