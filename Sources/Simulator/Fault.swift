import Primitives

/// Everything that can go wrong. A seed switches some of them on: runs with few kinds of fault reach deeper states of
/// each than runs with all of them ('swarm testing', Groce et al. 2012).
package enum Fault: String, Hashable, Sendable, CaseIterable {
    // The node and its disk.
    case powerLoss = "power loss"
    case kill
    case failedSync = "failed sync"
    case slowDisk = "slow disk"
    case diskFull = "disk full"
    case flippedBits = "flipped bits"
    case wallJump = "wall clock jump"
    case drain
    // The upstreams, before MAIL.
    case refuseConnect = "refused connect"
    case hangConnect = "hanging connect"
    case greetPermanent = "greeting 554"
    case greetTransient = "greeting 421"
    case refuseEHLO = "EHLO refused"
    case failTLS = "TLS handshake failed"
    case reducedCapabilities = "fewer capabilities"
    // The upstreams, from MAIL on.
    case drop = "connection dropped"
    case hang = "no reply"
    case nonsense = "nonsense reply"
    case close421 = "421 in mid-session"
    case staleConnection = "idle connection closed"
    case mailTransient = "MAIL 4xx"
    case mailPermanent = "MAIL 5xx"
    case mailRights = "MAIL 5xx for lack of rights"
    case recipientTransient = "RCPT 4xx"
    case recipientPermanent = "RCPT 5xx"
    case tooManyRecipients = "RCPT 452 4.5.3"
    case dataTransient = "DATA 4xx"
    case dataPermanent = "DATA 5xx"
    case contentRefused = "verdict in mid-content"
    case dotTransient = "dot 4xx"
    case dotPermanent = "dot 5xx"
    case dotUnanswered = "accepted, never answered"
    case dotLost = "dot never answered"
    // Clients and people.
    case abortStream = "stream aborted"
    case vanish = "client vanished"
    case command = "command of a person"
    case toggleUpstream = "upstream switched"
    case reconfigure = "reconfigured"
}

/// What a run, or many, amounted to.
package struct Totals: Sendable {
    package var seeds = 0
    package var steps = 0
    package var simulated = Duration.zero
    package var faults: [Fault: Int] = [:]
    package var submitted = 0
    package var accepted = 0
    package var refused = 0
    package var deliveries = 0
    package var duplicates = 0
    package var bounces = 0
    package var warnings = 0
    package var expired = 0
    package var held = 0
    package var commands = 0
    package var starts = 0
    package var takeovers = 0
    package var retired = 0

    package init() {}

    package mutating func add(_ other: Totals) {
        seeds += other.seeds
        steps += other.steps
        simulated += other.simulated
        faults.merge(other.faults, uniquingKeysWith: +)
        submitted += other.submitted
        accepted += other.accepted
        refused += other.refused
        deliveries += other.deliveries
        duplicates += other.duplicates
        bounces += other.bounces
        warnings += other.warnings
        expired += other.expired
        held += other.held
        commands += other.commands
        starts += other.starts
        takeovers += other.takeovers
        retired += other.retired
    }

    /// Several lines for people.
    package var report: String {
        let days = simulated.inSeconds / 86400
        var lines = [
            "\(seeds) seeds, \(steps) steps, \((days * 10).rounded() / 10) days simulated",
            "messages: \(submitted) submitted, \(accepted) answered 250, \(refused) refused",
            "outcomes: \(deliveries) deliveries (\(duplicates) of them repeated), \(bounces) bounces, "
                + "\(warnings) delay warnings, \(expired) expired",
            "node: \(starts) starts, \(takeovers) takeovers, \(retired) journals retired, \(commands) commands answered",
            "faults:",
        ]
        for fault in Fault.allCases {
            if let count = faults[fault] { lines.append("  \(fault.rawValue): \(count)") }
        }
        return lines.joined(separator: "\n")
    }
}
