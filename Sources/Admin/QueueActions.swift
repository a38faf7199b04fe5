internal import FoundationEssentials
internal import Node
internal import Primitives

extension AdminAPI {
    /// Commands in progress at once: each waits for the disk, and many share one sync.
    private static let inFlight = 64

    /// A bulk action: finds what is meant, tells a count and samples, and, unless it is a dry run, does it.
    func act(_ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        let asked: ActionRequest
        do {
            asked = try JSONDecoder().decode(ActionRequest.self, from: Data(request.body))
        } catch {
            throw BadRequest("expected JSON such as {\"verb\": \"retry\", \"ids\": [\"01J…\"]}")
        }
        guard let verb = Command.Verb(rawValue: asked.verb) else {
            let names = Command.Verb.allCases.map(\.rawValue).joined(separator: ", ")
            throw BadRequest("verb: expected one of \(names), got \(asked.verb)")
        }
        let ids = asked.ids ?? []
        let given = asked.filter ?? .init()
        // An empty selection must never mean everything.
        guard !ids.isEmpty || !given.isEmpty || asked.all == true else {
            throw BadRequest("expected ids, a filter, or \"all\": true")
        }
        for id in ids { _ = try await find(id) }
        let (messages, matched) = await source.list(try given.queueFilter(ids: ids), limit: AdminAPI.maximumActed)
        let now = await source.status().time
        var answer = ActionAnswer(
            verb: verb.rawValue, dryRun: asked.dryRun ?? false, matched: matched,
            samples: messages.prefix(3).map { MessageAnswer($0, at: now) }, outcomes: [:], messages: [],
            remaining: matched - messages.count)
        if answer.dryRun { return .json(answer) }
        let by = asked.by ?? "admin"
        let commands = messages.map { Command(verb, $0.id, by: by, reason: asked.reason ?? "") }
        for (id, outcome) in await perform(commands) {
            answer.outcomes[outcome.rawValue, default: 0] += 1
            if answer.messages.count < 1000 {
                answer.messages.append(.init(id: id.description, outcome: outcome.rawValue))
            }
        }
        return .json(answer)
    }

    /// In the order of the commands, some at a time.
    private func perform(_ commands: [Command]) async -> [(MessageID, CommandAnswer)] {
        let source = source
        return await withTaskGroup(of: (Int, CommandAnswer).self) { group in
            var answers = [CommandAnswer](repeating: .tryAgain, count: commands.count)
            var next = 0
            func begin() {
                guard next < commands.count else { return }
                let index = next
                next += 1
                group.addTask { (index, await source.perform(commands[index])) }
            }
            for _ in 0..<AdminAPI.inFlight { begin() }
            for await (index, answer) in group {
                answers[index] = answer
                begin()
            }
            return zip(commands, answers).map { ($0.message, $1) }
        }
    }
}

extension QueueSummaryAnswer {
    /// What a summary groups by.
    package enum Key: String, CaseIterable, Sendable { case to, from, upstream, state, reply }

    init(_ messages: [MessageStatus], by key: Key, matched: Int, at now: WallTime) {
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
        by = key.rawValue
        self.matched = matched
        counted = messages.count
        self.rows = rows.values.sorted { $0.messages == $1.messages ? $0.key < $1.key : $0.messages > $1.messages }
    }
}

extension QueueSummaryAnswer.Key {
    fileprivate func value(_ message: MessageStatus, _ recipient: MessageStatus.RecipientStatus) -> String {
        switch self {
        case .to: domain(recipient.address)
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
