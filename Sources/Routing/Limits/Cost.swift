package import Primitives

/// What mail costs at each upstream, and whether there is money left.
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

    /// - Parameter preference: How strongly a lower price counts: 0 ignores it, 1 makes half the price twice the weight.
    package init(upstreams: [Upstream], me: String, preference: Double = 1) {}

    /// A transaction was sent to the end: that is what costs.
    package mutating func sent(upstream: Int, recipients: Int, at now: Now) {}

    /// What the weight is multiplied with: 1 for the cheapest, 0 when a budget is spent.
    package func factor(upstream: Int) -> Double { 1 }

    /// The budget that is spent; for the problem `upstream-budget-spent`.
    package func overBudget(upstream: Int) -> Budget? { nil }

    package func spent(upstream: Int) -> Spent { Spent() }

    /// Cluster records `spent/…`; each has one writer, this node. Called about every second: it also turns the day.
    package mutating func recordsToWrite(at now: Now) -> [(key: String, value: [UInt8], expiry: WallTime)] { [] }

    package mutating func recordChanged(key: String, value: [UInt8]?, at now: Now) {}
}
