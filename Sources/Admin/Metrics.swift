internal import Node
internal import Primitives

/// The Prometheus text format (0.0.4). Only this node's own figures, so that `sum()` over nodes is right; never a recipient,
/// a domain or an id as a label. Names are stable.
struct Metrics {
    private var text = ""

    /// `view` is what this node sees of the cluster, `clocks` by how much others' clocks are ahead.
    static func render(
        _ status: NodeStatus, _ facts: NodeFacts, _ view: StatusAnswer, clocks: [String: Double]
    ) -> String {
        var metrics = Metrics()
        metrics.messages(status, facts)
        metrics.queue(status, ownQueue(status, facts, view))
        metrics.times(status, facts)
        metrics.upstreams(status)
        metrics.cluster(status, facts, view, clocks)
        metrics.machine(status, facts, view)
        return metrics.text
    }

    private mutating func messages(_ status: NodeStatus, _ facts: NodeFacts) {
        header("baton_messages_accepted_total", "counter", "Messages answered with 250 since the process began.")
        sample("baton_messages_accepted_total", [], Double(status.counters.accepted))
        header("baton_smtp_refusals_total", "counter", "Commands and messages of clients refused, by code and reason.")
        for (key, count) in facts.refusals.sorted(by: { ($0.key.code, $0.key.reason) < ($1.key.code, $1.key.reason) }) {
            sample("baton_smtp_refusals_total", [("code", String(key.code)), ("reason", key.reason)], Double(count))
        }
        results(status.counters.results)
        header("baton_feedback_total", "counter", "What was heard of mail after its 250, by upstream and event.")
        let heard = facts.feedback.sorted { ($0.key.upstream, $0.key.event) < ($1.key.upstream, $1.key.event) }
        for (key, count) in heard {
            sample("baton_feedback_total", [("upstream", key.upstream), ("event", key.event)], Double(count))
        }
        header("baton_takeovers_total", "counter", "Journals claimed, at each start and from other nodes.")
        sample("baton_takeovers_total", [], Double(status.counters.takeovers))
        header(
            "baton_uncertain_total", "counter", "Recipients that may have been delivered without a recorded outcome.")
        sample("baton_uncertain_total", [], Double(status.counters.uncertain))
        header(
            "baton_suppressed_total", "counter",
            "Recipients refused or failed because they are on the suppression list.")
        sample("baton_suppressed_total", [], Double(status.counters.suppressed))
        header("baton_bounces_dropped_total", "counter", "Bounces given up because nobody would take them.")
        sample("baton_bounces_dropped_total", [], Double(status.counters.bouncesDropped))
    }

    private mutating func results(_ counts: [NodeCounters.ResultKey: UInt64]) {
        header("baton_results_total", "counter", "Results of recipients, by upstream, provider, status and class.")
        let named = Metrics.largest(counts.map { ($0.key.provider, Double($0.value)) })
        var sums: [NodeCounters.ResultKey: UInt64] = [:]
        for (key, count) in counts {
            var key = key
            if !named.contains(key.provider) { key.provider = "other" }
            sums[key, default: 0] += count
        }
        let sorted = sums.sorted {
            ($0.key.upstream, $0.key.provider, $0.key.status, $0.key.replyClass)
                < ($1.key.upstream, $1.key.provider, $1.key.status, $1.key.replyClass)
        }
        for (key, count) in sorted {
            let labels = [
                ("upstream", key.upstream), ("provider", key.provider), ("status", key.status),
                ("class", key.replyClass),
            ]
            sample("baton_results_total", labels, Double(count))
        }
    }

    /// Of providers so many get a label of their own.
    private static let maximumProviders = 50

    private static func largest(_ parts: [(provider: String, count: Double)]) -> Set<String> {
        var sums: [String: Double] = [:]
        for (provider, count) in parts { sums[provider, default: 0] += count }
        let order = sums.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        return Set(order.prefix(maximumProviders).map(\.key))
    }

    /// Of a journal without an owner every holder of a copy tells; only the first of them counts it.
    private static func ownQueue(
        _ status: NodeStatus, _ facts: NodeFacts, _ view: StatusAnswer
    ) -> StatusAnswer.QueueAnswer {
        var queue = StatusAnswer.QueueAnswer(status.queue, at: status.time)
        let others = view.journals.filter { journal in
            let first = journal.copies.filter { $0.alive && !$0.lost }.map(\.node).min()
            return journal.owner == nil && first ?? facts.name < facts.name
        }
        queue.leaveOut(others.reduce(0) { $0 + $1.unfinished })
        return queue
    }

