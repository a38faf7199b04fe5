internal import CLinux
internal import Glibc

/// A system call that failed: what was tried, on what, and the system's own words.
package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    package var operation: String
    package var path: String
    package var code: CInt

    package init(_ operation: String, _ path: String, code: CInt = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    package var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
    package var description: String { "\(operation) \(path): \(String(cString: strerror(code)))" }
}

/// A file or directory that this process has open; closed with the last reference.
final class OpenFile: Sendable {
    let descriptor: CInt
    let path: String

    enum Mode { case read, readWrite, create, createNew, directory }

    init(_ path: String, _ mode: Mode) throws(FileError) {
        let flags: CInt =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT
            case .createNew: O_RDWR | O_CREAT | O_EXCL
            case .directory: O_RDONLY | O_DIRECTORY
            }
        descriptor = baton_open(path, flags | O_CLOEXEC, 0o600)
        self.path = path
        guard descriptor >= 0 else { throw FileError("open", path) }
    }

    deinit { close(descriptor) }

    var size: UInt64 {
        get throws(FileError) {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { throw FileError("stat", path) }
            return UInt64(status.st_size)
        }
    }

    /// Writes all of it; a short write goes on where it stopped.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw FileError("write", path) }
            done += count
        }
    }

    /// The same, on the disk when it returns, by one system call where it takes all at once.
    func writeSynced(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(FileError) {
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        var count: Int
        repeat {
            count = pwritev2(descriptor, &vector, 1, off_t(offset), RWF_DSYNC)
        } while count < 0 && errno == EINTR
        if count == bytes.count { return }
        guard count >= 0 || errno == EOPNOTSUPP else { throw FileError("write and sync", path) }
        let done = max(0, count)
        try write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: offset + UInt64(done))
        try synchronizeData()
    }

    func synchronizeData() throws(FileError) {
        guard fdatasync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    func synchronize() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError("sync", path) }
    }

    /// Up to `count` bytes; fewer at the end of the file.
    func read(at offset: UInt64, count: Int) throws(FileError) -> [UInt8] {
        var failure: FileError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                let rest = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[initialized...])
                let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(initialized))
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = FileError("read", path) }
                if got <= 0 { break }
                initialized += got
            }
        }
        if let failure { throw failure }
        return bytes
    }

    func write(_ bytes: ArraySlice<UInt8>, at offset: UInt64) throws(FileError) {
        try carryOut(bytes) { (buffer) throws(FileError) in try write(buffer, at: offset) }
    }

    func writeSynced(_ bytes: [UInt8], at offset: UInt64) throws(FileError) {
        try carryOut(bytes[...]) { (buffer) throws(FileError) in try writeSynced(buffer, at: offset) }
    }

    /// Typed errors don't pass through the arrays' own `withUnsafeBytes`.
    private func carryOut(
        _ bytes: ArraySlice<UInt8>, _ work: (UnsafeRawBufferPointer) throws(FileError) -> Void
    ) throws(FileError) {
        let failure = bytes.withUnsafeBytes { buffer -> FileError? in
            do throws(FileError) {
                try work(buffer)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    func truncate(to length: UInt64) throws(FileError) {
        guard ftruncate(descriptor, off_t(length)) == 0 else { throw FileError("truncate", path) }
    }

    /// Makes the next read come from the disk, not from what a killed process or a failed sync left in memory.
    func dropFromCache() { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
}
