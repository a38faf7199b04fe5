import Journal
import Node
import Primitives
import SMTP

/// Carries out what the node wants done, and holds each of it against what was promised.
extension Simulation {
    func carryOut(_ effect: NodeEffect) {
        switch effect {
        case .storePromise(let journal, let promise):
            if let before = disk.promises[journal], before.epoch >= promise.epoch {
                fail("the promise for \(journal.short) goes from epoch \(before.epoch) to \(promise.epoch)")
            }
            disk.ask(.storePromise(journal, promise))
        case .createJournal(let journal): disk.ask(.create(journal))
        case .append(let journal, let offset, let bytes):
            readFrames(bytes, of: journal, at: offset)
            disk.ask(.append(journal, offset: offset, bytes))
        case .cut(let journal, let end):
            // Frames behind a hole of unsynced sectors were never acknowledged, and may go.
            if committedEnd[journal] ?? 0 > end, !books.damagedJournals.contains(journal) {
                fail("\(journal.short) is cut at \(end), below what is committed")
            }
            books.undurable[journal] = nil
            books.applied[journal] = min(books.applied[journal] ?? 0, end)
            disk.ask(.cut(journal, to: end))
        case .deleteJournal(let journal):
            checkMayGo(journal, "deleted")
            totals.retired += 1
            disk.ask(.delete(journal))
        case .setAside(let journal):
            checkMayGo(journal, "set aside")
            disk.ask(.setAside(journal))
        case .readContent(let ticket, let content, let limit): disk.ask(.read(ticket, content, limit: limit))
        case .answer(let ticket, let answer): submissionAnswered(ticket, answer)
        case .streamDurable(let stream, let bytes): streamDurable[stream]? += bytes
        case .streamLost(let stream): streamDurable[stream] = nil
        case .connect(let connection, let upstream): connect(connection, upstream)
        case .transact(let connection, let transaction): transact(connection, transaction)
        case .mayFinish(let connection, let transaction): mayFinish(connection, transaction)
        case .interrupt(let connection, let transaction): interrupt(connection, transaction)
        case .close(let connection): close(connection)
        case .commandAnswer(let ticket, let answer): commandAnswered(ticket, answer)
        case .note(let note): noted(note)
        case .drained: drained()
        }
    }

    private func noted(_ note: Note) {
        switch note {
        case .takeover: totals.takeovers += 1
        case .result(let result) where result.status == .expired: totals.expired += 1
        default: break
        }
    }

    // MARK: Frames

    /// Reads what is appended, as another program would, and holds it against the books.
    private func readFrames(_ bytes: [UInt8], of journal: JournalID, at offset: UInt64) {
        var index = 0
        while index < bytes.count {
            let place = offset + UInt64(index)
            guard bytes.count - index >= FrameHeader.size,
                case .header(let header) = FrameHeader.parse(bytes, at: index, journal: journal, offset: place),
                index + header.frameLength <= bytes.count
            else { return fail("what is appended to \(journal.short) at \(place) is no whole frame") }
            let body = index + FrameHeader.size..<index + header.frameLength
            do {
                let record = try Frame.decodeRecord(
                    kind: header.kind, body: bytes, in: body, at: place + UInt64(FrameHeader.size), content: .kept)
                say("      \(journal.short)@\(place) epoch \(header.epoch): \(record.summary)")
                if let epoch = lastEpoch[journal], header.epoch < epoch {
                    fail("\(journal.short): the epoch went back")
                }
                lastEpoch[journal] = header.epoch
                appended(record, to: journal)
                books.undurable[journal, default: []].append(
                    Books.Undurable(offset: place, end: place + UInt64(header.frameLength), record: record))
            } catch {
                return fail("a frame that \(journal.short) gets can't be read: \(error)")
            }
            index += header.frameLength
        }
    }

    private func appended(_ record: Record, to journal: JournalID) {
        switch record {
        case .accept(let accept):
            checkAccept(accept)
            books.indices[journal, default: [:]][accept.id] = accept.recipients
        case .outcome(let outcome): checkOutcome(outcome, in: journal)
        case .attempt(let attempt):
            let key = AttemptKey(journal: journal, message: attempt.message, number: attempt.number)
            // A damaged attempt in a journal's last frame is cut off, and its number is given again.
            if books.attempts[key] != nil, books.messages[attempt.message]?.isDamaged == false {
                fail("attempt \(key.number) of \(attempt.message) begins twice")
            }
        default: break
        }
    }

    func framesDurable(_ journal: JournalID, upTo end: UInt64) {
        committedEnd[journal] = max(committedEnd[journal] ?? 0, end)
        guard var frames = books.undurable[journal] else { return }
        var done = 0
        while done < frames.count, frames[done].end <= end {
            books.apply(frames[done].record, in: journal, offset: frames[done].offset, end: frames[done].end)
            done += 1
        }
        frames.removeFirst(done)
        books.undurable[journal] = frames
    }