    private mutating func queue(_ status: NodeStatus, _ queue: StatusAnswer.QueueAnswer) {
        header("baton_queue_messages", "gauge", "Unfinished messages by state.")
        let states = [
            ("due", queue.due), ("sending", queue.sending), ("retrying", queue.retrying),
            ("waiting_for_upstream", queue.waitingForUpstream), ("held", queue.held),
        ]
        for (state, count) in states { sample("baton_queue_messages", [("state", state)], Double(count)) }
        header("baton_queue_bytes", "gauge", "Bytes of unfinished messages.")
        sample("baton_queue_bytes", [], Double(queue.bytes))
        header(
            "baton_queue_oldest_seconds", "gauge",
            "Age of the oldest message (any) and how long the longest due waits (due).")
        let oldest = max(0, queue.oldest?.ageSeconds ?? 0)
        sample("baton_queue_oldest_seconds", [("state", "any")], oldest)
        sample("baton_queue_oldest_seconds", [("state", "due")], queue.oldestDueSeconds ?? 0)
    }

    private mutating func times(_ status: NodeStatus, _ facts: NodeFacts) {
        histogram("baton_accept_seconds", "From a message's last byte to its 250.", status.counters.acceptTime)
        histogram("baton_sync_seconds", "Time of each write and sync of the disk.", facts.syncTime)
        histogram("baton_time_to_send_seconds", "From acceptance to an upstream's 250.", status.counters.timeToSend)
    }

    private mutating func upstreams(_ status: NodeStatus) {
        header("baton_upstream_up", "gauge", "Whether an upstream takes mail.")
        for upstream in status.upstreams {
            let isUp = upstream.state == .up || upstream.state == .ramping
            sample("baton_upstream_up", [("upstream", upstream.name)], isUp ? 1 : 0)
        }
        header("baton_upstream_connections", "gauge", "Open connections to an upstream.")
        for upstream in status.upstreams {
            sample("baton_upstream_connections", [("upstream", upstream.name)], Double(upstream.connections))
        }
        header("baton_upstream_limit_used_ratio", "gauge", "Of an upstream's limits, the part in use, by limit.")
        for upstream in status.upstreams {
            let share = Double(upstream.connections) / Double(max(1, upstream.maximumConnections))
            sample(
                "baton_upstream_limit_used_ratio", [("upstream", upstream.name), ("limit", "connections")], share)
            for limit in upstream.limits where limit.limit > 0 && limit.name != "connections" {
                sample(
                    "baton_upstream_limit_used_ratio", [("upstream", upstream.name), ("limit", limit.name)],
                    limit.used / limit.limit)
            }
        }
        trust(status.trust)
    }

    /// 0 to 100, of pairs that have evidence against them; the rest is fully trusted.
    private mutating func trust(_ pairs: [NodeStatus.PairTrust]) {
        header("baton_trust", "gauge", "How well a provider trusts an upstream, 0 to 100, where it is below 100.")
        let named = Metrics.largest(pairs.map { ($0.provider, Double(100 - $0.trust)) })
        var lowest: [String: [String: Int]] = [:]
        for pair in pairs {
            let provider = named.contains(pair.provider) ? pair.provider : "other"
            lowest[pair.upstream, default: [:]][provider] = min(
                lowest[pair.upstream]?[provider] ?? 100, pair.trust)
        }
        for (upstream, providers) in lowest.sorted(by: { $0.key < $1.key }) {
            for (provider, value) in providers.sorted(by: { $0.key < $1.key }) {
                sample("baton_trust", [("upstream", upstream), ("provider", provider)], Double(value))
            }
        }
    }

