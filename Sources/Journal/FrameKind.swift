/// The kinds of frames (`queue.md`, 'Frames'). The numbers stand in files: they are fixed for ever.
///
/// A change that an older reader must not misread gets a new number; what it may ignore gets a new field.
package enum FrameKind: UInt8, Hashable, Sendable, CaseIterable {
    case open = 1
    case takeover = 2
    case replicas = 3
    case seal = 4
    case retire = 5
    case body = 16
    case abort = 17
    case accept = 32
    case attempt = 33
    case outcome = 34
    case hold = 48
    case release = 49
    case cancel = 50
    case redirect = 51
}

extension Record {
    /// The number that the frame's header carries.
    package var kind: UInt8 {
        if case .unknown(let kind) = self { return kind }
        let known: FrameKind =
            switch self {
            case .open: .open
            case .takeover: .takeover
            case .replicas: .replicas
            case .seal: .seal
            case .retire, .unknown: .retire
            case .body: .body
            case .abort: .abort
            case .accept: .accept
            case .attempt: .attempt
            case .outcome: .outcome
            case .hold: .hold
            case .release: .release
            case .cancel: .cancel
            case .redirect: .redirect
            }
        return known.rawValue
    }
}

/// Tags of an `accept` frame's fields. Below 128 each costs one byte; readers keep the tags that they do not know.
enum AcceptTag {
    static let reversePath: UInt64 = 1
    static let recipient: UInt64 = 2
    static let eightBit: UInt64 = 3
    static let internationalized: UInt64 = 4
    static let prefixCount: UInt64 = 5
    static let size: UInt64 = 6
    static let digest: UInt64 = 7
    static let messageIDField: UInt64 = 8
    static let clientAddress: UInt64 = 9
    static let helo: UInt64 = 10
    static let user: UInt64 = 11
    static let tls: UInt64 = 12
    static let concerns: UInt64 = 13
    static let uncertain: UInt64 = 14
    static let headerField: UInt64 = 15
    /// Pieces in `body` frames: stream, count, then offset and length of each.
    static let pieces: UInt64 = 30
    /// Dot-stuffed content. Always the last field, so that it ends where the frame ends.
    static let content: UInt64 = 31
}

/// Tags of the optional fields of one result in an `outcome` frame.
enum ResultTag {
    static let enhanced: UInt64 = 1
    static let reply: UInt64 = 2
    static let due: UInt64 = 3
    static let held: UInt64 = 4
    static let suppressed: UInt64 = 5
}

/// Tags of what may follow the fixed fields of an `outcome` frame.
enum OutcomeTag {
    static let notice: UInt64 = 1
}
