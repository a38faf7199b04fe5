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

/// A journal that this node holds: as its owner, with what follows its frames in order, or as one of its replicas, which
/// only keeps the index of what is unfinished.
struct HeldJournal: Sendable {
    /// What this node is to it. Whose promise binds whom stands in the cluster's core.
    enum Role: Sendable {
        case replica
        /// `open` or `takeover` is appended and not committed.
        case takingOver
        case active
        /// `retire` is appended: nothing may follow.
        case retiring
        /// Of a node alone: its messages are accepted again elsewhere; it takes no frame. Once `moved` is committed it is out
        /// of use.
        case setAside(moved: MovedTo?)
    }

    /// It was found at start-up with messages in it, and is not this node's yet.
    var awaitsTakeover: Bool {
        guard !recovered.isEmpty else { return false }
        switch role {
        case .replica, .takingOver: return true
        case .active, .retiring, .setAside: return false
        }
    }

    struct MovedTo: Sendable {
        let journal: JournalID
        let end: UInt64
    }

    /// The index is being made anew from the file.
    struct Scan: Sendable {
        let number: UInt64
        let end: UInt64
        /// How far the frames that came back reach.
        var reached: UInt64 = 0
        /// What arrived since it began.
        var later: [ScannedFrame] = []
    }

    let id: JournalID
    var role = Role.replica
    /// This node's own epoch of it, while it is the owner.
    var epoch: UInt64 = 0
    /// Where the next frame goes, while it is the owner.
    var end: UInt64 = 0
    var committed: UInt64 = 0
    /// Where the frames end that are not committed, and what follows each.
    var ends = Ring<UInt64>()
    var pending = Ring<Pending>()
    /// Messages in it that are not finished.
    var unfinished = 0
    var openStreams = 0
    /// No accept goes here any more.
    var isSealed = false
    /// Whose messages these are, for the decision after a takeover. Empty while this node is active.
    var recovered: [MessageKey] = []
    var scan: Scan?
    /// When this node came to own it, and how the owner before it went.
    var wonAt = Instant(nanoseconds: 0)
    var predecessor = Predecessor.gone
    /// By name: who began the last epoch that wrote frames here.
    var lastWriter = ""
    /// From whom it was taken over, until the first delivery is reported.
    var reclaimedFrom: String?

    init(_ id: JournalID) { self.id = id }

    var isOwned: Bool {
        switch role {
        case .takingOver, .active, .retiring: true
        case .replica, .setAside: false
        }
    }

    var isActive: Bool {
        if case .active = role { true } else { false }
    }
}

/// A long message while it arrives.
struct ArrivingStream: Sendable {
    let journal: JournalID
    var pieces: [ContentPiece] = []
}
