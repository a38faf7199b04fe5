internal import FoundationEssentials
internal import Node
internal import Primitives

/// One HTTP request to the admin API, taken apart.
package struct AdminRequest: Sendable {
    package var method: String
    /// Percent-decoded, without the query.
    package var path: String
    package var query: [(name: String, value: String)] = []
    package var body: [UInt8] = []
    /// The token of `Authorization: Bearer`.
    package var bearer: [UInt8]?
    /// Header fields, and the client's address, where the server was asked for them.
    package var headers: [(name: String, value: String)] = []
    package var client = ""

    package init(method: String, path: String) {
        self.method = method
        self.path = path
    }

    func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
}

package struct AdminResponse: Sendable {
    package var status: Int
    package var contentType: String
    package var body: [UInt8]

    package init(status: Int = 200, contentType: String = "text/plain; charset=utf-8", body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    static func text(_ text: String, status: Int = 200) -> AdminResponse {
        AdminResponse(status: status, body: Array(text.utf8))
    }

    /// Sorted keys: the same state gives the same bytes.
    static func json(_ value: some Encodable, status: Int = 200) -> AdminResponse {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(value) else {
            return .text("the answer cannot be written as JSON\n", status: 500)
        }
        return AdminResponse(status: status, contentType: "application/json", body: Array(data) + [0x0a])
    }

    static func error(_ status: Int, _ text: String) -> AdminResponse {
        json(ErrorAnswer(error: text), status: status)
    }
}

/// What a request asks for is not there or not well said.
struct BadRequest: Error {
    var status = 400
    var text: String

    init(_ text: String, status: Int = 400) {
        self.text = text
        self.status = status
    }
}

extension ActionRequest.Filter {
    /// The same names in a query as in JSON.
    init(query: [(name: String, value: String)]) throws(BadRequest) {
        self.init()
        for (name, value) in query {
            switch name {
            case "to": to = value
            case "from": from = value
            case "user": user = value
            case "messageId": messageId = value
            case "upstream": upstream = value
            case "state": state = value
            case "olderThan": olderThan = value
            case "uncertain": uncertain = value != "0" && value != "false"
            case "limit", "id", "by", "scope": break
            default: throw BadRequest("unknown parameter \(name)")
            }
        }
    }

    /// The other way round, to ask other nodes the same.
    var query: [(name: String, value: String)] {
        var query: [(name: String, value: String)] = []
        let texts = [
            ("to", to), ("from", from), ("user", user), ("messageId", messageId), ("upstream", upstream),
            ("state", state),
            ("olderThan", olderThan),
        ]
        for (name, value) in texts {
            if let value { query.append((name: name, value: value)) }
        }
        if uncertain == true { query.append((name: "uncertain", value: "1")) }
        return query
    }

    func queueFilter(ids: [String]) throws(BadRequest) -> QueueFilter {
        var result = QueueFilter()
        result.to = to?.lowercased()
        result.from = from?.lowercased()
        result.user = user
        result.messageID = messageId?.lowercased()
        result.upstream = upstream
        result.uncertainOnly = uncertain ?? false
        if let state {
            let plain = state == "waiting" ? MessageStatus.State.waitingForUpstream.rawValue : state
            guard let known = MessageStatus.State(rawValue: plain) else {
                let names = MessageStatus.State.allCases.map { $0 == .waitingForUpstream ? "waiting" : $0.rawValue }
                throw BadRequest("state: expected one of \(names.joined(separator: ", ")), got \(state)")
            }
            result.state = known
        }
        if let olderThan {
            guard let duration = Duration(text: olderThan) else {
                throw BadRequest("olderThan: expected a duration such as 2h, got \(olderThan)")
            }
            result.olderThan = duration
        }
        for id in ids {
            guard let range = ULID.range(prefix: id) else {
                throw BadRequest("\(id) is not the beginning of a message id")
            }
            result.ids.append(range)
        }
        return result
    }
}
