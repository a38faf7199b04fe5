internal import Admin
internal import FoundationEssentials
internal import Relay

let drillCommands = [
    CommandSpec(
        ["send"], "a test client and load source that keeps books",
        examples: ["baton send --server 127.0.0.1:2525 --count 1000 --sessions 10"], words: SendCommand.run),
    CommandSpec(
        ["sink"], "a test upstream that answers as told and keeps books",
        examples: ["baton sink --listen 127.0.0.1:2600 --reply 'rcpt=450 4.7.1@20%'"], words: SinkCommand.run),
]

let miscellaneousCommands = [
    CommandSpec(["completions", "bash"], "prints completions for bash", examples: ["source <(baton completions bash)"])
    { _ in
        Output.write(Help.bashCompletion)
        return 0
    },
    CommandSpec(
        ["version"], "prints the version", options: [OptionSpec("json", nil, "{version}")], examples: ["baton version"]
    ) { arguments in
        _ = try arguments.plain(0...0, "no arguments")
        let version = BatonVersion.current
        Output.line(arguments.has("json") ? "{\"version\":\"\(version)\"}" : "baton \(version)")
        return 0
    },
]

enum ConfigurationText {
    private struct Answer: Codable {
        struct Item: Codable {
            var path: String
            var line: Int
            var text: String

            init(_ problem: ConfigurationProblem) {
                path = problem.path
                line = problem.line
                text = problem.text
            }
        }

        var errors: [Item]
        var warnings: [Item]
    }

    static func json(_ reading: Configuration.Reading) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let answer = Answer(
            errors: reading.errors.map(Answer.Item.init), warnings: reading.warnings.map(Answer.Item.init))
        return ((try? encoder.encode(answer)).map { Array($0) } ?? []) + [0x0a]
    }
}
