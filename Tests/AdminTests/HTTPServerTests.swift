import Foundation
import Relay
import Testing

@testable import Admin

/// Sends bytes and reads to the end of the connection.
private func exchangeBlocking(_ request: String, port: UInt16? = nil, path: String? = nil) throws -> String {
    let descriptor: Int32
    if let path {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
    } else {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = (port ?? 0).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
    }
    defer { close(descriptor) }
    let bytes = Array(request.utf8)
    #expect(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { break }
        answer += buffer[..<count]
    }
    return String(decoding: answer, as: UTF8.self)
}

/// On a thread of its own: the server's tasks need the pool that tests run on.
private func exchange(_ request: String, port: UInt16? = nil, path: String? = nil) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(with: Result { try exchangeBlocking(request, port: port, path: path) })
        }
    }
}

private func getRequest(_ path: String, _ more: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\(more)\r\n"
}

@Suite("HTTP server")
struct HTTPServerTests {
    let source = FixedSource(messages: [FixedSource.message(1)])

    @Test("TCP: health without a token, data with it, unknown paths and methods refused")
    func tcp() async throws {
        let listener = try HTTPListener.tcp(HostPort(host: "127.0.0.1", port: 0), name: "admin.listen")
        let server = try HTTPServer(listener, AdminAPI(source, scope: .remote(token: Token(Array("sesame".utf8)))))
        #expect(try await exchange(getRequest("/healthz"), port: server.port).hasSuffix("\r\n\r\nok\n"))
        #expect(try await exchange(getRequest("/"), port: server.port).contains("<!doctype html>"))
        #expect(try await exchange(getRequest("/api/v1/status"), port: server.port).hasPrefix("HTTP/1.1 401"))
        let answer = try await exchange(
            getRequest("/api/v1/status", "Authorization: Bearer sesame\r\n"), port: server.port)
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        #expect(answer.contains("\"verdict\":\"healthy\""))
        #expect(try await exchange(getRequest("/moon"), port: server.port).hasPrefix("HTTP/1.1 404"))
        let removed =
            "DELETE /api/v1/queue HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer sesame\r\n\r\n"
        #expect(try await exchange(removed, port: server.port).hasPrefix("HTTP/1.1 405"))
        await server.stop()
    }

    @Test("the Unix socket is its owner's alone, takes bodies and queries, and is gone at the end")
    func unix() async throws {
        let path = "/tmp/baton-admin-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
        let server = try HTTPServer(HTTPListener.unix(path), AdminAPI(source, scope: .local))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        let listed = try await exchange(getRequest("/api/v1/queue?to=%40example.net&limit=5"), path: path)
        #expect(listed.contains("\"matched\":1"))
        let body = #"{"verb":"retry","all":true}"#
        let posted = try await exchange(
            "POST /api/v1/queue/actions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)",
            path: path)
        #expect(posted.contains("\"outcomes\":{\"done\":1}"))
        await server.stop()
        #expect(access(path, F_OK) != 0)
    }

    @Test("many requests at once are all answered, also those under way at the stop")
    func concurrency() async throws {
        let listener = try HTTPListener.tcp(HostPort(host: "127.0.0.1", port: 0), name: "admin.listen")
        let server = try HTTPServer(listener, AdminAPI(source, scope: .local))
        let port = server.port
        let good = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    (try? await exchange(getRequest("/api/v1/status"), port: port))?.hasPrefix("HTTP/1.1 200") ?? false
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(good == 64)
        await server.stop()
    }

    @Test("a port in use is one line that says which and how to find who has it")
    func portInUse() throws {
        let first = try HTTPListener.tcp(HostPort(host: "127.0.0.1", port: 0), name: "health.listen")
        defer { close(first.descriptor) }
        let error = #expect(throws: AdminError.self) {
            try HTTPListener.tcp(HostPort(host: "127.0.0.1", port: first.port), name: "health.listen")
        }
        #expect(
            error?.text
                == "health.listen: cannot listen on 127.0.0.1:\(first.port): Address already in use; "
                + "another program has it: ss -ltnp 'sport = :\(first.port)'")
    }
}
