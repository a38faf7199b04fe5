package import Primitives

/// One intact frame, as a scan found it. Message contents are not kept: an accept's content is a `range` (or `pieces`),
/// a `body` record's bytes are empty.
package struct ScannedFrame: Hashable, Sendable {
    package var offset: UInt64
    package var header: FrameHeader
    package var record: Record
    /// Where in the file the content of an `accept` (inline) or `body` frame lies.
    package var content: Range<UInt64>?
    /// The header of a `body` frame holds, its body is all zeros, and intact frames follow. That is how bytes that were given
    /// back look; `PunchedBodies` finds out whether they were. The record's stream number means nothing.
    package var isPunched = false

    /// Where the next frame begins.
    package var end: UInt64 { offset + UInt64(header.frameLength) }
}

/// A stretch of a journal file that holds no intact frame.
package struct Damage: Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// Neither a frame's header nor zeros.
        case badHeader
        /// The header holds, its body does not.
        case badBody
        /// The file ends within a frame.
        case truncated
        /// Zeros where a header should be, and then other bytes.
        case bytesAfterEnd
        /// A frame of an older epoch than the one before it.
        case epochWentBack
        /// The checksums hold, and what they protect makes no sense: a mistake of the writer.
        case malformed(String)
        /// Written by a newer version, in a way that this one can't read past.
        case newerFormat(UInt8)
    }

    /// Where the first bad frame begins: the end of the intact frames before it.
    package var at: UInt64
    /// Where intact frames, or only zeros, go on. The file's end when that was not looked for.
    package var end: UInt64
    /// Of the first bad frame.
    package var reason: Reason
    /// The kinds of the frames that were lost, when all their headers held: then nothing else was lost.
    package var kinds: [UInt8]?

    package var description: String {
        let what =
            switch reason {
            case .badHeader: "no frame's header"
            case .badBody: "a frame's body does not match its checksum"
            case .truncated: "the file ends within a frame"
            case .bytesAfterEnd: "zeros and then other bytes"
            case .epochWentBack: "a frame of an older epoch"
            case .malformed(let why): "a frame that makes no sense (\(why))"
            case .newerFormat(let format): "a frame of format \(format), which a newer version of baton wrote"
            }
        return "\(what) at byte \(at)"
    }
}

/// What a scan found besides the frames.
package struct ScanResult: Hashable, Sendable {
    /// The end of the intact frames that follow each other from the start: where a copy is cut or goes on.
    package var end: UInt64
    /// The highest epoch among those.
    package var epoch: UInt64
    /// In file order; one at most without resynchronization.
    package var gaps: [Damage]
    /// The end of the last intact frame, beyond the damage if there are any.
    package var lastEnd: UInt64

    package var damage: Damage? { gaps.first }
    package var framesAfterDamage: Bool { lastEnd > end }
}

/// What a scan does behind a bad frame.
package enum AfterDamage: Hashable, Sendable {
    /// Stops: the rest comes from other replicas.
    case stop
    /// Looks for the next intact frame, for a single replica, whose rest is nowhere else.
    case resynchronize
}

/// Reads a journal file from untrusted bytes, in windows, delivering each intact frame in order.
///
/// Zeros up to the file's end, where a header should be, are the clean end of the log. `read` gives the bytes of a place
/// (fewer when the file ends before); it is asked for at most `window` bytes, or one frame, at once.
///
/// - Parameters:
///   - start: A frame boundary to begin at; `epoch` is then the epoch of the frame before it.
///   - length: The file's length.
package func scanJournal(
    _ journal: JournalID, from start: UInt64 = 0, epoch: UInt64 = 0, length: UInt64, afterDamage: AfterDamage,
    window: Int = 4 << 20, read: (_ offset: UInt64, _ count: Int) throws -> [UInt8],
    frame: (ScannedFrame) throws -> Void
) throws -> ScanResult {
    var scanner = Scanner(journal: journal, window: max(window, FrameHeader.size), length: length, epoch: epoch)
    var progress = Progress(result: ScanResult(end: start, epoch: epoch, gaps: [], lastEnd: start))
    var position = start
    scan: while true {
        switch try scanner.examine(position, read) {
        case .frame(let scanned):
            position = scanned.end
            scanner.epoch = scanned.header.epoch
            try progress.take(scanned, frame)
        case .end:
            progress.giveUpPunched()
            break scan
        case .bad(let reason, let kind, let next):
            progress.damaged(at: position, reason, kind)
            if case .newerFormat = reason { break scan }
            guard afterDamage == .resynchronize else { break scan }
            if let next { position = next } else { position = try scanner.nextMagic(after: position, read) }
        }
    }
    guard var gap = progress.gap else { return progress.result }
    gap.end = scanner.length
    if afterDamage == .resynchronize { gap.end = try scanner.endOfBytes(from: gap.at, to: position, read) }
    progress.result.gaps.append(gap)
    return progress.result
}

