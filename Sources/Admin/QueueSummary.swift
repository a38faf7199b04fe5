internal import Node
internal import Primitives

extension QueueSummaryAnswer {
    /// What a summary groups by.
    package enum Key: String, CaseIterable, Sendable { case to, destination, domain, from, upstream, state, reply }

    init(
        _ messages: [MessageStatus], by key: Key, matched: Int, deferring: [NodeStatus.DestinationStatus] = [],
        at now: WallTime
    ) {
        var rows: [String: Row] = [:]
        for message in messages {
            let age = (now - message.accepted).inSeconds
            var recipients: [String: Int] = [:]
            for recipient in message.recipients { recipients[key.value(message, recipient), default: 0] += 1 }
            for (name, count) in recipients {
                var row = rows[name] ?? Row(key: name, messages: 0, recipients: 0, bytes: 0, oldestSeconds: 0)
                row.messages += 1
                row.recipients += count
                row.bytes += message.size.bytes
                row.oldestSeconds = max(row.oldestSeconds, age)
                rows[name] = row
            }
        }
        if key == .destination || key == .domain {
            for destination in deferring { rows[destination.domain]?.state = destination.words }
        }
        by = key.rawValue
        self.matched = matched
        counted = messages.count
        self.rows = QueueSummaryAnswer.sorted(rows)
        silent = []
    }
}

extension NodeStatus.DestinationStatus {
    /// What it does to mail now, for a table.
    var words: String {
        let now =
            switch state {
            case .closed: "deferred, \(parked) parked, next try in \((nextProbe ?? .zero).short)"
            case .probing: "deferred, \(parked) parked, being tried"
            case .opening: "opening, \(parked) parked"
            }
        return lastReply.isEmpty ? now : "\(now): \(lastReply)"
    }
}

extension QueueSummaryAnswer.Key {
    fileprivate func value(_ message: MessageStatus, _ recipient: MessageStatus.RecipientStatus) -> String {
        switch self {
        case .to, .destination, .domain: domain(recipient.address)
        case .from: message.sender.isEmpty || message.sender == "<>" ? "<>" : domain(message.sender)
        case .upstream: recipient.upstream.isEmpty ? "-" : recipient.upstream
        case .state: recipient.state
        case .reply:
            // `451 4.7.1 greylisted, come back in 300 s` and its like differ in every line: the codes are the group.
            recipient.lastReply.isEmpty ? "-" : codes(recipient.lastReply)
        }
    }

    private func domain(_ address: String) -> String {
        address.lastIndex(of: "@").map { String(address[address.index(after: $0)...]).lowercased() } ?? address
    }

    private func codes(_ reply: String) -> String {
        let words = reply.split(separator: " ", maxSplits: 2).prefix(2)
        let leading = words.prefix { word in word.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2e } }
        return leading.isEmpty ? reply : leading.joined(separator: " ")
    }
}

extension QueueSummaryAnswer {
    /// Adds what another node counted.
    mutating func add(_ other: QueueSummaryAnswer) {
        var rows: [String: Row] = [:]
        for row in self.rows + other.rows {
            var sum = rows[row.key] ?? Row(key: row.key, messages: 0, recipients: 0, bytes: 0, oldestSeconds: 0)
            sum.messages += row.messages
            sum.recipients += row.recipients
            sum.bytes += row.bytes
            sum.oldestSeconds = max(sum.oldestSeconds, row.oldestSeconds)
            // Each node learns for itself; the one with most to say comes first.
            sum.state = sum.state ?? row.state
            rows[row.key] = sum
        }
        matched += other.matched
        counted += other.counted
        self.rows = QueueSummaryAnswer.sorted(rows)
    }

    static func sorted(_ rows: [String: Row]) -> [Row] {
        rows.values.sorted { $0.messages == $1.messages ? $0.key < $1.key : $0.messages > $1.messages }
    }
}
