internal import Primitives

/// What people see of destinations that defer.
extension Destinations {
    /// From so many messages that wait on, they are a problem for people.
    static let problematic = 100

    /// Domains that are backed off. (Of 100,000 that are known few are.)
    var limitedCount: Int {
        var count = 0
        all.forEach { _, destination in if destination.phase != .counting { count += 1 } }
        return count
    }

    /// Those that most messages wait for.
    func worst(_ most: Int, at now: Now) -> [NodeStatus.DestinationStatus] {
        var found: [(parked: Int, since: Instant, key: DestinationKey)] = []
        all.forEach { key, destination in
            if destination.phase != .counting { found.append((destination.parked.count, destination.since, key)) }
        }
        found.sort { ($1.parked, $0.since, $0.key.slot) < ($0.parked, $1.since, $1.key.slot) }
        return found.prefix(most).map { status(of: $0.key, at: now) }
    }

    private func status(of key: DestinationKey, at now: Now) -> NodeStatus.DestinationStatus {
        let destination = all[key]
        var state = NodeStatus.DestinationStatus.State.opening
        var nextProbe: Duration?
        switch destination.phase {
        case .counting: break
        case .closed(let until):
            state = .closed
            nextProbe = max(.zero, until - now.instant)
        case .open(let window): if window == 1 { state = .probing }
        }
        return NodeStatus.DestinationStatus(
            domain: String(decoding: destination.domain, as: UTF8.self), state: state,
            parked: destination.parked.count, failures: destination.failures,
            since: now.wall + (destination.since - now.instant), nextProbe: nextProbe,
            lastReply: destination.lastReply.description)
    }

    /// One for all of them: the worst, and how many others.
    func problem(at now: Now) -> Problem? {
        guard parkedCount >= Destinations.problematic, let worst = worst(1, at: now).first else { return nil }
        let others = limitedCount - 1
        let since = (now.wall - worst.since).short
        let baton: String
        switch worst.state {
        case .closed:
            let next = (worst.nextProbe ?? .zero).short
            baton = "tries it with one message at a time, next in \(next); the rest goes as soon as it takes mail"
        case .probing: baton = "tries it with one message just now; the rest goes as soon as it takes mail"
        case .opening: baton = "sends it more with each message that it takes"
        }
        return Problem(
            name: "destination-deferred", severity: .warning,
            summary: "\(worst.domain) defers since \(since): \(worst.lastReply)"
                + (others > 0 ? " · \(others) other domain\(others == 1 ? "" : "s") too" : ""),
            effect: "\(parkedCount) messages wait, in nobody's way; nothing is bounced before its lifetime ends",
            baton: baton, you: "see all of them: baton queue summary --by destination")
    }
}
