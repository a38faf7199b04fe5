import Node
import Primitives
import Routing
import SMTP

/// One upstream: what it is like, and what is wrong with it at present.
struct SimulatedUpstream {
    /// How likely each fault strikes at each opportunity, for a while.
    struct Mood {
        var faults: [Fault: Double] = [:]
        static let healthy = Mood()
    }

    /// Faults that a mood can consist of.
    static let moodFaults: [Fault] = [
        .refuseConnect, .hangConnect, .greetPermanent, .greetTransient, .refuseEHLO, .failTLS, .drop, .hang, .nonsense,
        .close421, .staleConnection, .mailTransient, .mailPermanent, .mailRights, .recipientTransient,
        .recipientPermanent, .domainDown,
        .tooManyRecipients, .dataTransient, .dataPermanent, .contentRefused, .dotTransient, .dotPermanent,
        .dotUnanswered,
        .dotLost, .dotSlow,
    ]

    let name: String
    var settings: Upstream
    var mood = Mood.healthy
    /// What it offers now.
    var capabilities: Capabilities
    private(set) var hasLackedEightBit = false
    private(set) var hasLackedUTF8 = false
    private(set) var smallestLimit = UInt64.max
    /// Connections as the nodes have them.
    var connections: Set<LinkID> = []
    /// For scenarios: recipient domains that it can't reach, and how long it takes to say so.
    var unreachable: [String: Duration] = [:]
    /// By a person, and a node alone knows it.
    var isSwitchedOff = false

    init(_ settings: Upstream) {
        name = settings.name
        smallestLimit = settings.maximumMessageSize?.bytes ?? .max
        self.settings = settings
        capabilities = SimulatedUpstream.whole
    }

    static let whole = {
        var all = Capabilities()
        all.pipelining = true
        all.eightBitMIME = true
        all.smtputf8 = true
        all.enhancedStatusCodes = true
        all.size = true
        return all
    }()

    /// Whether, at some time, it had not what this message needs.
    func everLacked(_ message: BookedMessage) -> Bool {
        (message.isEightBit && hasLackedEightBit) || (message.isInternationalized && hasLackedUTF8)
            || UInt64(message.content.count) + 100 > smallestLimit
    }

    mutating func offer(_ new: Capabilities) {
        capabilities = new
        if !new.eightBitMIME { hasLackedEightBit = true }
        if !new.smtputf8 { hasLackedUTF8 = true }
        smallestLimit = min(smallestLimit, new.sizeLimit ?? .max)
    }

    /// Greeted by HELO it offers nothing.
    mutating func offerNothing() {
        hasLackedEightBit = true
        hasLackedUTF8 = true
    }

    mutating func reduce(_ random: inout SeededRandom) {
        var fewer = SimulatedUpstream.whole
        if random.chance(0.5) { fewer.pipelining = false }
        if random.chance(0.5) { fewer.eightBitMIME = false }
        if random.chance(0.5) { fewer.smtputf8 = false }
        if random.chance(0.3) { fewer.sizeLimit = 1000 }
        if random.chance(0.3) { fewer.startTLS = true }
        offer(fewer)
    }
}

/// What travels to an upstream.
enum ToServer {
    case bytes([UInt8])
    case content([UInt8], Transaction)
    case dot(Transaction)
    case handshake
    case end
}

/// What an upstream's end of a connection says to what arrives, one command at a time. It judges nothing by itself: all
/// faults come from the `Mood`.
struct ServerDialogue {
    enum Phase { case commands, content, over, silent }

    var phase = Phase.commands
    var buffer: [UInt8] = []
    var reversePath: [UInt8]?
    var hasMail = false
    var isEightBit = false
    var isInternationalized = false
    var recipients: [[UInt8]] = []
    var content: [UInt8] = []
    var transaction: Transaction?
    /// Transactions whose dot came.
    var completed = 0

    mutating func reset() {
        hasMail = false
        reversePath = nil
        recipients = []
        content = []
        transaction = nil
        isEightBit = false
        isInternationalized = false
    }

    /// The next whole line, without its CRLF.
    mutating func line() -> [UInt8]? {
        guard let end = buffer.firstIndex(of: 0x0a) else { return nil }
        var line = Array(buffer[..<end])
        if line.last == 0x0d { line.removeLast() }
        buffer.removeFirst(end + 1)
        return line
    }
}
