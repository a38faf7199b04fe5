package import Cluster
package import Primitives

/// A person's wish for the whole cluster that waits for a majority.
struct RecordAsker: Sendable {
    let ticket: Ticket
    let version: RecordVersion
}

/// Cluster records: their exchange, and what they mean here (`queue.md`, 'What is not in a journal').
extension Node {
    /// Keys of records, as promised to other versions.
    enum RecordKey {
        static func drain(_ node: String) -> String { "drain/\(node)" }
        static let forgotten = "forgotten/"
        static func forgotten(_ disk: ReplicaID) -> String { "forgotten/\(disk.node)/\(disk.disk.bits)" }
        static let upstream = "upstream/"
        static func off(_ upstream: String) -> String { "upstream/\(upstream)/off" }
    }

    /// The records' file, before `start`; nil when there is none yet.
    package mutating func recover(records file: [UInt8]?) throws(RecordsError) {
        if let file { records = try ClusterRecords(me: configuration.replica, file: file) }
    }

    mutating func record(
        _ ticket: Ticket, _ writes: [RecordWrite], by: String, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        do throws(RecordsError) {
            let version = try records.set(writes, at: now.wall)
            recordAskers.append(RecordAsker(ticket: ticket, version: version))
            noteSuppressions(writes, by: by, &effects)
            recordsChanged(now, &effects)
        } catch {
            effects.append(.recorded(ticket, refused: error.description))
        }
    }

    // MARK: The exchange

    /// With each pulse every peer hears what is on this disk.
    mutating func exchangeRecords(_ now: Now, _ effects: inout [NodeEffect]) {
        guard now.instant >= nextRecordsExchange else { return }
        nextRecordsExchange = now.instant + cluster.settings.pulseInterval
        records.expire(at: now.wall)
        readRules(now, &effects)
        countSuppressions(now)
        storeRecords(&effects)
        tellRecords(&effects)
    }

    private func tellRecords(_ effects: inout [NodeEffect]) {
        for peer in cluster.acquainted.sorted() {
            effects.append(.cluster(.send(peer, .recordsDigest(records.digest(for: peer)))))
        }
    }

    mutating func recordsDigestCame(
        _ digest: RecordsDigest, from peer: ReplicaID, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        records.acknowledged(by: peer, digest)
        if let delta = records.delta(for: digest) { effects.append(.cluster(.send(peer, .recordsDelta(delta)))) }
        answerRecordAskers(&effects)
    }

    mutating func recordsDeltaCame(
        _ delta: RecordsDelta, from peer: ReplicaID, _ now: Now, _ effects: inout [NodeEffect]
    ) {
        switch records.take(delta, from: peer) {
        case .nothing: break
        case .changed: recordsChanged(now, &effects)
        case .wantsMore:
            effects.append(.cluster(.send(peer, .recordsDigest(records.digest(for: peer)))))
            recordsChanged(now, &effects)
        }
    }

    // MARK: The disk

    private mutating func storeRecords(_ effects: inout [NodeEffect]) {
        guard let writing = records.fileToStore() else { return }
        effects.append(.storeRecords(writing.bytes, at: writing.offset, version: writing.mark.number))
    }

    mutating func recordsStored(_ version: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        records.stored(through: DiskMark(version))
        storeRecords(&effects)
        for peer in cluster.acquainted.sorted() {
            effects.append(.cluster(.send(peer, .recordsDigest(records.digest(for: peer)))))
            if let delta = records.delta(forPeer: peer) { effects.append(.cluster(.send(peer, .recordsDelta(delta)))) }
        }
        answerRecordAskers(&effects)
    }

    private mutating func answerRecordAskers(_ effects: inout [NodeEffect]) {
        guard !recordAskers.isEmpty else { return }
        let known = cluster.acquainted
        recordAskers.removeAll { asker in
            guard records.isHeld(asker.version, byMajorityOf: known) else { return false }
            effects.append(.recorded(asker.ticket, refused: nil))
            return true
        }
    }

    // MARK: What they mean

    mutating func recordsChanged(_ now: Now, _ effects: inout [NodeEffect]) {
        storeRecords(&effects)
        countSuppressions(now)
        applyRecords(now, &effects)
    }

    /// Asked again whenever something changed; what is so already is left alone.
    mutating func applyRecords(_ now: Now, _ effects: inout [NodeEffect]) {
        guard recovery.isOver else { return }
        readRules(now, &effects)
        for lane in lanes.indices {
            let isOff = records.value(RecordKey.off(lanes[lane].upstream.name), at: now.wall) != nil
            if router.health[lane].isDisabled != isOff { enableUpstream(lane, !isOff, now, &effects) }
        }
        for disk in cluster.acquainted where records.value(RecordKey.forgotten(disk), at: now.wall) != nil {
            carryOut(cluster.forget(disk, at: now.instant), now, &effects)
            records.forget(disk)
            effects.append(.forgotten(disk))
        }
        let isDrained = records.value(RecordKey.drain(configuration.replica.node), at: now.wall) != nil
        if isDrained, !isDrainedByRecord {
            isDrainedByRecord = true
            drain(now, &effects)
        } else if !isDrained, isDrainedByRecord {
            isDrainedByRecord = false
            resume(now, &effects)
        }
    }

    /// `baton node forget`: each of its disks, on every node; of one that came back with a new disk, the old ones.
    mutating func forget(_ ticket: Ticket, _ node: String, _ now: Now, _ effects: inout [NodeEffect]) {
        let known = cluster.acquainted.filter { $0.node == node }
        guard !known.isEmpty else { return effects.append(.recorded(ticket, refused: "no such node: \(node)")) }
        let disks = known.subtracting(cluster.live(at: now.instant)).sorted()
        guard let last = disks.last else {
            return effects.append(.recorded(ticket, refused: "\(node) is alive; drain and stop it first"))
        }
        for disk in disks {
            // Of several the last one's answer is that of all: versions of one disk go up.
            let value = Array("forgotten".utf8)
            if disk == last {
                record(ticket, [RecordWrite(key: RecordKey.forgotten(disk), value: value)], by: "", now, &effects)
            } else if (try? records.set(RecordKey.forgotten(disk), to: value, expiry: nil, at: now.wall)) == nil {
                return effects.append(.recorded(ticket, refused: RecordsError.full.description))
            }
        }
    }

    /// The names that a kind of record speaks of: `upstream/NAME/off`.
    func recordedNames(prefix: String, suffix: String = "", at now: Now) -> [String] {
        records.records(prefix: prefix, at: now.wall).compactMap { record in
            guard record.key.hasSuffix(suffix) else { return nil }
            return String(record.key.dropFirst(prefix.count).dropLast(suffix.count))
        }
    }

    /// What a record says now; nil when there is none. Its writer and the time of writing with it.
    package func recorded(_ key: String, at now: Now) -> ClusterRecord? {
        guard records.value(key, at: now.wall) != nil else { return nil }
        return records.record(key)
    }
}
