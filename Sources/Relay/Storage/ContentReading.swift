internal import Journal
internal import Node
internal import Primitives

extension ContentReference {
    /// What of a run stands in the frame that is in memory.
    func inMemory(_ run: ContentPiece) -> ArraySlice<UInt8>? {
        guard let frame, run.offset >= frameOffset else { return nil }
        let start = run.offset - frameOffset
        guard start + UInt64(run.count) <= UInt64(frame.count) else { return nil }
        return frame[Int(start)..<Int(start) + Int(run.count)]
    }

    var isInMemory: Bool { runs.allSatisfy { inMemory($0) != nil } }
}

extension JournalFiles {
    /// Up to `limit` bytes of a message, from its beginning; nil when they can't be read. Blocks: for a thread that may.
    func read(_ content: ContentReference, limit: Int) -> [UInt8]? {
        var bytes: [UInt8] = []
        for run in content.runs where bytes.count < limit {
            let count = min(Int(run.count), limit - bytes.count)
            if let slice = content.inMemory(run) {
                bytes.append(contentsOf: slice.prefix(count))
                continue
            }
            guard let file = self[content.journal], let read = try? file.read(at: run.offset, count: count),
                read.count == count
            else { return nil }
            bytes.append(contentsOf: read)
        }
        return bytes
    }

    /// One piece of a journal; nil when it can't be read as a whole.
    func read(_ journal: JournalID, at offset: UInt64, count: Int) -> [UInt8]? {
        guard let bytes = try? self[journal]?.read(at: offset, count: count), bytes.count == count else { return nil }
        return bytes
    }
}
