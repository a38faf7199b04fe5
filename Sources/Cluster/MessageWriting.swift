internal import Primitives

/// The body of each kind of message. `MessageReading.swift` reads what is written here.
///
/// A newer protocol version adds fields at the end of a body (readers skip what follows what they know) or new kinds; it
/// writes either only once every member can read it (`Hello`).
extension Message {
    func write(to writer: inout ByteWriter) {
        switch self {
        case .pulse(let pulse):
            writer.write(pulse.sentAt.nanoseconds)
            writer.writeList(pulse.digest) { $1.write(to: &$0) }
            writer.writeList(pulse.renewals) { $1.write(to: &$0) }
        case .pulseReply(let reply):
            writer.write(reply.sentAt.nanoseconds)
            writer.writeList(reply.digest) { $1.write(to: &$0) }
            writer.writeList(reply.deltas) { $1.write(to: &$0) }
            writer.writeList(reply.renewed) { $1.write(to: &$0) }
            writer.writeList(reply.lost) { writer, lost in
                writer.write(lost.journal.ulid)
                writer.writeVariable(lost.epoch)
                writer.writeVariable(lost.promised)
            }
        case .append(let append):
            writer.write(append.journal.ulid)
            writer.writeVariable(append.epoch)
            writer.write(append.lease.nanoseconds)
            writer.writeVariable(append.previousOffset)
            writer.writeVariable(append.previousEpoch)
            writer.writeVariable(append.committed)
            writer.writeVariable(append.ownerEnd)
            writer.writeString(append.bytes)
        case .durable(let durable): writer.write(durable.journal, durable.epoch, durable.end)
        case .mismatch(let mismatch):
            writer.write(mismatch.journal, mismatch.epoch, mismatch.end)
            writer.writeVariable(mismatch.hint)
            writer.writeVariable(mismatch.hintEpoch)
        case .fenced(let fenced): writer.write(fenced.journal, fenced.epoch, fenced.promised)
        case .buried(let journal): writer.write(journal.ulid)
        case .probe(let request), .claim(let request):
            writer.write(request.sentAt.nanoseconds)
            writer.writeList(request.items) { writer, item in
                writer.write(item.journal.ulid)
                writer.writeVariable(item.epoch)
                writer.write(item.lease.nanoseconds)
            }
        case .claimAnswers(let answers):
            writer.write(answers.sentAt.nanoseconds)
            writer.writeList(answers.items) { $1.write(to: &$0) }
        case .fetch(let fetch):
            writer.write(fetch.journal, fetch.epoch, fetch.previousOffset)
            writer.writeVariable(fetch.previousEpoch)
        case .fetched(let fetched):
            writer.write(fetched.journal, fetched.epoch, fetched.offset)
            writer.writeVariable(fetched.lastEpoch)
            writer.writeVariable(fetched.end)
            writer.write(UInt8(fetched.isWhole ? 1 : 0))
            writer.writeString(fetched.bytes)
        case .release(let epochs): writer.writeList(epochs) { $1.write(to: &$0) }
        case .bury(let journal, let disks):
            writer.write(journal.ulid)
            writer.writeList(disks) { $0.write($1) }
        case .lateOutcome(let late):
            writer.write(late.journal, late.epoch, UInt64(late.recipient))
            writer.write(late.message.ulid)
            writer.writeString(late.outcome)
        case .ask(let ask):
            writer.write(ask.id)
            writer.write(ask.patience.nanoseconds)
            writer.writeString(ask.what)
        case .answer(let answer):
            writer.write(answer.id)
            writer.write(answer.part)
            writer.write(UInt8(answer.hasMore ? 1 : 0))
            writer.writeString(answer.what)
        case .recordsDigest(let digest): digest.write(to: &writer)
        case .recordsDelta(let delta): delta.write(to: &writer)
        case .notHere: break
        }
    }
}

extension ClaimAnswers.Item {
    fileprivate func write(to writer: inout ByteWriter) {
        switch self {
        case .would(let offer):
            writer.write(UInt8(1))
            offer.write(to: &writer)
        case .granted(let offer):
            writer.write(UInt8(2))
            offer.write(to: &writer)
        case .refused(let journal, let epoch, let promised, let expiresIn):
            writer.write(UInt8(3))
            writer.write(journal, epoch, promised)
            writer.write(expiresIn.nanoseconds)
        case .buried(let journal):
            writer.write(UInt8(4))
            writer.write(journal.ulid)
        }
    }
}

extension ClaimAnswers.Offer {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(journal, epoch, lastEpoch)
        writer.writeVariable(end)
        writer.write(UInt8(isWhole ? 1 : 0))
    }
}

extension JournalEpoch {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(journal.ulid)
        writer.writeVariable(epoch)
    }
}

extension GossipDigest {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(node)
        writer.writeVariable(incarnation)
        writer.writeVariable(version)
    }
}

extension GossipDelta {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.write(node)
        writer.writeVariable(incarnation)
        writer.writeVariable(version)
        writer.writeList(records) { writer, record in
            writer.writeString(record.key)
            writer.writeVariable(record.version)
            writer.writeString(record.value)
        }
    }
}

extension ByteWriter {
    mutating func writeList<T>(_ items: [T], _ write: (inout ByteWriter, T) -> Void) {
        writeVariable(UInt64(items.count))
        for item in items { write(&self, item) }
    }

    mutating func write(_ replica: ReplicaID) {
        writeString(replica.node)
        write(replica.disk.bits)
    }

    fileprivate mutating func write(_ journal: JournalID, _ first: UInt64, _ second: UInt64) {
        write(journal.ulid)
        writeVariable(first)
        writeVariable(second)
    }
}
