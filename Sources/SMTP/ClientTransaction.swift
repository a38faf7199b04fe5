internal import Primitives

/// One transaction of a `ClientSession`: which reply it expects next, and what each reply decides.
///
/// Its replies come in the order `RSET? MAIL RCPT… DATA .`, whether or not its commands were pipelined; the step says
/// which is next. Pipelined, all commands up to DATA were written at once; otherwise each is written when the one
/// before it was answered.
struct ClientTransaction: Sendable {
    enum Step: Hashable {
        /// Nothing is written yet.
        case queued
        case reset, mail
        case recipient(Int)
        case data
        /// DATA was answered with 354: the content flows, or waits for permission to end.
        case content
        case finalDot
        /// DATA was answered with 354 though no recipient was taken; a lone dot ends it (RFC 2920 §3.1).
        case emptyDot
    }

    enum Permission: Hashable { case awaited, granted, refused }

    /// What the session has to do after a reply.
    enum Verdict {
        case goOn, sendContent, sendEmptyDot
        /// All results are there. The connection can or can't be used further.
        case ended(usable: Bool)
    }

    let request: TransactionRequest
    private(set) var step = Step.queued
    var permission = Permission.awaited
    var contentSent = false
    /// The upstream still holds what MAIL and RCPT said: RSET is due before the next MAIL.
    private(set) var leftOpen = false
    /// Why the connection can't be trusted to be in step; decides `staleConnection`.
    private(set) var endedByPeer = false

    private var offers = Capabilities()
    private var pipelined = false
    private var results: [RecipientResult]
    private var accepted = 0
    private var mailRefused = false

    init(_ request: TransactionRequest) {
        self.request = request
        results = Array(
            repeating: RecipientResult(.notSent(.undecided, nil), at: .mail), count: request.recipients.count)
    }

    var stage: Stage {
        switch step {
        case .queued, .reset, .mail: .mail
        case .recipient: .rcpt
        case .data: .data
        case .content, .emptyDot: .content
        case .finalDot: .finalDot
        }
    }

    var isMailAnswered: Bool {
        switch step {
        case .queued, .reset, .mail: false
        default: true
        }
    }

    /// The recipients that the upstream has taken, by their index in the request.
    var acceptedRecipients: [Int] { results.indices.filter { results[$0].outcome == .notSent(.undecided, nil) } }

    /// Writes the first commands.
    mutating func open(_ offers: Capabilities, reset: Bool, pipelined: Bool, into burst: inout [UInt8]) {
        self.offers = offers
        self.pipelined = pipelined
        step = reset ? .reset : .mail
        if reset { burst.append(text: "RSET\r\n") }
        if pipelined {
            burst.append(mail: request, offers)
            for recipient in request.recipients { burst.append(recipient: recipient) }
            burst.append(text: "DATA\r\n")
        } else if !reset {
            burst.append(mail: request, offers)
        }
    }

    /// The final dot is written.
    mutating func finish() {
        step = .finalDot
    }

    mutating func take(_ reply: Reply, into burst: inout [UInt8]) -> Verdict {
        // 421 can come at any time and to anything (RFC 5321 §3.8); only to the dot is it an answer about the message.
        if reply.code == 421, step != .finalDot {
            endedByPeer = true
            stop(.closing, reply)
            return .ended(usable: false)
        }
        switch step {
        case .queued: return violation(reply)
        case .reset:
            guard reply.isSuccess else { return violation(reply) }
            step = .mail
            if !pipelined { burst.append(mail: request, offers) }
            return .goOn
        case .mail: return takeMail(reply, into: &burst)
        case .recipient(let index): return takeRecipient(index, reply, into: &burst)
        case .data: return takeData(reply)
        case .content:
            // A verdict before its time: some servers refuse what they have seen enough of, and hang up.
            guard reply.code >= 400 else { return violation(reply) }
            decide(reply, at: .content)
            return .ended(usable: false)
        case .finalDot:
            if (300..<400).contains(reply.code) {
                stop(.protocolError("'\(reply)' to the final dot"), reply)
                return .ended(usable: false)
            }
            decide(reply, at: .finalDot)
            return .ended(usable: reply.code != 421)
        case .emptyDot: return .ended(usable: reply.code < 300 || reply.code >= 400)
        }
    }

    private mutating func takeMail(_ reply: Reply, into burst: inout [UInt8]) -> Verdict {
        if reply.isSuccess {
            step = .recipient(0)
            if !pipelined { burst.append(recipient: request.recipients[0]) }
            return .goOn
        }
        guard reply.code >= 400 else { return violation(reply) }
        decide(reply, at: .mail)
        mailRefused = true
        guard pipelined else { return .ended(usable: true) }
        step = .recipient(0)
        return .goOn
    }

    private mutating func takeRecipient(_ index: Int, _ reply: Reply, into burst: inout [UInt8]) -> Verdict {
        guard !(300..<400).contains(reply.code) else { return violation(reply) }
        if reply.isSuccess {
            // A recipient of a refused MAIL: whoever says so can't be trusted with a dot.
            guard !mailRefused else { return .ended(usable: false) }
            accepted += 1
        } else if !mailRefused {
            results[index] = judge(recipient: reply)
        }
        if index + 1 < request.recipients.count {
            step = .recipient(index + 1)
            if !pipelined { burst.append(recipient: request.recipients[index + 1]) }
            return .goOn
        }
        if !pipelined {
            guard accepted > 0 else {
                leftOpen = true
                return .ended(usable: true)
            }
            burst.append(text: "DATA\r\n")
        }
        step = .data
        return .goOn
    }

    private func judge(recipient reply: Reply) -> RecipientResult {
        if accepted > 0, reply.saysTooManyRecipients {
            return RecipientResult(.notSent(.tooManyRecipients, reply), at: .rcpt)
        }
        return RecipientResult(reply.isPermanent ? .failed(reply) : .deferred(reply), at: .rcpt)
    }

    private mutating func takeData(_ reply: Reply) -> Verdict {
        switch reply.code {
        case 300..<400:
            guard !mailRefused else { return .ended(usable: false) }
            guard accepted > 0 else {
                step = .emptyDot
                return .sendEmptyDot
            }
            step = .content
            return .sendContent
        case 400...:
            decide(reply, at: .data)
            leftOpen = !mailRefused
            return .ended(usable: true)
        default: return violation(reply)
        }
    }

    /// Gives every recipient that is still undecided what the reply says.
    private mutating func decide(_ reply: Reply, at stage: Stage) {
        let outcome: RecipientResult.Outcome =
            reply.isSuccess ? .delivered(reply) : reply.isPermanent ? .failed(reply) : .deferred(reply)
        settle(RecipientResult(outcome, at: stage))
    }

    private mutating func violation(_ reply: Reply) -> Verdict {
        stop(.protocolError("unexpected reply"), reply)
        return .ended(usable: false)
    }

    /// The connection is gone or given up: what is undecided was not sent, or is unanswered once the dot was written.
    mutating func stop(_ reason: NotSent, _ reply: Reply? = nil) {
        if case .connectionLost = reason { endedByPeer = true }
        switch step {
        case .finalDot: settle(RecipientResult(.unanswered(reason.description), at: .finalDot))
        default: settle(RecipientResult(.notSent(reason, reply), at: stage))
        }
    }

    private mutating func settle(_ result: RecipientResult) {
        for index in results.indices {
            if case .notSent(.undecided, _) = results[index].outcome { results[index] = result }
        }
    }

    consuming func result(usable: Bool, stale: Bool) -> TransactionResult {
        TransactionResult(id: request.id, recipients: results, connectionUsable: usable, staleConnection: stale)
    }
}
