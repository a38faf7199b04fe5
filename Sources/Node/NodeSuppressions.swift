package import Cluster
package import Primitives
package import SMTP

/// Addresses that get no mail: who comes onto the list by itself, and who is looked up there.
extension Node {
    /// Addresses whose first, not quite certain bounce is remembered.
    static let bouncedOnceLimit = 10_000

    /// The entry of this address or of its whole domain.
    package func suppression(of address: Address, at now: Now) -> Suppression? {
        guard records.has(kind: Suppression.kind) else { return nil }
        return suppression(key: Suppression.key(address.description), at: now)
            ?? suppression(key: Suppression.key("@" + address.domainKey), at: now)
    }

    private func suppression(key: String, at now: Now) -> Suppression? {
        guard records.value(key, at: now.wall) != nil else { return nil }
        return records.record(key).flatMap { Suppression($0) }
    }

    /// An upstream refused this recipient for good, and the reply is of the class `bad-recipient`.
    ///
    /// A code that says that there is no such mailbox (RFC 3463: X.1.1, X.1.3, X.1.6, X.1.10, X.2.1) is enough. Without one
    /// it takes a second such bounce here: words alone are sometimes about something else.
    mutating func hardBounced(
        _ address: Address, _ reply: Reply, upstream: String, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard configuration.suppressions.hardBounces, reply.code >= 500 else { return }
        let key = Suppression.key(address.description)
        if !reply.saysNoMailbox, bouncedOnce.remove(key) == nil {
            if bouncedOnce.count >= Node.bouncedOnceLimit { bouncedOnce.removeAll() }
            bouncedOnce.insert(key)
            return
        }
        suppress(address, cause: .bounce, reason: reply.description, upstream: upstream, now, &effects)
    }

    /// Puts an address onto the list, unless it is there for longer. One whose record finds no room stays off it, which
    /// `status` says.
    ///
    /// - Parameter expiry: How long it stays there; nil for `suppressions.expiry`.
    mutating func suppress(
        _ address: Address, cause: Suppression.Cause = .bounce, reason: String, upstream: String = "",
        expiry: Duration? = nil, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        guard configuration.suppressions.check != .off, address.bytes.count <= Suppression.maximumAddress,
            !address.domain.isEmpty
        else { return }
        let until = now.wall + (expiry ?? configuration.suppressions.expiry)
        if let there = suppression(key: Suppression.key(address.description), at: now) {
            // A day more is not worth a write to every disk of the cluster.
            guard let end = there.until, end + .days(1) < until else { return }
        }
        let entry = Suppression(
            address: address.description, cause: cause, reason: reason, by: "baton", upstream: upstream, at: now.wall,
            until: until)
        guard (try? records.set([entry.write], at: now.wall)) != nil else { return }
        effects.append(.note(.suppressed(entry)))
        recordsChanged(now, &effects)
    }

    /// How many there are now, for people: counted a second at most after one changed, and each minute for those that end.
    mutating func countSuppressions(_ now: Now) {
        let changes = records.changes(ofKind: Suppression.kind)
        let age = now.instant - suppressionCount.at
        let isDue = changes == suppressionCount.changes ? age >= .minutes(1) : age >= .seconds(1) || changes < 1000
        guard isDue else { return }
        suppressionCount = (records.count(ofKind: Suppression.kind, at: now.wall), now.instant, changes)
    }

    /// What people change is told in one line.
    func noteSuppressions(_ writes: [RecordWrite], by: String, _ effects: inout [NodeEffect]) {
        let mine = writes.filter { $0.key.hasPrefix(Suppression.prefix) }
        guard let first = mine.first else { return }
        let added = mine.count { !$0.value.isEmpty }
        let address = mine.count == 1 ? String(first.key.dropFirst(Suppression.prefix.count)) : ""
        effects.append(
            .note(.suppressionsChanged(added: added, removed: mine.count - added, address: address, by: by)))
    }

    /// All records of this kind that have a value, in no order: a long list is sorted elsewhere.
    package func records(prefix: String, at now: Now) -> [ClusterRecord] {
        records.unsorted(prefix: prefix, at: now.wall)
    }

    /// What a client hears at RCPT; nil: it may be accepted.
    package mutating func refusal(ofRecipient address: Address, at now: Now) -> Reply? {
        if let refusal = rules.refusal(to: address, at: now.wall) { return refusal }
        guard configuration.suppressions.check == .rcpt, let entry = suppression(of: address, at: now) else {
            return nil
        }
        counters.suppressed += 1
        return entry.refusal
    }
}

extension Reply {
    fileprivate var saysNoMailbox: Bool {
        guard let enhanced, enhanced.class == 5 else { return false }
        switch (enhanced.subject, enhanced.detail) {
        case (1, 1), (1, 3), (1, 6), (1, 10), (2, 1): return true
        default: return false
        }
    }
}

extension Problem {
    static func recordsFull(_ fullness: Double) -> Problem {
        Problem(
            name: "records-full", severity: .warning,
            summary: "the cluster's records are \(Int(fullness * 100)) % full "
                + "(\(ClusterRecords.maximumRecords) at most, or \(ClusterRecords.maximumBytes >> 20) MiB)",
            effect: fullness >= 1
                ? "no suppression or rule can be added, and hard bounces suppress nothing"
                : "when they are full no suppression or rule can be added",
            baton: "forgets what ended 7 days ago",
            you: "shorten the list: baton suppressions remove --cause bounce --older-than 60d")
    }
}
