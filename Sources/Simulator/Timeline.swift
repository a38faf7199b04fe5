import Cluster
import Node
import Primitives
import SMTP

// The words of a timeline, and what tells two runs apart.

extension NodeEvent {
    var summary: String {
        switch self {
        case .cluster(let event): event.summary
        case .scanned(let journal, let scan, let frames, let isLast):
            "scan \(scan) of \(journal.short): \(frames.count) frames\(isLast ? ", the last" : "")"
        case .recordsStored(let version): "records stored, version \(version)"
        case .diskFull: "disk full"
        case .diskSpace(let free, let total): "disk space \(free) of \(total)"
        case .contentRead(let ticket, let bytes):
            "content \(ticket.number & 0xffff): \(bytes.map { "\($0.count) bytes" } ?? "none")"
        case .submitted(let ticket, let submission):
            "submitted \(submission.id.short) (ticket \(ticket.number)), \(submission.envelope.recipients.count) recipients, "
                + "\(submission.size) bytes from <\(submission.envelope.reversePath.map { "\($0)" } ?? "")>"
        case .streamed(let stream, let bytes): "stream \(stream.number): \(bytes.count) bytes"
        case .streamAborted(let stream): "stream \(stream.number) aborted"
        case .submitterGone(let ticket): "the client of ticket \(ticket.number) is gone"
        case .connected(let connection, _, let remote, _, _): "connection \(connection.number) ready: \(remote)"
        case .connectionFailed(let connection, let failure): "connection \(connection.number) failed: \(failure)"
        case .dotSent(let connection): "connection \(connection.number): dot written"
        case .transactionEnded(let connection, let result):
            "connection \(connection.number): transaction \(result.id) ended: "
                + result.recipients.map { "\($0.words)" }.joined(separator: ", ")
                + (result.connectionUsable ? "" : "; not usable") + (result.staleConnection ? "; stale" : "")
        case .connectionClosed(let connection): "connection \(connection.number) closed while idle"
        case .feedback(let event):
            "feedback: \(event.message?.short ?? "a message nobody knows") to \(event.recipient) by \(event.upstream) \(event.kind)"
        case .command(_, let command): "command \(command.verb) \(command.message.short)"
        case .records(let ticket, let writes, _): "\(writes.count) records (ticket \(ticket.number))"
        case .record(let ticket, let key, let value, _):
            "record \(key) \(value == nil ? "removed" : "set") (ticket \(ticket.number))"
        case .forget(_, let name): "forget \(name)"
        case .describe(let key, _): "describe \(key)"
        case .resetTrust: "trust reset"
        case .reconfigured: "reconfigured"
        case .drain: "drain"
        case .sessionsEnded: "sessions ended"
        case .drainTimedOut: "drain timed out"
        case .resume: "resume"
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
        case .cluster(let request): request.summary
        case .scan(let journal, let scan, let end): "scan \(scan) of \(journal.short) up to \(end)"
        case .storeRecords(let bytes, let offset, let version):
            "store records, \(bytes.count) bytes at \(offset), version \(version)"
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
        case .recorded(let ticket, let refused): "recorded (ticket \(ticket.number))\(refused.map { ": \($0)" } ?? "")"
        case .forgotten(let replica): "\(replica) forgotten"
        case .asked(let peer, _): "asked by \(peer)"
        case .answered(let peer, _): "answered by \(peer)"
        case .note(let note): "note: \(note.summary)"
        case .drainSessions: "drain the sessions"
        case .admitSessions: "admit sessions"
        case .drained: "drained"
        }
    }

    /// Of what it does, without its bytes.
    var fingerprint: UInt64 {
        switch self {
        case .cluster(let request): request.fingerprint
        case .scan(let journal, let scan, _): 2 ^ journal.ulid.low ^ scan
        case .storeRecords(let bytes, _, let version): 3 ^ version << 8 ^ UInt64(bytes.count) << 32
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
        case .recorded(let ticket, _): 17 ^ ticket.number << 8
        case .forgotten, .asked, .answered: 18
        case .note: 19
        case .drainSessions: 20
        case .admitSessions: 21
        case .drained: 22
        }
    }

