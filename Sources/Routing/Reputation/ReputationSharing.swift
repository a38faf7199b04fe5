package import Primitives

/// What this node tells the others, and what it hears from them.
extension Reputation {
    private static let prefix = "reputation/"
    /// Between two records of one upstream when something happens, and when nothing does: so that ages are known.
    private static let urgent = Duration.seconds(1)
    private static let refresh = Duration.seconds(15)
    private static let sweepInterval = Duration.minutes(1)
    /// Less than this of a count is not worth telling.
    private static let worthTelling = 0.1

    /// Who is alive, this node included: whose turns at probing are.
    package mutating func nodes(alive names: [String]) { alive = names.map { Reputation.hash($0.utf8) } }

    // MARK: Telling

    /// Gossip records `reputation/UPSTREAM`, only what changed and is worth telling. To be called at each pulse.
    package mutating func publish(names: Providers, at now: Instant) -> [(key: String, value: [UInt8])] {
        publish(at: now) { names.name($0) }
    }

    /// The same with the providers' names from anywhere.
    package mutating func publish(
        at now: Instant, name: (ProviderID) -> String
    ) -> [(key: String, value: [UInt8])] {
        if now >= nextSweep {
            nextSweep = now + Reputation.sweepInterval
            sweep(at: now)
        }
        var records: [(key: String, value: [UInt8])] = []
        for upstream in upstreams.indices {
            reviewWorth(of: upstream, at: now)
            let silence = told[upstream].at.map { now - $0 } ?? Reputation.refresh
            guard silence >= (told[upstream].isUrgent ? Reputation.urgent : Reputation.refresh) else { continue }
            let record = record(of: upstream, at: now, name: name)
            let hasContent = !record.entries.isEmpty || record.feedback.last != nil
            // One empty record takes back what was said before.
            guard hasContent || told[upstream].hadContent else { continue }
            told[upstream].at = now
            told[upstream].isUrgent = false
            told[upstream].hadContent = hasContent
            told[upstream].sequence &+= 1
            let value = record.encoded(sequence: told[upstream].sequence, at: now)
            records.append((Reputation.prefix + upstreams[upstream], value))
        }
        return records
    }

    private mutating func record(
        of upstream: Int, at now: Instant, name: (ProviderID) -> String
    ) -> ReputationRecord {
        var record = ReputationRecord()
        if let last = feedback[upstream].last, now - last < Reputation.feedbackKept {
            record.feedback = feedback[upstream]
        }
        var found: [(slot: Int, activity: Double)] = []
        for slot in slots(of: upstream) {
            // A quiet step ends by time.
            if pairs[slot].block.phase == .returning { review(slot, at: now) }
            pairs[slot].decay(perNanosecond, to: now)
            pairs[slot].toldRefusals = pairs[slot].recent.refused
            refresh(slot)
            let pair = pairs[slot]
            let hasState = pair.block.phase != .open || (pair.block.term > 0 && now - pair.block.since < Pair.stateKept)
            guard hasState || pair.own.sum > Reputation.worthTelling || pair.recent.sum > Reputation.worthTelling else {
                continue
            }
            found.append((slot, (hasState ? 1e12 : 0) + pair.recent.sum + pair.recent.refused + pair.own.sum / 100))
        }
        found.sort { ($0.activity, $1.slot) > ($1.activity, $0.slot) }
        for (slot, _) in found {
            let pair = pairs[slot]
            var entry = ReputationRecord.Entry(provider: name(pair.provider))
            entry.block = pair.block
            entry.slow = pair.own
            entry.recent = pair.recent
            if pair.block.phase != .open { entry.reply = pair.lastReply }
            record.entries.append(entry)
        }
        return record
    }

    // MARK: Hearing

