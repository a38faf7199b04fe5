internal import Primitives

/// The options of `send` and `sink`: `--name value`, `--name=value` and `--flag`, checked against a list of known names.
struct DrillOptions {
    private var values: [String: [String]] = [:]
    private(set) var problem: String?

    /// `flags` take no value; every other known name takes one and may be repeated.
    init(_ arguments: [String], known: Set<String>, flags: Set<String>) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--") else {
                problem = "unexpected '\(argument)'"
                return
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            if flags.contains(name), parts.count == 1 {
                values[name, default: []].append("")
            } else if known.contains(name) {
                guard let value = parts.count == 2 ? String(parts[1]) : rest.popFirst() else {
                    problem = "--\(name) needs a value"
                    return
                }
                values[name, default: []].append(value)
            } else {
                problem = "unknown option '--\(name)'"
                return
            }
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }

    func texts(_ name: String) -> [String] { values[name] ?? [] }

    func text(_ name: String) -> String? { values[name]?.last }

    mutating func integer(_ name: String, default fallback: Int, atLeast least: Int = 0) -> Int {
        guard let text = text(name) else { return fallback }
        if let value = Int(text), value >= least { return value }
        refuse(name, text, "a whole number from \(least)")
        return fallback
    }

    mutating func size(_ name: String, default fallback: Int) -> Int {
        guard let text = text(name) else { return fallback }
        if let value = ByteCount(text: text), value.bytes < 1 << 32 { return Int(value.bytes) }
        refuse(name, text, "a size such as 4KiB")
        return fallback
    }

    mutating func duration(_ name: String) -> Duration? {
        guard let text = text(name) else { return nil }
        if let value = Duration(text: text) { return value }
        refuse(name, text, "a duration such as 50ms")
        return nil
    }

    /// A second, unless another unit is named: `200`, `200/s`, `6000/m`.
    mutating func perSecond(_ name: String) -> Double? {
        guard let text = text(name) else { return nil }
        if let value = Rate(text: text.contains("/") ? text : text + "/s") { return value.perSecond }
        refuse(name, text, "a rate such as 200/s")
        return nil
    }

    /// The first thing that is wrong is the one that is said.
    mutating func refuse(_ name: String, _ text: String, _ expected: String) {
        problem = problem ?? "--\(name): '\(text)' is not \(expected)"
    }
}
