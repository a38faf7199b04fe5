internal import CLinux
internal import Glibc
internal import Node
internal import Routing

extension Configuration {
    /// A configuration file larger than this is something else.
    private static let maximumFileSize = 1 << 20

    /// Reads and checks a file and the files that it names. Relative paths inside it are relative to it.
    package static func load(path: String) -> Reading {
        let text: [UInt8]
        switch readFile(path, limit: maximumFileSize) {
        case .success(let bytes): text = bytes
        case .failure(let failure):
            let problem = ConfigurationProblem(path: "", line: 0, text: "cannot be read: \(failure.text)")
            return Reading(configuration: nil, errors: [problem], warnings: [])
        }
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ""
        var reading = read(text, directory: directory)
        var (configuration, _) = parse(text, directory: directory)
        reading.errors += configuration.fileProblems
        reading.errors += configuration.readReplyRules()
        reading.configuration?.delivery.replyRules = configuration.delivery.replyRules
        if !reading.errors.isEmpty { reading.configuration = nil }
        return reading
    }

    /// Rules that can't be read are an error: those that were meant would silently not apply.
    private mutating func readReplyRules() -> [ConfigurationProblem] {
        guard let path = delivery.replyRulesFile else { return [] }
        func problem(_ text: String) -> [ConfigurationProblem] {
            [ConfigurationProblem(path: "delivery.replyRules", line: 0, text: text)]
        }
        let text: String
        switch readFile(path, limit: Configuration.maximumFileSize) {
        case .failure(let failure): return problem("\(path) cannot be read: \(failure.text)")
        case .success(let bytes):
            guard let valid = String(validating: bytes, as: UTF8.self) else { return problem("\(path) is not UTF-8") }
            text = valid
        }
        let name = path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
        do throws(ReplyRuleError) {
            _ = try ReplyClassifier(extending: text, named: name)
        } catch {
            return problem(error.description)
        }
        delivery.replyRules = NodeConfiguration.ReplyRules(file: name, text: text)
        return []
    }

    /// What is wrong with the files that this configuration names.
    private var fileProblems: [ConfigurationProblem] {
        var problems: [ConfigurationProblem] = []
        func check(_ file: String?, _ path: String, secret: Bool = false) {
            guard let file else { return }
            let problem = secret ? SecretFile.problem(of: file) : unreadable(file)
            if let problem { problems.append(ConfigurationProblem(path: path, line: 0, text: problem)) }
        }
        check(smtp.certificateFile, "smtp.certificateFile")
        check(smtp.privateKeyFile, "smtp.privateKeyFile", secret: true)
        check(admin.tokenFile, "admin.tokenFile", secret: true)
        for (index, file) in cluster.secretFiles.enumerated() {
            guard let problem = Configuration.Cluster.problem(of: file) else { continue }
            problems.append(ConfigurationProblem(path: "cluster.secretFiles[\(index)]", line: 0, text: problem))
        }
        for named in feedbackFiles() { check(named.file, named.path, secret: named.isSecret) }
        for (index, upstream) in upstreams.enumerated() { check(upstream.caFile, "upstreams[\(index)].caFile") }
        return problems
    }
}

/// A secret in a file of its own. One that other users of the machine can read is no secret, and is refused.
package enum SecretFile {
    package struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        package var text: String
        package var description: String { text }
    }

    /// The first line, without surrounding space; at least one character, at most 4 KiB.
    package static func read(_ path: String) throws(Refusal) -> [UInt8] {
        if let problem = problem(of: path) { throw Refusal(text: problem) }
        switch readFile(path, limit: 4096) {
        case .failure(let failure): throw Refusal(text: "\(path) cannot be read: \(failure.text)")
        case .success(let bytes):
            let line = bytes.prefix { $0 != 0x0a && $0 != 0x0d }.drop { $0 == 0x20 || $0 == 0x09 }
            let end = line.lastIndex { $0 != 0x20 && $0 != 0x09 }
            guard let end else { throw Refusal(text: "\(path) is empty: expected the secret in its first line") }
            return Array(line[line.startIndex...end])
        }
    }

    /// Why a file cannot serve as a secret; nil when it can.
    package static func problem(of path: String) -> String? {
        if let problem = unreadable(path) { return problem }
        var status = stat()
        guard stat(path, &status) == 0 else { return "\(path): \(systemError())" }
        if status.st_mode & 0o007 != 0 {
            return "\(path) can be read or changed by every user of this machine; try: chmod o= \(path)"
        }
        if status.st_size == 0 { return "\(path) is empty: expected the secret in its first line" }
        return nil
    }
}

private struct FileFailure: Error { var text: String }

private func readFile(_ path: String, limit: Int) -> Result<[UInt8], FileFailure> {
    let descriptor = baton_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard descriptor >= 0 else { return .failure(FileFailure(text: systemError())) }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: limit + 1)
    var count = 0
    while count < bytes.count {
        let room = bytes.count - count
        let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress?.advanced(by: count), room) }
        if got < 0, errno == EINTR { continue }
        guard got >= 0 else { return .failure(FileFailure(text: systemError())) }
        if got == 0 { return .success(Array(bytes[..<count])) }
        count += got
    }
    return .failure(FileFailure(text: "larger than \(limit) bytes"))
}

private func unreadable(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return "\(path) cannot be read: \(systemError())" }
    guard status.st_mode & S_IFMT == S_IFREG else { return "\(path) is not a file" }
    guard access(path, R_OK) == 0 else { return "\(path) cannot be read: \(systemError())" }
    return nil
}

private func systemError() -> String { String(cString: strerror(errno)) }

/// A file that is taken as a whole and holds no secret: a key or certificate.
package enum SmallFile {
    /// In bytes.
    package static let limit = 256 << 10

    /// Nil when it cannot be read, or is too large.
    package static func read(_ path: String) -> [UInt8]? {
        guard case .success(let bytes) = readFile(path, limit: limit) else { return nil }
        return bytes
    }
}
