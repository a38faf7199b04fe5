internal import Primitives

/// How boldly the router follows what it learns.
package struct RoutingSettings: Hashable, Sendable {
    /// After it a result counts half for the reputation; above zero.
    package var halfLife = Duration.hours(1)
    /// The power of trust that the weight is multiplied with: 0 ignores reputation.
    package var exponent = 2.0
    /// The share of mail that goes by configured weight alone among upstreams that are not blocked, so that recovery is
    /// noticed: 0 to 1.
    package var exploration = 0.01
    /// How strongly a lower price counts: 0 ignores it, 1 makes half the price twice the weight.
    package var costPreference = 1.0

    package init() {}
}

extension RoutingSettings {
    var reputation: ReputationSettings {
        var result = ReputationSettings()
        result.halfLife = halfLife
        result.exponent = exponent
        return result
    }
}
