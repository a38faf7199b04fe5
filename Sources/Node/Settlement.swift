internal import Journal
internal import Primitives
internal import SMTP

/// What is to be written about one recipient.
enum Verdict: Sendable {
    case delivered(Reply)
    case deferred(Reply)
    case failed(Reply)
    case expired(Reply)
    /// The dot was sent and never answered.
    case unanswered(String)
    /// The upstream has nothing: the job goes on within this try.
    case notSent(Reply?, String)
    /// No upstream is usable and the sender is told that it takes long.
    case stillWaiting(Reply)
    /// It is on the suppression list.
    case suppressed(Reply)
    /// A person gave it up.
    case givenUp(String)
}

/// The end of a transaction, or of a try without one, on its way into an outcome frame.
struct Settlement: Sendable {
    let message: MessageKey
    /// The job that it ends or that goes on with `continuing`; nil for a person's command.
    var job: JobKey?
    /// 0 without a transaction.
    var attempt: UInt32 = 0
    var upstream = ""
    var remote = ""
    var verdicts: [(recipient: UInt32, verdict: Verdict)]
    var continuing: [UInt32] = []
    var delays = Delays()
    /// A delay warning is due, for those that are not finished by it.
    var isLate = false
    /// Its outcome carries a bounce or a warning.
    var needsNotice = false
    /// Who asked, for a person's command.
    var asker: Asker?

    /// Recipients that one outcome frame speaks of: replies and the bounce that they cause fit a frame.
    static let recipientsPerOutcome = 100
    /// What an outcome keeps of a reply when there are many, in bytes.
    static let replyLimit = 2048
}

extension Verdict {
    var reply: Reply? {
        switch self {
        case .delivered(let reply), .deferred(let reply), .failed(let reply), .expired(let reply),
            .stillWaiting(let reply), .suppressed(let reply):
            reply
        case .notSent(let reply, _): reply
        case .unanswered: nil
        case .givenUp(let reason): Reply(550, 5, 0, 0, reason)
        }
    }

    /// Whether the recipient waits for another try by the schedule.
    var isDeferred: Bool {
        switch self {
        case .deferred, .unanswered: true
        default: false
        }
    }

    var text: [UInt8] {
        switch self {
        case .unanswered(let reason): Array(reason.utf8)
        case .notSent(nil, let reason): Array(reason.utf8)
        default: reply?.text ?? []
        }
    }

    var status: Journal.RecipientResult.Status {
        switch self {
        case .delivered: .delivered
        case .deferred: .deferred
        case .failed, .givenUp, .suppressed: .failed
        case .expired: .expired
        case .unanswered: .unanswered
        case .notSent, .stillWaiting: .notSent
        }
    }
}
