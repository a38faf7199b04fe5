internal import CCrypto

/// A key that checks signatures: of an SNS certificate, or SendGrid's.
// Sendable: OpenSSL's keys are not changed by their use, and it counts references atomically.
package final class PublicKey: @unchecked Sendable {
    enum Digest { case sha1, sha256 }

    private let key: OpaquePointer

    private init(_ key: OpaquePointer) { self.key = key }

    deinit { EVP_PKEY_free(key) }

    /// Of the first certificate in a PEM text; nil when there is none.
    package static func certificate(pem: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        guard let memory = BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else { return nil }
        defer { BIO_free(memory) }
        guard let certificate = PEM_read_bio_X509(memory, nil, nil, nil) else { return nil }
        defer { X509_free(certificate) }
        return X509_get_pubkey(certificate).map { PublicKey($0) }
    }

    /// A public key as PEM, or as base64 of its DER; nil for anything else.
    package static func publicKey(text: [UInt8]) -> PublicKey? {
        defer { ERR_clear_error() }
        if String(decoding: text.prefix(4096), as: UTF8.self).contains("-----BEGIN") {
            guard let memory = BIO_new_mem_buf(text, Int32(clamping: text.count)) else { return nil }
            defer { BIO_free(memory) }
            return PEM_read_bio_PUBKEY(memory, nil, nil, nil).map { PublicKey($0) }
        }
        guard let der = Base64.decode(text.filter { $0 > 0x20 }) else { return nil }
        return der.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            return d2i_PUBKEY(nil, &position, bytes.count).map { PublicKey($0) }
        }
    }

    func verifies(_ signature: [UInt8], of message: [UInt8], _ digest: Digest) -> Bool {
        defer { ERR_clear_error() }
        guard let context = EVP_MD_CTX_new() else { return false }
        defer { EVP_MD_CTX_free(context) }
        let algorithm = digest == .sha1 ? EVP_sha1() : EVP_sha256()
        guard EVP_DigestVerifyInit(context, nil, algorithm, nil, key) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}

enum Base64 {
    /// Strict: whole groups, padded; nil for anything else.
    static func decode(_ text: [UInt8]) -> [UInt8]? {
        guard text.count.isMultiple(of: 4), !text.isEmpty, text.count < 1 << 20 else { return nil }
        var bytes = [UInt8](repeating: 0, count: text.count / 4 * 3)
        let count = EVP_DecodeBlock(&bytes, text, Int32(text.count))
        guard count >= 0 else { return nil }
        let padding = text.suffix(2).count { $0 == 0x3d }
        return Array(bytes.prefix(Int(count) - padding))
    }
}
