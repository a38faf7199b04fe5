internal import Cluster
internal import Journal
internal import Primitives
internal import SMTP

/// What is waiting for a frame to be committed, and what then follows.
enum Pending: Sendable {
    case opened
    case tookOver
    case accepted(MessageKey, since: Instant, Origin)
    /// Pieces of a stream are on the disk.
    case piece(StreamID, bytes: UInt64)
    case attempt(ConnectionID, transaction: UInt64)
    case outcome(MessageKey, OutcomeRecord, Delays, notice: MessageKey?, Asker?)
    case command(MessageKey, Command.Verb, CommandRecord, Asker?)
    case retired
    case nothing
}

/// Whence a message came, which only the log says.
struct Origin: Sendable {
    var client = ""
    var helo: [UInt8] = []
    var user = ""
    var tls = ""
}

/// Who waits for a command, and what is answered once its frame is committed.
struct Asker: Sendable {
    let ticket: Ticket
    let answer: CommandAnswer
}

/// Where the time of a delivery went.
struct Delays: Sendable {
    var queued = Duration.zero
    var transaction = Duration.zero
}

/// A journal that this node holds, its frames' followers in order.
struct HeldJournal: Sendable {
    enum Damage: Sendable {
        case none
        /// Its messages are accepted again elsewhere; it takes no frame. Once `moved` is committed it is out of use.
        case setAside(moved: MovedTo?)
    }

    struct MovedTo: Sendable {
        let journal: JournalID
        let end: UInt64
    }

    var owner: JournalOwner
    /// Where the frames end that are not committed, and what follows each.
    var ends = Ring<UInt64>()
    var pending = Ring<Pending>()
    /// Messages in it that are not finished.
    var unfinished = 0
    var openStreams = 0
    /// No accept goes here any more.
    var isSealed = false
    var damage = Damage.none
    /// Whose messages these are, for the decision after a takeover.
    var recovered: [MessageKey] = []
}

/// A long message while it arrives.
struct ArrivingStream: Sendable {
    let journal: JournalID
    var pieces: [ContentPiece] = []
}
