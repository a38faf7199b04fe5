internal import CTLS
internal import Glibc
package import Primitives

/// What the handshake agreed on, for `Received` and the log.
package struct TLSInfo: Hashable, Sendable {
    /// `TLSv1.3`
    package let protocolVersion: String
    /// `TLS_AES_256_GCM_SHA384`
    package let cipher: String
    package let bits: Int
    /// The name that the client asked for (SNI), on both sides.
    package let serverName: String?
    /// Whether the peer's certificate was verified.
    package let verified: Bool
    /// When the peer's certificate ends; nil when it showed none.
    package let peerCertificateExpiry: WallTime?
}

/// A certificate, key or CA file that OpenSSL does not take; worded for the person who configured it.
package struct TLSConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
}

/// The certificate and the private key that a server shows. Reload by making a new one: connections keep theirs.
// Sendable: never changed after `init`, and OpenSSL counts its references atomically.
package final class TLSServerContext: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Both files are PEM; the certificate comes first in its file, its chain behind it.
    package init(certificateFile: String, keyFile: String) throws(TLSConfigurationError) {
        pointer = try makeContext(TLS_server_method())
        // From here on a throw runs `deinit`.
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(pointer, certificateFile) == 1 else {
            throw TLSConfigurationError(
                description: "\(certificateFile): no usable certificate (\(takeTLSErrors()))")
        }
        guard SSL_CTX_use_PrivateKey_file(pointer, keyFile, SSL_FILETYPE_PEM) == 1 else {
            throw TLSConfigurationError(
                description: "\(keyFile): no usable private key for \(certificateFile) (\(takeTLSErrors()))")
        }
        guard SSL_CTX_check_private_key(pointer) == 1 else {
            throw TLSConfigurationError(
                description: "\(keyFile): not the key of \(certificateFile) (\(takeTLSErrors()))")
        }
        SSL_CTX_set_num_tickets(pointer, 1)
    }

    deinit { SSL_CTX_free(pointer) }
}

/// Whom a client trusts.
// Sendable: never changed after `init`, and OpenSSL counts its references atomically.
package final class TLSClientContext: @unchecked Sendable {
    let pointer: OpaquePointer

    /// Trusts the system's authorities, or instead those of a PEM file.
    package init(authorityFile: String? = nil) throws(TLSConfigurationError) {
        pointer = try makeContext(TLS_client_method())
        ERR_clear_error()
        if let authorityFile {
            guard SSL_CTX_load_verify_locations(pointer, authorityFile, nil) == 1 else {
                throw TLSConfigurationError(
                    description: "\(authorityFile): no usable certificates (\(takeTLSErrors()))")
            }
        } else {
            SSL_CTX_set_default_verify_paths(pointer)
        }
    }

    deinit { SSL_CTX_free(pointer) }
}

/// What a client asks of the server's certificate.
package enum TLSVerification: Hashable, Sendable {
    /// Encrypt, whoever it is (RFC 7435, opportunistic security).
    case none
    /// Chain and name must be right.
    case full
}

func makeContext(_ method: OpaquePointer?) throws(TLSConfigurationError) -> OpaquePointer {
    guard let pointer = SSL_CTX_new(method), baton_context_prepare(pointer) == 1 else {
        throw TLSConfigurationError(description: "OpenSSL: \(takeTLSErrors())")
    }
    return pointer
}

/// What OpenSSL has to say about the failure, and forgets by this.
func takeTLSErrors() -> String {
    var texts: [String] = []
    while true {
        let code = ERR_get_error()
        if code == 0 { break }
        if let reason = ERR_reason_error_string(code) {
            texts.append(String(cString: reason))
        } else if ERR_GET_LIB(code) == 2 {
            texts.append(textOfError(Int32(code & 0x7FFF_FFFF)))  // ERR_LIB_SYS carries errno
        }
    }
    var seen: Set<String> = []
    let distinct = texts.filter { seen.insert($0).inserted && $0 != "system lib" && $0 != "BIO lib" }
    return distinct.isEmpty ? "no reason given" : distinct.joined(separator: "; ")
}
