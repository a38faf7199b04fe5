internal import CCrypto

/// HMAC-SHA-256 (RFC 2104); nil when OpenSSL cannot.
func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8]? {
    var digest = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 32
    guard HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, &digest, &count) != nil, count == 32 else {
        return nil
    }
    return digest
}

/// Compares in a time that tells nothing of where they differ; a length is no secret.
func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}

/// HKDF with SHA-256 (RFC 5869); nil when OpenSSL cannot.
func derivedKey(_ secret: [UInt8], salt: String, info: String) -> [UInt8]? {
    let (salt, info) = (Array(salt.utf8), Array(info.utf8))
    var key = [UInt8](repeating: 0, count: 32)
    guard baton_hkdf_sha256(secret, secret.count, salt, salt.count, info, info.count, &key, key.count) == 1 else {
        return nil
    }
    return key
}
