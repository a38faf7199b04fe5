internal import Glibc
internal import Primitives

/// Small files that are replaced as a whole: whatever happens, what is found is the old one or the new one, so that one that
/// can't be read is damaged, never half written.
func writeFile(_ name: String, in directory: String, _ bytes: [UInt8]) throws(FileError) {
    let path = directory + "/" + name
    let temporary = path + ".new"
    let file = try OpenFile(temporary, .create)
    try file.truncate(to: 0)
    try file.write(bytes[...], at: 0)
    try file.synchronize()
    guard rename(temporary, path) == 0 else { throw FileError("rename", temporary) }
    try synchronizeDirectory(directory)
}

/// All of a file; nil when there is none.
func readFile(_ path: String) throws(FileError) -> [UInt8]? {
    do throws(FileError) {
        let file = try OpenFile(path, .read)
        return try file.read(at: 0, count: Int(clamping: file.size))
    } catch {
        guard error.code == ENOENT else { throw error }
        return nil
    }
}

/// Bytes with a mark of what they are and a checksum, so that damaged ones are never believed.
enum Sealed {
    static func seal(_ body: [UInt8], magic: UInt32) -> [UInt8] {
        var writer = ByteWriter(reserving: body.count + 8)
        writer.write(magic)
        writer.bytes.append(contentsOf: body)
        var checksum = CRC32C()
        checksum.update(writer.bytes)
        writer.write(checksum.value)
        return writer.bytes
    }

    /// Where the body is; nil for what can't be trusted.
    static func open(_ bytes: [UInt8], magic: UInt32) -> ByteReader? {
        guard bytes.count >= 8 else { return nil }
        var checksum = CRC32C()
        checksum.update(bytes[..<(bytes.count - 4)])
        var tail = ByteReader(bytes, in: bytes.count - 4..<bytes.count)
        var head = ByteReader(bytes, in: 0..<bytes.count - 4)
        do throws(MalformedBytes) {
            guard try tail.read(UInt32.self) == checksum.value, try head.read(UInt32.self) == magic else { return nil }
            return head
        } catch {
            return nil
        }
    }
}

/// Makes a directory, with those above it, unless it is there.
func makeDirectory(_ path: String) throws(FileError) {
    if mkdir(path, 0o700) == 0 {
        return try synchronizeDirectory(parent(of: path))
    }
    if errno == EEXIST { return }
    guard errno == ENOENT, path.contains("/") else { throw FileError("make directory", path) }
    try makeDirectory(parent(of: path))
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw FileError("make directory", path) }
    try synchronizeDirectory(parent(of: path))
}

private func parent(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// Puts creations, renames and removals in it on the disk.
func synchronizeDirectory(_ path: String) throws(FileError) {
    try OpenFile(path, .directory).synchronize()
}

func directoryEntries(_ path: String) throws(FileError) -> [String] {
    guard let stream = opendir(path) else { throw FileError("read directory", path) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names
}