/// The result so far, and what only the next intact frame settles.
private struct Progress {
    var result: ScanResult
    /// Its end is not known yet.
    var gap: Damage?
    /// A message's bytes are given back after the frame that finished it: punched frames that no intact frame follows are
    /// what a torn write left.
    private var punched: [ScannedFrame] = []

    init(result: ScanResult) { self.result = result }

    mutating func take(_ scanned: ScannedFrame, _ frame: (ScannedFrame) throws -> Void) throws {
        guard !scanned.isPunched else { return punched.append(scanned) }
        if var gap {
            gap.end = punched.first?.offset ?? scanned.offset
            result.gaps.append(gap)
            self.gap = nil
        }
        for earlier in punched { try frame(earlier) }
        punched = []
        result.lastEnd = scanned.end
        if result.gaps.isEmpty {
            result.end = scanned.end
            result.epoch = scanned.header.epoch
        }
        try frame(scanned)
    }

    mutating func damaged(at position: UInt64, _ reason: Damage.Reason, _ kind: UInt8?) {
        giveUpPunched()
        if gap == nil {
            gap = Damage(at: position, end: position, reason: reason, kinds: kind.map { [$0] })
        } else if let kind {
            gap?.kinds?.append(kind)
        } else {
            gap?.kinds = nil
        }
    }

    mutating func giveUpPunched() {
        let lost = punched
        punched = []
        for frame in lost { damaged(at: frame.offset, .badBody, frame.header.kind) }
    }
}

/// A window on the file, and what stands at a place in it.
private struct Scanner {
    enum Found {
        case frame(ScannedFrame)
        case end
        /// `kind`: of a frame whose header holds. `next`: where to look next, if not for the next magic number.
        case bad(Damage.Reason, kind: UInt8?, next: UInt64?)
    }

    typealias Read = (UInt64, Int) throws -> [UInt8]

    let journal: JournalID
    let window: Int
    var length: UInt64
    var epoch: UInt64
    private var start: UInt64 = 0
    private var bytes: [UInt8] = []

    init(journal: JournalID, window: Int, length: UInt64, epoch: UInt64) {
        self.journal = journal
        self.window = window
        self.length = length
        self.epoch = epoch
    }

    mutating func examine(_ position: UInt64, _ read: Read) throws -> Found {
        guard let index = try load(position, FrameHeader.size, read) else {
            guard let index = try load(position, Int(remaining(position)), read) else { return .end }
            let rest = bytes[index..<index + Int(remaining(position))]
            return rest.allSatisfy { $0 == 0 } ? .end : .bad(.truncated, kind: nil, next: length)
        }
        switch FrameHeader.parse(bytes, at: index, journal: journal, offset: position) {
        case .zeros:
            guard let next = try firstByte(from: position, read, where: { $0 != 0 }) else { return .end }
            return .bad(.bytesAfterEnd, kind: nil, next: next)
        case .bad: return .bad(.badHeader, kind: nil, next: nil)
        case .newerFormat(let format): return .bad(.newerFormat(format), kind: nil, next: nil)
        case .header(let header): return try examineBody(header, position, read)
        }
    }

