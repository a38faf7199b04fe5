internal import Cluster
internal import Journal
internal import Primitives

extension DiskThread {
    /// What is asked of the thread. Those that carry a mark are answered by `.stored`.
    enum Job: Sendable {
        case storePromise(JournalID, Promise, DiskMark)
        /// The first of a journal creates its file.
        case write(JournalID, offset: UInt64, [UInt8], DiskMark)
        case cut(JournalID, to: UInt64, DiskMark)
        case entomb(Tombstone, DiskMark)
        case forgetTombstone(JournalID)
        /// The copy is whole again: the mark that start-up made goes.
        case whole(JournalID)
        case read(ReadRequest)
        case scan(JournalID, scan: UInt64, upTo: UInt64)
        case setAside(JournalID)
        /// The whole file at 0, else a part behind what is there.
        case storeRecords([UInt8], at: UInt64, version: UInt64)
        /// All that are known.
        case storeAcquainted([Acquaintance])

        // From the background.
        /// The history of a buried journal is kept, and its file gone.
        case removed(JournalID)
        /// Whether there is a file of zeros that can become a journal now.
        case spare(isReady: Bool)
    }

    /// What can share its syncs with others of its kind, and what is done one by one.
    enum Kind { case ledger, write, single }
}

extension DiskThread.Job {
    /// What is asked for one journal is done in order; nil is in nobody's way.
    var journal: JournalID? {
        switch self {
        case .storePromise(let journal, _, _), .write(let journal, _, _, _), .cut(let journal, _, _),
            .forgetTombstone(let journal), .whole(let journal), .scan(let journal, _, _), .setAside(let journal):
            journal
        case .entomb(let tombstone, _): tombstone.journal
        case .read(let request): request.journal
        case .storeRecords, .storeAcquainted, .removed, .spare: nil
        }
    }

    var mark: DiskMark? {
        switch self {
        case .storePromise(_, _, let mark), .write(_, _, _, let mark), .cut(_, _, let mark), .entomb(_, let mark): mark
        default: nil
        }
    }

    var kind: DiskThread.Kind {
        switch self {
        case .storePromise, .entomb, .forgetTombstone, .whole: .ledger
        case .write: .write
        default: .single
        }
    }
}
