internal import FoundationEssentials
internal import Glibc
internal import Routing

let classifyCommands = [
    CommandSpec(
        ["classify"], "what Baton makes of SMTP replies, and why", arguments: "[FILE]",
        options: [
            OptionSpec("rules", "FILE", "a file of your own rules, which come first (as delivery.replyRules)"),
            OptionSpec("json", nil, "one object, see below"),
        ],
        examples: [
            "baton classify replies.tsv",
            "printf 'code\\ttext\\n550\\tNo such user\\n' | baton classify --json",
        ],
        details: """
            Reads FILE, or standard input without it or with -: tab-separated, with a header row that names the columns in any
            order. code (may be empty) and text are needed, \\n within a text is a line break; enhanced, provider and stage
            (connect, helo, mail, rcpt, data, eod, auth) help; other columns are passed over. Writes a line for each reply,
            tab-separated: its class, what it speaks against, and the rule that said so, as file:line and pattern.
            JSON: replies[{line, class, against, rule}].
            """,
        run: classify)
]

private func classify(_ arguments: Arguments) async throws -> Int32 {
    let file = try arguments.plain(0...1, "one file at most").first ?? "-"
    var classifier = ReplyClassifier.standard
    if let rules = arguments.text("rules") {
        let text = String(decoding: try contents(of: rules), as: UTF8.self)
        do throws(ReplyRuleError) { classifier = try ReplyClassifier(extending: text, named: rules) } catch {
            throw CommandFailure("\(error)", code: 2)
        }
    }
    let table = try ReplyTable(try contents(of: file), named: file == "-" ? "standard input" : file)
    let answers = table.replies.map { reply in
        (
            line: reply.line,
            is: classifier.classify(
                code: reply.code, enhanced: reply.enhanced, text: reply.text, provider: reply.provider,
                stage: reply.stage)
        )
    }
    if arguments.has("json") {
        Output.write(try ClassifyAnswer.json(answers.map { ($0.line, $0.is) }))
    } else {
        let lines = answers.map {
            "\($0.is.replyClass.rawValue)\t\($0.is.against.rawValue)\t\(printable($0.is.rule))\n"
        }
        Output.write(lines.joined())
    }
    return 0
}

private struct ClassifyAnswer: Codable {
    struct Item: Codable {
        var line: Int
        var `class`: String
        var against: String
        var rule: String
    }

    var replies: [Item]

    static func json(_ answers: [(line: Int, is: Classification)]) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let items = answers.map {
            Item(line: $0.line, class: $0.is.replyClass.rawValue, against: $0.is.against.rawValue, rule: $0.is.rule)
        }
        return Array(try encoder.encode(ClassifyAnswer(replies: items))) + [0x0a]
    }
}

/// A table of replies as `baton classify` reads it.
struct ReplyTable {
    struct Row: Equatable {
        var line: Int
        var code: Int?
        var enhanced = ""
        var text = ""
        var provider: String?
        var stage: String?
    }

    private(set) var replies: [Row] = []

    /// What is wrong is said with the place, `file:line`.
    init(_ bytes: [UInt8], named file: String) throws(CommandFailure) {
        let lines = bytes.split(separator: 0x0a, omittingEmptySubsequences: false).map(Self.fields)
        guard let header = lines.first, !bytes.isEmpty else {
            throw Self.failure(file, 1, Self.wanted + ", got nothing")
        }
        var columns: [String: Int] = [:]
        for (index, name) in header.enumerated() where columns[name.lowercased()] == nil {
            columns[name.lowercased()] = index
        }
        guard let codes = columns["code"], let texts = columns["text"] else {
            throw Self.failure(file, 1, Self.wanted + ", got: \(header.joined(separator: " ").prefix(60))")
        }
        for (index, fields) in lines.enumerated().dropFirst() where fields != [""] {
            guard fields.count == header.count else {
                throw Self.failure(file, index + 1, "expected \(header.count) fields as in line 1, got \(fields.count)")
            }
            let code = Int(fields[codes])
            guard fields[codes].isEmpty || code.map((200...599).contains) ?? false else {
                throw Self.failure(file, index + 1, "expected a code from 200 to 599 or nothing, got \(fields[codes])")
            }
            let named = { (name: String) in columns[name].map { fields[$0] } }
            replies.append(
                Row(
                    line: index + 1, code: code, enhanced: named("enhanced") ?? "",
                    text: fields[texts].replacing("\\n", with: "\n"), provider: named("provider"),
                    stage: named("stage")))
        }
    }

    private static let wanted = "expected a header row with tabs between, with code and text"

    private static func fields(_ line: ArraySlice<UInt8>) -> [String] {
        let line = line.last == 0x0d ? line.dropLast() : line
        return line.split(separator: 0x09, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func failure(_ file: String, _ line: Int, _ text: String) -> CommandFailure {
        CommandFailure("\(file):\(line): \(text)", code: 2)
    }
}

/// All of a file, or of standard input for `-`.
private func contents(of path: String) throws(CommandFailure) -> [UInt8] {
    let limit = 256 << 20
    let descriptor = path == "-" ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))", code: 2) }
    defer { if descriptor != STDIN_FILENO { close(descriptor) } }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw CommandFailure("\(path): \(String(cString: strerror(errno)))", code: 2) }
        if count == 0 { return bytes }
        bytes += chunk[..<count]
        guard bytes.count <= limit else { throw CommandFailure("\(path): larger than \(limit >> 20) MiB", code: 2) }
    }
}