    private mutating func examineBody(_ header: FrameHeader, _ position: UInt64, _ read: Read) throws -> Found {
        // A stale frame of this very place: what follows it was not cut away. Frames behind it are looked for at every byte.
        guard header.epoch >= epoch else { return .bad(.epochWentBack, kind: nil, next: nil) }
        guard let index = try load(position, header.frameLength, read) else {
            return .bad(.truncated, kind: header.kind, next: length)
        }
        let body = index + FrameHeader.size..<index + header.frameLength
        let bodyOffset = position + UInt64(FrameHeader.size)
        let (isIntact, isZero) = bytes.withUnsafeBytes { all in
            let body = UnsafeRawBufferPointer(rebasing: all[body])
            let checksum = FrameHeader.bodyChecksum(body, journal: journal, offset: position)
            let isIntact = checksum == header.bodyChecksum
            return (isIntact, !isIntact && !body.isEmpty && body.allSatisfy { $0 == 0 })
        }
        var frame = ScannedFrame(offset: position, header: header, record: .unknown(kind: header.kind))
        guard isIntact else {
            guard isZero, header.kind == FrameKind.body.rawValue, header.flags == 0 else {
                return .bad(.badBody, kind: header.kind, next: position + UInt64(header.frameLength))
            }
            frame.record = .body(StreamID(0), [])
            frame.isPunched = true
            return .frame(frame)
        }
        guard header.flags == 0 else { return .frame(frame) }
        do {
            frame.record = try Frame.decodeRecord(
                kind: header.kind, body: bytes, in: body, at: bodyOffset, content: .located)
        } catch {
            return .bad(.malformed(error.reason), kind: header.kind, next: frame.end)
        }
        switch frame.record {
        case .accept(let accept):
            if case .range(let offset, let count) = accept.content { frame.content = offset..<offset + count }
        case .body:
            let number = Frame.streamNumberLength(bytes, in: body)
            frame.content = bodyOffset + UInt64(number)..<frame.end
        default: break
        }
        return .frame(frame)
    }

    /// Where the next header may begin; the file's length when nowhere.
    mutating func nextMagic(after position: UInt64, _ read: Read) throws -> UInt64 {
        let magic = FrameHeader.magic
        let first = UInt8(truncatingIfNeeded: magic)
        var position = position + 1
        while let found = try firstByte(from: position, read, where: { $0 == first }) {
            guard let index = try load(found, FrameHeader.size, read) else { break }
            let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: index, as: UInt32.self) }
            if UInt32(littleEndian: value) == magic { return found }
            position = found + 1
        }
        return length
    }

    /// Where the zeros before `end` begin.
    mutating func endOfBytes(from start: UInt64, to end: UInt64, _ read: Read) throws -> UInt64 {
        var end = min(end, length)
        while end > start {
            let count = min(end - start, UInt64(window))
            guard let index = try load(end - count, Int(count), read) else { break }
            if let last = bytes[index..<index + Int(count)].lastIndex(where: { $0 != 0 }) {
                return end - count + UInt64(last - index) + 1
            }
            end -= count
        }
        return end
    }

    private mutating func firstByte(
        from position: UInt64, _ read: Read, where matches: (UInt8) -> Bool
    ) throws -> UInt64? {
        var position = position
        while let index = try load(position, 1, read) {
            let offset = bytes.withUnsafeBytes { all in all[index...].firstIndex(where: matches) }
            if let offset { return start + UInt64(offset) }
            position = start + UInt64(bytes.count)
        }
        return nil
    }

    private func remaining(_ position: UInt64) -> UInt64 { position < length ? length - position : 0 }

    /// Where in `bytes` this place of the file stands with so many bytes (one at least) behind it; nil when the file ends
    /// before.
    private mutating func load(_ position: UInt64, _ count: Int, _ read: Read) throws -> Int? {
        guard count > 0, UInt64(count) <= remaining(position) else { return nil }
        if position >= start, position - start <= UInt64(bytes.count),
            bytes.count - Int(position - start) >= count
        {
            return Int(position - start)
        }
        let wanted = Int(min(UInt64(max(window, count)), remaining(position)))
        bytes = try read(position, wanted)
        start = position
        if bytes.count > wanted { bytes.removeLast(bytes.count - wanted) }
        // The file turned out shorter than it was said to be.
        if bytes.count < wanted { length = position + UInt64(bytes.count) }
        return bytes.count >= count ? 0 : nil
    }
}