    /// A record of another node, told once for each version. Anything but a well-formed one is passed over.
    ///
    /// What a dead node said last is as old as it is dead: a caller that knows so should pass it over too.
    package mutating func absorb(
        from node: String, key: String, value: [UInt8], names: inout Providers, at now: Instant
    ) {
        let tail = names.name(.other)
        absorb(from: node, key: key, value: value, at: now) { name in
            // One that found no number here would pass for the long tail.
            let id = names.id(named: name)
            return id == .other && name != tail ? nil : id
        }
    }

    /// The same with the providers' numbers from anywhere; nil where one has none.
    package mutating func absorb(
        from node: String, key: String, value: [UInt8], at now: Instant, provider: (String) -> ProviderID?
    ) {
        guard node != me, key.hasPrefix(Reputation.prefix),
            let upstream = upstreams.firstIndex(of: String(key.dropFirst(Reputation.prefix.count))),
            let record = ReputationRecord(value, at: now), let number = known(node, at: now)
        else { return }
        nodes[number].heard = now
        let hash = Reputation.hash(value)
        guard nodes[number].lastValues[upstream] != hash else { return }
        nodes[number].lastValues[upstream] = hash
        if let seen = record.feedback.last { noteFeedback(upstream, isConfirmation: false, at: now, seen: seen) }
        if let seen = record.feedback.lastConfirmation {
            noteFeedback(upstream, isConfirmation: true, at: now, seen: seen)
        }
        var present: [UInt16] = []
        for entry in record.entries {
            guard let provider = provider(entry.provider) else { continue }
            let slot = slotMaking(upstream, provider, at: now)
            guard !present.contains(UInt16(slot)) else { continue }
            present.append(UInt16(slot))
            absorb(entry, into: slot, from: number, at: now)
        }
        for slot in nodes[number].told[upstream] where !present.contains(slot) {
            pairs[Int(slot)].replace(node: number, with: nil, perNanosecond, at: now)
            refresh(Int(slot))
        }
        nodes[number].told[upstream] = present
    }

    private mutating func absorb(_ entry: ReputationRecord.Entry, into slot: Int, from node: Int, at now: Instant) {
        if !entry.reply.isEmpty, pairs[slot].lastReply.isEmpty || pairs[slot].block.phase == .open {
            pairs[slot].lastReply = entry.reply
        }
        let block = entry.block
        pairs[slot].replace(
            node: node,
            with: Pair.PeerTally(
                node: node, slow: entry.slow, recent: entry.recent, at: now, term: block.term, restart: block.restart,
                step: block.step, story: block.story),
            perNanosecond, at: now)
        adopt(block, slot, at: now)
        if entry.recent.refused > 0 || pairs[slot].block.phase != .open { review(slot, at: now) }
        refresh(slot)
    }

    private mutating func known(_ node: String, at now: Instant) -> Int? {
        if let number = nodes.firstIndex(where: { $0.name == node }) { return number }
        let new = KnownNode(
            name: node, hash: Reputation.hash(node.utf8), heard: now,
            lastValues: Array(repeating: 0, count: upstreams.count), told: Array(repeating: [], count: upstreams.count))
        // A name that was forgotten makes room.
        if let gone = nodes.firstIndex(where: { $0.name.isEmpty }) {
            nodes[gone] = new
            return gone
        }
        guard nodes.count < Reputation.maximumNodes else { return nil }
        nodes.append(new)
        return nodes.count - 1
    }

    /// A node that never comes back; the evidence of one that died decays by itself.
    package mutating func forget(node: String) {
        guard let number = nodes.firstIndex(where: { $0.name == node }), !node.isEmpty else { return }
        for slots in nodes[number].told {
            for slot in slots {
                pairs[Int(slot)].replace(node: number, with: nil, perNanosecond, at: pairs[Int(slot)].totalAt)
                refresh(Int(slot))
            }
        }
        nodes[number].name = ""
        nodes[number].told = upstreams.map { _ in [] }
        nodes[number].lastValues = upstreams.map { _ in 0 }
    }
}
