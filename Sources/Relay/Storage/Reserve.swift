internal import CLinux
internal import Glibc
internal import Primitives

/// Bytes kept free on the disk, so that attempts and outcomes can be written when nothing else can (architecture.md,
/// 'Storage rules'). Given up piece by piece; taken back once the disk has room again.
struct Reserve {
    static let size: UInt64 = 256 << 20
    static let piece: UInt64 = 1 << 20

    private let path: String
    private let wanted: UInt64
    private(set) var held: UInt64 = 0

    /// On a small disk the reserve is a sixteenth of it.
    init(path: String, total: UInt64) {
        self.path = path
        wanted = min(Reserve.size, total / 16 / Reserve.piece * Reserve.piece)
        held = (try? OpenFile(path, .read).size) ?? 0
    }

    /// Takes up to one more piece when that leaves as much free as it takes.
    mutating func refill(free: UInt64, limit: UInt64 = .max) {
        guard held < wanted else { return }
        let more = min(wanted - held, limit)
        guard free > 2 * more + Reserve.piece, let file = try? OpenFile(path, .create) else { return }
        if posix_fallocate(file.descriptor, off_t(held), off_t(more)) == 0 {
            held += more
            try? file.synchronize()
        } else {
            // What it could take in part is not ours to keep.
            try? file.truncate(to: held)
        }
    }

    /// False when nothing is left.
    mutating func release() -> Bool {
        guard held > 0, let file = try? OpenFile(path, .readWrite) else { return false }
        let left = held > Reserve.piece ? held - Reserve.piece : 0
        guard (try? file.truncate(to: left)) != nil else { return false }
        held = left
        return true
    }
}

/// What the file system says of its space.
struct DiskSpace: Hashable, Sendable {
    var free: ByteCount
    var total: ByteCount

    init?(at path: String) {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { return nil }
        free = ByteCount(bytes: UInt64(status.f_bavail) * UInt64(status.f_frsize))
        total = ByteCount(bytes: UInt64(status.f_blocks) * UInt64(status.f_frsize))
    }
}
