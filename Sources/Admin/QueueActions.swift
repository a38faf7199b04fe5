internal import FoundationEssentials
internal import Node
internal import Primitives

/// Commands upon messages. Each goes to the owner of its message's journal; where there is none now, it is to be tried
/// again (`queue.md`, 'Commands').
extension AdminAPI {
    /// Commands in progress at once: each waits for the disk, and many share one sync.
    private static let inFlight = 64

    func act(_ request: AdminRequest) async throws(BadRequest) -> ActionAnswer {
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
        // An empty selection must never mean everything.
        let ids = asked.ids ?? []
        guard !ids.isEmpty || !(asked.filter ?? .init()).isEmpty || asked.all == true else {
            throw BadRequest("expected ids, a filter, or \"all\": true")
        }
        if verb == .redirect {
            let names = await source.status().upstreams.map(\.name)
            guard let upstream = asked.upstream, names.contains(upstream) else {
                throw BadRequest(
                    "upstream: expected one of \(names.joined(separator: ", ")), got \(asked.upstream ?? "nothing")")
            }
        }
        if isLocal(request) { return try await actHere(asked, verb) }
        return ids.isEmpty ? try await actEverywhere(request, asked, verb) : try await actOn(ids, asked, verb)
    }

    // MARK: All that match

    /// What this node owns of what is meant.
    private func actHere(_ asked: ActionRequest, _ verb: Command.Verb) async throws(BadRequest) -> ActionAnswer {
        let filter = try (asked.filter ?? .init()).queueFilter(ids: asked.ids ?? [])
        let (messages, matched) = await source.list(filter, limit: AdminAPI.maximumActed)
        let status = await source.status()
        let me = await source.facts().name
        let owners = Owners(status, me: me)
        let counted = messages.filter(owners.countsHere)
        var answer = ActionAnswer(
            verb: verb.rawValue, dryRun: asked.dryRun ?? false,
            matched: matched - (messages.count - counted.count),
            samples: counted.prefix(3).map { MessageAnswer($0, at: status.time, owner: owners.owner(of: $0)) },
            outcomes: [:], messages: [], remaining: matched - messages.count, silent: [])
        guard !answer.dryRun else { return answer }
        for message in counted where owners.owner(of: message) == nil {
            answer.count(.tryAgain, message.id.description)
        }
        let mine = counted.filter { owners.owner(of: $0) == me }
        for (id, outcome) in await perform(verb, mine.map(\.id), asked) { answer.count(outcome, id.description) }
        return answer
    }

    private func actEverywhere(
        _ request: AdminRequest, _ asked: ActionRequest, _ verb: Command.Verb
    ) async throws(BadRequest) -> ActionAnswer {
        // Both at once: a bulk action takes as long as the slowest node.
        async let peersSaid = askPeers(request, patience: PeerPatience.command)
        var answer = try await actHere(asked, verb)
        var peers = await peersSaid
        for (_, other) in peers.decoded(as: ActionAnswer.self) { answer.add(other) }
        answer.silent = peers.silent
        return answer
    }

    // MARK: Single messages

    private func actOn(
        _ ids: [String], _ asked: ActionRequest, _ verb: Command.Verb
    ) async throws(BadRequest) -> ActionAnswer {
        let found = try await resolve(ids, asked.filter ?? .init())
        var answer = ActionAnswer(
            verb: verb.rawValue, dryRun: asked.dryRun ?? false, matched: found.messages.count,
            samples: Array(found.messages.prefix(3)), outcomes: [:], messages: [], remaining: 0, silent: found.silent)
        guard !answer.dryRun else { return answer }
        let me = await source.facts().name
        var byOwner: [String: [String]] = [:]
        for message in found.messages {
            guard let owner = message.owner else {
                answer.count(.tryAgain, message.id)
                continue
            }
            byOwner[owner, default: []].append(message.id)
        }
        for (owner, ids) in byOwner.sorted(by: { $0.key < $1.key }) {
            if owner == me {
                let mine = ids.compactMap { ULID(text: $0).map(MessageID.init) }
                for (id, outcome) in await perform(verb, mine, asked) { answer.count(outcome, id.description) }
            } else {
                for part in AdminAPI.parts(ids) { await tell(owner, part, asked, into: &answer) }
            }
        }
        return answer
    }

