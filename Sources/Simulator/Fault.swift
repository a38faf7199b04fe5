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
    // Several nodes.
    case pause
    case isolation = "a node cut off"
    case oneWayCut = "one-way cuts"
    case partialCut = "partial cuts"
    case slowNetwork = "stragglers"
    case lossyNetwork = "lost messages"
    case repeatingNetwork = "repeated messages"
    case disorder = "messages out of order"
    case resetConnections = "reset connections"
    case wipedDisk = "wiped disk"
    case formerDisk = "the former disk back"
    case drainByRecord = "drained by a record"
    case rollingRestart = "rolling restart"
    case wholeOutage = "all nodes killed at once"
    /// Never by chance: a negative test.
    case forgedDeath = "forged death"
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
    case domainDown = "a recipient domain can't be reached"
    case recipientPermanent = "RCPT 5xx"
    case tooManyRecipients = "RCPT 452 4.5.3"
    case dataTransient = "DATA 4xx"
    case dataPermanent = "DATA 5xx"
    case contentRefused = "verdict in mid-content"
    case dotTransient = "dot 4xx"
    case dotPermanent = "dot 5xx"
    case dotUnanswered = "accepted, never answered"
    case dotLost = "dot never answered"
    case dotSlow = "dot answered late"
    // Clients and people.
    case abortStream = "stream aborted"
    case vanish = "client vanished"
    case command = "command of a person"
    case toggleUpstream = "upstream switched"
    case reconfigure = "reconfigured"

    /// Those that take more than one node.
    package static let ofSeveral: Set<Fault> = [
        .pause, .isolation, .oneWayCut, .partialCut, .slowNetwork, .lossyNetwork, .repeatingNetwork, .disorder,
        .resetConnections, .wipedDisk, .formerDisk, .drainByRecord, .rollingRestart, .wholeOutage, .forgedDeath,
    ]
}

/// What a run, or many, amounted to.
package struct Totals: Sendable {
    package var seeds = 0
    /// Things that happened, and events that nodes handled.
    package var turns = 0
    package var steps = 0
    package var simulated = Duration.zero
    package var faults: [Fault: Int] = [:]
    /// Messages that clients had, and how often they handed one in.
    package var letters = 0
    package var submitted = 0
    package var unanswered = 0
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
    package var reclaimed = 0
    package var lateOutcomes = 0
    package var records = 0
    package var retired = 0
    /// Instants at which two nodes held one lease: none but in negative tests.
    package var doubleLeases = 0

    package init() {}

    package mutating func add(_ other: Totals) {
        seeds += other.seeds
        turns += other.turns
        steps += other.steps
        letters += other.letters
        unanswered += other.unanswered
        reclaimed += other.reclaimed
        lateOutcomes += other.lateOutcomes
        records += other.records
        doubleLeases += other.doubleLeases
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
        let hours = simulated.inSeconds / 3600
        var lines = [
            "\(seeds) seeds, \(steps) events, \((hours * 10).rounded() / 10) hours simulated",
            "clients: \(letters) messages handed in \(submitted) times, \(accepted) answered 250, \(refused) refused, "
                + "\(unanswered) connections broke",
            "outcomes: \(deliveries) deliveries (\(duplicates) of them repeated), \(bounces) bounces, "
                + "\(warnings) delay warnings, \(expired) expired, \(lateOutcomes) came late and were used",
            "nodes: \(starts) starts, \(takeovers) takeovers with \(reclaimed) messages, \(retired) copies retired, "
                + "\(commands) commands answered, \(records) records written",
            "faults:",
        ]
        for fault in Fault.allCases {
            if let count = faults[fault] { lines.append("  \(fault.rawValue): \(count)") }
        }
        return lines.joined(separator: "\n")
    }
}
