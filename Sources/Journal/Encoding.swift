package import Primitives

/// Frames as bytes. A frame's bytes depend on where it will stand: they are made when its offset is known.
package enum Frame {
    /// One frame as it stands in the file at `offset` of `journal`.
    ///
    /// - Precondition: the body fits (`bodyLength(of:)`), and the record is neither `unknown` nor an accept whose content
    ///   is a `range` (only its bytes can be written; `encodeAccept` takes them).
    package static func encode(
        _ record: Record, epoch: UInt64, journal: JournalID, offset: UInt64
    ) -> [UInt8] {
        let kind = record.kind
        switch record {
        case .attempt(let attempt):
            return frame(kind, epoch, journal, offset, count { attempt.write(to: &$0) }) { attempt.write(to: &$0) }
        case .outcome(let outcome):
            return frame(kind, epoch, journal, offset, count { outcome.write(to: &$0) }) { outcome.write(to: &$0) }
        case .accept(let accept):
            return frame(kind, epoch, journal, offset, count { accept.write(to: &$0) }) { accept.write(to: &$0) }
        default:
            return frame(kind, epoch, journal, offset, bodyLength(of: record)) { record.write(to: &$0) }
        }
    }

    /// An accept with this content instead of the record's own, and where in the frame the content begins, so that it can
    /// be sent from the same array.
    package static func encodeAccept(
        _ accept: AcceptRecord, content: [UInt8], epoch: UInt64, journal: JournalID, offset: UInt64
    ) -> (bytes: [UInt8], contentStart: Int) {
        content.withUnsafeBytes { content in
            encodeAccept(accept, contents: CollectionOfOne(content), epoch: epoch, journal: journal, offset: offset)
        }
    }

    /// The same, of content that stands in several places.
    package static func encodeAccept(
        _ accept: AcceptRecord, slices: [ArraySlice<UInt8>], epoch: UInt64, journal: JournalID, offset: UInt64
    ) -> (bytes: [UInt8], contentStart: Int) {
        let total = slices.reduce(0) { $0 + $1.count }
        let head = acceptHead(accept, contentCount: total)
        let bytes = frame(FrameKind.accept.rawValue, epoch, journal, offset, head + total) { sink in
            accept.writeHead(to: &sink, contentCount: total)
            for slice in slices { slice.withUnsafeBytes { sink.copy($0) } }
        }
        return (bytes, FrameHeader.size + head)
    }

    /// The same, of memory that need not be in arrays.
    package static func encodeAccept(
        _ accept: AcceptRecord, contents: some Collection<UnsafeRawBufferPointer>, epoch: UInt64, journal: JournalID,
        offset: UInt64
    ) -> (bytes: [UInt8], contentStart: Int) {
        var total = 0
        for part in contents { total += part.count }
        let head = acceptHead(accept, contentCount: total)
        let bytes = frame(FrameKind.accept.rawValue, epoch, journal, offset, head + total) { sink in
            accept.writeHead(to: &sink, contentCount: total)
            for part in contents { sink.copy(part) }
        }
        return (bytes, FrameHeader.size + head)
    }

    /// How long the record's body is; a frame takes 32 bytes more.
    package static func bodyLength(of record: Record) -> Int { count { record.write(to: &$0) } }

    /// How long an accept's body is with so many bytes of content in it.
    package static func bodyLength(of accept: AcceptRecord, contentCount: Int) -> Int {
        acceptHead(accept, contentCount: contentCount) + contentCount
    }

    private static func acceptHead(_ accept: AcceptRecord, contentCount: Int) -> Int {
        count { accept.writeHead(to: &$0, contentCount: contentCount) }
    }

    @inline(__always)
    private static func count(_ write: (inout CountingSink) -> Void) -> Int {
        var sink = CountingSink()
        write(&sink)
        return sink.count
    }

    @inline(__always)
    private static func frame(
        _ kind: UInt8, _ epoch: UInt64, _ journal: JournalID, _ offset: UInt64, _ bodyLength: Int,
        _ write: (inout CopyingSink) -> Void
    ) -> [UInt8] {
        // A longer body would be read back as damage: mail would be lost after its 250.
        precondition(bodyLength <= FrameHeader.maximumBody, "a frame's body is longer than 1 MiB")
        let length = FrameHeader.size + bodyLength
        return [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
            let bytes = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<length])
            var sink = CopyingSink(bytes, from: FrameHeader.size)
            write(&sink)
            precondition(sink.position == length)
            FrameHeader.seal(bytes, kind: kind, epoch: epoch, journal: journal, offset: offset)
            initialized = length
        }
    }
}
