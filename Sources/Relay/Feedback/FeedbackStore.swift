internal import EventLoop
internal import Feedback
internal import Glibc
internal import Primitives
internal import SMTP
internal import Synchronization

/// What was said after the 250, on this node's disk: files of records in `history/`, synced before anybody is answered.
///
/// Each record is its length, its CRC-32C and its bytes; what does not fit that at the end of the newest file was torn by a
/// crash and is cut off. Files end at a size; the oldest go after seven days, or beyond the bound of all. Confined to its
/// thread, on which one sync serves all that came meanwhile.
final class FeedbackStore: Sendable {
    static let fileLimit: UInt64 = 16 << 20
    /// Some 2 million records.
    static let limit: UInt64 = 256 << 20
    private static let recordLimit = 8 << 10

    private let directory: String
    private let thread: WorkThread
    private let waiting = Mutex<[Waiting]>([])
    /// The newest file and where it ends; for the thread alone.
    private let current = Mutex<(file: OpenFile?, end: UInt64)>((nil, 0))

    private struct Waiting: Sendable {
        var records: [FeedbackRecord]
        var continuation: UnsafeContinuation<FileError?, Never>
    }

    init(directory: String, thread: WorkThread) {
        self.directory = directory
        self.thread = thread
    }

    // MARK: Writing

    /// Returns once they are on the disk; or why they are not.
    func append(_ records: [FeedbackRecord]) async -> FileError? {
        guard !records.isEmpty else { return nil }
        return await withUnsafeContinuation { continuation in
            waiting.withLock { $0.append(Waiting(records: records, continuation: continuation)) }
            thread.begin { [self] in writeWaiting() }
        }
    }

    private func writeWaiting() {
        let waiting = waiting.withLock { list in
            defer { list = [] }
            return list
        }
        guard !waiting.isEmpty else { return }
        let bytes = FeedbackStore.encode(waiting.flatMap(\.records))
        let failure = current.withLock { current -> FileError? in
            do throws(FileError) {
                let file = try openFile(&current)
                try file.writeSynced(bytes, at: current.end)
                current.end += UInt64(bytes.count)
                return nil
            } catch {
                // Nobody knows how much of it is there: it is looked at anew.
                current.file = nil
                return error
            }
        }
        for one in waiting { one.continuation.resume(returning: failure) }
    }

    private static func encode(_ records: [FeedbackRecord]) -> [UInt8] {
        var bytes: [UInt8] = []
        for record in records {
            let encoded = record.encode()
            var checksum = CRC32C()
            checksum.update(encoded)
            var head = ByteWriter(reserving: 8)
            head.write(UInt32(encoded.count))
            head.write(checksum.value)
            bytes += head.bytes
            bytes += encoded
        }
        return bytes
    }

    private func openFile(_ current: inout (file: OpenFile?, end: UInt64)) throws(FileError) -> OpenFile {
        if let file = current.file, current.end < FeedbackStore.fileLimit { return file }
        bound()
        if current.file == nil, let newest = names().last {
            let file = try OpenFile(directory + "/" + newest, .readWrite)
            let end = FeedbackStore.read(file) { _ in }
            if end < FeedbackStore.fileLimit {
                try file.truncate(to: end)
                (current.file, current.end) = (file, end)
                return file
            }
        }
        let time = String(Clock.wall().milliseconds)
        let name = "feedback-" + String(repeating: "0", count: max(0, 15 - time.count)) + time
        let file = try OpenFile(directory + "/" + name, .create)
        try synchronizeDirectory(directory)
        (current.file, current.end) = (file, try file.size)
        return file
    }

    /// Drops what is too old or too much, oldest first.
    private func bound() {
        let oldest = Clock.wall() + (Duration.zero - SentIndex.lifetime)
        var left = FeedbackStore.limit
        for name in names().reversed() {
            let path = directory + "/" + name
            var status = stat()
            guard stat(path, &status) == 0 else { continue }
            let size = UInt64(status.st_size)
            let written = WallTime(milliseconds: Int64(status.st_mtim.tv_sec) * 1000)
            if size > left || written < oldest { unlink(path) }
            left = size > left ? 0 : left - size
        }
    }

    // MARK: Reading

    private func names() -> [String] {
        ((try? directoryEntries(directory)) ?? []).filter { $0.hasPrefix("feedback-") }.sorted()
    }

    /// Every record that is there, oldest first. Blocks: for a thread that may.
    func forEach(_ visit: (FeedbackRecord) -> Void) {
        for name in names() {
            guard let file = try? OpenFile(directory + "/" + name, .read) else { continue }
            _ = FeedbackStore.read(file, visit)
        }
    }

    /// Reads whole records, and returns where they end.
    private static func read(_ file: OpenFile, _ visit: (FeedbackRecord) -> Void) -> UInt64 {
        guard let size = try? file.size, let bytes = try? file.read(at: 0, count: Int(min(size, limit))) else {
            return 0
        }
        var reader = ByteReader(bytes)
        var end = 0
        while let count: UInt32 = try? reader.read(), let sum: UInt32 = try? reader.read(),
            count <= recordLimit, Int(count) <= reader.remaining
        {
            let range = reader.position..<reader.position + Int(count)
            let encoded = Array(bytes[range])
            var checksum = CRC32C()
            checksum.update(encoded)
            guard checksum.value == sum else { break }
            // One of a newer version that means nothing here is passed over.
            if let record = try? FeedbackRecord(decoding: encoded) { visit(record) }
            end = range.upperBound
            reader = ByteReader(bytes, in: end..<bytes.count)
        }
        return UInt64(end)
    }
}
