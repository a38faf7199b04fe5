internal import Journal
package import Primitives

/// One message's life, in order of time (outputs.md, `baton trace`).
package struct Trace: Sendable {
    package struct Event: Hashable, Sendable {
        package enum Mark: String, Hashable, Sendable { case durable, delivered, failed, uncertain }

        package var time: WallTime
        package var node: String
        package var what: String
        package var mark: Mark?
    }

    package var id: MessageID
    package var accepted: WallTime
    package var sender: String
    package var recipients: [String]
    package var size: ByteCount
    package var messageIDField: String
    /// How many recipients it was delivered to.
    package var delivered: Int
    package var isFinished: Bool
    /// How often another process took over its journal while it was unfinished.
    package var takeovers: Int
    /// Somebody may have got it twice.
    package var isUncertain: Bool
    package var events: [Event]
}

/// Makes a trace of the frames of each journal that may hold the message.
struct TraceBuilder {
    let id: MessageID
    private let node: String
    private var journal: JournalID?
    /// Who wrote the frames that are read now: the copies of a journal tell the same story on all nodes.
    private var writer: String
    private var accept: AcceptRecord?
    /// The journal that the message is in.
    private var home: JournalID?
    private var events: [Trace.Event] = []
    /// Attempts without an outcome so far: their recipients.
    private var open: [UInt32: AttemptRecord] = [:]
    private var finished: Set<UInt32> = []
    private var delivered: Set<UInt32> = []
    private var isUncertain = false
    private var takeovers = 0

    init(_ id: MessageID, node: String) {
        self.id = id
        self.node = node
        writer = node
    }

    var isFound: Bool { accept != nil }

    mutating func begin(_ journal: JournalID) {
        self.journal = journal
        writer = node
    }

    mutating func add(_ frame: ScannedFrame) {
        switch frame.record {
        case .open(let record): writer = record.origin.node
        case .accept(let record) where record.id == id: accepted(record, frame)
        case .attempt(let record) where record.message == id: attempted(record)
        case .outcome(let record):
            if record.message == id { ended(record) }
            if let notice = record.notice, notice.id == id { accepted(notice, frame) }
        case .takeover(let record):
            writer = record.owner.node
            takenOver(record, frame.header.epoch)
        case .hold(let command) where command.message == id: commanded("held", command)
        case .release(let command) where command.message == id: commanded("released", command)
        case .cancel(let command) where command.message == id:
            commanded("cancelled", command)
            finish(command.recipients)
        case .redirect(let command, let upstream) where command.message == id:
            commanded("redirected to \(upstream)", command)
        default: break
        }
    }

    private mutating func accepted(_ record: AcceptRecord, _ frame: ScannedFrame) {
        let isAgain = accept != nil
        accept = record
        home = journal
        if record.isUncertain { isUncertain = true }
        if let concerns = record.concerns {
            note(record.time, "made by baton: it speaks of \(concerns)")
        } else {
            var by: [String] = []
            if !record.user.isEmpty { by.append("user \(record.user)") }
            if !record.tls.isEmpty { by.append(record.tls) }
            let how = by.isEmpty ? "" : " (\(by.joined(separator: ", ")))"
            note(
                record.time, isAgain ? "moved out of a damaged journal" : "accepted from \(record.clientAddress)\(how)")
        }
        let place = journal.map(\.short) ?? "?"
        note(record.time, "on disk: journal \(place) at \(frame.offset), epoch \(frame.header.epoch)", .durable)
    }

    private mutating func attempted(_ record: AttemptRecord) {
        open[record.number] = record
        for recipient in record.recipients {
            note(record.time, "\(name(recipient)): \(record.upstream), attempt \(record.number)")
        }
    }