    /// Another node's messages. What it does not know any more has moved: to be tried again.
    private func tell(_ owner: String, _ ids: [String], _ asked: ActionRequest, into answer: inout ActionAnswer) async {
        var question = AdminRequest(method: "POST", path: "/api/v1/queue/actions")
        var theirs = asked
        theirs.ids = ids
        theirs.filter = nil
        question.body = Array((try? JSONEncoder().encode(theirs)) ?? Data())
        let response = await ask(owner, question, patience: PeerPatience.command)
        guard response?.status == 200, let told: ActionAnswer = response?.decode() else {
            for id in ids { answer.count("noAnswer", id) }
            if !answer.silent.contains(owner) { answer.silent.append(owner) }
            return
        }
        for (outcome, count) in told.outcomes { answer.outcomes[outcome, default: 0] += count }
        answer.messages += told.messages.prefix(max(0, ActionAnswer.maximumTold - answer.messages.count))
        let lost = ids.count - told.outcomes.values.reduce(0, +)
        if lost > 0 { answer.outcomes[CommandAnswer.tryAgain.rawValue, default: 0] += lost }
    }

    /// Each id or beginning names exactly one message of the cluster, or nothing is done.
    private func resolve(_ ids: [String], _ filter: ActionRequest.Filter) async throws(BadRequest) -> QueueListAnswer {
        var all = QueueListAnswer(matched: 0, messages: [], silent: [])
        for part in AdminAPI.parts(ids) {
            let found = try await list(AdminAPI.question(part, .init()))
            all.matched += found.matched
            all.messages += found.messages
            all.silent = found.silent
        }
        for id in ids {
            guard let range = ULID.range(prefix: id) else {
                throw BadRequest("\(id) is not the beginning of a message id")
            }
            let named = all.messages.count { ULID(text: $0.id).map(range.contains) ?? false }
            if named == 0 {
                throw BadRequest("no unfinished message has the id \(id)\(AdminAPI.missing(all.silent))", status: 404)
            }
            if named > 1 { throw BadRequest("\(id) begins \(named) ids: give more of it", status: 409) }
        }
        guard !filter.isEmpty else { return all }
        // Those of them that the filter means too.
        var both = QueueListAnswer(matched: 0, messages: [], silent: all.silent)
        for part in AdminAPI.parts(all.messages.map(\.id)) {
            let found = try await list(AdminAPI.question(part, filter))
            both.matched += found.matched
            both.messages += found.messages
        }
        return both
    }

    private static func question(_ ids: [String], _ filter: ActionRequest.Filter) -> AdminRequest {
        var question = AdminRequest(method: "GET", path: "/api/v1/queue")
        question.query = ids.map { (name: "id", value: $0) } + filter.query
        question.query.append((name: "limit", value: "\(AdminAPI.maximumListed)"))
        return question
    }

    /// A question to another node is at most 256 KiB.
    private static func parts(_ ids: [String]) -> [[String]] {
        stride(from: 0, to: ids.count, by: 4000).map { Array(ids[$0..<min(ids.count, $0 + 4000)]) }
    }

    /// In the order of the messages, some at a time.
    private func perform(
        _ verb: Command.Verb, _ ids: [MessageID], _ asked: ActionRequest
    ) async -> [(MessageID, CommandAnswer)] {
        let source = source
        let commands = ids.map {
            Command(
                verb, $0, by: asked.by ?? "admin", reason: asked.reason ?? "", upstream: asked.upstream ?? "")
        }
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

extension ActionAnswer {
    /// Messages whose outcome is told one by one.
    fileprivate static let maximumTold = 1000

    fileprivate mutating func count(_ outcome: CommandAnswer, _ id: String) { count(outcome.rawValue, id) }

    fileprivate mutating func count(_ outcome: String, _ id: String) {
        outcomes[outcome, default: 0] += 1
        if messages.count < ActionAnswer.maximumTold { messages.append(.init(id: id, outcome: outcome)) }
    }

    /// Adds what another node did.
    fileprivate mutating func add(_ other: ActionAnswer) {
        matched += other.matched
        remaining += other.remaining
        samples = Array((samples + other.samples).sorted { $0.id < $1.id }.prefix(3))
        for (outcome, count) in other.outcomes { outcomes[outcome, default: 0] += count }
        messages += other.messages.prefix(max(0, ActionAnswer.maximumTold - messages.count))
    }
}
