internal import Node
internal import Primitives
internal import SMTP

/// The words of each log line (outputs.md, 'Log lines').
struct LogFormatter: Sendable {
    let format: LogLine.Format
    let node: String
    let level: LogWriter.Level

    func append(_ entry: LogWriter.Entry, to text: inout [UInt8]) {
        switch entry {
        case .note(let note, let wall):
            if level <= note.level { append(note, wall, to: &text) }
        case .refused(let client, let stage, let reply, let wall):
            guard level <= .info else { return }
            var line = LogLine("refused", at: wall, format: format)
            line.add("client", client)
            line.add("stage", stage.description)
            line.add("code", reply.code)
            line.add("reason", reply.description)
            text.append(contentsOf: line.finish())
        case .event(let event, let severity, let fields, let wall):
            guard level <= severity else { return }
            var line = LogLine(event, at: wall, format: format)
            if severity > .info { line.add("level", "\(severity)") }
            for field in fields { line.add(field.key, field.value) }
            line.add("node", node)
            text.append(contentsOf: line.finish())
        }
    }

    private func append(_ note: Note, _ wall: WallTime, to text: inout [UInt8]) {
        switch note {
        case .accepted(let accepted): append(accepted, wall, to: &text)
        case .result(let result): append(result, wall, to: &text)
        case .done(let message, let sent, let bounced, let age):
            var line = LogLine("done", at: wall, format: format)
            line.add("id", message.ulid)
            line.add("sent", sent)
            line.add("bounced", bounced)
            line.add("age", seconds(age))
            text.append(contentsOf: line.finish())
        default:
            let (event, fields) = note.described
            var line = LogLine(event, at: wall, format: format)
            if note.level > .info { line.add("level", "\(note.level)") }
            for field in fields { line.add(field.key, field.value) }
            line.add("node", node)
            text.append(contentsOf: line.finish())
        }
    }

    private func append(_ accepted: Note.Accepted, _ wall: WallTime, to text: inout [UInt8]) {
        var line = LogLine("accepted", at: wall, format: format)
        line.add("id", accepted.id.ulid)
        line.add("client", accepted.client)
        line.add("helo", accepted.helo)
        if !accepted.user.isEmpty { line.add("user", accepted.user) }
        if !accepted.tls.isEmpty { line.add("tls", accepted.tls) }
        line.add("from", accepted.from)
        line.add("message_id", accepted.messageIDField)
        line.add("size", accepted.size)
        line.add("recipients", accepted.recipients)
        if let concerns = accepted.concerns { line.add("concerns", concerns.ulid) }
        line.add("node", node)
        line.add("ms", milliseconds(accepted.took))
        text.append(contentsOf: line.finish())
    }

    private func append(_ result: Note.Result, _ wall: WallTime, to text: inout [UInt8]) {
        var line = LogLine("result", at: wall, format: format)
        line.add("id", result.id.ulid)
        line.add("to", result.to)
        line.add("upstream", result.upstream)
        line.add("remote", result.remote)
        line.add("status", result.status.rawValue)
        if result.code != 0 { line.add("code", result.code) }
        if !result.enhanced.isEmpty { line.add("enhanced", result.enhanced) }
        if !result.replyClass.isEmpty { line.add("class", result.replyClass) }
        line.add("reply", result.reply)
        if result.status == .sent, let remote = remoteID(result.reply) { line.add("remote_id", remote) }
        line.add("attempt", result.attempt)
        line.add("delay", seconds(result.delay))
        line.add("delays", "\(seconds(result.queued))/0/\(seconds(result.transaction))")
        line.add("node", node)
        line.add("epoch", result.epoch)
        if let next = result.next { line.add("next", next.short.filter { $0 != " " }) }
        text.append(contentsOf: line.finish())
    }

    /// The word behind 'queued as', which most servers say.
    private func remoteID(_ reply: [UInt8]) -> ArraySlice<UInt8>? {
        let words = reply.split { $0 == 0x20 || $0 == 0x0a }
        guard let index = words.firstIndex(where: { $0.elementsEqual("queued".utf8) }), index + 2 < words.count,
            words[index + 1].elementsEqual("as".utf8)
        else { return nil }
        return words[index + 2]
    }

    private func seconds(_ duration: Duration) -> String { decimal(duration.milliseconds) }

    /// `2.413`, from microseconds.
    private func milliseconds(_ duration: Duration) -> String { decimal(duration.nanoseconds / 1000) }

    private func decimal(_ thousandths: Int64) -> String {
        let value = max(0, thousandths)
        let rest = String(value % 1000)
        return "\(value / 1000)." + String(repeating: "0", count: 3 - rest.utf8.count) + rest
    }
}
