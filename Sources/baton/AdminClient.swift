internal import Admin
internal import FoundationEssentials
internal import Glibc

/// Asks a node's admin API: HTTP/1.1 over a Unix socket or TCP, one question a connection, blocking.
///
/// Foundation's URLSession cannot speak over Unix sockets, and would cost a command ten times its start-up time.
struct AdminClient: Sendable {
    enum Target: Sendable, Hashable {
        case unix(String)
        case tcp(host: String, port: String, token: String)
    }

    static let options = [
        OptionSpec("config", "FILE", "the node's configuration: its data directory holds the socket"),
        OptionSpec("data", "DIR", "the node's data directory (default /var/lib/baton)"),
        OptionSpec("socket", "PATH", "the socket itself"),
        OptionSpec("node", "URL", "a node's admin.listen, such as http://10.0.0.1:7480, with --token-file"),
        OptionSpec("token-file", "FILE", "the token for --node"),
        OptionSpec("json", nil, "the answer as JSON, with stable keys"),
    ]

    let target: Target

    init(_ target: Target) { self.target = target }

    /// GET, decoded.
    func get<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) throws -> Answer {
        try decode(try ask("GET", path))
    }

    func post<Answer: Decodable>(_ path: String, _ body: some Encodable, as type: Answer.Type = Answer.self) throws
        -> Answer
    {
        try decode(try ask("POST", path, body: Array(try JSONEncoder().encode(body))))
    }

    func decode<Answer: Decodable>(_ bytes: [UInt8]) throws -> Answer {
        do {
            return try JSONDecoder().decode(Answer.self, from: Data(bytes))
        } catch {
            throw CommandFailure("\(name) gave an answer that this version of baton does not understand")
        }
    }

    /// The body of a 2xx answer; anything else is thrown with what the node said.
    func ask(_ method: String, _ path: String, body: [UInt8] = []) throws -> [UInt8] {
        let descriptor = try connect()
        defer { close(descriptor) }
        var request = "\(method) \(path) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n"
        if case .tcp(_, _, let token) = target, !token.isEmpty { request += "Authorization: Bearer \(token)\r\n" }
        if method == "POST" {
            request += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n"
        }
        try send(Array((request + "\r\n").utf8) + body, on: descriptor)
        let (status, answer) = try receive(on: descriptor)
        guard (200..<300).contains(status) else {
            let told = (try? JSONDecoder().decode(ErrorAnswer.self, from: Data(answer)))?.error
            throw CommandFailure(told ?? "\(name) answered \(status)", code: status == 400 || status == 401 ? 2 : 1)
        }
        return answer
    }

    var name: String {
        switch target {
        case .unix(let path): path
        case .tcp(let host, let port, _): "\(host):\(port)"
        }
    }

    private var host: String {
        if case .tcp(let host, let port, _) = target {
            "\(host.contains(":") ? "[\(host)]" : host):\(port)"
        } else {
            "baton"
        }
    }

    // MARK: The connection

    private static let patience = timeval(tv_sec: 30, tv_usec: 0)

    private func connect() throws -> Int32 {
        switch target {
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else {
                throw UsageError("\(path) is too long for a Unix socket")
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
            let descriptor = try open(AF_UNIX)
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
            if result == 0 { return descriptor }
            throw unreachable(descriptor)
        case .tcp(let host, let port, _):
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var found: UnsafeMutablePointer<addrinfo>?
            let code = getaddrinfo(host, port, &hints, &found)
            guard code == 0, let found else {
                throw CommandFailure("\(host): \(String(cString: gai_strerror(code)))", code: 3)
            }
            defer { freeaddrinfo(found) }
            let descriptor = try open(found.pointee.ai_family)
            if Glibc.connect(descriptor, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0 { return descriptor }
            throw unreachable(descriptor)
        }
    }

    private func open(_ family: Int32) throws -> Int32 {
        let descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw CommandFailure(String(cString: strerror(errno)), code: 3) }
        var patience = AdminClient.patience
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        return descriptor
    }

    private func unreachable(_ descriptor: Int32) -> CommandFailure {
        let code = errno
        close(descriptor)
        let reason = String(cString: strerror(code))
        switch (target, code) {
        case (.unix, ENOENT), (.unix, ECONNREFUSED):
            return CommandFailure(
                "no node answers at \(name): is it running there? Other places: --config FILE, --data DIR, --node URL",
                code: 3)
        case (.unix, EACCES): return CommandFailure("\(name): \(reason); run it as the node's user", code: 3)
        default: return CommandFailure("no node answers at \(name): \(reason)", code: 3)
        }
    }

    private func send(_ bytes: [UInt8], on descriptor: Int32) throws {
        var done = 0
        while done < bytes.count {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress?.advanced(by: done), $0.count - done, Int32(MSG_NOSIGNAL))
            }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { throw CommandFailure("\(name) closed the connection", code: 3) }
            done += sent
        }
    }

    private func receive(on descriptor: Int32) throws -> (status: Int, body: [UInt8]) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw CommandFailure("\(name) did not answer within \(AdminClient.patience.tv_sec) s", code: 3)
            }
            if count == 0 { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        guard let (status, body) = AdminClient.parse(bytes) else {
            throw CommandFailure("\(name) closed the connection without a whole answer", code: 3)
        }
        return (status, body)
    }

    /// A whole HTTP/1.1 answer with Content-Length, as our server sends it.
    static func parse(_ bytes: [UInt8]) -> (status: Int, body: [UInt8])? {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else { return nil }
        let body = Array(bytes[end.upperBound...])
        for line in lines.dropFirst() where line.lowercased().hasPrefix("content-length:") {
            guard Int(line.dropFirst(15).filter { $0 != " " }) == body.count else { return nil }
        }
        return (status, body)
    }
}

/// Percent-encodes all but unreserved characters (RFC 3986 §2.3).
func encoded(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            result.unicodeScalars.append(UnicodeScalar(byte))
        default:
            let hexadecimal = String(byte, radix: 16, uppercase: true)
            result += "%" + (byte < 16 ? "0" : "") + hexadecimal
        }
    }
    return result
}