    /// What a timeline would be full of.
    var isPulse: Bool {
        guard case .cluster(.send(_, let message)) = self else { return false }
        switch message {
        case .pulse, .pulseReply, .recordsDigest: return true
        default: return false
        }
    }

    /// Pulses are too many, and their loss is the network's matter.
    var mayCrash: Bool { !isPulse }
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
        case .upstreamBlocked(let name, let provider, _): "\(provider) blocks \(name)"
        case .upstreamReturning(let name, let provider, let percent): "\(name) returns to \(provider): \(percent) %"
        case .upstreamUnblocked(let name, let provider): "\(provider) takes from \(name) again"
        case .bounceStorm(let name, let results): "\(name) refuses nearly everything: \(results)"
        case .takeover(let journal, let epoch, let from, let messages, let uncertain, _):
            "takeover of \(journal.short) from \(from), epoch \(epoch), \(messages) messages, \(uncertain) uncertain"
        case .reclaimed(let journal, let after): "the first delivery of \(journal.short) after \(after)"
        case .ownershipLost(let journal, let epoch, let reason): "lost \(journal.short), epoch \(epoch): \(reason)"
        case .handedOver(let journal, let epoch): "handed over \(journal.short), epoch \(epoch)"
        case .peerUp(let peer): "\(peer) is up"
        case .peerDown(let peer, let isProved): "\(peer) is down\(isProved ? ", proved" : "")"
        case .lateOutcome(let message, let isUsed): "late outcome of \(message.short)\(isUsed ? ", used" : "")"
        case .opened(let journal): "opened \(journal.short)"
        case .retired(let journal): "retired \(journal.short)"
        case .damage(let journal, let at, let reason): "damage in \(journal.short) at \(at): \(reason)"
        case .clockStepped(let by): "the clock stepped by \(by)"
        case .bounceDropped(let message, let reason): "bounce of \(message.short) dropped: \(reason)"
        case .suppressed(let entry): "suppressed \(entry.address): \(entry.reason)"
        case .suppressionsChanged(let added, let removed, _, _): "suppressions: \(added) added, \(removed) removed"
        case .ruled(let rule): "rule: mail \(rule.subject.words), \(rule.action.word)"
        case .ruleEnded(let rule): "rule ended: mail \(rule.subject.words), \(rule.action.word)"
        case .diskLow(let free): "disk low, \(free) free"
        case .diskOK: "disk ok"
        }
    }
}

extension ClusterEvent {
    var summary: String {
        switch self {
        case .greeted(let peer, let incarnation): "greeted by \(peer), incarnation \(incarnation)"
        case .disconnected(let peer, let end): "disconnected from \(peer): \(end)"
        case .knocked(let peer, let knock): "knocked at \(peer): \(knock)"
        case .received(let message, let peer, _): "from \(peer): \(message.summary)"
        case .stored(let journal, let mark): "\(journal.short) stored up to mark \(mark.number)"
        case .read(let request, let bytes): "read \(bytes.count) bytes of \(request.journal.short)"
        default: "an event of the node's own"
        }
    }
}

extension ClusterRequest {
    var summary: String {
        switch self {
        case .send(let peer, let message): "to \(peer): \(message.summary)"
        case .storePromise(let journal, let promise, let mark):
            "promise \(journal.short) to \(promise.owner) in epoch \(promise.epoch), mark \(mark.number)"
        case .write(let journal, let offset, let bytes, let mark):
            "write \(bytes.count) bytes to \(journal.short) at \(offset), mark \(mark.number)"
        case .cut(let journal, let end, _): "cut \(journal.short) to \(end)"
        case .entomb(let tombstone, _): "entomb \(tombstone.journal.short)"
        case .forgetTombstone(let journal): "forget the tombstone of \(journal.short)"
        case .whole(let journal): "\(journal.short) is whole again"
        case .read(let request): "read \(request.count) bytes of \(request.journal.short) at \(request.offset)"
        case .knock(let peer): "knock at \(peer)"
        case .met(let peer): "met \(peer)"
        case .stop(let reason): "stop: \(reason)"
        }
    }

