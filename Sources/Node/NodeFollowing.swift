internal import Cluster
internal import Journal
internal import Primitives

/// Journals that others own: what their frames say goes into the index as it comes, so that taking over needs no scan
/// (`protocol.md`, 'What a replica keeps').
///
/// Frames that were followed can be cut again, and an owner that loses its journal has an index that speaks of tries and
/// commits of its own. Both are rare: the index is then made anew from the file.
extension Node {
    mutating func replicated(
        _ id: JournalID, _ offset: UInt64, _ bytes: [UInt8], _ frames: [FrameSummary], _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        if journals[id] == nil { journals[id] = HeldJournal(id) }
        for frame in frames {
            let start = Int(frame.offset - offset)
            guard let scanned = Frame.located(bytes, in: start..<start + frame.length, of: id, at: frame.offset) else {
                effects.append(
                    .cluster(.stop("journal \(id): the frame at \(frame.offset) came whole and can't be read")))
                return
            }
            if journals[id]?.scan != nil {
                journals[id]?.scan?.later.append(scanned)
            } else {
                fold(scanned, of: id)
            }
        }
    }

    // MARK: Making the index anew

    /// Forgets what it knew of the journal's messages and has the file read again.
    ///
    /// - Parameter end: Where the copy ends at this place among the effects: what the core has taken since follows by itself.
    mutating func scanAgain(_ id: JournalID, upTo end: UInt64, _ now: Now, _ effects: inout [NodeEffect]) {
        forgetMessages(of: id)
        guard cluster.journals[id] != nil else { return }
        if journals[id] == nil { journals[id] = HeldJournal(id) }
        journals[id]?.isSealed = false
        nextScan += 1
        journals[id]?.scan = HeldJournal.Scan(number: nextScan, end: end)
        effects.append(.scan(id, scan: nextScan, upTo: end))
    }

    mutating func scanned(
        _ id: JournalID, _ number: UInt64, _ frames: [ScannedFrame], isLast: Bool, _ now: Now,
        _ effects: inout [NodeEffect]
    ) {
        guard journals[id]?.scan?.number == number else { return }
        for frame in frames {
            fold(frame, of: id)
            journals[id]?.scan?.reached = frame.end
        }
        guard isLast, let scan = journals[id]?.scan else { return }
        guard scan.reached == scan.end else {
            effects.append(
                .cluster(
                    .stop(
                        "journal \(id): it could be read up to \(scan.reached) only, of \(scan.end) bytes on the disk"))
            )
            return
        }
        journals[id]?.scan = nil
        for frame in scan.later { fold(frame, of: id) }
        // Its takeover may have been committed meanwhile.
        if journals[id]?.isActive == true { tookOver(id, now, &effects) }
    }

    // MARK: Messages of one journal

    mutating func forgetMessages(of id: JournalID) {
        for key in messageKeys(of: id) where messages.contains(key) { forget(key) }
        journals[id]?.recovered = []
    }

    func messageKeys(of id: JournalID) -> [MessageKey] {
        var keys: [MessageKey] = []
        messages.forEach { key, message in
            if message.journal == id { keys.append(key) }
        }
        return keys
    }
}
