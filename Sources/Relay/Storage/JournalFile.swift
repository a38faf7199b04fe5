internal import Primitives

/// One journal's file, on the disk thread: zeroed ahead of where it is written, so that a synced write changes no
/// metadata (measured 2 to 5 times cheaper than growing it, architecture.md).
struct JournalFile {
    /// An append waits for so much to be zeroed at times: 8 MiB took 80 ms on a disk of 100 MB/s (measured 2026-11).
    static let chunk: UInt64 = 1 << 20
    private static let block: UInt64 = 4096

    let file: OpenFile
    /// The file is zeroed, or written, up to here.
    private(set) var length: UInt64

    init(_ file: OpenFile, length: UInt64) {
        self.file = file
        self.length = length
    }

    enum Room: Hashable { case enough, scarce }

    func needsGrowth(upTo end: UInt64) -> Bool { end > length }

    /// Makes sure that a write up to `end` grows nothing. Fills a whole chunk when there is room for one, else only what
    /// is needed, and says so. A sync is left to the caller: zeros that a crash loses read as zeros all the same.
    mutating func grow(upTo end: UInt64, chunk: UInt64) throws(FileError) -> Room {
        guard end > length else { return .enough }
        do throws(FileError) {
            try zero(upTo: max(length + chunk, JournalFile.rounded(end)))
            return .enough
        } catch {
            guard error.isDiskFull else { throw error }
            try zero(upTo: JournalFile.rounded(end))
            return .scarce
        }
    }

    private static func rounded(_ end: UInt64) -> UInt64 { (end + block - 1) / block * block }

    /// Zeros are the end of the log: what follows must never be an old frame.
    private mutating func zero(upTo end: UInt64) throws(FileError) {
        let from = length
        do throws(FileError) {
            var position = from
            while position < end {
                let count = Int(min(UInt64(zeros.count), end - position))
                try file.write(zeros[..<count], at: position)
                position += UInt64(count)
            }
            length = end
        } catch {
            // Gives back what a chunk that did not fit has taken.
            if error.isDiskFull { try file.truncate(to: from) }
            throw error
        }
    }

    /// A bad tail goes; the space behind the new end is zeros again.
    mutating func cut(to end: UInt64) throws(FileError) {
        try file.truncate(to: end)
        try file.synchronize()
        length = end
    }
}

/// A mebibyte of them.
let zeros = [UInt8](repeating: 0, count: 1 << 20)