    private mutating func ended(_ record: OutcomeRecord) {
        let attempt = open.removeValue(forKey: record.attempt)
        let took = attempt.map { " (\((record.time - $0.time).short))" } ?? ""
        for result in record.results {
            let reply = result.code == 0 ? "" : "\(result.code) "
            let enhanced = result.enhanced.isEmpty ? "" : result.enhanced + " "
            let words = reply + enhanced + String(decoding: result.reply, as: UTF8.self).replacing("\n", with: " ")
            let said = words.isEmpty ? "no reply" : words
            let next = result.due.map { ", next try \($0.clock)" } ?? (result.isHeld ? ", held" : "")
            switch result.status {
            case .delivered:
                delivered.insert(result.recipient)
                finish([result.recipient])
                note(record.time, "\(name(result.recipient)): \(said)\(took)", .delivered)
            case .failed:
                finish([result.recipient])
                note(record.time, "\(name(result.recipient)): \(said)\(took)", .failed)
            case .expired:
                finish([result.recipient])
                note(record.time, "\(name(result.recipient)): expired: \(said)", .failed)
            case .deferred: note(record.time, "\(name(result.recipient)): \(said)\(took)\(next)")
            case .notSent: note(record.time, "\(name(result.recipient)): not sent: \(said)\(next)")
            case .unanswered:
                isUncertain = true
                note(
                    record.time,
                    "\(name(result.recipient)): the final dot was never answered: it may have been delivered\(next)",
                    .uncertain)
            }
        }
        if let notice = record.notice { note(record.time, "told the sender: \(notice.id)") }
    }

    /// An attempt without an outcome when its owner ended is what can be delivered twice.
    private mutating func takenOver(_ record: TakeoverRecord, _ epoch: UInt64) {
        // A copy that lags ends before the message does; another journal's takeover says nothing of it.
        guard journal == home, let accept,
            !accept.recipients.indices.allSatisfy({ finished.contains(UInt32($0)) })
        else { return }
        takeovers += 1
        note(record.time, "\(record.owner.node) took over journal \(journal.map(\.short) ?? "?"), epoch \(epoch)")
        for attempt in open.values.sorted(by: { $0.number < $1.number }) {
            isUncertain = true
            for recipient in attempt.recipients {
                note(
                    record.time,
                    "\(name(recipient)): attempt \(attempt.number) has no outcome: uncertain, it may have been delivered",
                    .uncertain)
            }
        }
        open = [:]
    }

    private mutating func commanded(_ what: String, _ command: CommandRecord) {
        let whom = command.recipients.isEmpty ? "" : command.recipients.map { name($0) }.joined(separator: ", ") + ": "
        let why = command.reason.isEmpty ? "" : ": \(command.reason)"
        note(command.time, "\(whom)\(what) by \(command.by)\(why)")
    }

    private mutating func finish(_ recipients: [UInt32]) {
        finished.formUnion(recipients.isEmpty ? (accept?.recipients.indices.map { UInt32($0) } ?? []) : recipients)
    }

    private mutating func note(_ time: WallTime, _ what: String, _ mark: Trace.Event.Mark? = nil) {
        events.append(Trace.Event(time: time, node: writer, what: what, mark: mark))
    }

    private func name(_ recipient: UInt32) -> String {
        guard let accept, Int(recipient) < accept.recipients.count else { return "recipient \(recipient)" }
        return String(decoding: accept.recipients[Int(recipient)], as: UTF8.self)
    }

    func finish() -> Trace? {
        guard let accept else { return nil }
        return Trace(
            id: id, accepted: accept.time,
            sender: accept.reversePath.map { String(decoding: $0, as: UTF8.self) } ?? "",
            recipients: accept.recipients.map { String(decoding: $0, as: UTF8.self) },
            size: ByteCount(bytes: accept.size), messageIDField: String(decoding: accept.messageIDField, as: UTF8.self),
            delivered: delivered.count, isFinished: finished.count >= accept.recipients.count, takeovers: takeovers,
            isUncertain: isUncertain, events: events)
    }
}
