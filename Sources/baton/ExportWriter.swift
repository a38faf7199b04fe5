internal import Admin
internal import FoundationEssentials
internal import Glibc

/// Writes messages into a directory: `ID.json`, the envelope and its state, and `ID.eml`, the content.
final class ExportWriter {
    /// The keys of `--json`.
    private struct Answer: Codable {
        var directory: String
        var remaining: Int
        var skipped: Int
        var written: Int
    }

    private let directory: String
    private(set) var written = 0
    var skipped = 0
    private let encoder = JSONEncoder()
    private let showsProgress = isatty(STDERR_FILENO) == 1

    init(_ directory: String) throws(CommandFailure) {
        self.directory = directory
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw CommandFailure("\(directory): \(String(cString: strerror(errno)))")
        }
    }

    func write(_ message: MessageAnswer, content: [UInt8]) throws {
        // The content first: who finds an envelope finds a whole message.
        try put("\(message.id).eml", content)
        try put("\(message.id).json", Array(try encoder.encode(message)) + [0x0a])
        written += 1
    }

    private func put(_ name: String, _ bytes: [UInt8]) throws(CommandFailure) {
        let path = "\(directory)/\(name)"
        let descriptor = creat(path, 0o600)
        guard descriptor >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: done), $0.count - done)
            }
            guard count > 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))") }
            done += count
        }
    }

    func progress(_ done: Int, of all: Int) {
        guard showsProgress, done % 100 == 0 || done == all else { return }
        Output.write(Array("\r\(grouped(done)) of \(grouped(all))\(done == all ? "\n" : "")".utf8), to: STDERR_FILENO)
    }

    func finish(json: Bool, remaining: Int = 0) {
        if json {
            let answer = Answer(directory: directory, remaining: remaining, skipped: skipped, written: written)
            if let data = try? encoder.encode(answer) { Output.write(Array(data) + [0x0a]) }
            return
        }
        var text = "\(counted(written, "message")) written to \(directory)"
        if skipped > 0 { text += ", \(grouped(skipped)) left meanwhile" }
        if remaining > 0 { text += "; \(grouped(remaining)) more match: use filters such as --older-than" }
        Output.line(text)
    }
}
