import FoundationEssentials

@testable import Admin

func get(_ path: String, _ api: AdminAPI, query: [(String, String)] = []) async -> AdminResponse {
    var request = AdminRequest(method: "GET", path: path)
    request.query = query.map { (name: $0.0, value: $0.1) }
    return await api.answer(request)
}

func post(_ path: String, _ body: String, _ api: AdminAPI) async -> AdminResponse {
    var request = AdminRequest(method: "POST", path: path)
    request.body = Array(body.utf8)
    return await api.answer(request)
}

extension AdminResponse {
    var text: String { String(decoding: body, as: UTF8.self) }

    func decoded<T: Decodable>(_ type: T.Type = T.self) throws -> T {
        try JSONDecoder().decode(T.self, from: Data(body))
    }
}
