internal import CTLS
internal import Glibc
internal import Primitives

/// The TLS state of one connection: moves bytes between the caller and the socket, never blocks.
final class TLSStream {
    enum Step {
        case done, needsInput, needsRoom
        case failed(ConnectionError)
    }

    /// The BIO's methods, made once.
    // Safe: written once by the lazy initialiser, and OpenSSL only reads it.
    private nonisolated(unsafe) static let method = baton_wire_method()

    private let ssl: OpaquePointer
    let wire: UnsafeMutablePointer<baton_wire>
    private var verifies = false
    private(set) var info: TLSInfo?
    /// A read came to need a write (a key update).
    private(set) var readWaitsForRoom = false
    /// OpenSSL's number for why the last call failed, or 0.
    private(set) var failureReason: Int32 = 0

    private init(_ context: OpaquePointer, descriptor: Int32) throws(ConnectionError) {
        ERR_clear_error()
        guard let ssl = SSL_new(context) else { throw .tls(takeTLSErrors()) }
        wire = .allocate(capacity: 1)
        wire.initialize(to: baton_wire())
        wire.pointee.descriptor = descriptor
        self.ssl = ssl
        guard baton_wire_attach(ssl, TLSStream.method, wire) == 1 else { throw .tls(takeTLSErrors()) }
    }

    convenience init(server: TLSServerContext, descriptor: Int32) throws(ConnectionError) {
        try self.init(server.pointer, descriptor: descriptor)
        SSL_set_accept_state(ssl)
    }

    /// `name` is sent to the server unless it is an address, and is what its certificate must be for.
    convenience init(
        client: TLSClientContext, name: String?, verification: TLSVerification, descriptor: Int32
    ) throws(ConnectionError) {
        try self.init(client.pointer, descriptor: descriptor)
        SSL_set_connect_state(ssl)
        let isAddress = name.map { IPAddress($0) != nil } ?? false
        if let name, !isAddress, baton_set_server_name(ssl, name) != 1 { throw .tls(takeTLSErrors()) }
        guard verification == .full else { return }
        guard let name else { throw .tls("no name to verify the certificate against") }
        verifies = true
        let set = isAddress ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) : SSL_set1_host(ssl, name)
        guard set == 1 else { throw .tls("\(name) cannot be verified: \(takeTLSErrors())") }
        SSL_set_verify(ssl, SSL_VERIFY_PEER, nil)
    }

    convenience init(
        preshared: PresharedTLSContext, as role: PresharedTLSRole, descriptor: Int32
    ) throws(ConnectionError) {
        switch role {
        case .client:
            try self.init(preshared.client, descriptor: descriptor)
            SSL_set_connect_state(ssl)
        case .server:
            try self.init(preshared.server, descriptor: descriptor)
            SSL_set_accept_state(ssl)
        }
    }

    /// Whether both ends have shown that they know the same key.
    var usedPresharedKey: Bool { SSL_session_reused(ssl) == 1 }

    deinit {
        SSL_free(ssl)
        wire.deallocate()
    }

    func handshake() -> Step {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            let cipher = SSL_get_current_cipher(ssl)
            info = TLSInfo(
                protocolVersion: String(cString: SSL_get_version(ssl)),
                cipher: SSL_CIPHER_get_name(cipher).map { String(cString: $0) } ?? "?",
                bits: Int(SSL_CIPHER_get_bits(cipher, nil)),
                serverName: SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) },
                verified: verifies, peerCertificateExpiry: peerCertificateExpiry)
            return .done
        }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_WANT_WRITE: return .needsRoom
        default: return .failed(failure("the peer closed the connection during the handshake"))
        }
    }

    func read(into room: UnsafeMutableRawBufferPointer) -> Connection.Step {
        readWaitsForRoom = false
        var total = 0
        // A record a call; several small ones may be waiting already.
        while total < room.count {
            ERR_clear_error()
            let count = SSL_read(
                ssl, room.baseAddress.map { $0 + total }, Int32(min(room.count - total, Int(Int32.max))))
            if count > 0 {
                total += Int(count)
                continue
            }
            if total > 0 { break }  // whatever it is comes again at the next call
            switch SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ: return .wouldBlock
            case SSL_ERROR_WANT_WRITE:
                readWaitsForRoom = true
                return .wouldBlock
            case SSL_ERROR_ZERO_RETURN: return .end
            default: return .failed(failure("the stream broke off"))
            }
        }
        return .moved(total)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Connection.Step {
        ERR_clear_error()
        let count = SSL_write(ssl, bytes.baseAddress, Int32(min(bytes.count, Int(Int32.max))))
        if count > 0 { return .moved(Int(count)) }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
        case SSL_ERROR_ZERO_RETURN: return .end
        default: return .failed(failure("the stream broke off"))
        }
    }

    private var peerCertificateExpiry: WallTime? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        var time = tm()
        guard let end = X509_get0_notAfter(certificate), ASN1_TIME_to_tm(end, &time) == 1 else { return nil }
        return WallTime(milliseconds: Int64(timegm(&time)) * 1000)
    }

    /// Tells the peer that nothing more comes (`close_notify`).
    func sayGoodbye() {
        guard SSL_is_init_finished(ssl) == 1 else { return }
        SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// Why the last call failed: the socket, the certificate, or what OpenSSL says.
    private func failure(_ otherwise: String) -> ConnectionError {
        failureReason = ERR_GET_REASON(ERR_peek_error())
        if wire.pointee.error != 0 {
            ERR_clear_error()
            return .reset(wire.pointee.error)
        }
        let verdict = verifies ? SSL_get_verify_result(ssl) : Int(X509_V_OK)
        if verdict != Int(X509_V_OK), let text = X509_verify_cert_error_string(verdict) {
            ERR_clear_error()
            return .tls("the server's certificate is not trusted (\(String(cString: text)))")
        }
        if wire.pointee.ended != 0 {
            ERR_clear_error()
            return .tls(otherwise)
        }
        return .tls(takeTLSErrors())
    }
}
