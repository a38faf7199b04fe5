internal import Node
internal import Primitives

/// Whose a journal is, as this node sees it.
struct Owners {
    private let me: String
    /// Nil for a journal that nobody owns now.
    private var owners: [JournalID: String?] = [:]
    private var firstHolder: [JournalID: String] = [:]

    init(_ status: NodeStatus, me: String) {
        self.me = me
        let members = Membership(status, me: me)
        let alive = Set(members.others.filter(\.status.isAlive).map(\.name))
        for journal in status.journals {
            switch journal.role {
            case .owner, .takingOver: owners[journal.id] = me
            case .claiming, .replica, .blind:
                owners[journal.id] = .some(journal.owner.flatMap { alive.contains($0.node) ? $0.node : nil })
            }
            firstHolder[journal.id] = journal.copies.filter { $0.isAlive && alive.contains($0.replica.node) }
                .map(\.replica.node).min()
        }
    }

    /// A journal that is gone by now was this node's, or nobody's: the node itself answers for it.
    func owner(of message: MessageStatus) -> String? { owners[message.journal] ?? me }

    /// Of a journal without an owner several nodes tell; where their numbers are added up, only one of them may.
    func countsHere(_ message: MessageStatus) -> Bool {
        guard let owner = owner(of: message) else { return me <= firstHolder[message.journal] ?? me }
        return owner == me
    }
}

/// What people ask about messages, of the whole cluster.
extension AdminAPI {
    /// What this node tells of its own.
    func listHere(_ request: AdminRequest) async throws(BadRequest) -> QueueListAnswer {
        let ids = request.query.filter { $0.name == "id" }.map(\.value)
        let given = try ActionRequest.Filter(query: request.query)
        let filter = try given.queueFilter(ids: ids)
        let status = await source.status()
        let owners = Owners(status, me: await source.facts().name)
        var messages: [MessageStatus] = []
        var matched: Int
        if given.isEmpty, !ids.isEmpty, filter.ids.allSatisfy({ $0.lowerBound == $0.upperBound }) {
            // Whole ids need no look at the whole queue.
            for range in filter.ids {
                if let message = await source.message(MessageID(range.lowerBound)) { messages.append(message) }
            }
            matched = messages.count
        } else {
            (messages, matched) = await source.list(filter, limit: limit(request, otherwise: 100))
        }
        let answers = messages.map { MessageAnswer($0, at: status.time, owner: owners.owner(of: $0)) }
        return QueueListAnswer(matched: matched, messages: answers, silent: [])
    }

    /// The same of all nodes: oldest first, each message once, as its owner tells of it.
    func list(_ request: AdminRequest) async throws(BadRequest) -> QueueListAnswer {
        let own = try await listHere(request)
        guard !isLocal(request) else { return own }
        let me = await source.facts().name
        var peers = await askPeers(request, patience: PeerPatience.listing)
        let others = peers.decoded(as: QueueListAnswer.self)
        var merged: [String: MessageAnswer] = [:]
        for (node, answer) in [(node: me, answer: own)] + others {
            for message in answer.messages where merged[message.id] == nil || message.owner == node {
                merged[message.id] = message
            }
        }
        let all = [own] + others.map(\.answer)
        let doubles = all.reduce(0) { $0 + $1.messages.count } - merged.count
        let messages = merged.values.sorted { $0.id < $1.id }.prefix(limit(request, otherwise: 100))
        return QueueListAnswer(
            matched: all.reduce(0) { $0 + $1.matched } - doubles, messages: Array(messages), silent: peers.silent)
    }

    func summary(_ request: AdminRequest) async throws(BadRequest) -> QueueSummaryAnswer {
        let by = request.value("by") ?? "to"
        guard let key = QueueSummaryAnswer.Key(rawValue: by) else {
            let names = QueueSummaryAnswer.Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw BadRequest("by: expected one of \(names), got \(by)")
        }
        let filter = try ActionRequest.Filter(query: request.query).queueFilter(ids: [])
        let (messages, matched) = await source.list(filter, limit: AdminAPI.maximumActed)
        let status = await source.status()
        let owners = Owners(status, me: await source.facts().name)
        let counted = messages.filter(owners.countsHere)
        var answer = QueueSummaryAnswer(
            counted, by: key, matched: matched - (messages.count - counted.count), deferring: status.destinations,
            at: status.time)
        guard !isLocal(request) else { return answer }
        var peers = await askPeers(request, patience: PeerPatience.listing)
        for (_, other) in peers.decoded(as: QueueSummaryAnswer.self) { answer.add(other) }
        answer.silent = peers.silent
        return answer
    }

    /// The one unfinished message of the cluster that an id or its beginning names.
    func find(_ prefix: String, _ request: AdminRequest) async throws(BadRequest) -> MessageAnswer {
        guard ULID.range(prefix: prefix) != nil else {
            throw BadRequest("\(prefix) is not the beginning of a message id")
        }
        var question = AdminRequest(method: "GET", path: "/api/v1/queue")
        question.query = [(name: "id", value: prefix), (name: "limit", value: "2")]
        if isLocal(request) { question.query.append((name: "scope", value: "local")) }
        let answer = try await list(question)
        let missing = AdminAPI.missing(answer.silent)
        guard let message = answer.messages.first else {
            throw BadRequest("no unfinished message has the id \(prefix)\(missing)", status: 404)
        }
        guard answer.messages.count == 1 else {
            throw BadRequest("\(prefix) begins \(answer.matched) ids: give more of it", status: 409)
        }
        return message
    }

    static func missing(_ silent: [String]) -> String {
        silent.isEmpty ? "" : " (not answered by: \(silent.joined(separator: ", ")))"
    }

    /// Whole in memory: one person's question, bounded by `smtp.maximumMessageSize`.
    func raw(_ prefix: String, _ request: AdminRequest) async throws(BadRequest) -> AdminResponse {
        let message = try await find(prefix, request)
        let me = await source.facts().name
        if message.owner == nil || message.owner == me || isLocal(request), let id = ULID(text: message.id),
            let found = await source.message(MessageID(id)), let content = await source.content(of: found)
        {
            return AdminResponse(contentType: "message/rfc822", body: content)
        }
        if !isLocal(request) {
            let question = AdminRequest(method: "GET", path: "/api/v1/queue/\(message.id)/raw")
            var nodes = Membership(await source.status(), me: me).others
            if let owner = message.owner { nodes = nodes.filter { $0.name == owner } }
            let answers = await askPeers(question, nodes, PeerPatience.command).answers
            if let good = answers.first(where: { $0.response.status == 200 }) { return good.response }
        }
        throw BadRequest("the content of \(message.id) cannot be read now", status: 503)
    }

    func limit(_ request: AdminRequest, otherwise: Int) -> Int {
        min(max(1, request.value("limit").flatMap { Int($0) } ?? otherwise), AdminAPI.maximumListed)
    }
}
