import Cluster
import Journal
import Node
import Primitives
import SMTP

/// Carries out what a node wants done, and holds each of it against what was promised.
extension Simulation {
    func carryOut(_ effect: NodeEffect, _ machine: Machine) {
        switch effect {
        case .cluster(let request): carryOut(request, machine)
        case .scan(let journal, let scan, let end): machine.disk.ask(.scan(journal, number: scan, upTo: end))
        case .setAside(let journal):
            checkMayGo(journal, "set aside")
            chronicles[journal]?.isSetAside = true
            machine.disk.ask(.setAside(journal))
        case .readContent(let ticket, let content, let limit):
            machine.disk.ask(.content(ticket, content, limit: limit))
        case .storeRecords(let bytes, let offset, let version):
            machine.disk.ask(.records(bytes, at: offset, version: version))
        case .answer(let ticket, let answer): submissionAnswered(ticket, answer, machine)
        case .streamDurable(let stream, let bytes): machine.streamDurable[stream]? += bytes
        case .streamLost(let stream): machine.streamDurable[stream] = nil
        case .connect(let connection, let upstream): connect(connection, upstream, machine)
        case .transact(let connection, let transaction): transact(connection, transaction, machine)
        case .mayFinish(let connection, let transaction): mayFinish(connection, transaction, machine)
        case .interrupt(let connection, let transaction): interrupt(connection, transaction, machine)
        case .close(let connection): close(connection, machine)
        case .commandAnswer(let ticket, let answer): commandAnswered(ticket, answer, machine)
        case .recorded(let ticket, let refused): recorded(ticket, refused, machine)
        case .forgotten, .asked, .answered: break
        case .note(let note): noted(note, machine)
        case .drainSessions: drainSessions(machine)
        case .admitSessions: break
        case .drained: drained(machine)
        }
    }

    private func carryOut(_ request: ClusterRequest, _ machine: Machine) {
        switch request {
        case .send(let peer, let message):
            if case .release(let epochs) = message { released(epochs, machine) }
            send(message, to: peer, from: machine)
        case .storePromise(let journal, let promise, let mark):
            // A promise that a power loss took before it was synced was never given.
            let before = machine.disk.promised(journal)?.epoch ?? 0
            if promise.epoch < before {
                fail("I2: \(machine.name) promises epoch \(promise.epoch) of \(journal.short) after \(before)")
            }
            machine.disk.ask(.promise(journal, promise, mark))
        case .write(let journal, let offset, let bytes, let mark):
            readFrames(bytes, of: journal, at: offset, machine)
            machine.disk.ask(.write(journal, offset: offset, bytes, mark))
        case .cut(let journal, let end, let mark):
            checkCut(journal, to: end, machine)
            forgetHolders(journal, from: end, machine.disk)
            machine.disk.ask(.cut(journal, to: end, mark))
        case .entomb(let tombstone, let mark):
            committedRetirement(tombstone.journal, machine)
            machine.disk.ask(.entomb(tombstone, mark))
        case .forgetTombstone(let journal): machine.disk.ask(.forgetTombstone(journal))
        case .whole(let journal): machine.disk.ask(.whole(journal))
        case .read(let request): machine.disk.ask(.read(request))
        case .met(let peer): machine.disk.ask(.met(peer))
        case .knock(let peer): knock(peer, by: machine)
        case .stop(let reason): fail("\(machine.name) stops: \(reason)")
        }
    }

    private func released(_ epochs: [JournalEpoch], _ machine: Machine) {
        for item in epochs where chronicles[item.journal]?.owners[item.epoch]?.hasPrefix("\(machine.name),") == true {
            guard releases[item] == nil else { continue }
            releases[item] = (scheduler.now, machine.index, machine.process)
        }
    }