    /// A message that goes on in a new journal keeps its bytes and its recipients.
    private func checkAccept(_ accept: AcceptRecord) {
        guard let message = books.messages[accept.id] else { return fail("accept of a message that nobody sent") }
        for recipient in accept.recipients where message.index(of: recipient) == nil {
            fail("\(accept.id) is accepted for \(String(decoding: recipient, as: UTF8.self)), whom nobody named")
        }
        if accept.reversePath != message.reversePath { fail("\(accept.id) is accepted with another reverse-path") }
    }

    // MARK: What may be believed

    private func checkOutcome(_ outcome: OutcomeRecord, in journal: JournalID) {
        guard let message = books.messages[outcome.message] else { return fail("an outcome of an unknown message") }
        let all = books.recipients(of: outcome.message, in: journal)
        var lost: [[UInt8]] = []
        for result in outcome.results {
            guard Int(result.recipient) < all.count, let index = message.index(of: all[Int(result.recipient)]) else {
                return fail("an outcome of \(outcome.message) for recipient \(result.recipient), who does not exist")
            }
            let recipient = message.recipients[index]
            let name = "\(outcome.message) to \(String(decoding: recipient.address, as: UTF8.self))"
            if recipient.final != nil, !message.isDamaged { fail("\(name) is finished and gets another outcome") }
            switch result.status {
            case .delivered:
                if recipient.deliveries.isEmpty { fail("\(name): delivered, and no upstream has it") }
            case .failed:
                lost.append(recipient.address)
                if !mayFail(message, recipient) {
                    fail("\(name) failed, and no upstream refused it: \(text(result.reply))")
                }
            case .expired:
                lost.append(recipient.address)
                checkExpiry(message, outcome.time, name)
            case .deferred, .notSent, .unanswered: break
            }
        }
        checkNotice(outcome, of: message, lost)
        if let notice = outcome.notice { book(notice, of: message) }
    }

    private func mayFail(_ message: BookedMessage, _ recipient: BookedMessage.Recipient) -> Bool {
        if message.bounceAsked || message.isDamaged { return true }
        let lacks = upstreams.contains { $0.everLacked(message) }
        return lacks || (recipient.isRefused && !configuration.softBounce)
    }

    private func checkExpiry(_ message: BookedMessage, _ time: WallTime, _ name: String) {
        let lifetime = message.reversePath == nil ? configuration.nullSenderLifetime : configuration.lifetime
        guard let accepted = message.accepted else { return }
        if let lastStep, scheduler.now - lastStep < .minutes(10) {
            // A report quotes the header: when it had to be read, the decision may be older than the step.
            if !isAnsweringRead { fail("\(name) expired \(scheduler.now - lastStep) after a step of the wall clock") }
            return
        }
        if time - accepted < lifetime { fail("\(name) expired at an age of \(time - accepted)") }
    }

    private func checkNotice(_ outcome: OutcomeRecord, of message: BookedMessage, _ lost: [[UInt8]]) {
        guard let notice = outcome.notice else {
            if !lost.isEmpty, message.reversePath != nil, configuration.bounces.send {
                fail("\(message.id) loses \(lost.count) recipients without a bounce")
            }
            return
        }
        if lost.isEmpty { totals.warnings += 1 } else { totals.bounces += 1 }
        if message.reversePath == nil { fail("\(message.id) has the null reverse-path and causes a notice") }
        if notice.reversePath != nil { fail("the notice about \(message.id) has a reverse-path") }
        if notice.recipients != [message.reversePath] { fail("the notice about \(message.id) goes to somebody else") }
        if notice.concerns != message.id { fail("the notice about \(message.id) names another message") }
        if lost.isEmpty, configuration.delayWarning == nil { fail("a notice about \(message.id) without a reason") }
        guard case .inline(let content) = notice.content else { return }
        for address in lost where address.allSatisfy({ $0 < 0x80 }) && !content.contains(bytes: address) {
            fail("the bounce of \(message.id) does not name \(text(address))")
        }
    }

    private func book(_ notice: AcceptRecord, of message: BookedMessage) {
        guard case .inline(let content) = notice.content else { return fail("a notice without its content") }
        var booked = BookedMessage(
            id: notice.id, reversePath: notice.reversePath, recipients: notice.recipients, content: content,
            isEightBit: notice.isEightBit, isInternationalized: notice.isInternationalized, submitted: scheduler.now)
        booked.answer = .notice(of: message.id)
        books.add(booked)
    }

    /// A journal's file may go only when nothing in it is unfinished, or it is unfinished elsewhere.
    private func checkMayGo(_ journal: JournalID, _ how: String) {
        for id in books.order {
            guard let message = books.messages[id], message.journals.contains(journal), message.isPromised,
                !message.isFinished, !message.isDamaged
            else { continue }
            let elsewhere = message.journals.contains { $0 != journal && disk.files[$0] != nil }
            if !elsewhere { fail("\(journal.short) is \(how) with \(id) unfinished in it") }
        }
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}

extension [UInt8] {
    func contains(bytes: [UInt8]) -> Bool {
        guard let first = bytes.first, count >= bytes.count else { return bytes.isEmpty }
        for start in 0...(count - bytes.count) where self[start] == first {
            if self[start..<start + bytes.count].elementsEqual(bytes) { return true }
        }
        return false
    }
}