    /// Of what it does, without its bytes.
    var fingerprint: UInt64 {
        switch self {
        case .send(let peer, let message): 30 ^ peer.disk.bits.low ^ message.number << 8
        case .storePromise(let journal, let promise, _): 31 ^ journal.ulid.low ^ promise.epoch
        case .write(let journal, let offset, let bytes, _): 32 ^ journal.ulid.low ^ offset ^ UInt64(bytes.count) << 32
        case .cut(let journal, let end, _): 33 ^ journal.ulid.low ^ end
        case .entomb(let tombstone, _): 34 ^ tombstone.journal.ulid.low
        case .forgetTombstone(let journal): 35 ^ journal.ulid.low
        case .whole(let journal): 36 ^ journal.ulid.low
        case .read(let request): 37 ^ request.journal.ulid.low ^ request.offset
        case .knock: 38
        case .met: 39
        case .stop: 40
        }
    }
}

extension Message {
    var summary: String {
        switch self {
        case .pulse(let pulse): "pulse with \(pulse.renewals.count) renewals"
        case .pulseReply(let reply): "pulse reply, \(reply.renewed.count) renewed, \(reply.lost.count) lost"
        case .append(let append):
            "append \(append.bytes.count) bytes to \(append.journal.short) at \(append.previousOffset), "
                + "epoch \(append.epoch), committed \(append.committed)"
        case .durable(let durable): "\(durable.journal.short) durable up to \(durable.end), epoch \(durable.epoch)"
        case .claim(let claim):
            "claim " + claim.items.map { "\($0.journal.short) epoch \($0.epoch)" }.joined(separator: ", ")
        case .probe(let probe):
            "probe " + probe.items.map { "\($0.journal.short) epoch \($0.epoch)" }.joined(separator: ", ")
        case .claimAnswers(let answers): "claim answers \(answers.items.map(\.summary).joined(separator: ", "))"
        case .release(let epochs):
            "release " + epochs.map { "\($0.journal.short) epoch \($0.epoch)" }.joined(separator: ", ")
        case .lateOutcome(let late):
            "late outcome of \(late.message.short) recipient \(late.recipient), epoch \(late.epoch)"
        case .fetch(let fetch): "fetch \(fetch.journal.short) from \(fetch.previousOffset), epoch \(fetch.epoch)"
        case .fetched(let fetched):
            "fetched \(fetched.bytes.count) bytes of \(fetched.journal.short) at \(fetched.offset), epoch \(fetched.epoch)"
        case .mismatch(let mismatch): "mismatch of \(mismatch.journal.short), end \(mismatch.end)"
        case .fenced(let fenced): "fenced \(fenced.journal.short) epoch \(fenced.epoch) by \(fenced.promised)"
        case .bury(let journal, _): "bury \(journal.short)"
        case .buried(let journal): "buried \(journal.short)"
        case .recordsDigest: "records digest"
        case .recordsDelta: "records delta"
        case .ask, .answer: "question or answer"
        case .notHere: "not here"
        }
    }

    /// Tells kinds apart.
    fileprivate var number: UInt64 {
        switch self {
        case .pulse: 1
        case .pulseReply: 2
        case .append(let append): 3 ^ append.previousOffset
        case .durable(let durable): 4 ^ durable.end
        case .probe: 5
        case .claim: 6
        case .claimAnswers: 7
        case .release: 8
        case .lateOutcome: 9
        default: 10
        }
    }
}

extension ClaimAnswers.Item {
    fileprivate var summary: String {
        switch self {
        case .would(let offer): "would \(offer.journal.short) epoch \(offer.epoch)"
        case .granted(let offer):
            "granted \(offer.journal.short) epoch \(offer.epoch) with \(offer.lastEpoch)/\(offer.end)"
                + (offer.isWhole ? "" : ", not whole")
        case .refused(let journal, let epoch, let promised, let left):
            "refused \(journal.short) epoch \(epoch), promised \(promised) for \(left)"
        case .buried(let journal): "buried \(journal.short)"
        }
    }
}