    private mutating func cluster(
        _ status: NodeStatus, _ facts: NodeFacts, _ view: StatusAnswer, _ clocks: [String: Double]
    ) {
        header("baton_journals", "gauge", "Journals by this node's role in them.")
        for role in [NodeStatus.JournalStatus.Role.owner, .takingOver, .claiming, .replica, .blind] {
            let label = role.rawValue.replacing(" ", with: "_")
            sample("baton_journals", [("role", label)], Double(status.journals.count { $0.role == role }))
        }
        header("baton_journals_lacking_copy", "gauge", "Journals owned here that lost a copy with its disk.")
        let mine = view.journals.filter { $0.owner == facts.name }
        sample("baton_journals_lacking_copy", [], Double(mine.count { $0.isLackingCopy }))
        header("baton_copy_lag_bytes", "gauge", "What another node lacks of the journals owned here.")
        for node in view.nodes where node.name != facts.name {
            let lag = mine.flatMap(\.copies).filter { $0.node == node.name && !$0.lost }.compactMap(\.lagBytes)
            sample("baton_copy_lag_bytes", [("peer", node.name)], Double(lag.reduce(0, +)))
        }
        header("baton_peer_up", "gauge", "Whether this node hears another.")
        for node in view.nodes where node.name != facts.name {
            sample("baton_peer_up", [("peer", node.name)], node.alive ? 1 : 0)
        }
        header("baton_clock_offset_seconds", "gauge", "By how much another node's wall clock is ahead of this one's.")
        for (node, offset) in clocks.sorted(by: { $0.key < $1.key }) {
            sample("baton_clock_offset_seconds", [("peer", node)], offset)
        }
        header("baton_nodes_may_fail", "gauge", "So many nodes may fail, as this one sees it, and mail still moves.")
        sample("baton_nodes_may_fail", [], Double(view.copies.mayFail))
        header("baton_copies_fewest", "gauge", "Copies on live nodes of the message that has the fewest.")
        sample("baton_copies_fewest", [], Double(view.copies.fewest))
        header("baton_copies_wanted", "gauge", "Copies that a new message gets (cluster.replicas).")
        sample("baton_copies_wanted", [], Double(view.copies.wanted))
    }

    private mutating func machine(_ status: NodeStatus, _ facts: NodeFacts, _ view: StatusAnswer) {
        header("baton_ready", "gauge", "Whether the node may accept mail.")
        sample("baton_ready", [], status.isReady ? 1 : 0)
        header("baton_smtp_connections", "gauge", "Open connections of clients.")
        sample("baton_smtp_connections", [], Double(facts.clientConnections))
        header("baton_disk_free_bytes", "gauge", "Free space of the data directory's file system.")
        sample("baton_disk_free_bytes", [], Double(status.diskFree.bytes))
        if let expiry = facts.certificateExpiry {
            header("baton_certificate_expiry_timestamp_seconds", "gauge", "When the SMTP certificate expires.")
            sample("baton_certificate_expiry_timestamp_seconds", [], Double(expiry.milliseconds) / 1000)
        }
        header("baton_problem", "gauge", "1 for each problem that baton status shows.")
        // Two problems may share a name (two upstreams down); a metric may not stand twice.
        for name in Set(view.problems.map(\.name)).sorted() { sample("baton_problem", [("name", name)], 1) }
        header("baton_build_info", "gauge", "Always 1; the version is the label.")
        sample("baton_build_info", [("version", BatonVersion.current)], 1)
        header("baton_uptime_seconds", "gauge", "Since the process began.")
        sample("baton_uptime_seconds", [], facts.upFor.inSeconds)
    }

    // MARK: The format

    private static let bounds: [Duration] = [
        .milliseconds(1), .microseconds(2500), .milliseconds(5), .milliseconds(10), .milliseconds(25),
        .milliseconds(50),
        .milliseconds(100), .milliseconds(250), .milliseconds(500), .seconds(1), .milliseconds(2500), .seconds(5),
        .seconds(10), .seconds(60), .seconds(600), .seconds(3600),
    ]

    private mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        header(name, "histogram", help)
        for bound in Metrics.bounds {
            sample(name + "_bucket", [("le", number(bound.inSeconds))], Double(histogram.countAtMost(bound)))
        }
        sample(name + "_bucket", [("le", "+Inf")], Double(histogram.count))
        sample(name + "_sum", [], histogram.sum)
        sample(name + "_count", [], Double(histogram.count))
    }

    private mutating func header(_ name: String, _ type: String, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0)=\"\(escaped($1))\"" }.joined(separator: ",") + "}"
        }
        text += " \(number(value))\n"
    }

    private func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private func escaped(_ value: String) -> String {
        var result = ""
        for character in value {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.append(character)
            }
        }
        return result
    }
}
