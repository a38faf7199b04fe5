internal import EventLoop
internal import FoundationEssentials
internal import Node
internal import Primitives

/// How a question and its answer travel between nodes, inside `Ask` and `Answer`: the same request that a person would
/// make there, and the same response. A line of JSON, then the body as it is.
enum PeerQuestion {
    private struct Question: Codable {
        var method: String
        var path: String
        var query: [[String]]
    }

    private struct Reply: Codable {
        var status: Int
        var contentType: String
    }

    static func encode(_ request: AdminRequest) -> [UInt8] {
        let query = request.query.map { [$0.name, $0.value] }
        return line(Question(method: request.method, path: request.path, query: query)) + request.body
    }

    static func decode(request bytes: [UInt8]) -> AdminRequest? {
        guard let (head, body) = split(bytes, as: Question.self) else { return nil }
        var request = AdminRequest(method: head.method, path: head.path)
        request.query = head.query.compactMap { $0.count == 2 ? (name: $0[0], value: $0[1]) : nil }
        request.body = body
        return request
    }

    static func encode(_ response: AdminResponse) -> [UInt8] {
        line(Reply(status: response.status, contentType: response.contentType)) + response.body
    }

    static func decode(response bytes: [UInt8]) -> AdminResponse? {
        guard let (head, body) = split(bytes, as: Reply.self) else { return nil }
        return AdminResponse(status: head.status, contentType: head.contentType, body: body)
    }

    private static func line(_ head: some Encodable) -> [UInt8] {
        // An empty head is refused by whoever reads it.
        ((try? JSONEncoder().encode(head)).map { Array($0) } ?? []) + [0x0a]
    }

    private static func split<Head: Decodable>(_ bytes: [UInt8], as: Head.Type) -> (Head, [UInt8])? {
        guard let end = bytes.firstIndex(of: 0x0a) else { return nil }
        guard let head = try? JSONDecoder().decode(Head.self, from: Data(bytes[..<end])) else { return nil }
        return (head, Array(bytes[(end + 1)...]))
    }
}

/// How long another node is waited for.
enum PeerPatience {
    /// `status` answers within a second, whoever is silent (outputs.md, rule 5).
    static let glance = Duration.milliseconds(700)
    static let listing = Duration.seconds(5)
    /// A command waits for the disks of a majority, a bulk one for many of them; the client waits 30 s.
    static let command = Duration.seconds(25)
    static let examination = Duration.seconds(20)
}

/// What the other nodes said to one question.
struct PeerAnswers: Sendable {
    struct One: Sendable {
        var node: String
        var response: AdminResponse
        /// From the question to the answer.
        var took: Duration
    }

    var answers: [One] = []
    /// Who did not answer: dead, cut off, or too slow.
    var silent: [String] = []

    /// The answers that are of this kind; any other is as good as none.
    mutating func decoded<Answer: Decodable>(as: Answer.Type = Answer.self) -> [(node: String, answer: Answer)] {
        var good: [(node: String, answer: Answer)] = []
        for one in answers {
            if one.response.status == 200, let answer: Answer = one.response.decode() {
                good.append((one.node, answer))
            } else if one.response.status != 404 {
                silent.append(one.node)
            }
        }
        silent.sort()
        return good
    }
}

extension AdminResponse {
    func decode<Answer: Decodable>() -> Answer? { try? JSONDecoder().decode(Answer.self, from: Data(body)) }
}

extension AdminAPI {
    /// Answers another node's question, from this node's own knowledge: it asks nobody further.
    package func answer(peer what: [UInt8]) async -> [UInt8] {
        guard let request = PeerQuestion.decode(request: what) else {
            return PeerQuestion.encode(.error(400, "not a question of baton's"))
        }
        return PeerQuestion.encode(await AdminAPI(source, scope: .peer).answer(request))
    }

    /// Asks the other nodes at once; those that are not alive are not waited for.
    func askPeers(_ request: AdminRequest, patience: Duration) async -> PeerAnswers {
        await askPeers(request, Membership(await source.status(), me: await source.facts().name).others, patience)
    }

    func askPeers(_ request: AdminRequest, _ members: [Membership.Member], _ patience: Duration) async -> PeerAnswers {
        let source = source
        let what = PeerQuestion.encode(request)
        var all = PeerAnswers()
        await withTaskGroup(of: (String, AdminResponse?, Duration).self) { group in
            for member in members {
                guard member.status.isAlive else {
                    all.silent.append(member.name)
                    continue
                }
                group.addTask {
                    let began = Clock.instant()
                    let answer = await source.ask(member.status.replica, what, patience: patience)
                    return (
                        member.name, answer.flatMap { PeerQuestion.decode(response: $0) }, Clock.instant() - began
                    )
                }
            }
            for await (node, response, took) in group {
                if let response {
                    all.answers.append(.init(node: node, response: response, took: took))
                } else {
                    all.silent.append(node)
                }
            }
        }
        all.answers.sort { $0.node < $1.node }
        all.silent.sort()
        return all
    }

    /// Asks one node by name, this one included; nil when it did not answer.
    func ask(_ node: String, _ request: AdminRequest, patience: Duration) async -> AdminResponse? {
        let facts = await source.facts()
        if node == facts.name { return await AdminAPI(source, scope: .peer).answer(request) }
        let members = Membership(await source.status(), me: facts.name).others.filter { $0.name == node }
        return await askPeers(request, members, patience).answers.first?.response
    }
}

extension AdminRequest {
    /// Whether only this node's own knowledge is wanted.
    var isLocal: Bool { value("scope") == "local" }
}
