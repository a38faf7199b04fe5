package import Node
internal import Primitives

/// `GET /api/v1/status`. The keys are stable: scripts and dashboards rest on them.
package struct StatusAnswer: Codable, Hashable, Sendable {
    package enum Verdict: String, Codable, Sendable { case healthy, degraded, starting, draining }

    package struct NodeAnswer: Codable, Hashable, Sendable {
        package var name: String
        package var state: String
        package var version: String
        package var upSeconds: Double
        package var acceptedPerSecond: Double
        package var sentPerSecond: Double
        package var journals: Int
        package var syncP99Seconds: Double?
        package var diskFreeBytes: UInt64
        package var diskTotalBytes: UInt64
        package var clientConnections: Int
    }

    package struct Oldest: Codable, Hashable, Sendable {
        package var id: String
        package var ageSeconds: Double
        package var tries: Int
        package var to: String
        package var lastReply: String
    }

    package struct QueueAnswer: Codable, Hashable, Sendable {
        package var messages: Int
        package var bytes: UInt64
        package var due: Int
        package var sending: Int
        package var retrying: Int
        package var waitingForUpstream: Int
        package var held: Int
        package var uncertain: Int
        package var oldestDueSeconds: Double?
        package var oldest: Oldest?
    }

    package struct RecentAnswer: Codable, Hashable, Sendable {
        package var accepted: Int
        package var delivered: Int
        package var deferred: Int
        package var bounced: Int
        package var uncertain: Int
    }

    package struct JournalAnswer: Codable, Hashable, Sendable {
        package var id: String
        package var epoch: UInt64
        package var state: String
        package var bytes: UInt64
        package var unfinished: Int
    }

    package var verdict: Verdict
    /// The verdict in words, with the fault tolerance left.
    package var summary: String
    package var warnings: Int
    package var ready: Bool
    package var time: String
    /// The node that answered.
    package var from: String
    package var cluster: String
    package var nodes: [NodeAnswer]
    package var queue: QueueAnswer
    package var recent5m: RecentAnswer
    package var upstreams: [UpstreamAnswer]
    package var journals: [JournalAnswer]
    package var problems: [ProblemAnswer]
}

package struct UpstreamAnswer: Codable, Hashable, Sendable {
    package var name: String
    package var state: String
    package var share: Double?
    package var wantedShare: Double
    package var sentPerSecond: Double
    package var connections: Int
    package var maximumConnections: Int
    package var transientShare: Double
    package var permanentShare: Double
    package var medianSeconds: Double?
    package var ready: Int
    package var failure: String?
    package var downSeconds: Double?
    package var nextProbeSeconds: Double?
    package var sent: UInt64
    package var deferred: UInt64
    package var failed: UInt64

    package init(_ status: NodeStatus.UpstreamStatus) {
        name = status.name
        state = status.state.rawValue
        share = status.share
        wantedShare = status.wantedShare
        sentPerSecond = status.sentPerSecond
        connections = status.connections
        maximumConnections = status.maximumConnections
        transientShare = status.transientShare
        permanentShare = status.permanentShare
        medianSeconds = status.median?.inSeconds
        ready = status.ready
        failure = status.failure
        downSeconds = status.downFor?.inSeconds
        nextProbeSeconds = status.nextProbe?.inSeconds
        sent = status.sent
        deferred = status.deferred
        failed = status.failed
    }
}

package struct ProblemAnswer: Codable, Hashable, Sendable {
    package var name: String
    package var severity: String
    package var summary: String
    package var effect: String
    package var baton: String
    package var you: String

    package init(_ problem: Problem) {
        name = problem.name
        severity = problem.severity.rawValue
        summary = problem.summary
        effect = problem.effect
        baton = problem.baton
        you = problem.you
    }
}

extension StatusAnswer {
    package init(_ status: NodeStatus, _ facts: NodeFacts) {
        verdict = Verdict(status)
        warnings = status.problems.filter { $0.severity == .warning }.count
        summary = verdict.summary(of: status, warnings: warnings)
        ready = status.isReady
        time = status.time.rfc3339
        from = facts.name
        cluster = facts.cluster
        nodes = [NodeAnswer(status, facts)]
        queue = QueueAnswer(status.queue, at: status.time)
        recent5m = RecentAnswer(
            accepted: status.recent.accepted, delivered: status.recent.sent, deferred: status.recent.deferred,
            bounced: status.recent.bounced, uncertain: status.recent.uncertain)
        upstreams = status.upstreams.map(UpstreamAnswer.init)
        journals = status.journals.map {
            JournalAnswer(
                id: $0.id.description, epoch: $0.epoch, state: $0.state, bytes: $0.bytes.bytes,
                unfinished: $0.unfinished)
        }
        problems = status.problems.map(ProblemAnswer.init)
    }
}

extension StatusAnswer.NodeAnswer {
    init(_ status: NodeStatus, _ facts: NodeFacts) {
        name = facts.name
        state = status.state.rawValue
        version = BatonVersion.current
        upSeconds = facts.upFor.inSeconds
        acceptedPerSecond = status.recent.acceptedPerSecond
        sentPerSecond = status.recent.sentPerSecond
        journals = status.journals.count
        syncP99Seconds = facts.syncTime.count > 0 ? facts.syncTime.quantile(0.99).inSeconds : nil
        diskFreeBytes = status.diskFree.bytes
        diskTotalBytes = status.diskTotal.bytes
        clientConnections = facts.clientConnections
    }
}

extension StatusAnswer.QueueAnswer {
    init(_ queue: NodeStatus.Queue, at now: WallTime) {
        messages = queue.messages
        bytes = queue.bytes.bytes
        due = queue.due
        sending = queue.sending
        retrying = queue.retrying
        waitingForUpstream = queue.waitingForUpstream
        held = queue.held
        uncertain = queue.uncertain
        oldestDueSeconds = queue.oldestDue?.inSeconds
        oldest = queue.oldest.map { message in
            // Of many recipients the one with most tries explains the age.
            let stuck = message.recipients.max { $0.tries < $1.tries }
            return StatusAnswer.Oldest(
                id: message.id.description, ageSeconds: (now - message.accepted).inSeconds, tries: stuck?.tries ?? 0,
                to: stuck?.address ?? "", lastReply: stuck?.lastReply ?? "")
        }
    }
}

extension StatusAnswer.Verdict {
    init(_ status: NodeStatus) {
        switch status.state {
        case .starting: self = .starting
        case .draining: self = .draining
        case .serving:
            let isDegraded = !status.isReady || status.problems.contains { $0.severity == .degraded }
            self = isDegraded ? .degraded : .healthy
        }
    }

    /// The first line of `baton status` without its time.
    func summary(of status: NodeStatus, warnings: Int) -> String {
        let delivers = status.upstreams.contains { $0.state == .up || $0.state == .ramping }
        let doing =
            switch (status.isReady, delivers) {
            case (true, true): "accepting and delivering"
            case (true, false): "accepting, not delivering"
            case (false, true): "not accepting, delivering"
            case (false, false): "neither accepting nor delivering"
            }
        // One node holds the one copy: losing its disk loses what is queued, and that is said each time.
        let hasWarnings = self == .healthy && warnings > 0
        let tolerance = "\(hasWarnings ? "all" : "every message") on 1 disk · 0 nodes may fail"
        let count = hasWarnings ? ", \(warnings) warning\(warnings == 1 ? "" : "s")" : ""
        return "\(rawValue)\(count): \(doing) · \(tolerance)"
    }
}
