/// Why a connection could not be made or came to its end, worded for the person who reads the log.
package enum ConnectionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The deadline of the operation passed. The connection is still open.
    case timedOut
    /// Closed on this side, or the peer closed it where more was expected.
    case closed
    /// Broken off by the peer or the network, with the error number.
    case reset(Int32)
    case refused
    case unreachable(Int32)
    /// The task was cancelled, which closes the connection.
    case cancelled
    /// The handshake or a record failed, in words.
    case tls(String)
    /// More input is waiting than may be buffered (`Connection.inputLimit`).
    case inputLimit
    /// The machine refused something: out of descriptors, no permission, a local address that is not ours.
    case system(SystemError)

    package var description: String {
        switch self {
        case .timedOut: "timed out"
        case .closed: "connection closed"
        case .reset(let number): "connection lost (\(textOfError(number)))"
        case .refused: "connection refused"
        case .unreachable(let number): "unreachable (\(textOfError(number)))"
        case .cancelled: "cancelled"
        case .tls(let text): "TLS failed: \(text)"
        case .inputLimit: "more input than may be buffered"
        case .system(let error): error.description
        }
    }
}
