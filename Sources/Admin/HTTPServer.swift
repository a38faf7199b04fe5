internal import CMicroHTTPD
internal import Glibc
internal import Synchronization

/// One listening socket of the admin API or of health checks, served by libmicrohttpd.
///
/// The daemon has a thread of its own that only moves bytes: for each whole request it suspends the connection, a task asks
/// the node (which lives on its loop), and resuming the connection brings the daemon back for the response. So neither a
/// slow browser nor a thousand of them can hold up mail.
package final class HTTPServer: Sendable {
    package struct Options: Sendable {
        /// A request's body, in bytes: a bulk action with many ids.
        package var maximumBody = 4 << 20
        /// Whether whoever answers looks at the request's header and its client.
        package var wantsHeaders = false
        /// PEM texts; nil for plain HTTP.
        package var tls: (certificate: String, key: String)?

        package init() {}
    }

    private static let limits = baton_http_limits(connections: 256, idle_seconds: 30, connection_memory: 32 << 10)

    private let listener: HTTPListener
    private let api: any HTTPAnswering
    fileprivate let options: Options
    private let state = Mutex(State())

    private struct State {
        var daemon: DaemonPointer?
        var underWay = 0
        /// Resumed when the last request is answered.
        var stopped: CheckedContinuation<Void, Never>?
        var isStopping = false
    }

    /// The real port of a TCP listener.
    package var port: UInt16 { listener.port }

    /// Takes over the listener and serves until `stop`.
    package init(
        _ listener: HTTPListener, _ api: any HTTPAnswering, _ options: Options = Options()
    ) throws(AdminError) {
        self.listener = listener
        self.api = api
        self.options = options
        // The daemon keeps this object alive until `stop` has ended its thread.
        let context = Unmanaged.passRetained(self).toOpaque()
        guard
            let daemon = baton_http_start(
                listener.descriptor, HTTPServer.limits, options.tls?.certificate, options.tls?.key, handle, completed,
                context)
        else {
            Unmanaged<HTTPServer>.fromOpaque(context).release()
            close(listener.descriptor)
            throw AdminError(text: "the HTTP server cannot start: \(String(cString: strerror(errno)))")
        }
        state.withLock { $0.daemon = DaemonPointer(pointer: daemon) }
    }

    /// The same socket for another server, which is to take this one's place; nil when the system has no descriptor left.
    var listenerAgain: HTTPListener? {
        let copy = fcntl(listener.descriptor, F_DUPFD_CLOEXEC, 3)
        return copy < 0 ? nil : HTTPListener(descriptor: copy, port: listener.port, socketPath: listener.socketPath)
    }

    /// Takes no new connection, lets every request under way be answered, then ends the daemon's thread. Call it once.
    package func stop() async {
        guard let daemon = state.withLock({ $0.isStopping ? nil : $0.daemon }) else { return }
        // The daemon must never be stopped while a connection is suspended (libmicrohttpd, 'MHD_suspend_connection').
        let descriptor = MHD_quiesce_daemon(daemon.pointer)
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                state.isStopping = true
                if state.underWay > 0 { state.stopped = continuation }
                return state.underWay == 0
            }
            if isIdle { continuation.resume() }
        }
        MHD_stop_daemon(daemon.pointer)
        if descriptor >= 0 { close(descriptor) }
        if let path = listener.socketPath { unlink(path) }
        Unmanaged.passUnretained(self).release()
    }

    /// On the daemon's thread: a request is whole.
    fileprivate func begin(_ exchange: HTTPExchange, on connection: OpaquePointer) -> Bool {
        let mayBegin = state.withLock { state in
            guard !state.isStopping else { return false }
            state.underWay += 1
            return true
        }
        guard mayBegin else { return false }
        MHD_suspend_connection(connection)
        let suspended = ConnectionPointer(pointer: connection)
        Task {
            let response = await api.answer(exchange.request)
            exchange.answer(with: response)
            MHD_resume_connection(suspended.pointer)
            let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
                state.underWay -= 1
                guard state.underWay == 0, state.isStopping else { return nil }
                defer { state.stopped = nil }
                return state.stopped
            }
            waiting?.resume()
        }
        return true
    }
}

// The daemon's own functions are thread-safe, and the pointer is used from `stop` only, once.
private struct DaemonPointer: @unchecked Sendable { let pointer: OpaquePointer }

// Used by the daemon's thread until it suspends the connection and by one task until it resumes it, never by both.
private struct ConnectionPointer: @unchecked Sendable { let pointer: OpaquePointer }

/// libmicrohttpd calls it several times for one request: once with the head, once for each piece of the body, once at
/// the end, and once more after `MHD_resume_connection`. `slot` is the request's own memory.
private func handle(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?, _ url: UnsafePointer<CChar>?,
    _ method: UnsafePointer<CChar>?, _ version: UnsafePointer<CChar>?, _ body: UnsafePointer<CChar>?,
    _ bodySize: UnsafeMutablePointer<Int>?, _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context, let connection, let url, let method, let bodySize, let slot else { return .NO }
    let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
    guard let opaque = slot.pointee else {
        let exchange = HTTPExchange(
            method: String(cString: method), path: String(cString: url), connection, server.options)
        slot.pointee = Unmanaged.passRetained(exchange).toOpaque()
        return .YES
    }
    let exchange = Unmanaged<HTTPExchange>.fromOpaque(opaque).takeUnretainedValue()
    if bodySize.pointee > 0 {
        exchange.append(UnsafeRawBufferPointer(start: body, count: bodySize.pointee))
        bodySize.pointee = 0
        return .YES
    }
    if let response = exchange.response { return send(response, on: connection) }
    if exchange.isTooLarge {
        return send(.error(413, "the request is larger than \(server.options.maximumBody) bytes"), on: connection)
    }
    return server.begin(exchange, on: connection) ? .YES : .NO
}

private func completed(
    _ context: UnsafeMutableRawPointer?, _ connection: OpaquePointer?,
    _ slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, _ code: MHD_RequestTerminationCode
) {
    guard let slot, let opaque = slot.pointee else { return }
    Unmanaged<HTTPExchange>.fromOpaque(opaque).release()
    slot.pointee = nil
}

private func send(_ response: AdminResponse, on connection: OpaquePointer) -> MHD_Result {
    var body = response.body
    let made = body.withUnsafeMutableBytes {
        MHD_create_response_from_buffer($0.count, $0.baseAddress, .RESPMEM_MUST_COPY)
    }
    guard let made else { return .NO }
    defer { MHD_destroy_response(made) }
    MHD_add_response_header(made, "Content-Type", response.contentType)
    MHD_add_response_header(made, "Cache-Control", "no-store")
    MHD_add_response_header(made, "X-Content-Type-Options", "nosniff")
    MHD_add_response_header(
        made, "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'"
    )
    if response.status == 401 { MHD_add_response_header(made, "WWW-Authenticate", "Bearer") }
    return MHD_queue_response(connection, UInt32(response.status), made)
}
