internal import CMicroHTTPD
internal import Synchronization

/// One request while it arrives, and its response once it is made.
final class HTTPExchange: Sendable {
    private struct Contents {
        var request: AdminRequest
        var isTooLarge = false
        var response: AdminResponse?
    }

    private let contents: Mutex<Contents>
    private let maximumBody: Int

    /// On the daemon's thread, with the request's head.
    init(method: String, path: String, _ connection: OpaquePointer, _ options: HTTPServer.Options) {
        maximumBody = options.maximumBody
        // HEAD is GET of which the daemon sends only the head.
        var request = AdminRequest(method: method == "HEAD" ? "GET" : method, path: path)
        withUnsafeMutablePointer(to: &request) { pointer in
            _ = MHD_get_connection_values(connection, .GET_ARGUMENT_KIND, addArgument, pointer)
        }
        if let header = MHD_lookup_connection_value(connection, .HEADER_KIND, "Authorization") {
            let words = String(cString: header).split(separator: " ")
            if words.count == 2, words[0].lowercased() == "bearer" { request.bearer = Array(words[1].utf8) }
        }
        if options.wantsHeaders {
            withUnsafeMutablePointer(to: &request) { pointer in
                _ = MHD_get_connection_values(connection, .HEADER_KIND, addHeader, pointer)
            }
            var client = [CChar](repeating: 0, count: 64)
            if baton_http_client(connection, &client, client.count) != 0 {
                request.client = String(
                    decoding: client.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            }
        }
        contents = Mutex(Contents(request: request))
    }

    var request: AdminRequest { contents.withLock { $0.request } }
    var response: AdminResponse? { contents.withLock { $0.response } }
    var isTooLarge: Bool { contents.withLock { $0.isTooLarge } }

    func append(_ bytes: UnsafeRawBufferPointer) {
        contents.withLock { contents in
            if contents.request.body.count + bytes.count > maximumBody {
                contents.isTooLarge = true
                contents.request.body = []
            }
            // The rest of a body that is too large is taken and forgotten, so that the client hears the answer.
            if !contents.isTooLarge { contents.request.body.append(contentsOf: bytes) }
        }
    }

    func answer(with response: AdminResponse) { contents.withLock { $0.response = response } }
}

private func addArgument(
    _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ key: UnsafePointer<CChar>?,
    _ value: UnsafePointer<CChar>?
) -> MHD_Result {
    guard let request = context?.assumingMemoryBound(to: AdminRequest.self), let key else { return .NO }
    guard request.pointee.query.count < 10_000 else { return .NO }
    request.pointee.query.append((String(cString: key), value.map { String(cString: $0) } ?? ""))
    return .YES
}

private func addHeader(
    _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ key: UnsafePointer<CChar>?,
    _ value: UnsafePointer<CChar>?
) -> MHD_Result {
    guard let request = context?.assumingMemoryBound(to: AdminRequest.self), let key else { return .NO }
    guard request.pointee.headers.count < 200 else { return .NO }
    request.pointee.headers.append((String(cString: key), value.map { String(cString: $0) } ?? ""))
    return .YES
}
