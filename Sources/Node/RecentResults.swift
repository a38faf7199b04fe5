internal import Primitives

/// An upstream's last results, as far as they say whether to believe its refusals.
struct RecentResults: Sendable {
    /// So many results are looked at; more than half of them make a storm.
    private static let window = 100
    /// A storm that nothing was heard of for so long is over.
    private static let memory = Duration.hours(1)
    /// An upstream that delivered so lately has not shut us out as a whole, until it refuses so often in a row.
    private static let trustedFor = Duration.minutes(1)
    private static let refusalsBelieved = 3

    private var ring: [Bool] = []
    private var position = 0
    private var strange = 0
    private var last: Instant?
    private var lastDelivery: Instant?
    private var accessRefusals = 0

    /// - Parameter isStrange: 5xx, and it speaks neither of the recipient nor of its domain.
    mutating func add(isStrange: Bool, at now: Instant) {
        if let last, now - last > RecentResults.memory { forget() }
        last = now
        if isStrange { strange += 1 }
        if ring.count < RecentResults.window {
            ring.append(isStrange)
        } else {
            if ring[position] { strange -= 1 }
            ring[position] = isStrange
            position = (position + 1) % RecentResults.window
        }
    }

    /// More than half of the last hundred results are refusals that no recipient explains: they are not believed.
    func isRaging(at now: Instant) -> Bool {
        guard let last, now - last <= RecentResults.memory else { return false }
        return strange > RecentResults.window / 2
    }

    /// `71 of the last 100`.
    var words: String { "\(strange) of the last \(ring.count)" }

    /// A person has looked at it.
    mutating func forget() {
        ring = []
        position = 0
        strange = 0
    }

    mutating func delivered(at now: Instant) {
        lastDelivery = now
        accessRefusals = 0
    }

    /// Our login or our right to relay was refused.
    mutating func accessRefused() { accessRefusals += 1 }

    /// Whether one more such refusal shuts us out, or may speak of this message alone.
    func isShutOut(at now: Instant) -> Bool {
        guard let lastDelivery, now - lastDelivery <= RecentResults.trustedFor else { return true }
        return accessRefusals + 1 >= RecentResults.refusalsBelieved
    }
}
