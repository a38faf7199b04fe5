internal import Glibc
package import Primitives

/// What mail costs at each upstream, and whether there is money left.
///
/// Each node counts what it spends itself, in millionths of the prices' currency, in cluster records that only it writes:
/// `spent/UPSTREAM/2026-12-01/NODE` and `spent/UPSTREAM/2026-12/NODE`. What the cluster spent is the sum. A budget is kept
/// as far as the nodes know of each other: it may be passed by what is sent within some seconds.
package struct Cost: Sendable {
    package enum Budget: String, Hashable, Sendable { case day, month }

    /// In the prices' currency, of the whole cluster as far as known here, in this day and month of UTC.
    package struct Spent: Hashable, Sendable {
        package var day = 0.0
        package var month = 0.0
        package init(day: Double = 0, month: Double = 0) {
            self.day = day
            self.month = month
        }
    }

    /// What was spent in one day or month, by whom.
    fileprivate struct Account: Hashable, Sendable {
        /// `2026-12-01` or `2026-12`.
        var period = ""
        var own: UInt64 = 0
        /// What this node's record says, by this process or an earlier one.
        var written: UInt64 = 0
        var others: [String: UInt64] = [:]
        var othersSum: UInt64 = 0

        var sum: UInt64 { own &+ othersSum }
    }

    private struct Entry: Sendable {
        let name: String
        /// Millionths.
        let each: Double
        let counted: Rate.Counted
        let budgets: (day: UInt64?, month: UInt64?)
        let preferred: Double
        var day = Account()
        var month = Account()
        /// Less than a millionth that is not yet counted.
        var rest = 0.0
    }

    private static let millionths = 1_000_000.0
    private static let writeInterval = Duration.seconds(5)
    fileprivate static let maximumWriters = 256
    /// Nothing that is really spent comes near; sums of these do not overflow.
    private static let highest: UInt64 = 1 << 53

    private let me: String
    private var entries: [Entry]
    private var periods = (day: "", month: "")
    private var ends = WallTime(milliseconds: .min)
    private var begins = WallTime(milliseconds: .max)
    private var nextWrite: Instant?

    /// - Parameter preference: How strongly a lower price counts: 0 ignores it, 1 makes half the price twice the weight.
    package init(upstreams: [Upstream], me: String, preference: Double = 1) {
        self.me = me
        let prices = upstreams.map { $0.price?.each ?? 0 }
        // What is free counts as a quarter of the least price: a preference must not be infinite.
        let least = prices.filter { $0 > 0 }.min() ?? 0
        let floor = prices.contains { $0 <= 0 } ? least / 4 : least
        func limit(_ budget: Double?) -> UInt64? {
            budget.map { UInt64(min(max($0, 0) * Cost.millionths, Double(Cost.highest))) }
        }
        entries = upstreams.map { upstream in
            let price = max(upstream.price?.each ?? 0, floor)
            return Entry(
                name: upstream.name, each: max(0, upstream.price?.each ?? 0) * Cost.millionths,
                counted: upstream.price?.counted ?? .recipients,
                budgets: (limit(upstream.budgetPerDay), limit(upstream.budgetPerMonth)),
                preferred: price > 0 && preference > 0 ? pow(floor / price, preference) : 1)
        }
    }

    /// A transaction was sent to the end: that is what costs.
    package mutating func sent(upstream: Int, recipients: Int, at now: Now) {
        guard entries[upstream].each > 0 else { return }
        observe(now.wall)
        let count = entries[upstream].counted == .messages ? 1 : max(1, recipients)
        let amount = entries[upstream].each * Double(count) + entries[upstream].rest
        let whole = min(amount.rounded(.down), Double(Cost.highest))
        entries[upstream].rest = amount - whole
        entries[upstream].day.own = min(entries[upstream].day.own + UInt64(whole), Cost.highest)
        entries[upstream].month.own = min(entries[upstream].month.own + UInt64(whole), Cost.highest)
    }

    /// What the weight is multiplied with: 1 for the cheapest, 0 when a budget is spent.
    package func factor(upstream: Int) -> Double {
        overBudget(upstream: upstream) == nil ? entries[upstream].preferred : 0
    }

    /// The budget that is spent; for the problem `upstream-budget-spent`. The month's is named when both are.
    package func overBudget(upstream: Int) -> Budget? {
        let entry = entries[upstream]
        if let month = entry.budgets.month, entry.month.sum >= month { return .month }
        if let day = entry.budgets.day, entry.day.sum >= day { return .day }
        return nil
    }

    package func spent(upstream: Int) -> Spent {
        Spent(
            day: Double(entries[upstream].day.sum) / Cost.millionths,
            month: Double(entries[upstream].month.sum) / Cost.millionths)
    }

    // MARK: Records

    /// Cluster records `spent/…`; each has one writer, this node. Called about every second: it also turns the day.
    package mutating func recordsToWrite(at now: Now) -> [(key: String, value: [UInt8], expiry: WallTime)] {
        observe(now.wall)
        if let nextWrite, now.instant < nextWrite { return [] }
        var records: [(key: String, value: [UInt8], expiry: WallTime)] = []
        for index in entries.indices {
            let name = entries[index].name
            if let record = entries[index].day.toWrite(name, me, expiry: ends + .days(1)) { records.append(record) }
            if let record = entries[index].month.toWrite(name, me, expiry: ends + .days(62)) { records.append(record) }
        }
        if !records.isEmpty { nextWrite = now.instant + Cost.writeInterval }
        return records
    }

    package mutating func recordChanged(key: String, value: [UInt8]?, at now: Now) {
        observe(now.wall)
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[0] == "spent" else { return }
        var amount: UInt64 = 0
        if let value {
            var reader = ByteReader(value)
            guard let number = try? reader.readVariable() else { return }
            amount = min(number, Cost.highest)
        }
        let name = parts[1..<parts.count - 2].joined(separator: "/")
        let period = String(parts[parts.count - 2])
        let node = String(parts[parts.count - 1])
        guard let index = entries.firstIndex(where: { $0.name == name }) else { return }
        if period == periods.day {
            entries[index].day.take(amount, from: node, me)
        } else if period == periods.month {
            entries[index].month.take(amount, from: node, me)
        }
    }

    private mutating func observe(_ wall: WallTime) {
        guard wall < begins || wall >= ends else { return }
        let civil = wall.civil
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        periods.month = "\(civil.year)-\(two(civil.month))"
        periods.day = "\(periods.month)-\(two(civil.day))"
        begins = UTCDay.start(of: UTCDay.number(of: wall))
        ends = begins + .days(1)
        for index in entries.indices {
            if entries[index].day.period != periods.day { entries[index].day = Account(period: periods.day) }
            if entries[index].month.period != periods.month { entries[index].month = Account(period: periods.month) }
        }
    }
}

extension Cost.Account {
    fileprivate mutating func toWrite(
        _ name: String, _ me: String, expiry: WallTime
    ) -> (key: String, value: [UInt8], expiry: WallTime)? {
        guard own > written else { return nil }
        written = own
        var writer = ByteWriter()
        writer.writeVariable(own)
        return ("spent/\(name)/\(period)/\(me)", writer.bytes, expiry)
    }

    fileprivate mutating func take(_ amount: UInt64, from node: String, _ me: String) {
        if node == me {
            // Only what an earlier process left: what this one wrote comes back too.
            guard amount > written else { return }
            own += amount - written
            written = amount
            return
        }
        guard others[node] != nil || others.count < Cost.maximumWriters else { return }
        others[node] = amount
        othersSum = others.values.reduce(0, +)
    }
}
