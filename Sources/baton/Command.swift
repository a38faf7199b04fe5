internal import Relay

/// One command of `baton`: the table of them makes the help, the completions and the dispatch.
struct CommandSpec: Sendable {
    /// `["queue", "list"]`.
    var path: [String]
    var summary: String
    /// The plain arguments, as the help shows them.
    var arguments = ""
    var options: [OptionSpec] = []
    /// One or more lines to paste.
    var examples: [String]
    /// More about it, wrapped at 96 columns.
    var details = ""
    /// Answers the exit code: 0 fine, 1 bad news, 2 wrong usage, 3 nobody answered.
    var run: @Sendable (Arguments) async throws -> Int32
    /// Commands with a help and options of their own get their words unread.
    var runWords: (@Sendable ([String]) async -> Int32)?

    init(
        _ path: [String], _ summary: String, arguments: String = "", options: [OptionSpec] = [], examples: [String],
        details: String = "", run: @escaping @Sendable (Arguments) async throws -> Int32
    ) {
        self.path = path
        self.summary = summary
        self.arguments = arguments
        self.options = options
        self.examples = examples
        self.details = details
        self.run = run
    }

    init(_ path: [String], _ summary: String, examples: [String], words: @escaping @Sendable ([String]) async -> Int32)
    {
        self.init(path, summary, examples: examples, run: { _ in 2 })
        runWords = words
    }
}

/// Bad news or no answer, in one line for stderr.
struct CommandFailure: Error {
    var code: Int32
    var text: String

    init(_ text: String, code: Int32 = 1) {
        self.text = text
        self.code = code
    }
}

enum Baton {
    static let commands: [CommandSpec] =
        serveCommands + statusCommands + checkCommands + clusterCommands + maintenanceCommands + queueCommands
        + suppressionCommands + traceCommands + upstreamCommands + routingCommands + classifyCommands + journalCommands
        + drillCommands + miscellaneousCommands

    /// The words after the program's name; the exit code.
    static func run(_ words: [String]) async -> Int32 {
        guard let first = words.first, first != "--help", first != "-h", first != "help" || words.count > 1 else {
            Output.write(Help.overview)
            return words.isEmpty ? 2 : 0
        }
        if first == "--version" { return await run(["version"]) }
        if first == "help" { return await run(Array(words.dropFirst()) + ["--help"]) }
        let matching = commands.filter { words.starts(with: $0.path) }.max { $0.path.count < $1.path.count }
        guard let command = matching else { return unknown(words) }
        let rest = Array(words.dropFirst(command.path.count))
        if let runWords = command.runWords { return await runWords(rest) }
        if rest.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
            Output.write(Help.text(of: command))
            return 0
        }
        return await perform(command, rest)
    }

    private static func perform(_ command: CommandSpec, _ rest: [String]) async -> Int32 {
        let name = "baton \(command.path.joined(separator: " "))"
        do {
            return try await command.run(Arguments(rest, command.options))
        } catch let error as UsageError {
            Output.error("\(name): \(error.text)\n  see: \(name) --help")
            return 2
        } catch let error as CommandFailure {
            Output.error("\(name): \(error.text)")
            return error.code
        } catch {
            Output.error("\(name): \(error)")
            return 1
        }
    }

    private static func unknown(_ words: [String]) -> Int32 {
        // A group such as `queue` alone or with an unknown verb shows what it has.
        let group = commands.filter { $0.path.first == words.first }
        guard group.isEmpty else {
            if words.count > 1, !words[1].hasPrefix("-") {
                let known = group.compactMap { $0.path.count > 1 ? $0.path[1] : nil }
                let hint = nearest(words[1], of: known).map { "; did you mean \($0)?" } ?? ""
                Output.error("baton \(words[0]): unknown command \(words[1])\(hint)")
                return 2
            }
            Output.write(Help.list(of: group))
            return words.contains("--help") || words.contains("-h") ? 0 : 2
        }
        let hint = nearest(words[0], of: commands.map { $0.path[0] }).map { "; did you mean \($0)?" } ?? ""
        Output.error("baton: unknown command \(words[0])\(hint)\n  see: baton --help")
        return 2
    }
}
