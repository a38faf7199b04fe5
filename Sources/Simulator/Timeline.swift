import Node
import Primitives
import SMTP

// The words of a timeline, and what tells two runs apart.

extension NodeEvent {
    var summary: String {
        switch self {
        case .promiseStored(let journal, let epoch): "promise of \(journal.short) stored, epoch \(epoch)"
        case .durable(let journal, let end): "\(journal.short) durable up to \(end)"
        case .diskFull(let journal): "disk full for \(journal.short)"
        case .diskSpace(let free, let total): "disk space \(free) of \(total)"
        case .journalDeleted(let journal): "\(journal.short) deleted"
        case .contentRead(let ticket, let bytes):
            "content \(ticket.number & 0xffff): \(bytes.map { "\($0.count) bytes" } ?? "none")"
        case .submitted(let ticket, let submission):
            "submitted \(submission.id.short) (ticket \(ticket.number)), \(submission.envelope.recipients.count) recipients, "
                + "\(submission.size) bytes from <\(submission.envelope.reversePath.map { "\($0)" } ?? "")>"
        case .streamed(let stream, let bytes): "stream \(stream.number): \(bytes.count) bytes"
        case .streamAborted(let stream): "stream \(stream.number) aborted"
        case .submitterGone(let ticket): "the client of ticket \(ticket.number) is gone"
        case .connected(let connection, _, let remote, _): "connection \(connection.number) ready: \(remote)"
        case .connectionFailed(let connection, let failure): "connection \(connection.number) failed: \(failure)"
        case .dotSent(let connection): "connection \(connection.number): dot written"
        case .transactionEnded(let connection, let result):
            "connection \(connection.number): transaction \(result.id) ended: "
                + result.recipients.map { "\($0.words)" }.joined(separator: ", ")
                + (result.connectionUsable ? "" : "; not usable") + (result.staleConnection ? "; stale" : "")
        case .connectionClosed(let connection): "connection \(connection.number) closed while idle"
        case .command(_, let command): "command \(command.verb) \(command.message.short)"
        case .enableUpstream(let name, let isEnabled): "upstream \(name) \(isEnabled ? "enabled" : "disabled")"
        case .reconfigured: "reconfigured"
        case .drain: "drain"
        case .tick: "tick"
        }
    }
}

extension RecipientResult {
    fileprivate var words: String {
        switch outcome {
        case .delivered: "delivered"
        case .deferred(let reply): "deferred (\(reply))"
        case .failed(let reply): "failed (\(reply))"
        case .notSent(let why, let reply): "not sent at \(stage) (\(why)\(reply.map { ", \($0)" } ?? ""))"
        case .unanswered(let why): "unanswered (\(why))"
        }
    }
}

extension NodeEffect {
    var summary: String {
        switch self {
        case .storePromise(let journal, let promise): "store promise of \(journal.short), epoch \(promise.epoch)"
        case .createJournal(let journal): "create \(journal.short)"
        case .append(let journal, let offset, let bytes): "append \(bytes.count) bytes to \(journal.short) at \(offset)"
        case .cut(let journal, let end): "cut \(journal.short) to \(end)"
        case .deleteJournal(let journal): "delete \(journal.short)"
        case .setAside(let journal): "set \(journal.short) aside"
        case .readContent(let ticket, let content, let limit):
            "read \(min(limit, Int(content.count))) bytes of \(content.journal.short) (\(ticket.number & 0xffff))"
        case .answer(let ticket, .queued(let id)): "250 for ticket \(ticket.number): \(id.short)"
        case .answer(let ticket, .refused(let reply)): "ticket \(ticket.number) refused: \(reply)"
        case .streamDurable(let stream, let bytes): "stream \(stream.number): \(bytes) bytes durable"
        case .streamLost(let stream): "stream \(stream.number) lost"
        case .connect(let connection, let upstream): "connect \(connection.number) to \(upstream)"
        case .transact(let connection, let transaction):
            "connection \(connection.number): transaction \(transaction.request.id), \(transaction.message.short) "
                + "attempt \(transaction.attempt), for \(transaction.request.recipients.map(\.description))"
        case .mayFinish(let connection, let id): "connection \(connection.number): transaction \(id) may finish"
        case .interrupt(let connection, let id): "connection \(connection.number): interrupt transaction \(id)"
        case .close(let connection): "close connection \(connection.number)"
        case .commandAnswer(_, let answer): "command: \(answer.rawValue)"
        case .note(let note): "note: \(note.summary)"
        case .drained: "drained"
        }
    }

    /// Of what it does, without its bytes.
    var fingerprint: UInt64 {
        switch self {
        case .storePromise(let journal, let promise): 1 ^ journal.ulid.low ^ promise.epoch
        case .createJournal(let journal): 2 ^ journal.ulid.low
        case .append(let journal, let offset, let bytes): 3 ^ journal.ulid.low ^ offset ^ UInt64(bytes.count) << 32
        case .cut(let journal, let end): 4 ^ journal.ulid.low ^ end
        case .deleteJournal(let journal): 5 ^ journal.ulid.low
        case .setAside(let journal): 6 ^ journal.ulid.low
        case .readContent(let ticket, _, _): 7 ^ ticket.number << 8
        case .answer(let ticket, _): 8 ^ ticket.number << 8
        case .streamDurable(let stream, let bytes): 9 ^ stream.number << 8 ^ bytes << 32
        case .streamLost(let stream): 10 ^ stream.number << 8
        case .connect(let connection, _): 11 ^ connection.number << 8
        case .transact(let connection, let transaction):
            12 ^ connection.number << 8 ^ transaction.message.ulid.low ^ UInt64(transaction.attempt) << 48
        case .mayFinish(let connection, let id): 13 ^ connection.number << 8 ^ id << 32
        case .interrupt(let connection, let id): 14 ^ connection.number << 8 ^ id << 32
        case .close(let connection): 15 ^ connection.number << 8
        case .commandAnswer(let ticket, _): 16 ^ ticket.number << 8
        case .note: 17
        case .drained: 18
        }
    }
}

extension Note {
    fileprivate var summary: String {
        switch self {
        case .accepted(let accepted): "accepted \(accepted.id.short)"
        case .result(let result):
            "\(result.status.rawValue) \(result.id.short) to \(String(decoding: result.to, as: UTF8.self)) by \(result.upstream)"
                + (result.next.map { ", next in \($0)" } ?? "")
        case .done(let message, let sent, let bounced, let age):
            "done \(message.short), \(sent) sent, \(bounced) bounced, age \(age)"
        case .upstreamDown(let name, let reason, let next): "\(name) is down (\(reason)), next probe in \(next)"
        case .upstreamUp(let name): "\(name) is up"
        case .takeover(let journal, let epoch, let messages, let uncertain):
            "takeover of \(journal.short), epoch \(epoch), \(messages) messages, \(uncertain) uncertain"
        case .opened(let journal): "opened \(journal.short)"
        case .retired(let journal): "retired \(journal.short)"
        case .damage(let journal, let at, let reason): "damage in \(journal.short) at \(at): \(reason)"
        case .clockStepped(let by): "the clock stepped by \(by)"
        case .bounceDropped(let message, let reason): "bounce of \(message.short) dropped: \(reason)"
        case .diskLow(let free): "disk low, \(free) free"
        case .diskOK: "disk ok"
        }
    }
}
