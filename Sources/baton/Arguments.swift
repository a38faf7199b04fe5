internal import Primitives
internal import Relay

/// Wrong usage: one line, exit 2.
struct UsageError: Error {
    var text: String
    init(_ text: String) { self.text = text }
}

/// One option of a command, as its help shows it.
struct OptionSpec: Sendable {
    /// Without the dashes.
    var name: String
    /// What stands for its value in the help; nil for a flag.
    var value: String?
    var help: String

    init(_ name: String, _ value: String? = nil, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }
}

/// What was given to a command: `--name value`, `--name=value`, `--flag` and plain arguments; `--` ends the options.
struct Arguments: Sendable {
    private var values: [String: [String]] = [:]
    private(set) var plain: [String] = []

    init(_ words: some Collection<String>, _ options: [OptionSpec]) throws(UsageError) {
        var rest = Array(words)[...]
        var takesOptions = true
        while let word = rest.popFirst() {
            guard takesOptions, word.hasPrefix("-"), word != "-" else {
                plain.append(word)
                continue
            }
            if word == "--" {
                takesOptions = false
                continue
            }
            let parts = word.drop { $0 == "-" }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts.first.map(String.init) ?? ""
            guard word.hasPrefix("--"), let option = options.first(where: { $0.name == name }) else {
                let hint = nearest(name, of: options.map(\.name)).map { "; did you mean --\($0)?" } ?? ""
                throw UsageError("unknown option \(word)\(hint)")
            }
            if option.value == nil {
                guard parts.count == 1 else { throw UsageError("--\(name) takes no value") }
                values[name, default: []].append("")
            } else {
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    throw UsageError("--\(name) needs a value: \(option.value ?? "")")
                }
                values[name, default: []].append(value)
            }
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    func text(_ name: String) -> String? { values[name]?.last }

    func integer(_ name: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError(
                "--\(name): expected a whole number from \(range.lowerBound) to \(range.upperBound), got \(text)")
        }
        return value
    }

    func duration(_ name: String) throws(UsageError) -> Duration? {
        guard let text = text(name) else { return nil }
        guard let value = Duration(text: text) else {
            throw UsageError("--\(name): expected a duration such as 2h, got \(text)")
        }
        return value
    }

    /// The plain arguments, of which there must be so many.
    func plain(_ range: ClosedRange<Int>, _ expectation: String) throws(UsageError) -> [String] {
        guard range.contains(plain.count) else {
            let got = plain.isEmpty ? "nothing" : plain.joined(separator: " ")
            throw UsageError("expected \(expectation), got \(got)")
        }
        return plain
    }
}
