internal import Journal
package import Primitives

/// One frame in a run of bytes, by its header alone.
package struct FrameSummary: Hashable, Sendable {
    package var offset: UInt64
    package var length: Int
    package var epoch: UInt64
    package var kind: UInt8

    package var end: UInt64 { offset + UInt64(length) }
}

/// The frames in `bytes`, which stand at `offset` of the journal; stops before the first that is not whole.
///
/// Only headers are read: their checksums cover journal and offset, so that bytes of another place never pass, and a body
/// that was given back (zeros) travels like any other.
package func walkFrames(_ bytes: [UInt8], of journal: JournalID, at offset: UInt64) -> [FrameSummary] {
    var frames: [FrameSummary] = []
    var index = 0
    while bytes.count - index >= FrameHeader.size {
        let place = offset + UInt64(index)
        guard case .header(let header) = FrameHeader.parse(bytes, at: index, journal: journal, offset: place),
            bytes.count - index >= header.frameLength
        else { break }
        frames.append(FrameSummary(offset: place, length: header.frameLength, epoch: header.epoch, kind: header.kind))
        index += header.frameLength
    }
    return frames
}

/// How many bytes the frame that begins `bytes` has; nil when they don't begin with a header.
func frameLength(_ bytes: [UInt8], of journal: JournalID, at offset: UInt64) -> Int? {
    guard bytes.count >= FrameHeader.size,
        case .header(let header) = FrameHeader.parse(bytes, journal: journal, offset: offset)
    else { return nil }
    return header.frameLength
}

/// The replica set that an `open` or `replicas` frame names; nil for every other frame.
func replicaSet(of frame: FrameSummary, in bytes: [UInt8], at offset: UInt64) -> [ReplicaID]? {
    guard frame.kind == FrameKind.open.rawValue || frame.kind == FrameKind.replicas.rawValue else { return nil }
    let start = Int(frame.offset - offset)
    let body = start + FrameHeader.size..<start + frame.length
    let record = try? Frame.decodeRecord(
        kind: frame.kind, body: bytes, in: body, at: frame.offset + UInt64(FrameHeader.size), content: .located)
    switch record {
    case .open(let open): return open.replicas
    case .replicas(let replicas): return replicas
    default: return nil
    }
}
