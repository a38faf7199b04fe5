import EventLoop
import Foundation
import Relay
import Testing

@testable import Admin

/// A running node in a directory of its own, whose only upstream is a port where nobody listens.
private func withNode(_ body: (NodeRunner, AdminServer, String) async throws -> Void) async throws {
    var template = Array("/tmp/baton-live-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let directory = template.withUnsafeBufferPointer { String(decoding: $0.dropLast().map(UInt8.init), as: UTF8.self) }
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let text = """
        { node: { name: "a", dataDirectory: "\(directory)/data", minimumFree: "1MiB" }, cluster: { name: "live" },
          smtp: { hostname: "relay.test", listeners: [{ address: "127.0.0.1:0" }], relayFrom: ["127.0.0.1"] },
          upstreams: [{ name: "nobody", address: ["127.0.0.1:1"], tls: "off" }], health: { listen: "127.0.0.1:0" } }
        """
    let configuration = try #require(Configuration.read(Array(text.utf8)).configuration)
    var options = NodeRunner.Options()
    let quiet = open("/dev/null", O_WRONLY)
    defer { close(quiet) }
    options.logDescriptor = quiet
    let runner = try NodeRunner(configuration, options: options)
    let admin: AdminServer
    do {
        admin = try await AdminServer(configuration, source: RelaySource(runner.handle))
        try await body(runner, admin, configuration.adminSocketPath)
    } catch {
        runner.kill()
        throw error
    }
    await admin.stop()
    await runner.stop(within: .seconds(1))
}

/// Hands in one message; the id of its 250.
private func submit(to port: UInt16) async throws -> String {
    let script = [
        "EHLO client.test", "MAIL FROM:<a@shop.example>", "RCPT TO:<ann@example.net>", "DATA",
        "Subject: hello\r\nMessage-ID: <1@shop.example>\r\n\r\n..dot\r\n.", "QUIT",
    ]
    let replies = try await converse(script, port: port)
    let queued = try #require(replies.split(separator: "\r\n").first { $0.contains("queued as ") })
    return String(queued.suffix(26))
}

private func converse(_ script: [String], port: UInt16) async throws -> String {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(with: Result { try converseBlocking(script, port: port) })
        }
    }
}

private func converseBlocking(_ script: [String], port: UInt16) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    try #require(result == 0)
    var all = ""
    for line in [nil] + script.map(Optional.some) {
        if let line {
            let bytes = Array((line + "\r\n").utf8)
            try #require(send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count)
        }
        // A reply ends with a line whose code is followed by a space.
        var reply = ""
        var buffer = [UInt8](repeating: 0, count: 4096)
        while !(reply.split(separator: "\r\n").last.map { $0.dropFirst(3).first == " " } ?? false)
            || !reply.hasSuffix("\r\n")
        {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return all + reply }
            reply += String(decoding: buffer[..<count], as: UTF8.self)
        }
        all += reply
    }
    return all
}

@Suite("The admin API of a running node")
struct LiveNodeTests {
    @Test("a message that waits is listed, shown raw, traced, held, released and cancelled")
    func life() async throws {
        try await withNode { runner, admin, _ in
            let api = AdminAPI(RelaySource(runner.handle), scope: .local)
            func ask(_ path: String, _ body: String? = nil) async -> (Int, String) {
                var request = AdminRequest(method: body == nil ? "GET" : "POST", path: path)
                request.body = Array((body ?? "").utf8)
                let answer = await api.answer(request)
                return (answer.status, String(decoding: answer.body, as: UTF8.self))
            }
            func act(_ verb: String, _ id: String) async -> String {
                await ask(
                    "/api/v1/queue/actions",
                    "{\"verb\":\"\(verb)\",\"ids\":[\"\(id)\"],\"by\":\"test\",\"reason\":\"why\"}"
                ).1
            }
            // The node takes mail once its disk has answered.
            while await ask("/readyz").0 != 200 { await Task.yield() }
            let addresses = await runner.handle.smtpAddresses()
            let id = try await submit(to: try #require(addresses.first?.port))
            #expect(await ask("/api/v1/queue").1.contains("\"id\":\"\(id)\""))
            let raw = await ask("/api/v1/queue/\(id)/raw").1
            #expect(raw.hasPrefix("Received: from client.test"))
            #expect(raw.hasSuffix("\r\n\r\n.dot\r\n"))
            #expect(await act("hold", id).contains("\"outcomes\":{\"done\":1}"))
            #expect(await ask("/api/v1/queue/\(id)").1.contains("\"state\":\"held\""))
            #expect(await act("release", id).contains("\"outcomes\":{\"done\":1}"))
            let trace = await ask("/api/v1/trace/\(id)").1
            #expect(trace.contains("held by test: why"))
            #expect(trace.contains("\"mark\":\"durable\""))
            #expect(await act("cancel", id).contains("\"outcomes\":{\"done\":1}"))
            #expect(await ask("/api/v1/queue").1.contains("\"matched\":0"))
            #expect(await ask("/api/v1/trace/\(id)").1.contains("\"finished\":true"))
            #expect(await ask("/api/v1/upstreams/nobody/disable", "").0 == 200)
            #expect(await ask("/api/v1/upstreams/nobody").1.contains("\"state\":\"disabled\""))
            #expect(await ask("/api/v1/upstreams/moon/disable", "").0 == 404)
            #expect(await ask("/metrics").1.contains("baton_messages_accepted_total 1\n"))
        }
    }
}
