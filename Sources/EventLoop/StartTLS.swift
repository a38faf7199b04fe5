package import Primitives

extension Connection {
    /// Goes over to TLS as the server. What is queued (the reply to STARTTLS) goes out in the clear first; every byte of input
    /// that has been read before the handshake is dropped, because anyone on the way may have put it there
    /// (RFC 3207 §6, CVE-2011-0411). Plaintext still in the socket is not a handshake, so it ends the connection.
    package func startTLS(server: TLSServerContext, deadline: Instant) async throws(ConnectionError) {
        try await prepareForTLS(deadline: deadline)
        try await shakeHands(TLSStream(server: server, descriptor: raw), deadline: deadline)
    }

    /// Goes over to TLS as the client, with the same care. `serverName` is sent along unless it is an address; with
    /// `verify: .full` the certificate must be for it.
    package func startTLS(
        client: TLSClientContext, serverName: String?, verify: TLSVerification, deadline: Instant
    ) async throws(ConnectionError) {
        try await prepareForTLS(deadline: deadline)
        let stream = try TLSStream(client: client, name: serverName, verification: verify, descriptor: raw)
        try await shakeHands(stream, deadline: deadline)
    }

    func prepareForTLS(deadline: Instant) async throws(ConnectionError) {
        precondition(stream == nil, "TLS within TLS")
        input.consumeAll()
        try await flush(until: .empty, deadline: deadline)
    }

    /// After a handshake that failed neither side knows what the other reads: the connection is closed.
    func shakeHands(_ stream: TLSStream, deadline: Instant) async throws(ConnectionError) {
        handOver(to: stream)
        do throws(ConnectionError) {
            while true {
                if let closedBecause { throw closedBecause }
                switch stream.handshake() {
                case .done: return
                case .needsInput: try await untilReadable(deadline: deadline)
                case .needsRoom: try await untilWritable(level: 0, deadline: deadline)
                case .failed(let error): throw error
                }
            }
        } catch {
            shut(error)
            throw error
        }
    }
}