    private func noted(_ note: Note, _ machine: Machine) {
        switch note {
        case .takeover(let journal, let epoch, _, _, _, _):
            totals.takeovers += 1
            checkTakeover(journal, epoch, machine)
        case .result(let result) where result.status == .expired: totals.expired += 1
        case .lateOutcome: totals.lateOutcomes += 1
        case .retired: totals.retired += 1
        default: break
        }
    }

    // MARK: Frames

    /// Reads what is written, as another program would, and holds it against the books: the first to write a frame is the
    /// owner of its epoch; others write the same.
    private func readFrames(_ bytes: [UInt8], of journal: JournalID, at offset: UInt64, _ machine: Machine) {
        var index = 0
        while index < bytes.count {
            let place = offset + UInt64(index)
            guard bytes.count - index >= FrameHeader.size,
                case .header(let header) = FrameHeader.parse(bytes, at: index, journal: journal, offset: place),
                index + header.frameLength <= bytes.count
            else { return fail("what is written to \(journal.short) at \(place) is no whole frame") }
            let key = Chronicle.Place(epoch: header.epoch, offset: place)
            if let known = chronicles[journal]?.written[key] {
                if known.checksum != header.bodyChecksum || known.end != place + UInt64(header.frameLength) {
                    fail("I3: two frames of \(journal.short) at \(place) in epoch \(header.epoch)")
                }
                if case .outcome(let outcome) = known.record { replacesLate(outcome, journal, machine) }
            } else {
                firstWritten(header, bytes, index, journal, place, machine)
            }
            index += header.frameLength
        }
    }

    private func firstWritten(
        _ header: FrameHeader, _ bytes: [UInt8], _ index: Int, _ journal: JournalID, _ place: UInt64,
        _ machine: Machine
    ) {
        let body = index + FrameHeader.size..<index + header.frameLength
        guard
            let record = try? Frame.decodeRecord(
                kind: header.kind, body: bytes, in: body, at: place + UInt64(FrameHeader.size), content: .kept)
        else { return fail("a frame that \(journal.short) gets can't be read") }
        say("      \(machine.name) \(journal.short)@\(place) epoch \(header.epoch): \(record.summary)")
        guard let owner = chronicles[journal]?.owners[header.epoch] else {
            return fail(
                "\(machine.name) writes a frame of \(journal.short) in epoch \(header.epoch), which nobody owns")
        }
        if owner != "\(machine.name), process \(machine.process)" {
            fail("\(machine.name) writes a new frame of \(journal.short) in epoch \(header.epoch) of \(owner)")
        }
        let frame = Chronicle.Frame(
            record: record, end: place + UInt64(header.frameLength), checksum: header.bodyChecksum)
        chronicles[journal]?.written[Chronicle.Place(epoch: header.epoch, offset: place)] = frame
        checkWritten(record, in: journal, machine)
        if case .outcome(let outcome) = record { replacesLate(outcome, journal, machine) }
        books.written(FrameKey(journal: journal, epoch: header.epoch, offset: place), about: record.messages)
    }

    /// What an owner says replaces what came late.
    private func replacesLate(_ outcome: OutcomeRecord, _ journal: JournalID, _ machine: Machine) {
        guard !machine.lateOutcomes.isEmpty else { return }
        for result in outcome.results {
            let place = LatePlace(journal: journal, message: outcome.message, recipient: result.recipient)
            machine.lateOutcomes[place] = nil
        }
    }

    /// A journal may go only when nothing in it is unfinished, or it is unfinished elsewhere.
    func checkMayGo(_ journal: JournalID, _ how: String) {
        for id in books.order {
            guard let message = books.messages[id], message.journals.contains(journal), message.isPromised,
                !message.isFinished, !message.isDamaged
            else { continue }
            let elsewhere = message.journals.contains { other in
                other != journal && chronicles[other]?.isRetired == false && chronicles[other]?.isSetAside == false
            }
            if !elsewhere { fail("I5: \(journal.short) is \(how) with \(id) unfinished in it") }
        }
    }
}
