internal import CCrypto
internal import CTLS
internal import Glibc

/// A key that both ends of a connection already have, and the name that it goes by in the handshake (RFC 8446 §2.2).
///
/// Both come from one secret by HKDF (RFC 5869), under labels of their own: who sees the name learns nothing of the key, and
/// nothing else that is derived from the same secret is the same. The name stands for the secret alone, the key also for
/// what it is used for: so a server can tell whose secret is another from who uses the same one for something else.
package struct PresharedKey: Hashable, Sendable {
    /// 16 hexadecimal digits; may be shown to anyone.
    package let name: String
    let key: [UInt8]

    /// `context` is what the secret is used for here: the same secret makes another key elsewhere.
    package init(secret: [UInt8], context: String) throws(TLSConfigurationError) {
        key = try PresharedKey.derive(secret, "baton psk key", context, count: 32)
        let digits = Array("0123456789abcdef".utf8)
        let name = try PresharedKey.derive(secret, "baton psk name", "", count: 8)
        self.name = String(decoding: name.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func derive(
        _ secret: [UInt8], _ label: String, _ context: String, count: Int
    ) throws(TLSConfigurationError) -> [UInt8] {
        let salt = Array(label.utf8)
        let info = Array(context.utf8)
        var bytes = [UInt8](repeating: 0, count: count)
        guard
            baton_hkdf_sha256(secret, secret.count, salt, salt.count, info, info.count, &bytes, count) == 1
        else { throw TLSConfigurationError(description: "OpenSSL derives no key (\(takeTLSErrors()))") }
        return bytes
    }
}

/// The keys of one end: as the client it offers the first, as the server it takes any of them. To change the keys make a
/// new one: connections keep theirs.
///
/// TLS 1.3 only, with (EC)DHE beside the key (`psk_dhe_ke`), so that a key that leaks later opens nothing that was recorded.
/// There is no certificate on either side: without a key that the other has, a handshake can't come to its end.
// Sendable: never changed after `init`, and OpenSSL counts its references atomically.
package final class PresharedTLSContext: @unchecked Sendable {
    let server: OpaquePointer
    let client: OpaquePointer
    /// What is offered and taken, by name.
    package let names: [String]

    package init(_ keys: [PresharedKey]) throws(TLSConfigurationError) {
        guard !keys.isEmpty else { throw TLSConfigurationError(description: "no key to offer") }
        names = keys.map(\.name)
        let held = HeldKeys(keys)
        server = try PresharedTLSContext.make(TLS_server_method(), held)
        do {
            client = try PresharedTLSContext.make(TLS_client_method(), held)
        } catch {
            SSL_CTX_free(server)
            throw error
        }
        SSL_CTX_set_psk_find_session_callback(server, findKey)
        SSL_CTX_set_psk_use_session_callback(client, useKey)
        // Nobody's certificate is trusted: a server that ignores the key and shows one is refused.
        SSL_CTX_set_verify(client, SSL_VERIFY_PEER, nil)
    }

    deinit {
        SSL_CTX_free(server)
        SSL_CTX_free(client)
    }

    private static func make(
        _ method: OpaquePointer?, _ held: HeldKeys
    ) throws(TLSConfigurationError) -> OpaquePointer {
        ERR_clear_error()
        let context = try makeContext(method)
        // From here on the context keeps the keys, and gives them back in `releaseKeys`.
        let reference = Unmanaged.passRetained(held)
        guard SSL_CTX_set_ex_data(context, HeldKeys.index, reference.toOpaque()) == 1 else {
            reference.release()
            SSL_CTX_free(context)
            throw TLSConfigurationError(description: "OpenSSL: \(takeTLSErrors())")
        }
        guard baton_context_prepare_preshared(context) == 1 else {
            SSL_CTX_free(context)
            throw TLSConfigurationError(description: "OpenSSL: \(takeTLSErrors())")
        }
        return context
    }
}

/// The keys as OpenSSL's callbacks find them: kept by the context, and so by every connection that was made with it, since
/// the name that a client offers must outlive its handshake.
private final class HeldKeys {
    struct Held {
        let name: UnsafeMutableBufferPointer<UInt8>
        let key: [UInt8]
    }

    /// Where a context keeps its keys.
    static let index = CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL_CTX, 0, nil, nil, nil,
        { _, held, _, _, _, _ in if let held { Unmanaged<HeldKeys>.fromOpaque(held).release() } })

    let keys: [Held]

    init(_ keys: [PresharedKey]) {
        self.keys = keys.map { key in
            let name = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: key.name.utf8.count)
            _ = name.initialize(from: key.name.utf8)
            return Held(name: name, key: key.key)
        }
    }

    deinit { for key in keys { key.name.deallocate() } }

    static func of(_ ssl: OpaquePointer) -> HeldKeys? {
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index).map {
            Unmanaged<HeldKeys>.fromOpaque($0).takeUnretainedValue()
        }
    }
}

/// A session as if it had been agreed on before, which is how OpenSSL takes a preshared key.
private func makeSession(_ ssl: OpaquePointer, _ key: [UInt8]) -> OpaquePointer? {
    guard let session = SSL_SESSION_new() else { return nil }
    let suite: [UInt8] = [0x13, 0x01]  // TLS_AES_128_GCM_SHA256: a key goes with one hash
    guard SSL_SESSION_set1_master_key(session, key, key.count) == 1,
        let cipher = SSL_CIPHER_find(ssl, suite), SSL_SESSION_set_cipher(session, cipher) == 1,
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1
    else {
        SSL_SESSION_free(session)
        return nil
    }
    return session
}

/// The client's question: which key to offer.
private func useKey(
    _ ssl: OpaquePointer?, _ hash: OpaquePointer?, _ name: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ nameSize: UnsafeMutablePointer<Int>?, _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    guard let ssl, let name, let nameSize, let session, let first = HeldKeys.of(ssl)?.keys.first,
        let made = makeSession(ssl, first.key)
    else { return 0 }
    name.pointee = UnsafePointer(first.name.baseAddress)
    nameSize.pointee = first.name.count
    session.pointee = made
    return 1
}

/// The server's question: which key goes by this name. None is no error by itself: the handshake then looks for a
/// certificate, has none, and ends with an alert that the client understands.
private func findKey(
    _ ssl: OpaquePointer?, _ name: UnsafePointer<UInt8>?, _ size: Int, _ session: UnsafeMutablePointer<OpaquePointer?>?
) -> Int32 {
    guard let ssl, let session else { return 0 }
    session.pointee = nil
    let offered = UnsafeBufferPointer(start: name, count: size)
    guard let found = HeldKeys.of(ssl)?.keys.first(where: { $0.name.elementsEqual(offered) }) else { return 1 }
    session.pointee = makeSession(ssl, found.key)
    return session.pointee == nil ? 0 : 1
}
