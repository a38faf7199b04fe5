internal import Feedback
internal import Journal
internal import Primitives
internal import Routing
internal import SMTP
internal import Synchronization

/// What the journals and the history on this node's disk still know of messages that were sent: to remember after a
/// restart what feedback may come for, and to find who a message was from. Blocks: for a thread that may.
struct SentHistory: Sendable {
    /// What is to be known of a message to tell its sender.
    struct Envelope: Sendable {
        var accepted: WallTime
        var reversePath: Address?
        var recipients: [[UInt8]]
        var messageIDField: [UInt8]
    }

    private static let window = 256 << 10

    let directory: DataDirectory

    /// The envelope of a message, looked for in its journal, or everywhere when that is not known. A journal has 64 MiB at
    /// most, and only failures at upstreams with a sender of their own ask.
    func envelope(of message: MessageID, in journal: JournalID?) -> Envelope? {
        for (id, path) in files() where journal == nil || id == journal {
            // Within one node ids only grow.
            if journal == nil, id.ulid > message.ulid { continue }
            var found: Envelope?
            scan(id, path) { frame in
                switch frame.record {
                case .accept(let record) where record.id == message: found = Envelope(record)
                case .outcome(let record):
                    if let notice = record.notice, notice.id == message { found = Envelope(notice) }
                default: break
                }
                return found == nil
            }
            if let found { return found }
        }
        return nil
    }

    /// Every delivery of the last seven days at these upstreams, file by file in the order of their journals.
    func deliveries(
        at upstreams: Set<String>, since: WallTime, isOver: () -> Bool,
        _ visit: (SentIndex.Sent, _ recipient: [UInt8], OutcomeRecord, Journal.RecipientResult, _ messageID: [UInt8]) ->
            Void
    ) {
        for (id, path) in files() {
            guard !isOver() else { return }
            var writer = ""
            var messages: [MessageID: (recipients: [[UInt8]], messageID: [UInt8])] = [:]
            scan(id, path) { frame in
                switch frame.record {
                case .open(let record): writer = record.origin.node
                case .takeover(let record): writer = record.owner.node
                case .accept(let record): messages[record.id] = (record.recipients, record.messageIDField)
                case .outcome(let record):
                    if let notice = record.notice { messages[notice.id] = (notice.recipients, []) }
                    guard record.time > since, upstreams.contains(record.upstream),
                        let message = messages[record.message]
                    else { return true }
                    for result in record.results where result.status == .delivered {
                        guard Int(result.recipient) < message.recipients.count else { continue }
                        let sent = SentIndex.Sent(
                            message: record.message, journal: id, recipient: Int(result.recipient), at: record.time,
                            isOwn: writer == directory.replica.node)
                        visit(sent, message.recipients[sent.recipient], record, result, message.messageID)
                    }
                default: break
                }
                return true
            }
        }
    }

    /// History first: of a journal that is in both it is the whole.
    private func files() -> [(JournalID, String)] {
        var paths: [JournalID: String] = [:]
        for id in (try? directory.journals()) ?? [] { paths[id] = directory.journalPath(id) }
        for name in (try? directoryEntries(directory.historyPath)) ?? [] where name.hasSuffix(".journal") {
            if let id = ULID(text: name.dropLast(8)) { paths[JournalID(id)] = directory.historyPath + "/" + name }
        }
        return paths.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private struct Enough: Error {}

    /// Visits frame after frame until one says that it is enough.
    private func scan(_ journal: JournalID, _ path: String, _ visit: (ScannedFrame) -> Bool) {
        // One that was retired since it was listed is in the history by now.
        let kept = "\(directory.historyPath)/\(journal).journal"
        guard let file = (try? OpenFile(path, .read)) ?? (try? OpenFile(kept, .read)), let length = try? file.size
        else {
            return
        }
        _ = try? scanJournal(
            journal, length: length, afterDamage: .resynchronize, window: SentHistory.window,
            read: { offset, count in try file.read(at: offset, count: count) },
            frame: { if !visit($0) { throw Enough() } })
    }
}

extension SentHistory.Envelope {
    init(_ record: AcceptRecord) {
        accepted = record.time
        reversePath = record.reversePath.map { Address(parsed: $0) }
        recipients = record.recipients
        messageIDField = record.messageIDField
    }

    /// In either case of its letters.
    func has(_ recipient: [UInt8]) -> Bool {
        let wanted = String(decoding: recipient, as: UTF8.self).lowercased()
        return recipients.contains { String(decoding: $0, as: UTF8.self).lowercased() == wanted }
    }
}
