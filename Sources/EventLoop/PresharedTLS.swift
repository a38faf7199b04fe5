internal import CLinux
internal import CTLS
internal import Glibc
package import Primitives

package enum PresharedTLSRole: Hashable, Sendable { case client, server }

/// Why a handshake with a preshared key came to nothing.
package enum PresharedTLSError: Error, Hashable, Sendable {
    /// The two ends have no key in common: the server does not know the one that was offered, or none was.
    case noSharedKey
    /// Both have the same secret, for different purposes (`PresharedKey.init`, `context`).
    case otherContext
    /// What came is no TLS, or not of this version; in OpenSSL's words.
    case otherProtocol(String)
    case connection(ConnectionError)
}

extension Connection {
    /// Goes over to TLS 1.3 with a key that both ends have. Nothing of what the caller writes afterwards reaches a peer
    /// without the key; after a failure the connection is closed.
    package func startTLS(
        preshared context: PresharedTLSContext, as role: PresharedTLSRole, deadline: Instant
    ) async throws(PresharedTLSError) {
        var tried: TLSStream?
        do throws(ConnectionError) {
            try await prepareForTLS(deadline: deadline)
            let stream = try TLSStream(preshared: context, as: role, descriptor: raw)
            tried = stream
            try await shakeHands(stream, deadline: deadline)
        } catch {
            throw PresharedTLSError(error, tried?.failureReason ?? 0, ended: tried?.wire.pointee.ended == 1)
        }
        guard tried?.usedPresharedKey == true else {
            close()
            throw .noSharedKey
        }
    }

    /// Lets no more than so many bytes wait in the kernel unsent: what is more urgent then need not queue behind them.
    package func limitUnsent(to bytes: Int) {
        set(Int32(TCP_NOTSENT_LOWAT), level: Int32(IPPROTO_TCP), to: Int32(bytes))
    }

    /// Ends the connection (as `reset` with ETIMEDOUT) when the other machine acknowledges nothing for so long, idle or not.
    package func giveUp(after silence: Duration) {
        set(Int32(TCP_USER_TIMEOUT), level: Int32(IPPROTO_TCP), to: Int32(clamping: silence.milliseconds))
        let seconds = Int32(clamping: max(1, silence.milliseconds / 4000))
        set(SO_KEEPALIVE, level: SOL_SOCKET, to: 1)
        set(Int32(TCP_KEEPIDLE), level: Int32(IPPROTO_TCP), to: seconds)
        set(Int32(TCP_KEEPINTVL), level: Int32(IPPROTO_TCP), to: seconds)
        set(Int32(TCP_KEEPCNT), level: Int32(IPPROTO_TCP), to: 3)
    }

    /// Whether this socket met itself: a connect to a free port of this machine may be given that very port as its own, and
    /// TCP lets the two be one (simultaneous open, RFC 9293 §3.5). Nobody listens there then.
    package var isConnectedToItself: Bool { isOpen && local == peer }

    private func set(_ option: Int32, level: Int32, to value: Int32) {
        guard isOpen, case .ip = peer else { return }
        var value = value
        setsockopt(raw, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}

extension PresharedTLSError {
    fileprivate init(_ error: ConnectionError, _ reason: Int32, ended: Bool) {
        guard case .tls(let text) = error, !ended else {
            // The end of the stream within the handshake is told as a failure of TLS.
            self = ended ? .connection(.closed) : .connection(error)
            return
        }
        switch reason {
        // The server looked for a certificate after no name of a key was known.
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SSL_R_NO_SHARED_CIPHER, SSL_R_BAD_PSK,
            // The client hears of it, or is shown a certificate.
            SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SSL_R_TLSV1_ALERT_UNKNOWN_PSK_IDENTITY,
            SSL_R_CERTIFICATE_VERIFY_FAILED:
            self = .noSharedKey
        // The name was known, and the proof of the key was wrong: as the server sees it, and as the client hears of it.
        case SSL_R_BINDER_DOES_NOT_VERIFY, SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER, SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
            self = .otherContext
        default: self = .otherProtocol(text)
        }
    }
}
