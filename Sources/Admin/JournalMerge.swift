/// Each journal once, as its owner tells of it; where no owner answered, as the holders of its copies do.
struct JournalMerge {
    private let reports: [StatusAnswer]
    private let alive: Set<String>

    init(_ reports: [StatusAnswer], alive: Set<String>) {
        self.reports = reports
        self.alive = alive
    }

    var journals: [StatusAnswer.JournalAnswer] {
        var merged: [String: StatusAnswer.JournalAnswer] = [:]
        var disks: [String: String] = [:]
        for report in reports {
            for node in report.nodes where node.name == report.from { disks[node.name] = node.disk }
        }
        for report in reports {
            for journal in report.journals {
                guard let known = merged[journal.id] else {
                    merged[journal.id] = journal
                    continue
                }
                merged[journal.id] = JournalMerge.better(known, journal)
            }
        }
        return merged.values.map { settled($0, disks) }.sorted { $0.id < $1.id }
    }

    /// The owner of the higher epoch knows best, then who claims it, then a reader of its messages.
    private static func better(
        _ a: StatusAnswer.JournalAnswer, _ b: StatusAnswer.JournalAnswer
    ) -> StatusAnswer.JournalAnswer {
        func rank(_ journal: StatusAnswer.JournalAnswer) -> (Int, UInt64) {
            switch journal.state {
            case "open", "sealed": (4, journal.epoch)
            case "taking over": (3, journal.epoch)
            case "claiming": (2, journal.epoch)
            case "blind": (0, journal.epoch)
            default: (1, journal.epoch)
            }
        }
        let (best, other) = rank(a) >= rank(b) ? (a, b) : (b, a)
        var result = best
        if result.owner == nil { result.owner = other.owner }
        // Of several readers one may lag.
        if rank(best).0 == rank(other).0 { result.unfinished = max(best.unfinished, other.unfinished) }
        return result
    }

    /// Others hold a promise to this node, and it says itself that the journal is not its own: it has released it.
    private func disowns(_ owner: String, _ id: String) -> Bool {
        guard let report = reports.first(where: { $0.from == owner }) else { return false }
        return report.journals.first { $0.id == id }?.owner != owner
    }

    /// Whoever answered knows his own disk best, and an owner that nobody holds alive is none.
    private func settled(
        _ journal: StatusAnswer.JournalAnswer, _ disks: [String: String]
    ) -> StatusAnswer.JournalAnswer {
        var journal = journal
        if let owner = journal.owner, !alive.contains(owner) || disowns(owner, journal.id) { journal.owner = nil }
        for index in journal.copies.indices {
            let copy = journal.copies[index]
            if let disk = disks[copy.node], !disk.isEmpty { journal.copies[index].lost = disk != copy.disk }
            journal.copies[index].alive = alive.contains(copy.node) && !journal.copies[index].lost
        }
        return journal
    }
}

extension StatusAnswer.JournalAnswer {
    /// One of its disks is gone for good.
    package var isLackingCopy: Bool { copies.contains { $0.lost } }
}

/// Each upstream once: sums of rates and connections, the longest failure, and shares by what each node sent.
struct UpstreamMerge {
    private let reports: [StatusAnswer]

    init(_ reports: [StatusAnswer]) { self.reports = reports }

    var upstreams: [UpstreamAnswer] {
        var names: [String] = []
        for upstream in reports.flatMap(\.upstreams) where !names.contains(upstream.name) {
            names.append(upstream.name)
        }
        return names.map(merged)
    }

    private func merged(_ name: String) -> UpstreamAnswer {
        // What each of them sent by this upstream in five minutes weighs its shares.
        let parts = reports.compactMap { report in
            report.upstreams.first { $0.name == name }.map { upstream in
                (upstream: upstream, sent: (upstream.share ?? 0) * Double(report.recent5m.delivered))
            }
        }
        var all = parts[0].upstream
        guard parts.count > 1 else { return all }
        let upstreams = parts.map(\.upstream)
        let sent = parts.reduce(0) { $0 + $1.sent }
        let everything = reports.reduce(0.0) { $0 + Double($1.recent5m.delivered) }
        func weighed(_ value: (UpstreamAnswer) -> Double?) -> Double? {
            let known = parts.compactMap { part in value(part.upstream).map { (value: $0, weight: part.sent) } }
            let weight = known.reduce(0) { $0 + $1.weight }
            guard weight > 0 else { return known.map(\.value).max() }
            return known.reduce(0) { $0 + $1.value * $1.weight } / weight
        }
        all.share = upstreams.contains { $0.share != nil } ? everything > 0 ? sent / everything : 0 : nil
        all.wantedShare = upstreams.reduce(0) { $0 + $1.wantedShare } / Double(upstreams.count)
        all.sentPerSecond = upstreams.reduce(0) { $0 + $1.sentPerSecond }
        all.connections = upstreams.reduce(0) { $0 + $1.connections }
        all.transientShare = weighed { $0.transientShare } ?? 0
        all.permanentShare = weighed { $0.permanentShare } ?? 0
        all.medianSeconds = weighed { $0.medianSeconds }
        all.ready = upstreams.reduce(0) { $0 + $1.ready }
        all.sent = upstreams.reduce(0) { $0 + $1.sent }
        all.deferred = upstreams.reduce(0) { $0 + $1.deferred }
        all.failed = upstreams.reduce(0) { $0 + $1.failed }
        all.downAt = upstreams.flatMap(\.downAt).sorted()
        let worst = upstreams.max { $0.downSeconds ?? -1 < $1.downSeconds ?? -1 }
        all.failure = worst?.failure ?? upstreams.compactMap(\.failure).first
        all.downSeconds = worst?.downSeconds
        all.connectSeconds = weighed { $0.connectSeconds }
        all.greetingSeconds = weighed { $0.greetingSeconds }
        all.failedConnections = weighed { $0.failedConnections }
        all.certificateExpiry = upstreams.compactMap(\.certificateExpiry).min()
        all.trust = upstreams.map(\.trust).min() ?? all.trust
        all.blind = upstreams.allSatisfy(\.blind)
        all.lowestAt = upstreams.compactMap(\.lowestAt).min { ($0.trust, $0.provider) < ($1.trust, $1.provider) }
        // Each node knows of the whole cluster's use; the one that knows of most has heard last.
        for index in all.limits.indices {
            let same = upstreams.compactMap { $0.limits.first { $0.name == all.limits[index].name } }
            all.limits[index].used = same.map(\.used).max() ?? 0
        }
        all.spentToday = upstreams.compactMap(\.spentToday).max()
        all.spentThisMonth = upstreams.compactMap(\.spentThisMonth).max()
        all.nextProbeSeconds = upstreams.compactMap(\.nextProbeSeconds).min()
        all.state = state(upstreams, downAt: all.downAt)
        return all
    }

    private func state(_ upstreams: [UpstreamAnswer], downAt: [String]) -> String {
        if upstreams.contains(where: { $0.state == "disabled" }) { return "disabled" }
        if downAt.count == upstreams.count { return "down" }
        if !downAt.isEmpty || upstreams.contains(where: { $0.state == "partial" }) { return "partial" }
        return upstreams.contains { $0.state == "ramping" } ? "ramping" : "up"
    }
}
