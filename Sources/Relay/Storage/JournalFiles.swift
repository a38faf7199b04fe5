internal import Primitives
internal import Synchronization

/// The journals' open files, for the threads that read them. A file that is deleted lives on for whoever reads it now.
final class JournalFiles: Sendable {
    private let files = Mutex<[JournalID: OpenFile]>([:])

    subscript(journal: JournalID) -> OpenFile? { files.withLock { $0[journal] } }

    func removeAll() { files.withLock { $0 = [:] } }

    func set(_ journal: JournalID, _ file: OpenFile?) { files.withLock { $0[journal] = file } }
}
